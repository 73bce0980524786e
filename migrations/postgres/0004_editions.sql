-- Since when each playbook has said what; the text is in revisions.
create table if not exists editions (
    slug text not null,
    revision text not null,
    first_seen_at bigint not null,
    primary key (slug, revision)
);
insert into editions (slug, revision, first_seen_at)
select slug, revision, kept_at from revisions
on conflict do nothing;

-- What people saved, in order.
create table if not exists saves (
    slug text not null,
    number bigint not null,
    revision text not null,
    replaces text,
    saved_at bigint not null,
    saved_by text not null,
    primary key (slug, number)
);

-- The latest runs of a playbook, and how many each of its texts had, from the index alone.
create index if not exists runs_of_playbook on runs (playbook, started_at, revision);
