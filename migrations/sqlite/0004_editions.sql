-- Since when each playbook has said what; the text is in revisions.
create table editions (
    slug text not null,
    revision text not null,
    first_seen_at integer not null,
    primary key (slug, revision)
) without rowid;
insert into editions (slug, revision, first_seen_at)
select slug, revision, kept_at from revisions;

-- What people saved, in order.
create table saves (
    slug text not null,
    number integer not null,
    revision text not null,
    replaces text,
    saved_at integer not null,
    saved_by text not null,
    primary key (slug, number)
) without rowid;

-- The latest runs of a playbook, and how many each of its texts had, from the index alone.
create index runs_of_playbook on runs (playbook, started_at, revision);
