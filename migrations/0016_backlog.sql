-- The sweeper counts the jobs of queues for the metrics: it reads their order, and since when they are due.
grant select (queue, rank, place, run_at) on tenant.jobs to payerbase_sweeper;
grant select (ranks) on tenant.queues to payerbase_sweeper;
