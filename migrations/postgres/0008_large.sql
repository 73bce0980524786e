-- What a start and a page ask for costs the same with a hundred thousand open incidents and a million timers.

-- Jobs that say of their incident that it is at work; a wait before an undo has a kind of its own for that.
update jobs set kind = 'undo' where kind = 'timer' and effect like '%"wake":"undo"%';
create index if not exists jobs_at_work on jobs (kind, incident) where kind in ('perform', 'undo');

-- The newest open ones, without a walk over all of them.
create index if not exists incidents_open_by_number on incidents (number) where status <> 'resolved';
