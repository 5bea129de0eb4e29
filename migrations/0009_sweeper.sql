-- Which server sweeps. One row.
create table sweep.leader (
  name text collate "C" primary key,
  holder text collate "C" not null,
  until timestamptz not null
);
grant create on schema sweep to payerbase_owner;
alter table sweep.leader owner to payerbase_owner;
revoke create on schema sweep from payerbase_owner;
alter table sweep.leader enable row level security;
alter table sweep.leader force row level security;
create policy leader_of_the_sweepers on sweep.leader to payerbase_sweeper using (true) with check (true);
grant select, insert, update on sweep.leader to payerbase_sweeper;
