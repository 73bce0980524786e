-- Whose the target of a destructive attempt is: limits count a service's, too.
alter table spent add column service text;

-- Playbooks whose runs fail: how often in a row, and since when and by whose run they change nothing more.
create table breakers (
    playbook text primary key,
    failures integer not null,
    opened_at integer,
    opened_by text
) without rowid;

-- Runs that have changed something which nobody has begun to take back.
alter table runs add column in_force integer not null default 0;
create index runs_in_force on runs (incident) where in_force = 1;
