-- Whether an alert's labels may name a target, by the words of meta's target_words; none where nobody has looked yet, as when a
-- node of the version before has written it.
alter table alerts add column if not exists may_name boolean;
-- A first start looks through all that fire, and few of them name a target.
update alerts set may_name = false where firing and may_name is null;
create index if not exists alerts_naming on alerts (incident) where firing and may_name is not false;

-- How many are open, of which priority, and not acknowledged, from an index alone. SQLite's has them since 0008.
create index if not exists incidents_open_counted on incidents (status, priority) where status <> 'resolved';
