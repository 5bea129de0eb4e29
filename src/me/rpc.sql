-- Methods of the account. Owned by payerbase_rpc.

-- What was measured of each primitive, and which of them are full. A primitive that was never measured is absent.
create function rpc.measured_usage(p_payer text) returns json
language sql stable
as $$
  select coalesce(json_object_agg(u.primitive, json_build_object(
      'rows', u.rows, 'bytes', u.bytes, 'measuredAt', u.measured_at, 'isFull', f.quota is not null)), '{}')
    from tenant.usage u
    left join tenant.full_primitives f on f.payer = p_payer and f.primitive = u.primitive
    where u.payer = p_payer and u.measured_at is not null
$$;

-- The usage of the payer, what was measured of it, and what is left of the allowance of the caller.
create function rpc.get_me(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_counters bigint;
  v_links bigint;
  v_locks bigint;
  v_jobs bigint;
  v_memories bigint;
begin
  -- Counts stop at 100,000 rows, so that the cost of the call is bounded.
  select count(*) into v_counters
    from (select from tenant.counters where payer = p_payer limit {{counted_max}}) counted;
  select count(*) into v_links
    from (select from tenant.links where payer = p_payer limit {{counted_max}}) counted;
  select count(*) into v_locks
    from (select from tenant.locks where payer = p_payer limit {{counted_max}}) counted;
  select count(*) into v_jobs
    from (select from tenant.jobs where payer = p_payer limit {{counted_max}}) counted;
  select coalesce(sum(memories), 0) into v_memories
    from tenant.memory_spaces
    where payer = p_payer;
  return json_build_object('ok', json_build_object(
    'counters', v_counters, 'links', v_links, 'locks', v_locks, 'jobs', v_jobs, 'memories', v_memories,
    'measured', rpc.measured_usage(p_payer), 'allowance', auth.own_allowance(p_params->>'allowance')));
end $$;

-- Adds calls that a server has refused to the payer's log. Returns the number of entries.
--   p_params  "refused"
create function rpc.note_refusals(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
begin
  return json_build_object('ok', auth.note_refusals(p_params->'refused'));
end $$;

-- A page of the payer's log.
create function rpc.list_audit(p_payer text, p_params jsonb) returns json
language sql stable
as $$
  select auth.list_own_audit(p_params)
$$;
