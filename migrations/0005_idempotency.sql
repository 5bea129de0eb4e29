-- What was answered to a write that came with an idempotency key: written in the turn of the write itself.
create table tenant.idempotency (
  payer text collate "C" not null,
  -- SHA-256 of the key: lock tokens are made from keys, and no token is stored.
  key_sha256 bytea not null,
  -- SHA-256 of the method, its path and its body: the same key with another request is refused.
  request_sha256 bytea not null,
  -- The answer of the method, as it came.
  answer json not null,
  created_at timestamptz not null,
  primary key (payer, key_sha256)
)
-- Inserted, read, and swept after a day: nothing is updated, so pages are filled.
with (fillfactor = 100, autovacuum_vacuum_scale_factor = 0.05);
alter table tenant.idempotency owner to payerbase_owner;
alter table tenant.idempotency enable row level security;
alter table tenant.idempotency force row level security;
create policy idempotency_of_the_payer on tenant.idempotency to payerbase_rpc
  using (payer = tenant.current_payer())
  with check (payer = tenant.current_payer());
grant select, insert, update, delete on tenant.idempotency to payerbase_rpc;
create policy idempotency_to_sweep on tenant.idempotency for select to payerbase_sweeper using (true);
grant select (payer, key_sha256, created_at) on tenant.idempotency to payerbase_sweeper;
