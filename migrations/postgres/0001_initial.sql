-- The log and what is projected from it. Instants are milliseconds since 1970 UTC, ids are texts, JSON is text.
-- The twin of SQLite's. Nothing here counts by itself: the writer gives every number. `if not exists`, because two
-- nodes may start at once and not every compatible database takes a change of tables back.

create table if not exists meta (
    name text primary key,
    value text not null
) with (fillfactor = 50);

-- Only here: who may write, where several nodes share the database. Every commit demands the epoch it was given
-- and leaves its mark, so that one whose answer was lost can be told from one that was not made.
create table if not exists lease (
    shard bigint primary key,
    owner text not null,
    node text not null,
    epoch bigint not null,
    expires_at bigint not null,
    last_batch text not null
) with (fillfactor = 50);
insert into lease (shard, owner, node, epoch, expires_at, last_batch) values (0, '', '', 0, 0, '') on conflict do nothing;

-- Webhook calls as they came in, worked in this order; meta's worked_up_to says how far.
create table if not exists deliveries (
    position bigint primary key,
    id text not null unique,
    source text not null,
    received_at bigint not null,
    keys text not null,
    rejected text,
    body bytea not null
);

-- The log: append only. The key is also the fence: nobody can write the same number twice.
create table if not exists timeline (
    position bigint primary key,
    incident text not null,
    seq bigint not null,
    at bigint not null,
    kind text not null,
    actor_kind text not null,
    actor text not null,
    event text not null
);
create unique index if not exists timeline_of_incident on timeline (incident, seq);

create table if not exists incidents (
    id text primary key,
    number bigint not null unique,
    -- Keys, types and services may be longer than an index entry can be here, so their hashes are looked for.
    key text not null,
    key_hash bigint not null,
    family_hash bigint not null,
    status text not null check (status in ('triggered', 'acknowledged', 'resolved')),
    priority bigint not null check (priority between 1 and 4),
    type text not null,
    service text not null,
    title text not null,
    opened_at bigint not null,
    heard_at bigint not null,
    seq bigint not null,
    state text not null
);
create index if not exists incidents_of_key on incidents (key_hash, number);
create index if not exists incidents_open on incidents (priority, number) where status <> 'resolved';

create table if not exists alerts (
    incident text not null,
    fingerprint text not null,
    firing boolean not null,
    starts_at bigint not null,
    changed_at bigint not null,
    last_seen_at bigint not null,
    labels text not null,
    annotations text not null,
    primary key (incident, fingerprint)
);

create table if not exists runs (
    id text primary key,
    incident text not null,
    playbook text not null,
    revision text not null,
    status text not null check (status in ('running', 'waiting', 'succeeded', 'failed', 'cancelled')),
    started_at bigint not null,
    ended_at bigint
);
create index if not exists runs_open on runs (playbook) where ended_at is null;

-- Effects asked for and not settled; a timer is a job due later.
create table if not exists jobs (
    id bigint primary key,
    incident text not null,
    kind text not null,
    due_at bigint not null,
    started boolean not null default false,
    effect text not null
);
create index if not exists jobs_due on jobs (due_at, id) where not started;
create index if not exists jobs_started on jobs (id) where started;

-- Destructive attempts that were started, for the limits. Without a key: nothing names one.
create table if not exists spent (
    at bigint not null,
    playbook text not null,
    target text
);
create index if not exists spent_at on spent (at);

-- Idempotency keys of people's requests.
create table if not exists requests (
    key text primary key,
    at bigint not null
);

-- Every playbook text that a run was or may be pinned to.
create table if not exists revisions (
    revision text primary key,
    slug text not null,
    source text not null,
    kept_at bigint not null
);
