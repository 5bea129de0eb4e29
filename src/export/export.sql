-- Exports all that a payer has, page by page. Owned by payerbase_rpc. The functions of kinds that no list shows as a
-- whole are here; the others are those of the lists.

-- Single clicks. The cursor is slug/microseconds since 1970/id of the last one.
create function rpc.export_clicks(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_limit integer := (p_params->>'limit')::integer;
  v_cursor text[] := string_to_array(coalesce(p_params->>'cursor', '/0/00000000-0000-0000-0000-000000000000'), '/');
  v_slug text := v_cursor[1];
  v_at timestamptz := timestamptz 'epoch' + v_cursor[2]::bigint * interval '1 microsecond';
  v_id uuid := v_cursor[3];
  v_items json[] := '{}';
  v_click tenant.clicks;
  v_next text;
begin
  for v_click in
    select *
      from tenant.clicks
      where payer = p_payer and (slug, clicked_at, id) > (v_slug, v_at, v_id)
      order by slug, clicked_at, id
      limit v_limit + 1
  loop
    if cardinality(v_items) = v_limit then
      v_next := concat_ws('/', v_slug, (extract(epoch from v_at) * 1000000)::bigint, v_id);
      exit;
    end if;
    v_items := v_items || json_build_object(
      'slug', v_click.slug, 'clickedAt', v_click.clicked_at, 'referrer', v_click.referrer, 'country', v_click.country,
      'browser', v_click.browser, 'bot', v_click.bot);
    v_slug := v_click.slug;
    v_at := v_click.clicked_at;
    v_id := v_click.id;
  end loop;
  return json_build_object('ok', json_build_object('items', array_to_json(v_items), 'nextCursor', v_next));
end $$;

-- Clicks of whole days. The cursor is slug/kind/day/value of the last one. A value may have slashes.
create function rpc.export_click_totals(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_limit integer := (p_params->>'limit')::integer;
  v_cursor text[] := string_to_array(coalesce(p_params->>'cursor', '//0001-01-01/'), '/');
  v_slug text := v_cursor[1];
  v_kind text := v_cursor[2];
  v_day date := v_cursor[3];
  v_value text := array_to_string(v_cursor[4:], '/');
  v_items json[] := '{}';
  v_total tenant.click_totals;
  v_next text;
begin
  for v_total in
    select *
      from tenant.click_totals
      where payer = p_payer and (slug, kind, day, value) > (v_slug, v_kind, v_day, v_value)
      order by slug, kind, day, value
      limit v_limit + 1
  loop
    if cardinality(v_items) = v_limit then
      v_next := concat_ws('/', v_slug, v_kind, v_day, v_value);
      exit;
    end if;
    v_items := v_items || json_build_object(
      'slug', v_total.slug, 'date', v_total.day, 'by', v_total.kind, 'value', nullif(v_total.value, ''),
      'clicks', v_total.clicks, 'botClicks', v_total.bot_clicks);
    v_slug := v_total.slug;
    v_kind := v_total.kind;
    v_day := v_total.day;
    v_value := v_total.value;
  end loop;
  return json_build_object('ok', json_build_object('items', array_to_json(v_items), 'nextCursor', v_next));
end $$;

-- Jobs of all queues with their errors, in the order of their ids.
create function rpc.export_jobs(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_limit integer := (p_params->>'limit')::integer;
  v_after uuid := coalesce(p_params->>'cursor', '00000000-0000-0000-0000-000000000000');
  v_items json[] := '{}';
  v_item json;
  v_bytes bigint := 0;
  v_job tenant.jobs;
  v_next text;
begin
  for v_job in
    select *
      from tenant.jobs
      where payer = p_payer and id > v_after
      order by id
      limit v_limit + 1
  loop
    if cardinality(v_items) = v_limit or v_bytes > {{exported_bytes}} then
      v_next := v_after;
      exit;
    end if;
    v_item := rpc.job_json(v_job, v_now)::jsonb || jsonb_build_object('errors', v_job.errors);
    v_bytes := v_bytes + octet_length(v_item::text);
    v_items := v_items || v_item;
    v_after := v_job.id;
  end loop;
  return json_build_object('ok', json_build_object('items', array_to_json(v_items), 'nextCursor', v_next));
end $$;

-- Memories with their vectors, in the order of their ids. Expired ones are gone, as for all reads.
create function rpc.export_memories(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_limit integer := (p_params->>'limit')::integer;
  v_after text := coalesce(p_params->>'cursor', '');
  v_items json[] := '{}';
  v_item json;
  v_bytes bigint := 0;
  v_memory tenant.memories;
  v_next text;
begin
  for v_memory in
    select *
      from tenant.memories
      where payer = p_payer and id > v_after and coalesce(expires_at > v_now, true)
      order by id
      limit v_limit + 1
  loop
    if cardinality(v_items) = v_limit or v_bytes > {{exported_bytes}} then
      v_next := v_after;
      exit;
    end if;
    v_item := rpc.memory_json(v_memory) || jsonb_build_object('embedding', v_memory.embedding::text::jsonb);
    v_bytes := v_bytes + octet_length(v_item::text);
    v_items := v_items || v_item;
    v_after := v_memory.id;
  end loop;
  return json_build_object('ok', json_build_object('items', array_to_json(v_items), 'nextCursor', v_next));
end $$;

-- The database of SQL, without its content.
create function rpc.export_sql_database(p_payer text) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_items json;
begin
  select json_agg(json_build_object(
      'bytes', page_count::bigint * 4096, 'updatedAt', updated_at, 'operation', 'exportSql')) into v_items
    from tenant.sql_databases
    where payer = p_payer;
  return json_build_object('ok', json_build_object('items', coalesce(v_items, '[]')));
end $$;

-- A page of a kind: {"ok": {"items", "nextCursor"}}, or a problem.
--   p_params  "limit", "cursor"; "events": those that the server knows
create function rpc.export_kind(p_payer text, p_kind text, p_params jsonb) returns json
language plpgsql
as $$
begin
  return case p_kind
    when 'counter' then rpc.list_counters(p_payer, p_params)
    when 'link' then rpc.list_links(p_payer, p_params)
    when 'click' then rpc.export_clicks(p_payer, p_params)
    when 'clickTotal' then rpc.export_click_totals(p_payer, p_params)
    when 'lock' then rpc.list_locks(p_payer, p_params)
    when 'job' then rpc.export_jobs(p_payer, p_params)
    when 'memory' then rpc.export_memories(p_payer, p_params)
    when 'sqlDatabase' then rpc.export_sql_database(p_payer)
    when 'credit' then rpc.get_credit(p_payer, p_params)
    when 'ledgerEntry' then rpc.list_ledger(p_payer, p_params)
    when 'payment' then rpc.list_payments(p_payer, p_params)
    when 'token' then rpc.list_tokens(p_payer, p_params)
    when 'grant' then rpc.list_grants(p_payer, p_params)
    when 'auditEntry' then rpc.list_audit(p_payer, p_params)
  end;
end $$;

-- The next page, of one or more kinds: {"groups": [{"<kind>": [item, ..]}, ..], "nextCursor"}.
--   p_params  "kinds": all of them, in order; "cursor": <kind>/<cursor of the kind>; "limit"; "events"
create function rpc.export_payer(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
declare
  v_kinds text[] := array(select jsonb_array_elements_text(p_params->'kinds'));
  v_left integer := (p_params->>'limit')::integer;
  v_place integer := coalesce(array_position(v_kinds, split_part(p_params->>'cursor', '/', 1)), 1);
  v_cursor text := nullif(substr(p_params->>'cursor', length(v_kinds[v_place]) + 2), '');
  v_page json;
  v_bytes bigint := 0;
  v_groups json[] := '{}';
begin
  while v_place <= cardinality(v_kinds) and v_left > 0 and v_bytes <= {{exported_bytes}} loop
    v_page := rpc.export_kind(
      p_payer, v_kinds[v_place], p_params || jsonb_build_object('limit', v_left, 'cursor', v_cursor));
    if v_page->'ok' is null then
      return v_page;
    end if;
    v_page := v_page->'ok';
    if json_typeof(v_page->'items') = 'array' and json_array_length(v_page->'items') > 0 then
      v_groups := v_groups || json_build_object(v_kinds[v_place], v_page->'items');
      v_left := v_left - json_array_length(v_page->'items');
      v_bytes := v_bytes + octet_length((v_page->'items')::text);
    end if;
    v_cursor := v_page->>'nextCursor';
    if v_cursor is null then
      v_place := v_place + 1;
    end if;
  end loop;
  return json_build_object('ok', json_build_object(
    'groups', array_to_json(v_groups), 'nextCursor', v_kinds[v_place] || '/' || coalesce(v_cursor, '')));
end $$;
