-- Queues: reads. Installed as payerbase_rpc; run inside a turn (src/turn/turn.sql).

-- A job with the errors of its last ten failed attempts.
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
  return json_build_object('ok', rpc.job_json(v_job, v_now)::jsonb || jsonb_build_object('errors', v_job.errors));
end $$;

-- The internal states of a public status. NULL: all states.
create function rpc.states_of_status(p_status text) returns text[]
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

-- A page of jobs in the order of the index jobs_by_state: by state, then in the order in which they are popped. The
-- cursor is state/rank/place of the last job of the previous page. A page ends once its jobs exceed 4 MiB.
create function rpc.list_jobs(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_queue text := p_params->>'queue';
  v_status text := p_params->>'status';
  -- A running job whose lease has expired counts as pending or dead.
  v_states text[] := rpc.states_of_status(v_status)
    || case when v_status in ('pending', 'dead') then array['running'] end;
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
      where payer = p_payer and queue = v_queue and state = any (v_states)
        and (state, rank, place) > (v_state, v_rank, v_place)
        and (state <> 'running' or v_status is null
          or v_status = rpc.job_status(state, due_at <= v_now, attempts, max_attempts))
      order by state, rank, place
      limit v_limit + 1
  loop
    if cardinality(v_items) = v_limit or v_bytes > {{jobs_bytes_max}} then
      v_next := concat_ws('/', v_state, v_rank, v_place);
      exit;
    end if;
    v_item := rpc.job_json(v_job, v_now);
    v_bytes := v_bytes + octet_length(v_item::text);
    v_items := v_items || v_item;
    v_state := v_job.state;
    v_rank := v_job.rank;
    v_place := v_job.place;
  end loop;
  return json_build_object('ok', json_build_object('items', array_to_json(v_items), 'nextCursor', v_next));
end $$;

-- The status of a queue, in one snapshot. It counts expired leases and due delayed jobs as the next call will change
-- them.
create function rpc.queue_counts(p_payer text, p_queue text, p_now timestamptz) returns json
language plpgsql stable
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
  select count(*) filter (where state in ('pending', 'waiting')) as pending,
      count(*) filter (where state = 'delayed') as delayed,
      count(*) filter (where state = 'running') as running, count(*) filter (where state = 'completed') as completed,
      count(*) filter (where state = 'dead') as dead, count(*) as total
    into v_count
    from tenant.jobs
    where payer = p_payer and queue = p_queue;
  -- Running jobs with an expired lease.
  select count(*) filter (where attempts < max_attempts) as pending,
      count(*) filter (where attempts >= max_attempts) as dead,
      min(created_at) filter (where attempts < max_attempts) as oldest
    into v_lost
    from tenant.jobs
    where payer = p_payer and queue = p_queue and state = 'running' and due_at <= p_now;
  v_oldest := v_lost.oldest;
  -- Delayed jobs that are due.
  select count(*) as pending, min(created_at) as oldest into v_due
    from tenant.jobs
    where payer = p_payer and queue = p_queue and state = 'delayed' and due_at <= p_now;
  v_count.pending := v_count.pending + v_due.pending + v_lost.pending;
  v_count.delayed := v_count.delayed - v_due.pending;
  v_oldest := least(v_oldest, v_due.oldest);
  -- The row of the queue has no heads for jobs that wait for another job of their group.
  select min(created_at) into v_created_at
    from tenant.jobs
    where payer = p_payer and queue = p_queue and state = 'waiting';
  v_oldest := least(v_oldest, v_created_at);
  v_queue := rpc.queue_row(p_payer, p_queue);
  -- The heads spare a walk over the index entries of jobs that were popped since the last vacuum.
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
  return json_build_object('ok', rpc.queue_counts(p_payer, p_params->>'queue', v_now));
end $$;

-- A page of the queues that have jobs, by name. Each iteration skips to the next queue in the index.
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
    v_items := v_items || rpc.queue_counts(p_payer, v_queue, v_now);
  end loop;
  return json_build_object('ok', json_build_object('items', array_to_json(v_items), 'nextCursor', v_next));
end $$;
