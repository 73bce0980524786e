-- Webhook calls that were taken in while there was no writer, until one works them. The commit that keeps one as a
-- delivery takes it out. PostgreSQL also has the nodes that share it; a file has only one.
create table inbox (
    id text primary key,
    source text not null,
    received_at integer not null,
    kept_at integer not null,
    body blob not null
) without rowid;
create index inbox_oldest on inbox (kept_at, id);
