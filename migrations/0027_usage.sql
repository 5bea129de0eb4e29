-- Quotas: how much a payer has of each primitive, and which of its quotas are used up (src/quotas).

-- What is measured: the primitives, and the single clicks of links with their totals.
create domain tenant.primitive as text collate "C"
  constraint primitive_is_known check (value in ('counters', 'links', 'clicks', 'locks', 'jobs', 'memories'));
alter domain tenant.primitive owner to payerbase_owner;
create domain tenant.quota_unit as text collate "C"
  constraint quota_unit_is_known check (value in ('rows', 'bytes'));
alter domain tenant.quota_unit owner to payerbase_owner;

-- How much a payer has of a primitive, and about how much it has written since that was measured.
create table tenant.usage (
  payer text collate "C" not null,
  primitive tenant.primitive not null,
  -- As measured the last time; 0 before the first time.
  rows bigint not null,
  bytes bigint not null,
  -- Writes since then, deletions included, and the bytes of their parameters. Each server adds its own once a minute.
  writes bigint not null,
  written_bytes bigint not null,
  -- NULL: never.
  measured_at timestamptz,
  primary key (payer, primitive)
)
-- Each minute of writes updates its row in place.
with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
alter table tenant.usage owner to payerbase_owner;
alter table tenant.usage enable row level security;
alter table tenant.usage force row level security;
create policy usage_of_the_payer on tenant.usage to payerbase_rpc
  using (payer = tenant.current_payer())
  with check (payer = tenant.current_payer());
grant select, insert, update on tenant.usage to payerbase_rpc;
create policy all_rows_to_back_up on tenant.usage for select to payerbase_backup using (true);
grant select on tenant.usage to payerbase_backup;
create policy usage_to_measure on tenant.usage for select to payerbase_sweeper using (true);
grant select (payer, primitive, rows, bytes, writes, written_bytes, measured_at) on tenant.usage to payerbase_sweeper;

-- The primitives of which a payer has as much as it may have: calls that add rows to them are refused. A table of its
-- own, which is nearly empty, because each of these calls looks here.
create table tenant.full_primitives (
  payer text collate "C" not null,
  primitive tenant.primitive not null,
  -- What is used up: the quota of rows, or that of bytes.
  unit tenant.quota_unit not null,
  quota bigint not null,
  primary key (payer, primitive)
);
alter table tenant.full_primitives owner to payerbase_owner;
alter table tenant.full_primitives enable row level security;
alter table tenant.full_primitives force row level security;
create policy full_primitives_of_the_payer on tenant.full_primitives to payerbase_rpc
  using (payer = tenant.current_payer())
  with check (payer = tenant.current_payer());
grant select, insert, update, delete on tenant.full_primitives to payerbase_rpc;
create policy all_rows_to_back_up on tenant.full_primitives for select to payerbase_backup using (true);
grant select on tenant.full_primitives to payerbase_backup;
create policy full_primitives_to_measure on tenant.full_primitives for select to payerbase_sweeper using (true);
grant select (payer, primitive, unit, quota) on tenant.full_primitives to payerbase_sweeper;
