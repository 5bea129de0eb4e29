create table tenant.locks (
  payer text collate "C" not null,
  name tenant.name not null,
  -- Of the last acquisition. Rises with every one; what a swept lock had reached is kept in tenant.fences.
  fence bigint not null,
  -- SHA-256 of the holder's token; null when the lock was released.
  token_sha256 bytea,
  acquired_at timestamptz not null,
  expires_at timestamptz not null,
  metadata jsonb,
  primary key (payer, name)
)
-- One row is taken and released all day, in place: no column but the key is indexed, so updates stay heap-only.
with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
alter table tenant.locks owner to payerbase_owner;
alter table tenant.locks enable row level security;
alter table tenant.locks force row level security;
create policy locks_of_the_payer on tenant.locks to payerbase_rpc
  using (payer = tenant.current_payer())
  with check (payer = tenant.current_payer());
grant select, insert, update, delete on tenant.locks to payerbase_rpc;
create policy locks_to_sweep on tenant.locks for select to payerbase_sweeper using (true);
grant select (payer, name, expires_at) on tenant.locks to payerbase_sweeper;

-- The highest fence of any lock of the payer that was swept: a new lock starts above it, so that no fence of any name
-- ever comes back, and names that are no longer used cost nothing.
create table tenant.fences (
  payer text collate "C" not null primary key,
  last bigint not null
) with (fillfactor = 70);
alter table tenant.fences owner to payerbase_owner;
alter table tenant.fences enable row level security;
alter table tenant.fences force row level security;
create policy fences_of_the_payer on tenant.fences to payerbase_rpc
  using (payer = tenant.current_payer())
  with check (payer = tenant.current_payer());
grant select, insert, update, delete on tenant.fences to payerbase_rpc;
