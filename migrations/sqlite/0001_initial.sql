-- The log and what is projected from it. Instants are milliseconds since 1970 UTC, ids are texts, JSON is text.

create table meta (
    name text primary key,
    value text not null
) without rowid;

-- Webhook calls as they came in, worked in this order; meta's worked_up_to says how far.
create table deliveries (
    position integer primary key,
    id text not null unique,
    source text not null,
    received_at integer not null,
    keys text not null,
    rejected text,
    body blob not null
);

-- The log: append only. The key is also the fence: nobody can write the same number twice.
create table timeline (
    position integer primary key,
    incident text not null,
    seq integer not null,
    at integer not null,
    kind text not null,
    actor_kind text not null,
    actor text not null,
    event text not null
);
create unique index timeline_of_incident on timeline (incident, seq);

create table incidents (
    id text primary key,
    number integer not null unique,
    key text not null,
    status text not null check (status in ('triggered', 'acknowledged', 'resolved')),
    priority integer not null check (priority between 1 and 4),
    type text not null,
    service text not null,
    title text not null,
    opened_at integer not null,
    heard_at integer not null,
    seq integer not null,
    state text not null
);
create index incidents_of_key on incidents (key, number);
create index incidents_open on incidents (priority, number) where status <> 'resolved';

create table alerts (
    incident text not null,
    fingerprint text not null,
    firing integer not null,
    starts_at integer not null,
    changed_at integer not null,
    last_seen_at integer not null,
    labels text not null,
    annotations text not null,
    primary key (incident, fingerprint)
) without rowid;

create table runs (
    id text primary key,
    incident text not null,
    playbook text not null,
    revision text not null,
    status text not null check (status in ('running', 'waiting', 'succeeded', 'failed', 'cancelled')),
    started_at integer not null,
    ended_at integer
) without rowid;
create index runs_open on runs (playbook) where ended_at is null;

-- Effects asked for and not settled; a timer is a job due later.
create table jobs (
    id integer primary key,
    incident text not null,
    kind text not null,
    due_at integer not null,
    started integer not null default 0,
    effect text not null
);
create index jobs_due on jobs (due_at, id) where started = 0;
create index jobs_started on jobs (id) where started = 1;

-- Destructive attempts that were started, for the limits.
create table spent (
    id integer primary key,
    at integer not null,
    playbook text not null,
    target text
);
create index spent_at on spent (at);

-- Idempotency keys of people's requests.
create table requests (
    key text primary key,
    at integer not null
) without rowid;

-- Every playbook text that a run was or may be pinned to.
create table revisions (
    revision text primary key,
    slug text not null,
    source text not null,
    kept_at integer not null
) without rowid;
