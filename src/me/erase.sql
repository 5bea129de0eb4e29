-- Erases the data of a payer, a limited number of rows in a turn, which holds the payer's lock. Owned by payerbase_rpc.
-- Each function deletes up to p_limit rows of a kind, in the order of their primary key, and returns their number.
-- Kept: credit, ledger, payments, tokens, grants and the log of the account; tenant.fences, because no fence may come
-- back; and the hashes of idempotency keys, until the day of their answers is over, so that no write runs twice.

create function rpc.erase_counters(p_payer text, p_limit integer) returns integer
language plpgsql
as $$
#variable_conflict use_column
declare
  v_names text[];
begin
  v_names := array(
    select name
      from tenant.counters
      where payer = p_payer
      order by name
      limit p_limit);
  delete from tenant.counters
    where payer = p_payer and name = any (v_names);
  return cardinality(v_names);
end $$;

-- Also held ones. What they guard is safe: the fence of the next holder is higher.
create function rpc.erase_locks(p_payer text, p_limit integer) returns integer
language plpgsql
as $$
declare
  v_names text[];
begin
  v_names := array(
    select name
      from tenant.locks
      where payer = p_payer
      order by name
      limit p_limit);
  return rpc.drop_locks(p_payer, v_names);
end $$;

-- Queue by queue. Waiting jobs go first, so that none is left waiting for a job of its group that is gone: `waiting` is
-- the last of the states.
create function rpc.erase_jobs(p_payer text, p_limit integer) returns integer
language plpgsql
as $$
#variable_conflict use_column
declare
  v_left integer := p_limit;
  v_queue text;
  v_ids uuid[];
begin
  while v_left > 0 loop
    select queue into v_queue
      from tenant.queues
      where payer = p_payer
      order by queue
      limit 1;
    exit when not found;
    v_ids := array(
      select id
        from tenant.jobs
        where payer = p_payer and queue = v_queue
        order by state desc, rank desc, place desc
        limit v_left);
    delete from tenant.jobs
      where payer = p_payer and id = any (v_ids);
    v_left := v_left - cardinality(v_ids);
    if v_left > 0 then
      delete from tenant.queues
        where payer = p_payer and queue = v_queue;
      v_left := v_left - 1;
    end if;
  end loop;
  return p_limit - v_left;
end $$;

-- The slugs of the links that the next turn may delete. Their reservations are renewed before, as for deleteLink.
create function rpc.slugs_to_erase(p_payer text) returns text[]
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  p_payer := set_config('payerbase.payer', p_payer, true);
  return array(
    select slug
      from tenant.links
      where payer = p_payer
      order by slug
      limit {{erased_rows}});
end $$;

grant execute on function rpc.slugs_to_erase(text) to payerbase_app;

-- The sweeper frees the slugs.
create function rpc.erase_links(p_payer text, p_limit integer) returns integer
language plpgsql
as $$
#variable_conflict use_column
declare
  v_slugs text[];
begin
  v_slugs := array(
    select slug
      from tenant.links
      where payer = p_payer
      order by slug
      limit p_limit);
  delete from tenant.links
    where payer = p_payer and slug = any (v_slugs);
  return cardinality(v_slugs);
end $$;

create function rpc.erase_clicks(p_payer text, p_limit integer) returns integer
language plpgsql
as $$
#variable_conflict use_column
declare
  v_next record;
  v_count integer;
begin
  select slug, clicked_at, id into v_next
    from tenant.clicks
    where payer = p_payer
    order by slug, clicked_at, id
    offset p_limit
    limit 1;
  if found then
    delete from tenant.clicks
      where payer = p_payer and (slug, clicked_at, id) < (v_next.slug, v_next.clicked_at, v_next.id);
  else
    delete from tenant.clicks
      where payer = p_payer;
  end if;
  get diagnostics v_count = row_count;
  return v_count;
end $$;

create function rpc.erase_click_totals(p_payer text, p_limit integer) returns integer
language plpgsql
as $$
#variable_conflict use_column
declare
  v_next record;
  v_count integer;
begin
  select slug, kind, day, value into v_next
    from tenant.click_totals
    where payer = p_payer
    order by slug, kind, day, value
    offset p_limit
    limit 1;
  if found then
    delete from tenant.click_totals
      where payer = p_payer and (slug, kind, day, value) < (v_next.slug, v_next.kind, v_next.day, v_next.value);
  else
    delete from tenant.click_totals
      where payer = p_payer;
  end if;
  get diagnostics v_count = row_count;
  return v_count;
end $$;

create function rpc.erase_memories(p_payer text, p_limit integer) returns integer
language plpgsql
as $$
declare
  v_ids text[];
begin
  v_ids := array(
    select id
      from tenant.memories
      where payer = p_payer
      order by id
      limit p_limit);
  return rpc.drop_memories(p_payer, v_ids);
end $$;

-- A database is deleted as a whole, so that no call ever reads a part of it. It has 4,096 pages at most. So have pages
-- of a write that were put aside.
create function rpc.erase_sql(p_payer text, p_limit integer) returns integer
language plpgsql
as $$
#variable_conflict use_column
declare
  v_total integer := 0;
  v_count integer;
  v_stage uuid;
begin
  if p_limit > 0 then
    delete from tenant.sql_databases
      where payer = p_payer;
    get diagnostics v_total = row_count;
    delete from tenant.sql_pages
      where payer = p_payer;
    get diagnostics v_count = row_count;
    v_total := v_total + v_count;
  end if;
  while v_total < p_limit loop
    select stage into v_stage
      from tenant.sql_staged
      where payer = p_payer
      limit 1;
    exit when not found;
    delete from tenant.sql_staged
      where payer = p_payer and stage = v_stage;
    get diagnostics v_count = row_count;
    v_total := v_total + v_count;
  end loop;
  return v_total;
end $$;

-- Erases answers that are kept under idempotency keys, and looks at p_limit keys at most. The hashes of the keys stay,
-- with the hash of no request: a repeated write is refused with `idempotency-mismatch`. The next call goes on behind
-- the last key, so that it does not read the erased ones again; answers that are kept meanwhile may stay.
create function rpc.erase_answers(p_payer text, p_limit integer, out erased integer, out has_more boolean)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_keys bytea[];
  v_bytes bigint;
begin
  v_keys := array(
    select key_sha256
      from tenant.idempotency
      where payer = p_payer and key_sha256 > coalesce(
        (select erased_until from tenant.kept_answers where payer = p_payer), '')
      order by key_sha256
      limit p_limit);
  has_more := cardinality(v_keys) = p_limit;
  select sum(large_bytes) into v_bytes
    from tenant.idempotency
    where payer = p_payer and key_sha256 = any (v_keys);
  if v_bytes > 0 or has_more then
    perform rpc.count_kept_bytes(p_payer, -coalesce(v_bytes, 0));
  end if;
  update tenant.idempotency
    set request_sha256 = '', answer = 'null', large_bytes = null
    where payer = p_payer and key_sha256 = any (v_keys) and request_sha256 <> '';
  get diagnostics erased = row_count;
  update tenant.kept_answers
    set erased_until = case when has_more then v_keys[p_limit] end
    where payer = p_payer;
end $$;

-- What is known of the data: a row or a few of each kind.
create function rpc.erase_measures(p_payer text) returns void
language plpgsql
as $$
begin
  delete from tenant.kept_answers
    where payer = p_payer and bytes <= 0;
  delete from tenant.memory_rewording
    where payer = p_payer;
  delete from tenant.full_primitives
    where payer = p_payer;
  delete from tenant.usage
    where payer = p_payer;
end $$;

-- Erases the next rows of any kind.
create function rpc.erase_data(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
declare
  v_left integer := {{erased_rows}};
  v_answers integer := 0;
  v_more boolean := true;
begin
  v_left := v_left - rpc.erase_counters(p_payer, v_left);
  v_left := v_left - rpc.erase_locks(p_payer, v_left);
  v_left := v_left - rpc.erase_jobs(p_payer, v_left);
  v_left := v_left - rpc.erase_links(p_payer, v_left);
  v_left := v_left - rpc.erase_clicks(p_payer, v_left);
  v_left := v_left - rpc.erase_click_totals(p_payer, v_left);
  v_left := v_left - rpc.erase_memories(p_payer, v_left);
  v_left := v_left - rpc.erase_sql(p_payer, v_left);
  if v_left > 0 then
    select erased, has_more into v_answers, v_more
      from rpc.erase_answers(p_payer, {{erased_answers}});
  end if;
  if not v_more then
    perform rpc.erase_measures(p_payer);
  end if;
  return json_build_object('ok', json_build_object(
    'deleted', {{erased_rows}} - v_left + v_answers,
    'hasMore', v_more));
end $$;

-- The same for a payer who asks for it, with an entry in the log of the account.
--   p_params  "by": the token of the caller
create function rpc.erase_payer(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
begin
  perform auth.note_erasure(p_params->>'by');
  return rpc.erase_data(p_payer, p_params);
end $$;
