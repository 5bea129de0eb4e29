-- Methods that pop jobs. state.sql has the functions that all queue methods share. Installed as payerbase_rpc; runs in
-- a turn, which holds the payer's lock.

-- Starts pending jobs with one update. Returns one JSON per job, in the order of the ids.
create function rpc.start_jobs(p_payer text, p_ids uuid[], p_until timestamptz, p_now timestamptz) returns json[]
language plpgsql
as $$
#variable_conflict use_column
declare
  v_leases uuid[] := array(select gen_random_uuid() from unnest(p_ids));
  v_job tenant.jobs;
  v_at integer;
  v_started json[] := '{}';
begin
  -- The condition names only the ids: with other columns, the planner may take another index before the first analyze.
  for v_job in
    update tenant.jobs
      set state = 'running', attempts = attempts + 1, lease = v_leases[array_position(p_ids, id)], due_at = p_until,
        updated_at = p_now
      where payer = p_payer and id = any (p_ids)
      returning *
  loop
    v_at := array_position(p_ids, v_job.id);
    v_started[v_at] := rpc.job_json(v_job, p_now, v_job.lease);
  end loop;
  return v_started;
end $$;

-- Starts up to p_count jobs of a queue, in the order (rank, place), from the head of each rank on. Starts no more jobs
-- once their size reaches p_bytes_max.
create function rpc.pop(p_payer text, p_params jsonb, p_count integer, p_bytes_max bigint) returns json[]
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
  v_wanted integer := p_count;
  v_ids uuid[];
  v_id uuid;
  v_place bigint;
  v_size integer;
  v_bytes bigint := 0;
  v_popped json[] := '{}';
begin
  select * into v_before
    from tenant.queues
    where payer = p_payer and queue = v_name;
  if not found then
    return v_popped;
  end if;
  v_queue := rpc.apply_due_jobs(p_payer, v_before, v_now);
  while v_wanted > 0 and v_bytes < p_bytes_max loop
    if v_queue.ranks = '{}' and v_queue.has_more_ranks then
      v_queue := rpc.find_ranks(p_payer, v_queue);
    end if;
    exit when v_queue.ranks = '{}';
    v_rank := v_queue.ranks[1];
    v_head := v_queue.heads[1];
    v_ids := '{}';
    for v_id, v_place, v_size in
      select id, place, octet_length(payload::text) + coalesce(octet_length((errors->-1)::text), 0)
        from tenant.jobs
        where payer = p_payer and queue = v_queue.queue and state = 'pending' and rank = v_rank and place >= v_head
        order by place
        limit v_wanted
    loop
      v_ids := v_ids || v_id;
      v_bytes := v_bytes + v_size + 512;
      exit when v_bytes >= p_bytes_max;
    end loop;
    if v_ids <> '{}' then
      v_popped := v_popped || rpc.start_jobs(p_payer, v_ids, v_until, v_now);
      v_wanted := v_wanted - cardinality(v_ids);
      v_queue.due_at := least(v_queue.due_at, v_until);
    end if;
    if v_wanted > 0 and v_bytes < p_bytes_max then
      v_queue.ranks := v_queue.ranks[2:];
      v_queue.heads := v_queue.heads[2:];
    elsif v_place - v_head >= {{head_steps_max}} then
      -- The head moves only now and then: a step over the index entries of a few dozen popped jobs costs less than a
      -- write of the head.
      v_queue.heads[1] := v_place;
    end if;
  end loop;
  if v_queue is distinct from v_before then
    perform rpc.save_queue(p_payer, v_queue, v_before);
  end if;
  return v_popped;
end $$;

-- The outcome "empty" is not recorded under an idempotency key: a retry runs again.
create function rpc.pop_outcome(p_popped json[]) returns text
language sql immutable
as $$
  select case when cardinality(p_popped) = 0 then 'empty' else 'ok' end
$$;

-- Pops one job. In most pops nothing is due and the first rank of the queue's row has a job; then two statements are
-- enough.
create function rpc.pop_job(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_name text := p_params->>'queue';
  v_until timestamptz;
  v_lease uuid;
  v_rank smallint;
  v_head bigint;
  v_due_at timestamptz;
  v_has_more_ranks boolean;
  v_job tenant.jobs;
  v_popped json[];
begin
  select ranks[1], heads[1], due_at, has_more_ranks into v_rank, v_head, v_due_at, v_has_more_ranks
    from tenant.queues
    where payer = p_payer and queue = v_name;
  if v_rank is null and (not found or v_due_at > v_now and not v_has_more_ranks) then
    return '{"empty":null}';
  elsif v_rank is not null and v_due_at > v_now then
    v_until := v_now + make_interval(secs => (p_params->>'leaseMs')::integer / 1000.0);
    v_lease := gen_random_uuid();
    update tenant.jobs
      set state = 'running', attempts = attempts + 1, lease = v_lease, due_at = v_until, updated_at = v_now
      where payer = p_payer and id = (
        select id
          from tenant.jobs
          where payer = p_payer and queue = v_name and state = 'pending' and rank = v_rank and place >= v_head
          order by place
          limit 1)
      returning * into v_job;
    if found then
      -- The head moves as in rpc.pop.
      if v_job.place - v_head >= {{head_steps_max}} or v_until < v_due_at then
        v_head := case when v_job.place - v_head >= {{head_steps_max}} then v_job.place else v_head end;
        v_due_at := least(v_due_at, v_until);
        update tenant.queues
          set heads[1] = v_head, due_at = v_due_at
          where payer = p_payer and queue = v_name;
      end if;
      return json_build_object('ok', rpc.job_json(v_job, v_now, v_lease));
    end if;
  end if;
  v_popped := rpc.pop(p_payer, p_params, 1, {{jobs_bytes_max}});
  return json_build_object(rpc.pop_outcome(v_popped), v_popped[1]);
end $$;

-- A popped job as it is now, with its lease; NULL if the lease has ended.
--   p_popped  its id and its lease, or the whole job, as earlier versions kept it
create function rpc.job_under_lease(p_payer text, p_popped json, p_now timestamptz) returns json
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_lease uuid := p_popped->>'lease';
  v_job tenant.jobs;
begin
  select * into v_job
    from tenant.jobs
    where payer = p_payer and id = (p_popped->>'id')::uuid and state = 'running' and lease = v_lease
      and due_at > p_now;
  return case when found then rpc.job_json(v_job, p_now, v_lease) end;
end $$;

-- A job with its payload, and with its result if it has none; both are null if it was deleted.
create function rpc.with_payload(p_payer text, p_shown jsonb) returns json
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_job record;
begin
  select payload, result into v_job
    from tenant.jobs
    where payer = p_payer and id = (p_shown->>'id')::uuid;
  return jsonb_build_object('result', v_job.result) || p_shown || jsonb_build_object('payload', v_job.payload);
end $$;

create function rpc.pop_jobs(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
declare
  v_popped json[] := rpc.pop(p_payer, p_params, (p_params->>'count')::integer, {{jobs_bytes_max}});
begin
  return json_build_object(rpc.pop_outcome(v_popped), json_build_object('jobs', array_to_json(v_popped)));
end $$;

-- A run of popJob calls. Calls with one queue and one lease time are one pop, of limited size. Returns one result per
-- call, like rpc.pop_job; NULL for a call that is not part of the pop.
--   p_params  the parameters of each call
create function rpc.pop_job_run(p_payer text, p_params jsonb) returns json[]
language plpgsql
as $$
declare
  v_count integer := jsonb_array_length(p_params);
  v_first jsonb := p_params->0;
  v_popped json[];
  v_answers json[] := array_fill(null::json, array[v_count]);
begin
  if not jsonb_path_exists(p_params, '$[*] ? (@.queue != $queue || @.leaseMs != $leaseMs)', v_first) then
    v_popped := rpc.pop(p_payer, v_first, v_count, {{run_bytes_max}});
  end if;
  for i in 1 .. v_count loop
    if v_popped[i] is not null then
      v_answers[i] := json_build_object('ok', v_popped[i]);
    elsif cardinality(v_popped) = 0 then
      v_answers[i] := '{"empty":null}';
    end if;
  end loop;
  return v_answers;
end $$;
