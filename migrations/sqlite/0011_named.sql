-- Whether an alert's labels may name a target, by the words of meta's target_words; none where nobody has looked yet.
alter table alerts add column may_name integer;
-- A first start looks through all that fire, and few of them name a target.
update alerts set may_name = 0 where firing = 1;
create index alerts_naming on alerts (incident) where firing = 1 and may_name is not 0;
