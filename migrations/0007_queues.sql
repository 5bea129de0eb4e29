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
  -- The order of arrival: a number of the queue's, taken under the payer's lock.
  place bigint not null,
  payload jsonb not null,
  attempts integer not null,
  max_attempts integer not null,
  backoff_ms integer not null,
  run_at timestamptz not null,
  -- When it moves by itself. delayed: its time comes; running: its lease ends; completed, dead: it is deleted.
  due_at timestamptz,
  -- The receipt of the pop that has the job.
  lease uuid,
  dedup_key tenant.name,
  "group" tenant.name,
  result jsonb,
  -- [{"attempt": 1, "error": "..", "at": ".."}], the latest last.
  errors jsonb not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  finished_at timestamptz
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
grant select (payer, state, due_at) on tenant.jobs to payerbase_sweeper;

-- What pop reads, what status counts and what lists walk along.
create index jobs_by_state on tenant.jobs (payer, queue, state, rank, place);
-- What time has made of a queue.
create index jobs_due on tenant.jobs (payer, queue, due_at) where state in ('delayed', 'running');
-- Who is next in a group.
create index jobs_by_group on tenant.jobs (payer, queue, "group", place)
  where "group" is not null and state in ('pending', 'waiting', 'running');
-- One living job for a key.
create unique index jobs_by_dedup_key on tenant.jobs (payer, queue, dedup_key)
  where dedup_key is not null and state in ('delayed', 'pending', 'waiting', 'running');
-- What has been kept for long enough.
create index jobs_finished on tenant.jobs (payer, due_at) where state in ('completed', 'dead');
-- The last index: of two that seem equal to it, as all do before the first analyze and for payers with few jobs, the
-- planner takes the younger, and what names the id must go by the id.
alter table tenant.jobs add primary key (payer, id);

-- What is known of a queue, so that no call has to look for it.
create table tenant.queues (
  payer text collate "C" not null,
  queue tenant.name not null,
  -- The last place that was given to a job.
  last_place bigint not null,
  -- Where to look for the next job: the first ranks that have pending jobs, in their order, 64 at most, and for each a
  -- place that none of its pending jobs stands before. Without it a pop would walk over every job that was popped since
  -- the last vacuum.
  ranks smallint[] not null,
  heads bigint[] not null,
  -- Whether ranks behind the last of `ranks` may have pending jobs.
  has_more_ranks boolean not null,
  -- No lease ends and no time comes before.
  due_at timestamptz not null,
  primary key (payer, queue)
)
-- Every push updates its queue in place.
with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
alter table tenant.queues owner to payerbase_owner;
alter table tenant.queues enable row level security;
alter table tenant.queues force row level security;
create policy queues_of_the_payer on tenant.queues to payerbase_rpc
  using (payer = tenant.current_payer())
  with check (payer = tenant.current_payer());
grant select, insert, update, delete on tenant.queues to payerbase_rpc;
create policy queues_to_sweep on tenant.queues for select to payerbase_sweeper using (true);
grant select (payer, queue, due_at) on tenant.queues to payerbase_sweeper;
