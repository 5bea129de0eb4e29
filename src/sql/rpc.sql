-- SQL: versions and pages of the databases of payers. Owned by payerbase_rpc. Statements of payers never run here.

-- The newest version, and the pages that were written after the version with the id p_since; NULL if that is not one of
-- the latest versions before it. No row: the payer has no database.
create function rpc.sql_head(
  p_payer text, p_since uuid, out version bigint, out id uuid, out page_count integer, out changed integer[]
) returns setof record
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  p_payer := set_config('payerbase.payer', p_payer, true);
  return query
    select d.version, d.id, d.page_count, case
        when p_since = any (d.ancestors) then array(
          select p.page_no::integer
            from tenant.sql_pages p
            where p.payer = p_payer and p.version > d.version - array_position(d.ancestors, p_since))
      end
      from tenant.sql_databases d
      where d.payer = p_payer;
end $$;

-- Some pages, as they are now. None if this database does not know the version with the id p_head: after a failover, a
-- server may have connections to two databases.
create function rpc.sql_pages(
  p_payer text, p_head uuid, p_numbers integer[], out page_no integer, out version bigint, out data bytea
) returns setof record
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  p_payer := set_config('payerbase.payer', p_payer, true);
  return query
    select p.page_no::integer, p.version, p.data::bytea
      from tenant.sql_pages p
      where p.payer = p_payer and p.page_no = any (p_numbers) and exists (
        select
          from tenant.sql_databases d
          where d.payer = p_payer and (d.id = p_head or p_head = any (d.ancestors)));
end $$;

-- The newest version with all of its pages.
create function rpc.sql_whole(
  p_payer text, out version bigint, out id uuid, out page_count integer, out page_no integer, out page_version bigint,
  out data bytea
) returns setof record
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  p_payer := set_config('payerbase.payer', p_payer, true);
  return query
    select d.version, d.id, d.page_count, p.page_no::integer, p.version, p.data::bytea
      from tenant.sql_databases d
      join tenant.sql_pages p on p.payer = p_payer
      where d.payer = p_payer;
end $$;

-- The rows of a table of a primitive for SQL, as the method shows them that lists the same.
create function rpc.sql_rows(p_payer text, p_table text, p_now timestamptz) returns setof json
language sql stable
as $$
  select to_json(row(name, value, min, max, created_at, updated_at)::rpc.shown_counter)
    from tenant.counters
    where p_table = 'pb_counters' and payer = p_payer
  union all
  select rpc.link_json(l)
    from tenant.links l
    where p_table = 'pb_links' and l.payer = p_payer
  union all
  select rpc.lock_json(l.name, l)
    from tenant.locks l
    where p_table = 'pb_locks' and l.payer = p_payer and l.token_sha256 is not null and l.expires_at > p_now
  union all
  select rpc.job_json(j, p_now)
    from tenant.jobs j
    where p_table = 'pb_jobs' and j.payer = p_payer
  union all
  select rpc.queue_counts(p_payer, queue, p_now)
    from (select distinct queue from tenant.jobs where p_table = 'pb_queues' and payer = p_payer) queues
  union all
  select rpc.memory_json(m)::json
    from tenant.memories m
    where p_table = 'pb_memories' and m.payer = p_payer and coalesce(m.expires_at > p_now, true)
$$;

-- The id of the newest version (NULL: there is none), and the rows of some tables of primitives at the same moment, a
-- JSON array for each. NULL: they have too many rows or bytes. Stable, so that all of it is seen in one snapshot.
create function rpc.sql_tables(p_payer text, p_names text[], out id uuid, out tables text[])
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_name text;
  v_row json;
  v_rows text[];
  v_count integer := 0;
  v_bytes bigint := 0;
begin
  p_payer := set_config('payerbase.payer', p_payer, true);
  id := (select d.id from tenant.sql_databases d where d.payer = p_payer);
  foreach v_name in array p_names loop
    v_rows := '{}';
    for v_row in
      select *
        from rpc.sql_rows(p_payer, v_name, v_now)
    loop
      v_count := v_count + 1;
      v_bytes := v_bytes + octet_length(v_row::text);
      if v_count > {{sql_tables_rows_max}} or v_bytes > {{sql_tables_bytes_max}} then
        tables := null;
        return;
      end if;
      v_rows := v_rows || v_row::text;
    end loop;
    tables := tables || ('[' || array_to_string(v_rows, ',') || ']');
  end loop;
end $$;

-- Puts pages aside for a write. Returns false if there are too many already, of writes that have not happened.
create function rpc.sql_stage(p_payer text, p_stage uuid, p_numbers integer[], p_data bytea[]) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
begin
  p_payer := set_config('payerbase.payer', p_payer, true);
  if (select count(*) from tenant.sql_staged where payer = p_payer) > {{sql_staged_pages_max}} then
    return false;
  end if;
  insert into tenant.sql_staged (payer, stage, page_no, data, created_at)
    select p_payer, p_stage, unnest(p_numbers), unnest(p_data), v_now;
  return true;
end $$;

-- Deletes pages that were put aside for a write that does not happen.
create function rpc.sql_unstage(p_payer text, p_stage uuid) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  p_payer := set_config('payerbase.payer', p_payer, true);
  delete from tenant.sql_staged
    where payer = p_payer and stage = p_stage;
end $$;

grant execute on function
  rpc.sql_head(text, uuid),
  rpc.sql_pages(text, uuid, integer[]),
  rpc.sql_whole(text),
  rpc.sql_tables(text, text[]),
  rpc.sql_stage(text, uuid, integer[], bytea[]),
  rpc.sql_unstage(text, uuid)
to payerbase_app;

-- Checks that the version that a call has read is the newest one, and stores the pages that the call has written as the
-- next version. Returns the problem, or NULL.
--   p_turn  "base": the id of the version that must be the newest, zero for no version; absent: any will do. "next":
--           the id of the new version; absent: nothing was written. "pageCount"; "pages": [{"number", "data"}], in
--           base64, or "stage" and "staged", where the pages are and how many. NULL: the call has not run
create function rpc.commit_sql(p_payer text, p_turn jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_base uuid := p_turn->>'base';
  v_next uuid := p_turn->>'next';
  v_stage uuid := p_turn->>'stage';
  v_page_count integer := p_turn->>'pageCount';
  v_old record;
  v_version bigint;
  v_ancestors uuid[];
  v_numbers integer[];
  v_data bytea[];
begin
  if p_turn is null or jsonb_typeof(p_turn) <> 'object' then
    return rpc.problem('database-busy');
  end if;
  if v_base is null then
    return null;
  end if;
  select version, id, page_count, ancestors into v_old
    from tenant.sql_databases
    where payer = p_payer;
  if coalesce(v_old.id, '00000000-0000-0000-0000-000000000000') <> v_base then
    return rpc.problem('database-busy');
  end if;
  if v_next is null then
    return null;
  end if;
  v_version := coalesce(v_old.version, 0) + 1;
  if v_old.id is not null then
    v_ancestors := (v_old.id || coalesce(v_old.ancestors, '{}'))[1:8];
  else
    v_ancestors := '{}';
  end if;
  if v_stage is null then
    select array_agg((page->>'number')::integer), array_agg(decode(page->>'data', 'base64')) into v_numbers, v_data
      from jsonb_array_elements(p_turn->'pages') page;
  else
    select array_agg(page_no::integer), array_agg(data::bytea) into v_numbers, v_data
      from tenant.sql_staged
      where payer = p_payer and stage = v_stage;
    if cardinality(v_numbers) is distinct from (p_turn->>'staged')::integer then
      -- They were swept.
      return rpc.problem('database-busy');
    end if;
    delete from tenant.sql_staged
      where payer = p_payer and stage = v_stage;
  end if;
  insert into tenant.sql_databases (payer, version, id, page_count, updated_at, ancestors)
    values (p_payer, v_version, v_next, v_page_count, v_now, v_ancestors)
    on conflict (payer) do update
      set version = excluded.version, id = excluded.id, page_count = excluded.page_count,
        updated_at = excluded.updated_at, ancestors = excluded.ancestors;
  insert into tenant.sql_pages (payer, page_no, version, data)
    select p_payer, unnest(v_numbers), v_version, unnest(v_data)
    on conflict (payer, page_no) do update set version = excluded.version, data = excluded.data;
  if v_page_count < v_old.page_count then
    delete from tenant.sql_pages
      where payer = p_payer and page_no > v_page_count;
  end if;
  return null;
end $$;

-- The end of a call that ran before its turn.
--   p_params  "turn": as for rpc.commit_sql; "result": the result, as JSON in a text; absent: the server has it
create function rpc.end_sql(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
declare
  v_problem json := rpc.commit_sql(p_payer, p_params->'turn');
begin
  return coalesce(v_problem, json_build_object('ok', coalesce(p_params->>'result', '{}')::json));
end $$;

create function rpc.query_sql(p_payer text, p_params jsonb) returns json
language sql
as $$
  select rpc.end_sql(p_payer, p_params)
$$;

create function rpc.execute_sql(p_payer text, p_params jsonb) returns json
language sql
as $$
  select rpc.end_sql(p_payer, p_params)
$$;

create function rpc.get_sql_schema(p_payer text, p_params jsonb) returns json
language sql
as $$
  select rpc.end_sql(p_payer, p_params)
$$;

create function rpc.export_sql(p_payer text, p_params jsonb) returns json
language sql
as $$
  select rpc.end_sql(p_payer, p_params)
$$;

create function rpc.import_sql(p_payer text, p_params jsonb) returns json
language sql
as $$
  select rpc.end_sql(p_payer, p_params)
$$;

create function rpc.migrate_sql(p_payer text, p_params jsonb) returns json
language sql
as $$
  select rpc.end_sql(p_payer, p_params)
$$;

create function rpc.batch_sql(p_payer text, p_params jsonb) returns json
language sql
as $$
  select rpc.end_sql(p_payer, p_params)
$$;

-- Deletes pages that were put aside for a write that did not happen. Returns their number.
create function rpc.sweep_sql(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_before timestamptz := rpc.now() - {{sql_staged_kept}};
  v_stage uuid;
  v_swept integer;
begin
  select stage into v_stage
    from tenant.sql_staged
    where payer = p_payer and created_at < v_before
    limit 1;
  delete from tenant.sql_staged
    where payer = p_payer and stage = v_stage;
  get diagnostics v_swept = row_count;
  return json_build_object('ok', v_swept);
end $$;
