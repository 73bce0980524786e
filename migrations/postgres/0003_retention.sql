-- Each entry's link in its incident's chain; none for entries from before there was one.
alter table timeline add column if not exists digest bytea;

-- Incidents whose rows are going, a slice at a time. Their own row went first, so that nobody meets half of one.
create table if not exists leaving (
    incident text primary key
);

-- The oldest that may go.
create index if not exists incidents_resolved on incidents (opened_at) where status = 'resolved';
create index if not exists jobs_of_incident on jobs (incident);
create index if not exists runs_of_incident on runs (incident);
create index if not exists requests_at on requests (at);
