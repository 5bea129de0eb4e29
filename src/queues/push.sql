-- Methods that push jobs. state.sql has the functions that all queue methods share. Installed as payerbase_rpc; runs in
-- a turn, which holds the payer's lock.

-- Adds jobs to a queue, in order, with one insert and one update of the queue's row. Returns one JSON per job; NULL if
-- the payer has as many jobs as it may have.
--   p_jobs  rows without a place
create function rpc.insert_jobs(
  p_payer text, p_queue tenant.name, p_jobs tenant.jobs[], p_now timestamptz
) returns json[]
language plpgsql
as $$
#variable_conflict use_column
declare
  v_count integer := cardinality(p_jobs);
  v_queue tenant.queues;
  v_before tenant.queues;
  v_place bigint;
  v_new record;
begin
  if rpc.quota_problem(p_payer, 'jobs') is not null then
    return null;
  end if;
  update tenant.queues
    set last_place = last_place + v_count
    where payer = p_payer and queue = p_queue
    returning * into v_queue;
  if found then
    v_before := v_queue;
  else
    v_queue := row(p_payer, p_queue, v_count, '{}', '{}', false, p_now + {{queue_visited}});
  end if;
  v_place := v_queue.last_place - v_count;
  insert into tenant.jobs (
    payer, id, queue, state, rank, place, payload, attempts, max_attempts, backoff_ms, run_at, due_at, dedup_key,
    "group", errors, created_at, updated_at
  )
    select p_payer, id, queue, state, rank, v_place + ordinality, payload, attempts, max_attempts, backoff_ms, run_at,
        due_at, dedup_key, "group", errors, created_at, updated_at
      from unnest(p_jobs) with ordinality;
  -- The queue's row gets the ranks of the pending jobs and the earliest due time, and the groups of the jobs advance. A
  -- rank that the row has already keeps its head: the new jobs are after it.
  for v_new in
    select state, case when state = 'pending' then rank end as rank,
        case when state = 'waiting' then "group" end as "group", min(due_at) as due_at
      from unnest(p_jobs)
      group by 1, 2, 3
  loop
    if v_new.state = 'pending' then
      v_queue := rpc.open_rank(v_queue, v_new.rank, v_place + 1);
    elsif v_new.state = 'waiting' then
      v_queue := rpc.advance_group(p_payer, v_queue, v_new."group");
    else
      v_queue.due_at := least(v_queue.due_at, v_new.due_at);
    end if;
  end loop;
  if v_queue is distinct from v_before then
    perform rpc.save_queue(p_payer, v_queue, v_before);
  end if;
  return array(
    select rpc.job_json(job, p_now)
      from unnest(p_jobs) as job);
end $$;

-- Adds jobs of which some have a deduplication key. If an unfinished job has the key of a job, the job is not added,
-- and its result is the unfinished job, which may be an earlier one of the same call.
-- NULL if a job must be added and the payer has as many as it may have.
create function rpc.insert_jobs_by_key(
  p_payer text, p_queue tenant.name, p_jobs tenant.jobs[], p_now timestamptz
) returns json[]
language plpgsql
as $$
#variable_conflict use_column
declare
  v_job tenant.jobs;
  v_twin tenant.jobs;
  v_twin_id uuid;
  -- Per job: id of the unfinished job with its key; NULL if the job is added.
  v_twin_ids uuid[] := '{}';
  v_new tenant.jobs[] := '{}';
  v_new_ids uuid[] := '{}';
  v_new_keys text[] := '{}';
  v_added json[] := '{}';
  v_answers json[] := '{}';
  v_at integer := 0;
begin
  foreach v_job in array p_jobs loop
    v_twin_id := null;
    if v_job.dedup_key is not null then
      -- rpc.job_now applies an expired lease, so a job without attempts left is dead and does not keep its key.
      v_twin := rpc.job_now(p_payer, rpc.job_by_key(p_payer, p_queue, v_job.dedup_key), p_now);
      if v_twin.state in ('delayed', 'pending', 'waiting', 'running') then
        v_twin_id := v_twin.id;
      else
        v_twin_id := v_new_ids[array_position(v_new_keys, v_job.dedup_key::text)];
      end if;
    end if;
    v_twin_ids := v_twin_ids || v_twin_id;
    if v_twin_id is null then
      v_new := v_new || v_job;
      v_new_ids := v_new_ids || v_job.id;
      v_new_keys := v_new_keys || v_job.dedup_key::text;
    end if;
  end loop;
  if cardinality(v_new) > 0 then
    v_added := rpc.insert_jobs(p_payer, p_queue, v_new, p_now);
    if v_added is null then
      return null;
    end if;
  end if;
  foreach v_twin_id in array v_twin_ids loop
    if v_twin_id is null then
      v_at := v_at + 1;
      v_answers := v_answers || v_added[v_at];
    else
      select * into v_twin
        from tenant.jobs
        where payer = p_payer and id = v_twin_id;
      v_answers := v_answers || (rpc.job_json(v_twin, p_now)::jsonb || '{"deduplicated":true}')::json;
    end if;
  end loop;
  return v_answers;
end $$;

-- Adds jobs to one queue, in order. Returns one JSON per job, as rpc.job_json does; it contains `deduplicated` if an
-- unfinished job has the key. NULL if a payload is too large, or the payer has as many jobs as it may have.
create function rpc.push(p_payer text, p_queue text, p_jobs jsonb) returns json[]
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_queue tenant.name := p_queue;
  v_jobs tenant.jobs[];
  v_keys integer;
  v_is_too_large boolean;
begin
  select array_agg(job::tenant.jobs), count(dedup_key), bool_or(rpc.is_too_large(payload))
    into v_jobs, v_keys, v_is_too_large
    from (
      select p_payer as payer, id, v_queue as queue,
          case when run_at > v_now then 'delayed' when "group" is not null then 'waiting' else 'pending' end as state,
          (-1 - priority)::smallint as rank, null::bigint as place, coalesce(payload, 'null') as payload, 0 as attempts,
          "maxAttempts" as max_attempts, "backoffMs" as backoff_ms, run_at,
          case when run_at > v_now then run_at end as due_at, null::uuid as lease, "dedupKey" as dedup_key, "group",
          null::jsonb as result, jsonb '[]' as errors, v_now as created_at, v_now as updated_at,
          null::timestamptz as finished_at
        from (
          select id, payload, priority, "maxAttempts", "backoffMs", "dedupKey", "group",
              greatest(v_now, "runAt", v_now + make_interval(secs => "delayMs" / 1000.0)) as run_at
            from jsonb_to_recordset(p_jobs) as given (
              id uuid, payload jsonb, priority integer, "maxAttempts" integer, "backoffMs" integer, "runAt" timestamptz,
              "delayMs" bigint, "dedupKey" text, "group" text)
        ) given
    ) job;
  if v_is_too_large then
    return null;
  elsif v_keys > 0 then
    return rpc.insert_jobs_by_key(p_payer, v_queue, v_jobs, v_now);
  end if;
  return rpc.insert_jobs(p_payer, v_queue, v_jobs, v_now);
end $$;

-- The problem of jobs that rpc.push did not add.
create function rpc.push_problem(p_payer text) returns json
language sql stable
as $$
  select coalesce(rpc.quota_problem(p_payer, 'jobs'), rpc.too_large())
$$;

-- Pushes one job. Most jobs are due at once and have neither a key nor a group; for them, two statements are enough.
create function rpc.push_job(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_name text := p_params->>'queue';
  v_payload jsonb := p_params->'payload';
  v_rank smallint := -1 - (p_params->>'priority')::integer;
  v_id uuid := p_params->>'id';
  v_max_attempts integer := p_params->>'maxAttempts';
  v_backoff_ms integer := p_params->>'backoffMs';
  v_due_at timestamptz;
  v_queue tenant.name;
  v_place bigint;
  v_is_known boolean;
  v_before tenant.queues;
  v_pushed json[];
  v_problem json := rpc.quota_problem(p_payer, 'jobs');
begin
  if rpc.is_too_large(v_payload) then
    return rpc.too_large();
  elsif p_params ?| '{dedupKey,group,delayMs,runAt}' then
    v_pushed := rpc.push(p_payer, v_name, jsonb_build_array(p_params));
    return case when v_pushed is null then rpc.push_problem(p_payer) else json_build_object('ok', v_pushed[1]) end;
  elsif v_problem is not null then
    return v_problem;
  end if;
  update tenant.queues
    set last_place = last_place + 1
    where payer = p_payer and queue = v_name
    returning queue, last_place, v_rank = any (ranks) into v_queue, v_place, v_is_known;
  if not found then
    v_place := 1;
    v_is_known := true;
    v_due_at := v_now + {{queue_visited}};
    insert into tenant.queues (payer, queue, last_place, ranks, heads, has_more_ranks, due_at)
      values (p_payer, v_name, v_place, array[v_rank], array[v_place], false, v_due_at)
      returning queue into v_queue;
  end if;
  insert into tenant.jobs (
    payer, id, queue, state, rank, place, payload, attempts, max_attempts, backoff_ms, run_at, errors, created_at,
    updated_at
  )
    values (p_payer, v_id, v_queue, 'pending', v_rank, v_place, v_payload, 0, v_max_attempts, v_backoff_ms, v_now, '[]',
      v_now, v_now);
  if not v_is_known then
    v_before := rpc.queue_row(p_payer, v_name);
    perform rpc.save_queue(p_payer, rpc.open_rank(v_before, v_rank, v_place), v_before);
  end if;
  -- The same JSON as from rpc.job_json, without `returning` the inserted row.
  return json_build_object('ok', to_json(row(
    v_id, v_queue, v_payload, -1 - v_rank, 'pending', 0, v_max_attempts, v_backoff_ms, v_now, null, null, null, null,
    null, null, v_now, v_now, null)::rpc.shown_job));
end $$;

create function rpc.push_jobs(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
declare
  v_pushed json[] := rpc.push(p_payer, p_params->>'queue', p_params->'jobs');
begin
  if v_pushed is null then
    return rpc.push_problem(p_payer);
  end if;
  return json_build_object('ok', json_build_object('jobs', array_to_json(v_pushed)));
end $$;

-- A run of pushJob calls. If all have one queue, their jobs are added as a set. Returns one result per call, as
-- rpc.push_job does; NULL for all calls if they have several queues, if the payer has as many jobs as it may have, or
-- if one payload is too large, because only its own call may fail.
--   p_params  the parameters of each call
create function rpc.push_job_run(p_payer text, p_params jsonb) returns json[]
language plpgsql
as $$
declare
  v_queue jsonb := jsonb_build_object('queue', p_params->0->'queue');
  v_count integer := jsonb_array_length(p_params);
  v_pushed json[];
  v_answers json[] := array_fill(null::json, array[v_count]);
begin
  if not jsonb_path_exists(p_params, '$[*] ? (@.queue != $queue)', v_queue) then
    v_pushed := rpc.push(p_payer, v_queue->>'queue', p_params);
  end if;
  if v_pushed is not null then
    for i in 1 .. v_count loop
      v_answers[i] := json_build_object('ok', v_pushed[i]);
    end loop;
  end if;
  return v_answers;
end $$;
