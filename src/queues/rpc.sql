-- Queues: the methods that write, and the sweeper's. What they share is in state.sql, those that read are in read.sql.
-- Installed as payerbase_rpc; run inside a turn (src/turn/turn.sql), which holds the payer's lock: so no two calls of a payer
-- ever look at its jobs at the same time, and nothing here skips or waits for locked rows.

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
create function rpc.sweep_queues(p_payer text, p_params jsonb) returns json
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
create function rpc.sweep_jobs(p_payer text, p_params jsonb) returns json
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
