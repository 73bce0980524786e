-- Each entry's link in its incident's chain; none for entries from before there was one.
alter table timeline add column digest blob;

-- Incidents whose rows are going, a slice at a time. Their own row went first, so that nobody meets half of one.
create table leaving (
    incident text primary key
) without rowid;

-- The oldest that may go.
create index incidents_resolved on incidents (opened_at) where status = 'resolved';
create index jobs_of_incident on jobs (incident);
create index runs_of_incident on runs (incident);
create index requests_at on requests (at);
