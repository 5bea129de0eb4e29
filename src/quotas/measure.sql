-- Measurements: the number of rows of a primitive and their bytes, some rows at a time. Installed as payerbase_rpc.
--
-- The bytes of a value are those that it takes in the table, compressed or in a TOAST table, which is not read. Indexes
-- do not count. The key of the last row is put into variables, because the planner does not use an index for an
-- expression such as `coalesce` under row-level security.
--   p_after  key of the last row of the previous step; NULL: from the first row

-- The result of a step.
--   p_steps  number of rows that a step reads: if there were as many, the next step begins after p_last
create function rpc.measured(p_rows bigint, p_bytes numeric, p_steps integer, p_last json) returns json
language sql immutable
as $$
  select json_build_object(
    'rows', p_rows, 'bytes', coalesce(p_bytes, 0)::bigint, 'after', case when p_rows = p_steps then p_last end)
$$;

create function rpc.measure_counters(p_payer text, p_after jsonb) returns json
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_after text := coalesce(p_after#>>'{}', '');
  v_measured json;
begin
  select rpc.measured(count(*), sum(bytes), {{measured_rows}}, to_json(max(key))) into v_measured
    from (
      select name::text collate "C" as key, {{row_bytes}} + pg_column_size(name) as bytes
        from tenant.counters
        where payer = p_payer and name > v_after
        order by name
        limit {{measured_rows}}
    ) step;
  return v_measured;
end $$;

create function rpc.measure_links(p_payer text, p_after jsonb) returns json
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_after text := coalesce(p_after#>>'{}', '');
  v_measured json;
begin
  select rpc.measured(count(*), sum(bytes), {{measured_rows}}, to_json(max(key))) into v_measured
    from (
      select slug as key,
          {{row_bytes}} + pg_column_size(slug) + pg_column_size(url) + coalesce(pg_column_size(title), 0) as bytes
        from tenant.links
        where payer = p_payer and slug > v_after
        order by slug
        limit {{measured_rows}}
    ) step;
  return v_measured;
end $$;

create function rpc.measure_locks(p_payer text, p_after jsonb) returns json
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_after text := coalesce(p_after#>>'{}', '');
  v_measured json;
begin
  select rpc.measured(count(*), sum(bytes), {{measured_rows}}, to_json(max(key))) into v_measured
    from (
      select name::text collate "C" as key,
          {{row_bytes}} + pg_column_size(name) + coalesce(pg_column_size(metadata), 0) as bytes
        from tenant.locks
        where payer = p_payer and name > v_after
        order by name
        limit {{measured_rows}}
    ) step;
  return v_measured;
end $$;

create function rpc.measure_jobs(p_payer text, p_after jsonb) returns json
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_after uuid := coalesce((p_after#>>'{}')::uuid, '00000000-0000-0000-0000-000000000000');
  v_measured json;
begin
  select rpc.measured(count(*), sum(bytes), {{measured_rows}}, to_json(max(key))) into v_measured
    from (
      select id::text collate "C" as key,
          {{row_bytes}} + pg_column_size(queue) + pg_column_size(payload) + pg_column_size(errors)
            + coalesce(pg_column_size(result), 0) + coalesce(pg_column_size(dedup_key), 0)
            + coalesce(pg_column_size("group"), 0) as bytes
        from tenant.jobs
        where payer = p_payer and id > v_after
        order by id
        limit {{measured_rows}}
    ) step;
  return v_measured;
end $$;

create function rpc.measure_memories(p_payer text, p_after jsonb) returns json
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_after text := coalesce(p_after#>>'{}', '');
  v_measured json;
begin
  select rpc.measured(count(*), sum(bytes), {{measured_memories}}, to_json(max(key))) into v_measured
    from (
      select id::text collate "C" as key,
          {{row_bytes}} + pg_column_size(id) + pg_column_size(model) + coalesce(pg_column_size(embedding), 0)
            + pg_column_size(namespace) + pg_column_size(tags) + pg_column_size(metadata) + pg_column_size(content)
            + pg_column_size(words) as bytes
        from tenant.memories
        where payer = p_payer and id > v_after
        order by id
        limit {{measured_memories}}
    ) step;
  return v_measured;
end $$;

-- Single clicks, and after them the totals.
--   p_after  ["click", slug, time, id] or ["total", slug, kind, day, value]
create function rpc.measure_clicks(p_payer text, p_after jsonb) returns json
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_slug text := coalesce(p_after->>1, '');
  v_clicked_at timestamptz := coalesce((p_after->>2)::timestamptz, '-infinity');
  v_id uuid := coalesce((p_after->>3)::uuid, '00000000-0000-0000-0000-000000000000');
  v_row record;
  v_rows bigint := 0;
  v_bytes bigint := 0;
begin
  for v_row in
    select slug, clicked_at, id,
        {{row_bytes}} + pg_column_size(slug) + coalesce(pg_column_size(referrer), 0)
          + coalesce(pg_column_size(country), 0) + coalesce(pg_column_size(browser), 0) as bytes
      from tenant.clicks
      where payer = p_payer and (slug, clicked_at, id) > (v_slug, v_clicked_at, v_id)
      order by slug, clicked_at, id
      limit {{measured_rows}}
  loop
    v_rows := v_rows + 1;
    v_bytes := v_bytes + v_row.bytes;
  end loop;
  return json_build_object('rows', v_rows, 'bytes', v_bytes, 'after', case
    when v_rows = {{measured_rows}} then json_build_array('click', v_row.slug, v_row.clicked_at, v_row.id)
    else '["total","","","-infinity",""]'
  end);
end $$;

create function rpc.measure_click_totals(p_payer text, p_after jsonb) returns json
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_slug text := p_after->>1;
  v_kind text := p_after->>2;
  v_day date := p_after->>3;
  v_value text := p_after->>4;
  v_row record;
  v_rows bigint := 0;
  v_bytes bigint := 0;
begin
  for v_row in
    select slug, kind, day, value, {{row_bytes}} + pg_column_size(slug) + pg_column_size(value) as bytes
      from tenant.click_totals
      where payer = p_payer
        and (slug, kind, day, value) > (v_slug, v_kind, v_day, v_value)
      order by slug, kind, day, value
      limit {{measured_rows}}
  loop
    v_rows := v_rows + 1;
    v_bytes := v_bytes + v_row.bytes;
  end loop;
  return rpc.measured(
    v_rows, v_bytes, {{measured_rows}}, json_build_array('total', v_row.slug, v_row.kind, v_row.day, v_row.value));
end $$;

-- One step of a measurement: the rows and bytes that it has read, and where the next step begins; "after" is null at
-- the end.
--   p_params  "primitive", "after"
create function rpc.measure_rows(p_payer text, p_params jsonb) returns json
language plpgsql stable
as $$
declare
  v_after jsonb := nullif(p_params->'after', 'null');
begin
  return json_build_object('ok', case p_params->>'primitive'
    when 'counters' then rpc.measure_counters(p_payer, v_after)
    when 'links' then rpc.measure_links(p_payer, v_after)
    when 'clicks' then case v_after->>0
      when 'total' then rpc.measure_click_totals(p_payer, v_after)
      else rpc.measure_clicks(p_payer, v_after)
    end
    when 'locks' then rpc.measure_locks(p_payer, v_after)
    when 'jobs' then rpc.measure_jobs(p_payer, v_after)
    when 'memories' then rpc.measure_memories(p_payer, v_after)
  end);
end $$;
