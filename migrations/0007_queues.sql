-- Jobs. The state is what the next pop wants to know (docs/ARCHITECTURE.md has the diagram):
--   delayed    its time has not come              waiting    behind another job of its group
--   pending    can be popped                      running    somebody has its lease
--   completed, dead: finished
-- Callers see delayed and waiting jobs as pending.
create table tenant.jobs (
  payer text collate "C" not null,
  id uuid not null,
  queue tenant.name not null,
  -- Text, not an enum: the comparison of enums is not leakproof, so row-level security would keep it from the indexes.
  state text collate "C" not null,
  -- -1 - priority: jobs are popped in the order of (rank, place).
  rank smallint not null,
  -- The order of arrival: a number of the payer's, taken under its lock.
  place bigint not null,
  payload jsonb not null,
  attempts integer not null,
  max_attempts integer not null,
  backoff_ms integer not null,
  run_at timestamptz not null,
  -- The receipt of the pop that has the job.
  lease uuid,
  lease_expires_at timestamptz,
  dedup_key tenant.name,
  "group" tenant.name,
  result jsonb,
  -- [{"attempt": 1, "error": "..", "at": ".."}], the latest last.
  errors jsonb not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  finished_at timestamptz,
  -- When a finished job has been kept for long enough.
  delete_at timestamptz,
  primary key (payer, id)
)
-- A job changes its state three times in its life and each time moves in an index: no update is heap-only, so pages
-- are filled, and vacuum comes early and takes small bites.
with (
  fillfactor = 100, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
  autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0
);
alter table tenant.jobs owner to payerbase_owner;
alter table tenant.jobs enable row level security;
alter table tenant.jobs force row level security;
create policy jobs_of_the_payer on tenant.jobs to payerbase_rpc
  using (payer = tenant.current_payer())
  with check (payer = tenant.current_payer());
grant select, insert, update, delete on tenant.jobs to payerbase_rpc;
create policy jobs_to_sweep on tenant.jobs for select to payerbase_sweeper using (true);
grant select (payer, state, lease_expires_at, delete_at) on tenant.jobs to payerbase_sweeper;

-- What pop reads, what status counts and what lists walk along.
create index jobs_by_state on tenant.jobs (payer, queue, state, rank, place);
-- Whose time has come: looked at by each pop of the queue.
create index jobs_delayed on tenant.jobs (payer, queue, run_at) where state = 'delayed';
-- Whose lease has run out: looked at by each pop, and by the sweeper.
create index jobs_running on tenant.jobs (payer, lease_expires_at) where state = 'running';
-- Who is next in a group.
create index jobs_by_group on tenant.jobs (payer, queue, "group", place)
  where "group" is not null and state in ('pending', 'waiting', 'running');
-- One living job for a key.
create unique index jobs_by_dedup_key on tenant.jobs (payer, queue, dedup_key)
  where dedup_key is not null and state in ('delayed', 'pending', 'waiting', 'running');
-- What has been kept for long enough.
create index jobs_finished on tenant.jobs (payer, delete_at) where state in ('completed', 'dead');

-- Where to look for the next job: for each rank in which a queue has pending jobs, a place that none of them stands
-- before. Without it a pop would walk over every job that was popped since the last vacuum.
create table tenant.queue_heads (
  payer text collate "C" not null,
  queue tenant.name not null,
  rank smallint not null,
  place bigint not null,
  primary key (payer, queue, rank)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
alter table tenant.queue_heads owner to payerbase_owner;
alter table tenant.queue_heads enable row level security;
alter table tenant.queue_heads force row level security;
create policy queue_heads_of_the_payer on tenant.queue_heads to payerbase_rpc
  using (payer = tenant.current_payer())
  with check (payer = tenant.current_payer());
grant select, insert, update, delete on tenant.queue_heads to payerbase_rpc;

-- The last place that was given to a job of the payer.
create table tenant.job_places (
  payer text collate "C" not null primary key,
  last bigint not null
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
alter table tenant.job_places owner to payerbase_owner;
alter table tenant.job_places enable row level security;
alter table tenant.job_places force row level security;
create policy job_places_of_the_payer on tenant.job_places to payerbase_rpc
  using (payer = tenant.current_payer())
  with check (payer = tenant.current_payer());
grant select, insert, update, delete on tenant.job_places to payerbase_rpc;
