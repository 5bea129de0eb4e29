-- Quotas. Installed as payerbase_rpc; runs in a turn, which holds the payer's lock.

-- The problem of a call that adds to a full primitive; NULL if it is not full.
create function rpc.quota_problem_of_full(p_payer text, p_primitive text) returns json
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_unit text;
  v_quota bigint;
begin
  select unit, quota into v_unit, v_quota
    from tenant.full_primitives
    where payer = p_payer and primitive = p_primitive;
  if not found then
    return null;
  end if;
  return rpc.problem('quota-exceeded', json_build_object('limit', v_quota, 'detail', case v_unit
    when 'rows' then 'The payer has as many ' || p_primitive || ' as it may have: ' || v_quota || '.'
    else 'The ' || p_primitive || ' of the payer have as many bytes as they may have: ' || v_quota || '.'
  end || case p_primitive
    when 'locks' then ' Free ones are deleted an hour after their lease.'
    else ' Delete some. They are counted again within ten minutes.'
  end));
end $$;

-- The problem of a call that adds to a primitive of which the payer has as much as it may have. NULL if it may add.
-- Servers know which payers may have such a primitive (sweep.full_payers), and set payerbase.full in their calls
-- (rpc.write_with_conditions), so that other calls need no look. PostgreSQL inlines this function.
create function rpc.quota_problem(p_payer text, p_primitive text) returns json
language sql stable
as $$
  select case
    when current_setting('payerbase.full', true) = p_payer then rpc.quota_problem_of_full(p_payer, p_primitive)
  end
$$;

-- Adds what a server has written for the payer. Returns the number of primitives.
--   p_params  "written": per primitive its name, and the numbers of writes and bytes
create function rpc.add_written(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_written record;
  v_count integer := 0;
begin
  for v_written in
    select primitive, writes, bytes
      from jsonb_to_recordset(p_params->'written') as given (primitive text, writes bigint, bytes bigint)
  loop
    insert into tenant.usage (payer, primitive, rows, bytes, writes, written_bytes)
      values (p_payer, v_written.primitive, 0, 0, v_written.writes, v_written.bytes)
      on conflict (payer, primitive) do update
        set writes = usage.writes + excluded.writes, written_bytes = usage.written_bytes + excluded.written_bytes;
    v_count := v_count + 1;
  end loop;
  return json_build_object('ok', v_count);
end $$;

-- Saves what was measured, and marks the primitive as full or not. Returns 1.
--   p_params  "primitive"; "rows" and "bytes": what was measured; "rowsMax" and "bytesMax": the quotas, or null;
--             "writes" and "writtenBytes": what was written before the measurement began
create function rpc.save_usage(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_primitive text := p_params->>'primitive';
  v_rows bigint := p_params->>'rows';
  v_bytes bigint := p_params->>'bytes';
  v_writes bigint := p_params->>'writes';
  v_written_bytes bigint := p_params->>'writtenBytes';
  v_unit text := case
    when v_rows >= (p_params->>'rowsMax')::bigint then 'rows'
    when v_bytes >= (p_params->>'bytesMax')::bigint then 'bytes'
  end;
  v_quota bigint := p_params->>case v_unit when 'rows' then 'rowsMax' else 'bytesMax' end;
begin
  update tenant.usage
    set rows = v_rows, bytes = v_bytes, writes = greatest(0, writes - v_writes),
      written_bytes = greatest(0, written_bytes - v_written_bytes), measured_at = v_now
    where payer = p_payer and primitive = v_primitive;
  if not found then
    -- The data was erased during the measurement. A mark without a row would stay.
    return '{"ok":0}';
  end if;
  if v_unit is null then
    delete from tenant.full_primitives
      where payer = p_payer and primitive = v_primitive;
  else
    insert into tenant.full_primitives (payer, primitive, unit, quota)
      values (p_payer, v_primitive, v_unit, v_quota)
      on conflict (payer, primitive) do update set unit = excluded.unit, quota = excluded.quota;
  end if;
  return '{"ok":1}';
end $$;
