create table tenant.counters (
  payer text collate "C" not null,
  name tenant.name not null,
  value bigint not null,
  min bigint,
  max bigint,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  -- min <= max is kept by rpc.add_to_counter, the only place that writes bounds: see tenant.name about constraints.
  primary key (payer, name)
)
-- Counters are updated in place all day and no indexed column ever changes: a third of each page left free keeps the
-- updates heap-only. A small scale factor lets vacuum come often enough for a hot counter.
with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
alter table tenant.counters owner to payerbase_owner;
alter table tenant.counters enable row level security;
alter table tenant.counters force row level security;
create policy counters_of_the_payer on tenant.counters to payerbase_rpc
  using (payer = tenant.current_payer())
  with check (payer = tenant.current_payer());
grant select, insert, update, delete on tenant.counters to payerbase_rpc;
