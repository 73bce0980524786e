-- Who has signed in, by the SHA-256 of the id that the browser has. No incident and no commit knows of them.
create table sessions (
    digest text primary key,
    person text not null,
    -- Tells the password that it was begun with from every other.
    mark text not null,
    began_at integer not null,
    seen_at integer not null,
    address text not null,
    agent text not null
) without rowid;
create index sessions_of_person on sessions (person, began_at);
