-- Methods that change the jobs of a queue, and the methods of the sweeper. push.sql adds jobs, pop.sql starts them,
-- read.sql reads them; state.sql has the functions that these files share. Installed as payerbase_rpc.
-- The methods run in a turn (src/turn/turn.sql), which holds the payer's lock. So no two calls of a payer work on its
-- jobs at the same time, and no statement waits for locked rows or skips them.

-- The problem of a call that needs a running job. NULL if the job is running and has the lease of the call.
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

-- Completes a job. A large result is refused if the payer has as many jobs as it may have, because the job grows.
create function rpc.complete_job(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_kept_until timestamptz := v_now + {{completed_jobs_kept}};
  v_id uuid := p_params->>'id';
  v_lease uuid := p_params->>'lease';
  -- Only an absent lease means any attempt. A lease of null, from a $ref, fits no attempt.
  v_any boolean := not p_params ? 'lease';
  v_result jsonb := nullif(p_params->'result', 'null');
  v_job tenant.jobs;
  v_problem json := case
    when pg_column_size(v_result) > {{full_result_bytes}} then rpc.quota_problem(p_payer, 'jobs')
  end;
begin
  if rpc.is_too_large(v_result) then
    return rpc.too_large();
  elsif v_problem is not null then
    return v_problem;
  end if;
  -- Only a running job has a lease, so the condition does not name the state: with it, the planner may take the index
  -- of due jobs instead of the primary key.
  update tenant.jobs
    set state = 'completed', due_at = v_kept_until, lease = null, result = v_result, updated_at = v_now,
      finished_at = v_now
    where payer = p_payer and id = v_id and due_at > v_now and lease = case when v_any then lease else v_lease end
    returning * into v_job;
  if not found then
    return rpc.job_problem(rpc.job_now(p_payer, v_id, v_now), p_params);
  end if;
  if v_job."group" is not null then
    perform rpc.leave_group(p_payer, v_job.queue, v_job."group");
  end if;
  return json_build_object('ok', rpc.job_json(v_job, v_now));
end $$;

-- A run of completeJob calls. One update completes the jobs of the calls with a lease and a small result. Returns one
-- result per call, as rpc.complete_job does; NULL for the other calls, also if the update did not find the job.
--   p_params  the parameters of each call
create function rpc.complete_job_run(p_payer text, p_params jsonb) returns json[]
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_kept_until timestamptz := v_now + {{completed_jobs_kept}};
  v_count integer := jsonb_array_length(p_params);
  v_call jsonb;
  v_id uuid;
  v_seen uuid[] := '{}';
  v_ids uuid[] := '{}';
  v_leases uuid[] := '{}';
  v_results jsonb[] := '{}';
  v_job tenant.jobs;
  v_at integer;
  v_answers json[] := array_fill(null::json, array[v_count]);
begin
  for i in 1 .. v_count loop
    v_call := p_params->(i - 1);
    v_id := v_call->>'id';
    if array_position(v_seen, v_id) is not null then
      -- Two calls of one job must keep their order, so all calls of the run are executed one by one.
      v_ids := '{}';
      exit;
    end if;
    v_seen := v_seen || v_id;
    -- A call without a lease, or with a result that may be too large, is not part of the update.
    if v_call ? 'lease' and pg_column_size(v_call) <= {{full_result_bytes}} then
      v_ids[i] := v_id;
      v_leases[i] := v_call->>'lease';
      v_results[i] := nullif(v_call->'result', 'null');
    end if;
  end loop;
  for v_job in
    update tenant.jobs
      set state = 'completed', due_at = v_kept_until, lease = null, result = v_results[array_position(v_ids, id)],
        updated_at = v_now, finished_at = v_now
      where payer = p_payer and id = any (v_ids) and due_at > v_now and lease = v_leases[array_position(v_ids, id)]
      returning *
  loop
    v_at := array_position(v_ids, v_job.id);
    v_answers[v_at] := json_build_object('ok', rpc.job_json(v_job, v_now));
    if v_job."group" is not null then
      perform rpc.leave_group(p_payer, v_job.queue, v_job."group");
    end if;
  end loop;
  return v_answers;
end $$;

-- Ends a failed attempt: the job is retried later, or it is dead. The back-off has full jitter, so that jobs that
-- failed together are not retried together.
--   jitter  random factor of the back-off from the server, at least 0 and less than 1
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
  v_before := rpc.queue_row(p_payer, v_job.queue);
  if v_job.attempts >= v_job.max_attempts or not (p_params->>'retry')::boolean then
    v_queue := rpc.bury_job(p_payer, v_before, v_job, v_errors, v_now);
  else
    v_delay_ms := coalesce(
      (p_params->>'retryInMs')::double precision,
      least(
        1000 * extract(epoch from {{backoff_max}})::double precision,
        v_job.backoff_ms * power(2::double precision, least(v_job.attempts - 1, 30)))
        * (p_params->>'jitter')::double precision);
    v_queue := rpc.requeue_job(
      p_payer, v_before, v_job, v_now + make_interval(secs => v_delay_ms / 1000), v_errors, v_now);
  end if;
  perform rpc.save_queue(p_payer, v_queue, v_before);
  return json_build_object('ok', rpc.job_json(rpc.job_now(p_payer, v_job.id, v_now), v_now));
end $$;

-- Moves the end of a lease, counted from now. A lease is never shortened.
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
  return json_build_object('ok', rpc.job_json(v_job, v_now));
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

-- Puts dead jobs back into their queue, in the order of pops. Their attempts start again at 0; their errors are kept.
-- Examines a limited number of dead jobs.
create function rpc.retry_dead(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_name text := p_params->>'queue';
  v_limit integer := (p_params->>'limit')::integer;
  v_before tenant.queues := rpc.queue_row(p_payer, v_name);
  v_queue tenant.queues := rpc.apply_due_jobs(p_payer, v_before, v_now);
  v_job tenant.jobs;
  v_retried integer := 0;
begin
  for v_job in
    select *
      from tenant.jobs
      where payer = p_payer and queue = v_name and state = 'dead'
      order by rank, place
      limit {{dead_jobs_examined}}
  loop
    exit when v_retried = v_limit;
    -- A newer, unfinished job may have the deduplication key now.
    continue when v_job.dedup_key is not null and rpc.job_by_key(p_payer, v_name, v_job.dedup_key) is not null;
    v_job.attempts := 0;
    v_queue := rpc.requeue_job(p_payer, v_queue, v_job, v_now, v_job.errors, v_now);
    v_retried := v_retried + 1;
  end loop;
  perform rpc.save_queue(p_payer, v_queue, v_before);
  return json_build_object('ok', json_build_object('retried', v_retried));
end $$;

-- Deletes the jobs of a queue with a status; without a status, all jobs except running ones. Deletes a limited number
-- per call.
create function rpc.purge_queue(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_name text := p_params->>'queue';
  v_before tenant.queues := rpc.queue_row(p_payer, v_name);
  v_queue tenant.queues := rpc.apply_due_jobs(p_payer, v_before, v_now);
  v_states text[] := case
    when p_params ? 'status' then rpc.states_of_status(p_params->>'status')
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
        limit {{purged_max}}
    ) purged;
  delete from tenant.jobs
    where payer = p_payer and id = any (v_ids);
  foreach v_group in array coalesce(v_groups, '{}') loop
    v_queue := rpc.advance_group(p_payer, v_queue, v_group);
  end loop;
  perform rpc.save_queue(p_payer, v_queue, v_before);
  return json_build_object('ok', json_build_object(
    'purged', coalesce(cardinality(v_ids), 0), 'hasMore', coalesce(cardinality(v_ids), 0) = {{purged_max}}));
end $$;

-- Applies expired leases and due jobs in the due queues of a payer, and deletes the rows of queues without jobs. Visits
-- a limited number of queues per call. Returns the number of queues visited.
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
      limit {{queues_swept}}
  loop
    v_count := v_count + 1;
    perform from tenant.jobs where payer = p_payer and queue = v_before.queue limit 1;
    if found then
      perform rpc.save_queue(p_payer, rpc.apply_due_jobs(p_payer, v_before, v_now), v_before);
    else
      delete from tenant.queues
        where payer = p_payer and queue = v_before.queue;
    end if;
  end loop;
  return json_build_object('ok', v_count);
end $$;

-- Deletes finished jobs that are past their retention, a limited number per call. Returns the number of jobs deleted.
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
      limit {{jobs_swept}});
  delete from tenant.jobs
    where payer = p_payer and id = any (v_ids);
  return json_build_object('ok', cardinality(v_ids));
end $$;
