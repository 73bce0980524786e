-- Webhook calls that a node took in while it was not the writer, until the writer works them. Every node puts in; the
-- commit that keeps one as a delivery takes it out.
create table if not exists inbox (
    id text primary key,
    source text not null,
    received_at bigint not null,
    -- By the database's clock, which all nodes share.
    kept_at bigint not null,
    body bytea not null
);
create index if not exists inbox_oldest on inbox (kept_at, id);

-- The nodes that share this database, as each says of itself; instants by the database's clock.
create table if not exists nodes (
    name text primary key,
    url text,
    version text not null,
    role text not null check (role in ('active', 'standing_by', 'stopped')),
    since bigint not null,
    seen_at bigint not null
) with (fillfactor = 50);
