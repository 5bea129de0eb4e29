-- Queues: the methods. Installed as payerbase_rpc; run inside a turn (src/turn/turn.sql), which holds the payer's lock:
-- so no two calls of a payer ever look at its jobs at the same time, and nothing here skips or waits for locked rows.

-- A job as callers see it. One whose lease has run out is what the next call will make of it.
-- p_lease is for its holder.
create function rpc.job(p_job tenant.jobs, p_now timestamptz, p_lease uuid default null) returns json
language plpgsql stable
as $$
declare
  v_lost boolean := p_job.state = 'running' and p_job.lease_expires_at <= p_now;
begin
  return json_build_object(
    'id', p_job.id, 'queue', p_job.queue, 'payload', p_job.payload, 'priority', -1 - p_job.rank,
    'status', case
      when p_job.state in ('delayed', 'waiting') then 'pending'
      when v_lost and p_job.attempts >= p_job.max_attempts then 'dead'
      when v_lost then 'pending'
      else p_job.state
    end,
    'attempts', p_job.attempts, 'maxAttempts', p_job.max_attempts, 'backoffMs', p_job.backoff_ms, 'runAt', p_job.run_at,
    'lease', p_lease, 'leaseExpiresAt', case when not v_lost then p_job.lease_expires_at end,
    'dedupKey', p_job.dedup_key, 'group', p_job."group", 'result', p_job.result, 'error', p_job.errors->-1->'error',
    'createdAt', p_job.created_at, 'updatedAt', p_job.updated_at, 'finishedAt', p_job.finished_at);
end $$;

-- Lets the next pop look at `p_place`: none of the pending jobs of this rank may stand before the head.
create function rpc.open_queue(p_payer text, p_queue text, p_rank smallint, p_place bigint) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
  v_head bigint;
begin
  select place into v_head
    from tenant.queue_heads
    where payer = p_payer and queue = p_queue and rank = p_rank;
  if not found then
    insert into tenant.queue_heads (payer, queue, rank, place)
      values (p_payer, p_queue, p_rank, p_place);
  elsif v_head > p_place then
    update tenant.queue_heads
      set place = p_place
      where payer = p_payer and queue = p_queue and rank = p_rank;
  end if;
end $$;

-- Lets the first job of a group be popped, if none of them runs. Called after whatever happens to a job with a group.
create function rpc.advance_group(p_payer text, p_queue text, p_group text) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
  v_first record;
begin
  if p_group is null then
    return;
  end if;
  select id into v_first
    from tenant.jobs
    where payer = p_payer and queue = p_queue and "group" = p_group and state = 'running'
    limit 1;
  if found then
    return;
  end if;
  select id, state, rank, place into v_first
    from tenant.jobs
    where payer = p_payer and queue = p_queue and "group" = p_group and state in ('pending', 'waiting')
    order by place
    limit 1;
  if not found or v_first.state = 'pending' then
    return;
  end if;
  -- One that was first until an older one came back.
  update tenant.jobs
    set state = 'waiting'
    where payer = p_payer and queue = p_queue and "group" = p_group and state = 'pending';
  update tenant.jobs
    set state = 'pending'
    where payer = p_payer and id = v_first.id;
  perform rpc.open_queue(p_payer, p_queue, v_first.rank, v_first.place);
end $$;

-- Puts a job back: to be popped at once, or when its time comes.
create function rpc.requeue_job(p_payer text, p_job tenant.jobs, p_run_at timestamptz, p_errors jsonb, p_now timestamptz) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
  v_state text := case when p_run_at > p_now then 'delayed' when p_job."group" is not null then 'waiting' else 'pending' end;
begin
  update tenant.jobs
    set state = v_state, run_at = p_run_at, lease = null, lease_expires_at = null, errors = p_errors, updated_at = p_now,
      finished_at = null, delete_at = null, attempts = p_job.attempts
    where payer = p_payer and id = p_job.id;
  if v_state = 'pending' then
    perform rpc.open_queue(p_payer, p_job.queue, p_job.rank, p_job.place);
  end if;
  perform rpc.advance_group(p_payer, p_job.queue, p_job."group");
end $$;

create function rpc.bury_job(p_payer text, p_job tenant.jobs, p_errors jsonb, p_now timestamptz) returns void
language plpgsql
as $$
#variable_conflict use_column
begin
  update tenant.jobs
    set state = 'dead', lease = null, lease_expires_at = null, errors = p_errors, updated_at = p_now, finished_at = p_now,
      delete_at = p_now + interval '14 days'
    where payer = p_payer and id = p_job.id;
  perform rpc.advance_group(p_payer, p_job.queue, p_job."group");
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
create function rpc.expire_job(p_payer text, p_job tenant.jobs, p_now timestamptz) returns void
language plpgsql
as $$
declare
  v_errors jsonb := rpc.errors_with(p_job, 'the lease ran out', p_now);
begin
  if p_job.attempts >= p_job.max_attempts then
    perform rpc.bury_job(p_payer, p_job, v_errors, p_now);
  else
    perform rpc.requeue_job(p_payer, p_job, p_now, v_errors, p_now);
  end if;
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
begin
  select * into v_job
    from tenant.jobs
    where payer = p_payer and id = p_id;
  if v_job.state = 'running' and v_job.lease_expires_at <= p_now then
    perform rpc.expire_job(p_payer, v_job, p_now);
    select * into v_job
      from tenant.jobs
      where payer = p_payer and id = p_id;
  end if;
  return v_job;
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
  v_place bigint;
  v_pushed json[] := '{}';
  v_new jsonb;
  v_job tenant.jobs;
begin
  for i in 0 .. v_count - 1 loop
    if rpc.is_too_large(p_jobs->i->'payload') then
      return null;
    end if;
  end loop;
  update tenant.job_places
    set last = last + v_count
    where payer = p_payer
    returning last - v_count into v_place;
  if not found then
    v_place := 0;
    insert into tenant.job_places (payer, last)
      values (p_payer, v_count);
  end if;
  for i in 0 .. v_count - 1 loop
    v_new := p_jobs->i;
    v_place := v_place + 1;
    v_job := null;
    if v_new ? 'dedupKey' then
      v_job.dedup_key := v_new->>'dedupKey';
      select * into v_job
        from tenant.jobs
        where payer = p_payer and queue = p_queue and dedup_key = v_job.dedup_key
          and state in ('delayed', 'pending', 'waiting', 'running');
      if found then
        v_job := rpc.job_now(p_payer, v_job.id, v_now);
      end if;
      if v_job.state in ('delayed', 'pending', 'waiting', 'running') then
        v_pushed := v_pushed || (rpc.job(v_job, v_now)::jsonb || '{"deduplicated":true}')::json;
        continue;
      end if;
      v_job := null;
    end if;
    v_job.id := v_new->>'id';
    v_job.queue := p_queue;
    v_job.rank := -1 - (v_new->>'priority')::integer;
    v_job.place := v_place;
    v_job.payload := v_new->'payload';
    v_job.attempts := 0;
    v_job.max_attempts := v_new->>'maxAttempts';
    v_job.backoff_ms := v_new->>'backoffMs';
    v_job.run_at := greatest(v_now, coalesce(
      (v_new->>'runAt')::timestamptz, v_now + make_interval(secs => coalesce((v_new->>'delayMs')::bigint, 0) / 1000.0)));
    v_job.dedup_key := v_new->>'dedupKey';
    v_job."group" := v_new->>'group';
    v_job.errors := '[]';
    v_job.created_at := v_now;
    v_job.updated_at := v_now;
    v_job.state := case when v_job.run_at > v_now then 'delayed' when v_job."group" is not null then 'waiting' else 'pending' end;
    insert into tenant.jobs (
      payer, id, queue, state, rank, place, payload, attempts, max_attempts, backoff_ms, run_at, dedup_key, "group", errors,
      created_at, updated_at
    )
      values (p_payer, v_job.id, p_queue, v_job.state, v_job.rank, v_place, v_job.payload, 0, v_job.max_attempts,
        v_job.backoff_ms, v_job.run_at, v_job.dedup_key, v_job."group", '[]', v_now, v_now);
    if v_job.state = 'pending' then
      perform rpc.open_queue(p_payer, p_queue, v_job.rank, v_place);
    elsif v_job.state = 'waiting' then
      perform rpc.advance_group(p_payer, p_queue, v_job."group");
    end if;
    v_pushed := v_pushed || rpc.job(v_job, v_now);
  end loop;
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

-- Makes what has become due poppable: the payer's leases that ran out, and the queue's times that came. A hundred of each
-- at most, the first to be due first: no pop pays for all the jobs that were set for midnight.
create function rpc.wake_queue(p_payer text, p_queue text, p_now timestamptz) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
  v_job tenant.jobs;
begin
  for v_job in
    select *
      from tenant.jobs
      where payer = p_payer and state = 'running' and lease_expires_at <= p_now
      order by lease_expires_at
      limit 100
  loop
    perform rpc.expire_job(p_payer, v_job, p_now);
  end loop;
  for v_job in
    select *
      from tenant.jobs
      where payer = p_payer and queue = p_queue and state = 'delayed' and run_at <= p_now
      order by run_at
      limit 100
  loop
    perform rpc.requeue_job(p_payer, v_job, v_job.run_at, v_job.errors, p_now);
  end loop;
end $$;

-- Takes up to p_count jobs of a queue, fewer when they are more than 4 MiB together: (rank, place) is the order, and
-- queue_heads says where to begin.
create function rpc.pop(p_payer text, p_params jsonb, p_count integer) returns json[]
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_queue text := p_params->>'queue';
  v_until timestamptz := v_now + make_interval(secs => (p_params->>'leaseMs')::integer / 1000.0);
  v_popped json[] := '{}';
  v_bytes bigint := 0;
  v_json json;
  v_head record;
  v_job tenant.jobs;
begin
  perform rpc.wake_queue(p_payer, v_queue, v_now);
  while cardinality(v_popped) < p_count and v_bytes < 4194304 loop
    select rank, place into v_head
      from tenant.queue_heads
      where payer = p_payer and queue = v_queue
      order by rank
      limit 1;
    exit when not found;
    select * into v_job
      from tenant.jobs
      where payer = p_payer and queue = v_queue and state = 'pending' and rank = v_head.rank and place >= v_head.place
      order by place
      limit 1;
    if not found then
      delete from tenant.queue_heads
        where payer = p_payer and queue = v_queue and rank = v_head.rank;
      continue;
    end if;
    v_job.state := 'running';
    v_job.attempts := v_job.attempts + 1;
    v_job.lease := gen_random_uuid();
    v_job.lease_expires_at := v_until;
    v_job.updated_at := v_now;
    update tenant.jobs
      set state = 'running', attempts = v_job.attempts, lease = v_job.lease, lease_expires_at = v_until, updated_at = v_now
      where payer = p_payer and id = v_job.id;
    -- Not each time: stepping over a few dozen dead entries costs less than writing the head.
    if v_job.place - v_head.place >= 32 then
      update tenant.queue_heads
        set place = v_job.place
        where payer = p_payer and queue = v_queue and rank = v_head.rank;
    end if;
    v_json := rpc.job(v_job, v_now, v_job.lease);
    v_bytes := v_bytes + octet_length(v_json::text);
    v_popped := v_popped || v_json;
  end loop;
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
  v_job tenant.jobs := rpc.job_now(p_payer, (p_params->>'id')::uuid, v_now);
  v_problem json := rpc.job_problem(v_job, p_params);
begin
  if v_problem is not null then
    return v_problem;
  elsif rpc.is_too_large(p_params->'result') then
    return rpc.too_large();
  end if;
  v_job.state := 'completed';
  v_job.result := nullif(p_params->'result', 'null');
  v_job.lease := null;
  v_job.lease_expires_at := null;
  v_job.updated_at := v_now;
  v_job.finished_at := v_now;
  update tenant.jobs
    set state = 'completed', result = v_job.result, lease = null, lease_expires_at = null, updated_at = v_now,
      finished_at = v_now, delete_at = v_now + interval '24 hours'
    where payer = p_payer and id = v_job.id;
  if v_job."group" is not null then
    perform rpc.advance_group(p_payer, v_job.queue, v_job."group");
  end if;
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
begin
  if v_problem is not null then
    return v_problem;
  end if;
  v_errors := rpc.errors_with(v_job, p_params->>'error', v_now);
  if v_job.attempts >= v_job.max_attempts or not (p_params->>'retry')::boolean then
    perform rpc.bury_job(p_payer, v_job, v_errors, v_now);
  else
    v_delay_ms := coalesce(
      (p_params->>'retryInMs')::double precision,
      least(3600000, v_job.backoff_ms * power(2::double precision, least(v_job.attempts - 1, 30))) * (p_params->>'jitter')::double precision);
    perform rpc.requeue_job(p_payer, v_job, v_now + make_interval(secs => v_delay_ms / 1000), v_errors, v_now);
  end if;
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
  v_job.lease_expires_at := greatest(v_job.lease_expires_at, v_now + make_interval(secs => (p_params->>'leaseMs')::integer / 1000.0));
  v_job.updated_at := v_now;
  update tenant.jobs
    set lease_expires_at = v_job.lease_expires_at, updated_at = v_now
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
  perform rpc.advance_group(p_payer, v_job.queue, v_job."group");
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
-- The cursor is state/rank/place of the last job of the page before.
create function rpc.list_jobs(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_queue text := p_params->>'queue';
  v_states text[] := rpc.states(p_params->>'status');
  v_limit integer := (p_params->>'limit')::integer;
  v_cursor text[] := string_to_array(coalesce(p_params->>'cursor', '/0/0'), '/');
  v_state text := v_cursor[1];
  v_rank integer := v_cursor[2];
  v_place bigint := v_cursor[3];
  v_items json[] := '{}';
  v_job tenant.jobs;
  v_next text;
begin
  for v_job in
    select *
      from tenant.jobs
      where payer = p_payer and queue = v_queue and state = any (v_states) and (state, rank, place) > (v_state, v_rank, v_place)
      order by state, rank, place
      limit v_limit + 1
  loop
    if cardinality(v_items) = v_limit then
      v_next := concat_ws('/', v_state, v_rank, v_place);
      exit;
    end if;
    v_items := v_items || rpc.job(v_job, v_now);
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
  v_head record;
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
    where payer = p_payer and queue = p_queue and state = 'running' and lease_expires_at <= p_now;
  v_oldest := v_lost.oldest;
  select count(*) as pending, min(created_at) as oldest into v_head
    from tenant.jobs
    where payer = p_payer and queue = p_queue and state = 'delayed' and run_at <= p_now;
  v_count.pending := v_count.pending + v_head.pending + v_lost.pending;
  v_count.delayed := v_count.delayed - v_head.pending;
  v_oldest := least(v_oldest, v_head.oldest);
  for v_head in
    select rank, place
      from tenant.queue_heads
      where payer = p_payer and queue = p_queue
  loop
    select created_at into v_created_at
      from tenant.jobs
      where payer = p_payer and queue = p_queue and state = 'pending' and rank = v_head.rank and place >= v_head.place
      order by place
      limit 1;
    v_oldest := least(v_oldest, v_created_at);
  end loop;
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

-- Dead jobs back into their queue, the first that died first, with all their attempts and their history.
create function rpc.retry_dead(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_queue text := p_params->>'queue';
  v_limit integer := (p_params->>'limit')::integer;
  v_job tenant.jobs;
  v_twin uuid;
  v_retried integer := 0;
begin
  for v_job in
    select *
      from tenant.jobs
      where payer = p_payer and queue = v_queue and state = 'dead'
      order by rank, place
      limit v_limit
  loop
    if v_job.dedup_key is not null then
      select id into v_twin
        from tenant.jobs
        where payer = p_payer and queue = v_queue and dedup_key = v_job.dedup_key
          and state in ('delayed', 'pending', 'waiting', 'running');
      -- Its key belongs to a younger job now.
      continue when found;
    end if;
    v_job.attempts := 0;
    perform rpc.requeue_job(p_payer, v_job, v_now, v_job.errors, v_now);
    v_retried := v_retried + 1;
  end loop;
  return json_build_object('ok', json_build_object('retried', v_retried));
end $$;

-- Deletes jobs of a queue, a thousand at a time; without a status, all but those that run.
create function rpc.purge_queue(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_queue text := p_params->>'queue';
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
        where payer = p_payer and queue = v_queue and state = any (v_states)
        limit 1000
    ) purged;
  delete from tenant.jobs
    where payer = p_payer and id = any (v_ids);
  foreach v_group in array coalesce(v_groups, '{}') loop
    perform rpc.advance_group(p_payer, v_queue, v_group);
  end loop;
  return json_build_object('ok', json_build_object(
    'purged', coalesce(cardinality(v_ids), 0), 'hasMore', coalesce(cardinality(v_ids), 0) = 1000));
end $$;

-- What no call of the payer has done: leases that ran out, and jobs that were kept for long enough. A bite of each;
-- answers how many.
create function rpc.sweep_jobs(p_payer text) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_job tenant.jobs;
  v_count integer := 0;
  v_ids uuid[];
begin
  for v_job in
    select *
      from tenant.jobs
      where payer = p_payer and state = 'running' and lease_expires_at <= v_now
      limit 100
  loop
    perform rpc.expire_job(p_payer, v_job, v_now);
    v_count := v_count + 1;
  end loop;
  v_ids := array(
    select id
      from tenant.jobs
      where payer = p_payer and state in ('completed', 'dead') and delete_at <= v_now
      limit 500);
  delete from tenant.jobs
    where payer = p_payer and id = any (v_ids);
  return json_build_object('ok', v_count + cardinality(v_ids));
end $$;
