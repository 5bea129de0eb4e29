-- State of queues: the changes of a job, of its group, and of the row of its queue. Installed as payerbase_rpc.

-- The public status of a job.
--   p_lost  whether the job is running and its lease has expired
create function rpc.job_status(p_state text, p_lost boolean, p_attempts integer, p_max_attempts integer) returns text
language sql immutable
as $$
  select case
    when p_state in ('delayed', 'waiting') then 'pending'
    when p_lost and p_attempts >= p_max_attempts then 'dead'
    when p_lost then 'pending'
    else p_state
  end
$$;

-- A job as callers see it: one attribute per JSON member. to_json of such a row takes two thirds of the time of
-- json_build_object, which looks up the type of each of its arguments.
create type rpc.shown_job as (
  id uuid, queue text, payload jsonb, priority integer, status text, attempts integer, "maxAttempts" integer,
  "backoffMs" integer, "runAt" timestamptz, lease uuid, "leaseExpiresAt" timestamptz, "dedupKey" text, "group" text,
  result jsonb, error jsonb, "createdAt" timestamptz, "updatedAt" timestamptz, "finishedAt" timestamptz
);

-- A job as JSON. A job with an expired lease has the status that the next call will give it. Written in SQL, so that
-- PostgreSQL inlines it.
--   p_lease  lease of the attempt: only in the result of a pop
create function rpc.job_json(p_job tenant.jobs, p_now timestamptz, p_lease uuid default null) returns json
language sql stable
as $$
  select to_json(row(
    p_job.id, p_job.queue, p_job.payload, -1 - p_job.rank,
    rpc.job_status(p_job.state, p_job.state = 'running' and p_job.due_at <= p_now, p_job.attempts, p_job.max_attempts),
    p_job.attempts, p_job.max_attempts, p_job.backoff_ms, least(p_job.run_at, {{last_time}}),
    p_lease, case when p_job.state = 'running' and p_job.due_at > p_now then p_job.due_at end,
    p_job.dedup_key, p_job."group", p_job.result, p_job.errors->-1->'error',
    p_job.created_at, p_job.updated_at, p_job.finished_at)::rpc.shown_job)
$$;

-- A queue is one row of tenant.queues. A call reads the row, passes it from function to function as a value, and writes
-- it at most once.

-- Moves the head of a rank back to p_place if it is after that place, so that no pending job is before the head. Adds
-- the rank if the row does not have it; the row keeps the first ranks only.
create function rpc.open_rank(p_queue tenant.queues, p_rank smallint, p_place bigint) returns tenant.queues
language plpgsql immutable
as $$
declare
  v_known integer := cardinality(p_queue.ranks);
  v_at integer := 1;
begin
  while p_queue.ranks[v_at] < p_rank loop
    v_at := v_at + 1;
  end loop;
  if p_queue.ranks[v_at] = p_rank then
    if p_queue.heads[v_at] > p_place then
      p_queue.heads[v_at] := p_place;
    end if;
  elsif v_at <= v_known or not p_queue.has_more_ranks then
    p_queue.ranks := p_queue.ranks[:v_at - 1] || p_rank || p_queue.ranks[v_at:];
    p_queue.heads := p_queue.heads[:v_at - 1] || p_place || p_queue.heads[v_at:];
    if v_known = {{ranks_max}} then
      p_queue.ranks := p_queue.ranks[:{{ranks_max}}];
      p_queue.heads := p_queue.heads[:{{ranks_max}}];
      p_queue.has_more_ranks := true;
    end if;
  end if;
  return p_queue;
end $$;

-- Finds the first ranks with pending jobs. Called when the row has no rank left and the queue may have more.
create function rpc.find_ranks(p_payer text, p_queue tenant.queues) returns tenant.queues
language plpgsql
as $$
#variable_conflict use_column
declare
  v_rank integer := -32769;
  v_first record;
begin
  for i in 1 .. {{ranks_max}} loop
    select rank, place into v_first
      from tenant.jobs
      where payer = p_payer and queue = p_queue.queue and state = 'pending' and rank > v_rank
      order by rank, place
      limit 1;
    if not found then
      p_queue.has_more_ranks := false;
      exit;
    end if;
    v_rank := v_first.rank;
    p_queue.ranks[i] := v_first.rank;
    p_queue.heads[i] := v_first.place;
  end loop;
  return p_queue;
end $$;

-- The row of a queue; NULL in all members if there is none.
create function rpc.queue_row(p_payer text, p_queue text) returns tenant.queues
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_queue tenant.queues;
begin
  select * into v_queue
    from tenant.queues
    where payer = p_payer and queue = p_queue;
  return v_queue;
end $$;

-- Writes the row of a queue if it has changed.
--   p_before  the stored row; NULL in all members if there is none
create function rpc.save_queue(p_payer text, p_queue tenant.queues, p_before tenant.queues) returns void
language plpgsql
as $$
#variable_conflict use_column
begin
  if p_queue is not distinct from p_before then
    return;
  elsif p_before.queue is null then
    insert into tenant.queues (payer, queue, last_place, ranks, heads, has_more_ranks, due_at)
      values (
        p_payer, p_queue.queue, p_queue.last_place, p_queue.ranks, p_queue.heads, p_queue.has_more_ranks,
        p_queue.due_at);
  else
    update tenant.queues
      set last_place = p_queue.last_place, ranks = p_queue.ranks, heads = p_queue.heads,
        has_more_ranks = p_queue.has_more_ranks, due_at = p_queue.due_at
      where payer = p_payer and queue = p_queue.queue;
  end if;
end $$;

-- Makes the first job of a group pending, unless a job of the group is running. Called after every change of a job with
-- a group.
create function rpc.advance_group(p_payer text, p_queue tenant.queues, p_group text) returns tenant.queues
language plpgsql
as $$
#variable_conflict use_column
declare
  v_first record;
begin
  if p_group is null then
    return p_queue;
  end if;
  select id into v_first
    from tenant.jobs
    where payer = p_payer and queue = p_queue.queue and "group" = p_group and state = 'running'
    limit 1;
  if found then
    return p_queue;
  end if;
  select id, state, rank, place into v_first
    from tenant.jobs
    where payer = p_payer and queue = p_queue.queue and "group" = p_group and state in ('pending', 'waiting')
    order by place
    limit 1;
  if not found or v_first.state = 'pending' then
    return p_queue;
  end if;
  -- A job that was the first of its group waits again after an older job came back.
  update tenant.jobs
    set state = 'waiting'
    where payer = p_payer and queue = p_queue.queue and "group" = p_group and state = 'pending';
  update tenant.jobs
    set state = 'pending'
    where payer = p_payer and id = v_first.id;
  return rpc.open_rank(p_queue, v_first.rank, v_first.place);
end $$;

-- Makes the next job of a group pending, after a call that did not read the row of the queue.
create function rpc.leave_group(p_payer text, p_queue text, p_group text) returns void
language plpgsql
as $$
declare
  v_before tenant.queues;
begin
  if p_group is not null then
    v_before := rpc.queue_row(p_payer, p_queue);
    perform rpc.save_queue(p_payer, rpc.advance_group(p_payer, v_before, p_group), v_before);
  end if;
end $$;

-- Puts a job back into its queue. It can be popped from p_run_at on; a job of a group only while it is the first job of
-- its group.
create function rpc.requeue_job(
  p_payer text, p_queue tenant.queues, p_job tenant.jobs, p_run_at timestamptz, p_errors jsonb, p_now timestamptz
) returns tenant.queues
language plpgsql
as $$
#variable_conflict use_column
declare
  v_state text := case
    when p_run_at > p_now then 'delayed'
    when p_job."group" is not null then 'waiting'
    else 'pending'
  end;
  v_due_at timestamptz := case when v_state = 'delayed' then p_run_at end;
begin
  update tenant.jobs
    set state = v_state, run_at = p_run_at, due_at = v_due_at, lease = null, errors = p_errors, updated_at = p_now,
      finished_at = null, attempts = p_job.attempts
    where payer = p_payer and id = p_job.id;
  if v_state = 'pending' then
    p_queue := rpc.open_rank(p_queue, p_job.rank, p_job.place);
  end if;
  p_queue.due_at := least(p_queue.due_at, v_due_at);
  return rpc.advance_group(p_payer, p_queue, p_job."group");
end $$;

create function rpc.bury_job(
  p_payer text, p_queue tenant.queues, p_job tenant.jobs, p_errors jsonb, p_now timestamptz
) returns tenant.queues
language plpgsql
as $$
#variable_conflict use_column
begin
  update tenant.jobs
    set state = 'dead', due_at = p_now + {{dead_jobs_kept}}, lease = null, errors = p_errors, updated_at = p_now,
      finished_at = p_now
    where payer = p_payer and id = p_job.id;
  return rpc.advance_group(p_payer, p_queue, p_job."group");
end $$;

-- The errors of a job with one more. The oldest error is dropped when there are too many.
create function rpc.errors_with(p_job tenant.jobs, p_error text, p_now timestamptz) returns jsonb
language plpgsql stable
as $$
declare
  v_errors jsonb := case
    when jsonb_array_length(p_job.errors) >= {{errors_kept}} then p_job.errors - 0
    else p_job.errors
  end;
begin
  return v_errors || jsonb_build_array(jsonb_build_object('attempt', p_job.attempts, 'error', p_error, 'at', p_now));
end $$;

-- Ends the attempt of a job whose lease has expired: the job is retried at once, or it is dead.
create function rpc.expire_job(
  p_payer text, p_queue tenant.queues, p_job tenant.jobs, p_now timestamptz
) returns tenant.queues
language plpgsql
as $$
declare
  v_errors jsonb := rpc.errors_with(p_job, 'the lease ran out', p_now);
begin
  if p_job.attempts >= p_job.max_attempts then
    return rpc.bury_job(p_payer, p_queue, p_job, v_errors, p_now);
  end if;
  return rpc.requeue_job(p_payer, p_queue, p_job, p_now, v_errors, p_now);
end $$;

-- Applies expired leases and delayed jobs that are due, the earliest first. Applies a limited number of jobs, so that
-- one pop does not pay for all jobs that are due at midnight.
create function rpc.apply_due_jobs(p_payer text, p_queue tenant.queues, p_now timestamptz) returns tenant.queues
language plpgsql
as $$
#variable_conflict use_column
declare
  v_job tenant.jobs;
  v_next timestamptz;
begin
  if p_queue.queue is null or p_queue.due_at > p_now then
    return p_queue;
  end if;
  for v_job in
    select *
      from tenant.jobs
      where payer = p_payer and queue = p_queue.queue and state in ('delayed', 'running') and due_at <= p_now
      order by due_at
      limit {{due_jobs_max}}
  loop
    if v_job.state = 'running' then
      p_queue := rpc.expire_job(p_payer, p_queue, v_job, p_now);
    else
      p_queue := rpc.requeue_job(p_payer, p_queue, v_job, v_job.run_at, v_job.errors, p_now);
    end if;
  end loop;
  select due_at into v_next
    from tenant.jobs
    where payer = p_payer and queue = p_queue.queue and state in ('delayed', 'running')
    order by due_at
    limit 1;
  -- The row is due again after a while even if no job is, so that the sweeper visits a queue that no call uses.
  p_queue.due_at := least(v_next, p_now + {{queue_visited}});
  return p_queue;
end $$;

-- Whether the text of a payload or a result is larger than the limit of the database. The server has refused values
-- above {{payload_bytes_max}} bytes without spaces (src/queues/spec.rs). A value of up to 4,096 bytes in the database
-- never is too large: a number has at most 325 characters.
create function rpc.is_too_large(p_value jsonb) returns boolean
language sql stable
as $$
  select pg_column_size(p_value) > 4096 and octet_length(p_value::text) > {{payload_stored_max}}
$$;

create function rpc.too_large() returns json
language plpgsql immutable
as $$
begin
  return rpc.problem('payload-too-large', '{"limitBytes":{{payload_bytes_max}}}');
end $$;

-- The job with this id. An expired lease is applied first. NULL in all members if there is no job.
create function rpc.job_now(p_payer text, p_id uuid, p_now timestamptz) returns tenant.jobs
language plpgsql
as $$
#variable_conflict use_column
declare
  v_job tenant.jobs;
  v_before tenant.queues;
begin
  select * into v_job
    from tenant.jobs
    where payer = p_payer and id = p_id;
  if v_job.state = 'running' and v_job.due_at <= p_now then
    v_before := rpc.queue_row(p_payer, v_job.queue);
    perform rpc.save_queue(p_payer, rpc.expire_job(p_payer, v_before, v_job, p_now), v_before);
    select * into v_job
      from tenant.jobs
      where payer = p_payer and id = p_id;
  end if;
  return v_job;
end $$;

-- Id of the unfinished job with a deduplication key; NULL if there is none.
create function rpc.job_by_key(p_payer text, p_queue text, p_dedup_key text) returns uuid
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_id uuid;
begin
  select id into v_id
    from tenant.jobs
    where payer = p_payer and queue = p_queue and dedup_key = p_dedup_key
      and state in ('delayed', 'pending', 'waiting', 'running');
  return v_id;
end $$;
