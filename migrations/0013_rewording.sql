-- Which memories may have words of an earlier version: the sweeper makes them again (src/memories/reword.sql).
-- `payerbase migrate` lists the payers when the functions of this version are installed (src/db/migrate/online.rs).
create table tenant.memory_rewording (
  payer text collate "C" not null,
  -- Memories from this id on.
  next_id text collate "C" not null,
  primary key (payer)
)
with (fillfactor = 50);
alter table tenant.memory_rewording owner to payerbase_owner;
alter table tenant.memory_rewording enable row level security;
alter table tenant.memory_rewording force row level security;
create policy memory_rewording_of_the_payer on tenant.memory_rewording to payerbase_rpc
  using (payer = tenant.current_payer())
  with check (payer = tenant.current_payer());
grant select, insert, update, delete on tenant.memory_rewording to payerbase_rpc;
create policy memory_rewording_to_sweep on tenant.memory_rewording for select to payerbase_sweeper using (true);
grant select (payer) on tenant.memory_rewording to payerbase_sweeper;
