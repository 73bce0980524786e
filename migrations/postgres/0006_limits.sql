-- Whose the target of a destructive attempt is: limits count a service's, too.
alter table spent add column if not exists service text;

-- Playbooks whose runs fail: how often in a row, and since when and by whose run they change nothing more.
create table if not exists breakers (
    playbook text primary key,
    failures bigint not null,
    opened_at bigint,
    opened_by text
);

-- Runs that have changed something which nobody has begun to take back.
alter table runs add column if not exists in_force boolean not null default false;
create index if not exists runs_in_force on runs (incident) where in_force;
