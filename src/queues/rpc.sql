-- Queues: the methods. Installed as payerbase_rpc; run inside a turn (src/turn/turn.sql), which holds the payer's lock:
-- so no two calls of a payer ever look at its jobs at the same time, and nothing here skips or waits for locked rows.

-- What callers call the state of a job.
--   p_lost  whether it runs and its lease has run out
create function rpc.status(p_state text, p_lost boolean, p_attempts integer, p_max_attempts integer) returns text
language sql immutable
as $$
  select case
    when p_state in ('delayed', 'waiting') then 'pending'
    when p_lost and p_attempts >= p_max_attempts then 'dead'
    when p_lost then 'pending'
    else p_state
  end
$$;

-- A job as callers see it. One whose lease has run out is what the next call will make of it.
-- p_lease is for its holder.
create function rpc.job(p_job tenant.jobs, p_now timestamptz, p_lease uuid default null) returns json
language plpgsql stable
as $$
declare
  v_lost boolean := p_job.state = 'running' and p_job.due_at <= p_now;
begin
  return json_build_object(
    'id', p_job.id, 'queue', p_job.queue, 'payload', p_job.payload, 'priority', -1 - p_job.rank,
    'status', rpc.status(p_job.state, v_lost, p_job.attempts, p_job.max_attempts),
    'attempts', p_job.attempts, 'maxAttempts', p_job.max_attempts, 'backoffMs', p_job.backoff_ms, 'runAt', p_job.run_at,
    'lease', p_lease, 'leaseExpiresAt', case when p_job.state = 'running' and not v_lost then p_job.due_at end,
    'dedupKey', p_job.dedup_key, 'group', p_job."group", 'result', p_job.result, 'error', p_job.errors->-1->'error',
    'createdAt', p_job.created_at, 'updatedAt', p_job.updated_at, 'finishedAt', p_job.finished_at);
end $$;

-- What is known of a queue is one row. A call reads it, hands it on as a value, and writes it at most once.

-- Lets the next pop look at `p_place`: none of the pending jobs of this rank may stand before the head.
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
    if v_known = 64 then
      p_queue.ranks := p_queue.ranks[:64];
      p_queue.heads := p_queue.heads[:64];
      p_queue.has_more_ranks := true;
    end if;
  end if;
  return p_queue;
end $$;

-- The first ranks that have pending jobs, when those that were known are used up and there may be more.
create function rpc.find_ranks(p_payer text, p_queue tenant.queues) returns tenant.queues
language plpgsql
as $$
#variable_conflict use_column
declare
  v_rank integer := -32769;
  v_first record;
begin
  for i in 1 .. 64 loop
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

-- What is known of a queue; null in all members if there is none.
create function rpc.queue(p_payer text, p_queue text) returns tenant.queues
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

-- Whatever a call made of a queue is written: as little as can be.
--   p_before  as it is stored; null if it is not
create function rpc.save_queue(p_payer text, p_queue tenant.queues, p_before tenant.queues) returns void
language plpgsql
as $$
#variable_conflict use_column
begin
  if p_queue is not distinct from p_before then
    return;
  elsif p_before.queue is null then
    insert into tenant.queues (payer, queue, last_place, ranks, heads, has_more_ranks, due_at)
      values (p_payer, p_queue.queue, p_queue.last_place, p_queue.ranks, p_queue.heads, p_queue.has_more_ranks, p_queue.due_at);
  else
    update tenant.queues
      set last_place = p_queue.last_place, ranks = p_queue.ranks, heads = p_queue.heads,
        has_more_ranks = p_queue.has_more_ranks, due_at = p_queue.due_at
      where payer = p_payer and queue = p_queue.queue;
  end if;
end $$;

-- Lets the first job of a group be popped, if none of them runs. Called after whatever happens to a job with a group.
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
  -- One that was first until an older one came back.
  update tenant.jobs
    set state = 'waiting'
    where payer = p_payer and queue = p_queue.queue and "group" = p_group and state = 'pending';
  update tenant.jobs
    set state = 'pending'
    where payer = p_payer and id = v_first.id;
  return rpc.open_rank(p_queue, v_first.rank, v_first.place);
end $$;

-- Lets the next of a group be popped after a call that touched nothing else of its queue.
create function rpc.leave_group(p_payer text, p_queue text, p_group text) returns void
language plpgsql
as $$
declare
  v_before tenant.queues;
begin
  if p_group is not null then
    v_before := rpc.queue(p_payer, p_queue);
    perform rpc.save_queue(p_payer, rpc.advance_group(p_payer, v_before, p_group), v_before);
  end if;
end $$;

-- Puts a job back: to be popped at once, or when its time comes.
create function rpc.requeue_job(
  p_payer text, p_queue tenant.queues, p_job tenant.jobs, p_run_at timestamptz, p_errors jsonb, p_now timestamptz
) returns tenant.queues
language plpgsql
as $$
#variable_conflict use_column
declare
  v_state text := case when p_run_at > p_now then 'delayed' when p_job."group" is not null then 'waiting' else 'pending' end;
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

create function rpc.bury_job(p_payer text, p_queue tenant.queues, p_job tenant.jobs, p_errors jsonb, p_now timestamptz) returns tenant.queues
language plpgsql
as $$
#variable_conflict use_column
begin
  update tenant.jobs
    set state = 'dead', due_at = p_now + interval '14 days', lease = null, errors = p_errors, updated_at = p_now, finished_at = p_now
    where payer = p_payer and id = p_job.id;
  return rpc.advance_group(p_payer, p_queue, p_job."group");
end $$;

-- The errors of a job with one more: the last ten are kept.
create function rpc.errors_with(p_job tenant.jobs, p_error text, p_now timestamptz) returns jsonb
language plpgsql stable
as $$
declare
  v_errors jsonb := case when jsonb_array_length(p_job.errors) >= 10 then p_job.errors - 0 else p_job.errors end;
begin
  return v_errors || jsonb_build_array(jsonb_build_object('attempt', p_job.attempts, 'error', p_error, 'at', p_now));
end $$;

-- A job whose lease has run out: its attempt is over.
create function rpc.expire_job(p_payer text, p_queue tenant.queues, p_job tenant.jobs, p_now timestamptz) returns tenant.queues
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

-- Makes of a queue what time has made of it: leases run out, times come. A hundred at most, the first to be due first: no
-- pop pays for all the jobs that were set for midnight.
create function rpc.wake_queue(p_payer text, p_queue tenant.queues, p_now timestamptz) returns tenant.queues
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
      limit 100
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
  -- At least once an hour, so that the sweeper comes by a queue that nobody uses.
  p_queue.due_at := least(v_next, p_now + interval '1 hour');
  return p_queue;
end $$;

-- Whether a payload or a result is more than 256 KiB of text. What is small cannot be: the longest number is 1e308.
create function rpc.is_too_large(p_value jsonb) returns boolean
language plpgsql immutable
as $$
begin
  return pg_column_size(p_value) > 4096 and octet_length(p_value::text) > 262144;
end $$;

create function rpc.too_large() returns json
language plpgsql immutable
as $$
begin
  return rpc.problem('payload-too-large', '{"limitBytes":262144}');
end $$;

-- One job by its id, as it is now. Nothing if there is none.
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
    v_before := rpc.queue(p_payer, v_job.queue);
    perform rpc.save_queue(p_payer, rpc.expire_job(p_payer, v_before, v_job, p_now), v_before);
    select * into v_job
      from tenant.jobs
      where payer = p_payer and id = p_id;
  end if;
  return v_job;
end $$;

-- The living job with a key; nothing if there is none.
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

-- Jobs into one queue, in their order. Answers each as rpc.job does, with whether a living job with its key was there;
-- nothing if a payload is too large.
create function rpc.push(p_payer text, p_queue text, p_jobs jsonb) returns json[]
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_count integer := jsonb_array_length(p_jobs);
  v_queue tenant.queues;
  v_before tenant.queues;
  v_place bigint;
  v_new jsonb;
  v_job tenant.jobs;
  v_twin tenant.jobs;
  v_pushed json[] := '{}';
begin
  for i in 0 .. v_count - 1 loop
    if rpc.is_too_large(p_jobs->i->'payload') then
      return null;
    elsif p_jobs->i ? 'dedupKey' then
      -- Whose lease has run out and attempts are used up lives no longer.
      v_twin := rpc.job_now(p_payer, rpc.job_by_key(p_payer, p_queue, p_jobs->i->>'dedupKey'), v_now);
    end if;
  end loop;
  update tenant.queues
    set last_place = last_place + v_count
    where payer = p_payer and queue = p_queue
    returning * into v_queue;
  if found then
    v_before := v_queue;
  else
    v_queue := row(p_payer, p_queue, v_count, '{}', '{}', false, v_now + interval '1 hour');
  end if;
  v_place := v_queue.last_place - v_count;
  v_job.queue := v_queue.queue;
  v_job.attempts := 0;
  v_job.errors := '[]';
  v_job.created_at := v_now;
  v_job.updated_at := v_now;
  for i in 0 .. v_count - 1 loop
    v_new := p_jobs->i;
    if v_new ? 'dedupKey' then
      select * into v_twin
        from tenant.jobs
        where payer = p_payer and id = rpc.job_by_key(p_payer, p_queue, v_new->>'dedupKey');
      if found then
        v_pushed := v_pushed || (rpc.job(v_twin, v_now)::jsonb || '{"deduplicated":true}')::json;
        continue;
      end if;
    end if;
    v_place := v_place + 1;
    v_job.id := v_new->>'id';
    v_job.rank := -1 - (v_new->>'priority')::integer;
    v_job.place := v_place;
    v_job.payload := v_new->'payload';
    v_job.max_attempts := v_new->>'maxAttempts';
    v_job.backoff_ms := v_new->>'backoffMs';
    v_job.dedup_key := v_new->>'dedupKey';
    v_job."group" := v_new->>'group';
    v_job.run_at := greatest(v_now, coalesce(
      (v_new->>'runAt')::timestamptz, v_now + make_interval(secs => coalesce((v_new->>'delayMs')::bigint, 0) / 1000.0)));
    v_job.state := case when v_job.run_at > v_now then 'delayed' when v_job."group" is not null then 'waiting' else 'pending' end;
    v_job.due_at := case when v_job.state = 'delayed' then v_job.run_at end;
    insert into tenant.jobs (
      payer, id, queue, state, rank, place, payload, attempts, max_attempts, backoff_ms, run_at, due_at, dedup_key, "group",
      errors, created_at, updated_at
    )
      values (p_payer, v_job.id, v_job.queue, v_job.state, v_job.rank, v_job.place, v_job.payload, v_job.attempts,
        v_job.max_attempts, v_job.backoff_ms, v_job.run_at, v_job.due_at, v_job.dedup_key, v_job."group", v_job.errors,
        v_job.created_at, v_job.updated_at);
    if v_job.state = 'pending' then
      v_queue := rpc.open_rank(v_queue, v_job.rank, v_place);
    elsif v_job.state = 'waiting' then
      v_queue := rpc.advance_group(p_payer, v_queue, v_job."group");
    else
      v_queue.due_at := least(v_queue.due_at, v_job.due_at);
    end if;
    v_pushed := v_pushed || rpc.job(v_job, v_now);
  end loop;
  if v_queue is distinct from v_before then
    perform rpc.save_queue(p_payer, v_queue, v_before);
  end if;
  return v_pushed;
end $$;

create function rpc.push_job(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
declare
  v_pushed json[] := rpc.push(p_payer, p_params->>'queue', jsonb_build_array(p_params));
begin
  if v_pushed is null then
    return rpc.too_large();
  end if;
  return json_build_object('ok', v_pushed[1]);
end $$;

create function rpc.push_jobs(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
declare
  v_pushed json[] := rpc.push(p_payer, p_params->>'queue', p_params->'jobs');
begin
  if v_pushed is null then
    return rpc.too_large();
  end if;
  return json_build_object('ok', json_build_object('jobs', array_to_json(v_pushed)));
end $$;

-- Takes up to p_count jobs of a queue, fewer when they are more than 4 MiB together: (rank, place) is the order, and the
-- queue's heads say where to begin.
create function rpc.pop(p_payer text, p_params jsonb, p_count integer) returns json[]
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_until timestamptz := v_now + make_interval(secs => (p_params->>'leaseMs')::integer / 1000.0);
  v_name text := p_params->>'queue';
  v_before tenant.queues;
  v_queue tenant.queues;
  v_rank smallint;
  v_head bigint;
  v_lease uuid;
  v_job tenant.jobs;
  v_popped json[] := '{}';
  v_bytes bigint := 0;
  v_json json;
begin
  select * into v_before
    from tenant.queues
    where payer = p_payer and queue = v_name;
  if not found then
    return v_popped;
  end if;
  v_queue := rpc.wake_queue(p_payer, v_before, v_now);
  while cardinality(v_popped) < p_count and v_bytes < 4194304 loop
    if v_queue.ranks = '{}' and v_queue.has_more_ranks then
      v_queue := rpc.find_ranks(p_payer, v_queue);
    end if;
    exit when v_queue.ranks = '{}';
    v_rank := v_queue.ranks[1];
    v_head := v_queue.heads[1];
    v_lease := gen_random_uuid();
    update tenant.jobs
      set state = 'running', attempts = attempts + 1, lease = v_lease, due_at = v_until, updated_at = v_now
      where payer = p_payer and id = (
        select id
          from tenant.jobs
          where payer = p_payer and queue = v_queue.queue and state = 'pending' and rank = v_rank and place >= v_head
          order by place
          limit 1)
      returning * into v_job;
    if not found then
      v_queue.ranks := v_queue.ranks[2:];
      v_queue.heads := v_queue.heads[2:];
      continue;
    end if;
    -- Not each time: stepping over a few dozen dead entries costs less than writing the head.
    if v_job.place - v_head >= 32 then
      v_queue.heads[1] := v_job.place;
    end if;
    v_queue.due_at := least(v_queue.due_at, v_until);
    v_json := rpc.job(v_job, v_now, v_lease);
    v_bytes := v_bytes + octet_length(v_json::text);
    v_popped := v_popped || v_json;
  end loop;
  if v_queue is distinct from v_before then
    perform rpc.save_queue(p_payer, v_queue, v_before);
  end if;
  return v_popped;
end $$;

create function rpc.pop_job(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
declare
  v_popped json[] := rpc.pop(p_payer, p_params, 1);
begin
  return json_build_object('ok', v_popped[1]);
end $$;

create function rpc.pop_jobs(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
declare
  v_popped json[] := rpc.pop(p_payer, p_params, (p_params->>'count')::integer);
begin
  return json_build_object('ok', json_build_object('jobs', array_to_json(v_popped)));
end $$;

-- Why a call about a running job cannot have its way; nothing if it can.
create function rpc.job_problem(p_job tenant.jobs, p_params jsonb) returns json
language plpgsql immutable
as $$
begin
  if p_job.id is null then
    return rpc.problem('not-found');
  elsif p_params ? 'lease' and (p_params->>'lease')::uuid is distinct from p_job.lease then
    return rpc.problem('lease-lost');
  elsif p_job.state <> 'running' then
    return rpc.problem('job-not-running', json_build_object(
      'jobStatus', case when p_job.state in ('delayed', 'waiting') then 'pending' else p_job.state end));
  end if;
  return null;
end $$;

create function rpc.complete_job(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_kept_until timestamptz := v_now + interval '24 hours';
  v_id uuid := p_params->>'id';
  v_lease uuid := p_params->>'lease';
  -- A reference to a lease that is null is no permission to complete any attempt.
  v_any boolean := not p_params ? 'lease';
  v_result jsonb := nullif(p_params->'result', 'null');
  v_job tenant.jobs;
begin
  if rpc.is_too_large(v_result) then
    return rpc.too_large();
  end if;
  -- Only a job that runs has a lease. (With its state in here, the index of what is due looks as good as the key.)
  update tenant.jobs
    set state = 'completed', due_at = v_kept_until, lease = null, result = v_result, updated_at = v_now, finished_at = v_now
    where payer = p_payer and id = v_id and due_at > v_now and lease = case when v_any then lease else v_lease end
    returning * into v_job;
  if not found then
    return rpc.job_problem(rpc.job_now(p_payer, v_id, v_now), p_params);
  end if;
  perform rpc.leave_group(p_payer, v_job.queue, v_job."group");
  return json_build_object('ok', rpc.job(v_job, v_now));
end $$;

-- After an attempt that failed: full jitter, so that what failed together does not come back together.
--   jitter  a number from 0 up to 1, drawn by the caller
create function rpc.fail_job(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
declare
  v_now timestamptz := rpc.now();
  v_job tenant.jobs := rpc.job_now(p_payer, (p_params->>'id')::uuid, v_now);
  v_problem json := rpc.job_problem(v_job, p_params);
  v_errors jsonb;
  v_delay_ms double precision;
  v_before tenant.queues;
  v_queue tenant.queues;
begin
  if v_problem is not null then
    return v_problem;
  end if;
  v_errors := rpc.errors_with(v_job, p_params->>'error', v_now);
  v_before := rpc.queue(p_payer, v_job.queue);
  if v_job.attempts >= v_job.max_attempts or not (p_params->>'retry')::boolean then
    v_queue := rpc.bury_job(p_payer, v_before, v_job, v_errors, v_now);
  else
    v_delay_ms := coalesce(
      (p_params->>'retryInMs')::double precision,
      least(3600000, v_job.backoff_ms * power(2::double precision, least(v_job.attempts - 1, 30))) * (p_params->>'jitter')::double precision);
    v_queue := rpc.requeue_job(
      p_payer, v_before, v_job, v_now + make_interval(secs => v_delay_ms / 1000), v_errors, v_now);
  end if;
  perform rpc.save_queue(p_payer, v_queue, v_before);
  return json_build_object('ok', rpc.job(rpc.job_now(p_payer, v_job.id, v_now), v_now));
end $$;

-- A lease gets a new end, counted from now, and never an earlier one.
create function rpc.extend_job(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_job tenant.jobs := rpc.job_now(p_payer, (p_params->>'id')::uuid, v_now);
  v_problem json := rpc.job_problem(v_job, p_params);
begin
  if v_problem is not null then
    return v_problem;
  end if;
  v_job.due_at := greatest(v_job.due_at, v_now + make_interval(secs => (p_params->>'leaseMs')::integer / 1000.0));
  v_job.updated_at := v_now;
  update tenant.jobs
    set due_at = v_job.due_at, updated_at = v_now
    where payer = p_payer and id = v_job.id;
  return json_build_object('ok', rpc.job(v_job, v_now));
end $$;

create function rpc.cancel_job(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_job tenant.jobs := rpc.job_now(p_payer, (p_params->>'id')::uuid, v_now);
begin
  if v_job.id is null then
    return rpc.problem('not-found');
  elsif v_job.state not in ('delayed', 'pending', 'waiting') then
    return rpc.problem('job-not-pending', json_build_object('jobStatus', v_job.state));
  end if;
  delete from tenant.jobs
    where payer = p_payer and id = v_job.id;
  perform rpc.leave_group(p_payer, v_job.queue, v_job."group");
  return '{"ok":null}';
end $$;

create function rpc.get_job(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_id uuid := p_params->>'id';
  v_job tenant.jobs;
begin
  select * into v_job
    from tenant.jobs
    where payer = p_payer and id = v_id;
  if not found then
    return rpc.problem('not-found');
  end if;
  return json_build_object('ok', rpc.job(v_job, v_now)::jsonb || jsonb_build_object('errors', v_job.errors));
end $$;

-- The states that callers call by one name.
create function rpc.states(p_status text) returns text[]
language sql immutable
as $$
  select case p_status
    when 'pending' then array['delayed', 'pending', 'waiting']
    when 'running' then array['running']
    when 'completed' then array['completed']
    when 'dead' then array['dead']
    else array['completed', 'dead', 'delayed', 'pending', 'running', 'waiting']
  end
$$;

-- A page of jobs along the index by state: by state, and within one in the order in which they are popped.
-- The cursor is state/rank/place of the last job of the page before. A page ends when it has more than 4 MiB.
create function rpc.list_jobs(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_queue text := p_params->>'queue';
  v_status text := p_params->>'status';
  -- Of those that run, a lease may have run out.
  v_states text[] := rpc.states(v_status) || case when v_status in ('pending', 'dead') then array['running'] end;
  v_limit integer := (p_params->>'limit')::integer;
  v_cursor text[] := string_to_array(coalesce(p_params->>'cursor', '/0/0'), '/');
  v_state text := v_cursor[1];
  v_rank integer := v_cursor[2];
  v_place bigint := v_cursor[3];
  v_items json[] := '{}';
  v_item json;
  v_bytes bigint := 0;
  v_job tenant.jobs;
  v_next text;
begin
  for v_job in
    select *
      from tenant.jobs
      where payer = p_payer and queue = v_queue and state = any (v_states) and (state, rank, place) > (v_state, v_rank, v_place)
        and (state <> 'running' or v_status is null or v_status = rpc.status(state, due_at <= v_now, attempts, max_attempts))
      order by state, rank, place
      limit v_limit + 1
  loop
    if cardinality(v_items) = v_limit or v_bytes > 4194304 then
      v_next := concat_ws('/', v_state, v_rank, v_place);
      exit;
    end if;
    v_item := rpc.job(v_job, v_now);
    v_bytes := v_bytes + octet_length(v_item::text);
    v_items := v_items || v_item;
    v_state := v_job.state;
    v_rank := v_job.rank;
    v_place := v_job.place;
  end loop;
  return json_build_object('ok', json_build_object('items', array_to_json(v_items), 'nextCursor', v_next));
end $$;

create function rpc.status_of(p_payer text, p_queue text, p_now timestamptz) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_count record;
  v_lost record;
  v_oldest timestamptz;
  v_due record;
  v_queue tenant.queues;
  v_rank smallint := -32768;
  v_place bigint;
  v_created_at timestamptz;
begin
  select count(*) filter (where state in ('pending', 'waiting')) as pending, count(*) filter (where state = 'delayed') as delayed,
      count(*) filter (where state = 'running') as running, count(*) filter (where state = 'completed') as completed,
      count(*) filter (where state = 'dead') as dead, count(*) as total
    into v_count
    from tenant.jobs
    where payer = p_payer and queue = p_queue;
  -- What the next call will make of leases that ran out and of times that came.
  select count(*) filter (where attempts < max_attempts) as pending, count(*) filter (where attempts >= max_attempts) as dead,
      min(created_at) filter (where attempts < max_attempts) as oldest
    into v_lost
    from tenant.jobs
    where payer = p_payer and queue = p_queue and state = 'running' and due_at <= p_now;
  v_oldest := v_lost.oldest;
  select count(*) as pending, min(created_at) as oldest into v_due
    from tenant.jobs
    where payer = p_payer and queue = p_queue and state = 'delayed' and due_at <= p_now;
  v_count.pending := v_count.pending + v_due.pending + v_lost.pending;
  v_count.delayed := v_count.delayed - v_due.pending;
  v_oldest := least(v_oldest, v_due.oldest);
  -- Behind another one of their group: their first ones are not known to the queue.
  select min(created_at) into v_created_at
    from tenant.jobs
    where payer = p_payer and queue = p_queue and state = 'waiting';
  v_oldest := least(v_oldest, v_created_at);
  v_queue := rpc.queue(p_payer, p_queue);
  for i in 1 .. coalesce(cardinality(v_queue.ranks), 0) loop
    v_rank := v_queue.ranks[i];
    v_place := v_queue.heads[i];
    select created_at into v_created_at
      from tenant.jobs
      where payer = p_payer and queue = p_queue and state = 'pending' and rank = v_rank and place >= v_place
      order by place
      limit 1;
    v_oldest := least(v_oldest, v_created_at);
  end loop;
  if v_queue.has_more_ranks then
    select min(created_at) into v_created_at
      from tenant.jobs
      where payer = p_payer and queue = p_queue and state = 'pending' and rank > v_rank;
    v_oldest := least(v_oldest, v_created_at);
  end if;
  return json_build_object(
    'queue', p_queue, 'pending', v_count.pending, 'delayed', v_count.delayed,
    'running', v_count.running - v_lost.pending - v_lost.dead, 'completed', v_count.completed,
    'dead', v_count.dead + v_lost.dead, 'total', v_count.total, 'oldestPendingAt', v_oldest);
end $$;

create function rpc.queue_status(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
declare
  v_now timestamptz := rpc.now();
begin
  return json_build_object('ok', rpc.status_of(p_payer, p_params->>'queue', v_now));
end $$;

-- A page of the queues that have jobs, by name: each is one step along the index.
create function rpc.list_queues(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_limit integer := (p_params->>'limit')::integer;
  v_queue text := coalesce(p_params->>'cursor', '');
  v_items json[] := '{}';
  v_next text;
  v_found text;
begin
  loop
    select queue into v_found
      from tenant.jobs
      where payer = p_payer and queue > v_queue
      order by queue
      limit 1;
    exit when not found;
    if cardinality(v_items) = v_limit then
      v_next := v_queue;
      exit;
    end if;
    v_queue := v_found;
    v_items := v_items || rpc.status_of(p_payer, v_queue, v_now);
  end loop;
  return json_build_object('ok', json_build_object('items', array_to_json(v_items), 'nextCursor', v_next));
end $$;

-- Dead jobs back into their queue, in the order in which they are popped, with all their attempts and their history. Looks
-- at a thousand at most.
create function rpc.retry_dead(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_name text := p_params->>'queue';
  v_limit integer := (p_params->>'limit')::integer;
  v_before tenant.queues := rpc.queue(p_payer, v_name);
  v_queue tenant.queues := rpc.wake_queue(p_payer, v_before, v_now);
  v_job tenant.jobs;
  v_retried integer := 0;
begin
  for v_job in
    select *
      from tenant.jobs
      where payer = p_payer and queue = v_name and state = 'dead'
      order by rank, place
      limit 1000
  loop
    exit when v_retried = v_limit;
    -- Its key may belong to a younger job now.
    continue when v_job.dedup_key is not null and rpc.job_by_key(p_payer, v_name, v_job.dedup_key) is not null;
    v_job.attempts := 0;
    v_queue := rpc.requeue_job(p_payer, v_queue, v_job, v_now, v_job.errors, v_now);
    v_retried := v_retried + 1;
  end loop;
  perform rpc.save_queue(p_payer, v_queue, v_before);
  return json_build_object('ok', json_build_object('retried', v_retried));
end $$;

-- Deletes jobs of a queue, a thousand at a time; without a status, all but those that run.
create function rpc.purge_queue(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_name text := p_params->>'queue';
  v_before tenant.queues := rpc.queue(p_payer, v_name);
  v_queue tenant.queues := rpc.wake_queue(p_payer, v_before, v_now);
  v_states text[] := case
    when p_params ? 'status' then rpc.states(p_params->>'status')
    else array['completed', 'dead', 'delayed', 'pending', 'waiting']
  end;
  v_ids uuid[];
  v_groups text[];
  v_group text;
begin
  select array_agg(id), array_agg(distinct "group") filter (where "group" is not null) into v_ids, v_groups
    from (
      select id, "group"
        from tenant.jobs
        where payer = p_payer and queue = v_name and state = any (v_states)
        limit 1000
    ) purged;
  delete from tenant.jobs
    where payer = p_payer and id = any (v_ids);
  foreach v_group in array coalesce(v_groups, '{}') loop
    v_queue := rpc.advance_group(p_payer, v_queue, v_group);
  end loop;
  perform rpc.save_queue(p_payer, v_queue, v_before);
  return json_build_object('ok', json_build_object(
    'purged', coalesce(cardinality(v_ids), 0), 'hasMore', coalesce(cardinality(v_ids), 0) = 1000));
end $$;

-- What no call of the payer has done for its queues: leases that ran out, and times that came. Queues of which no job is
-- left are forgotten. A bite; answers how many queues there were.
create function rpc.sweep_queues(p_payer text) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_before tenant.queues;
  v_count integer := 0;
begin
  for v_before in
    select *
      from tenant.queues
      where payer = p_payer and due_at <= v_now
      limit 10
  loop
    v_count := v_count + 1;
    perform from tenant.jobs where payer = p_payer and queue = v_before.queue limit 1;
    if found then
      perform rpc.save_queue(p_payer, rpc.wake_queue(p_payer, v_before, v_now), v_before);
    else
      delete from tenant.queues
        where payer = p_payer and queue = v_before.queue;
    end if;
  end loop;
  return json_build_object('ok', v_count);
end $$;

-- Jobs that were kept for long enough. A bite; answers how many.
create function rpc.sweep_jobs(p_payer text) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_ids uuid[];
begin
  v_ids := array(
    select id
      from tenant.jobs
      where payer = p_payer and state in ('completed', 'dead') and due_at <= v_now
      limit 500);
  delete from tenant.jobs
    where payer = p_payer and id = any (v_ids);
  return json_build_object('ok', cardinality(v_ids));
end $$;
