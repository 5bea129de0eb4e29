-- Memories: the methods that store, read and delete. Installed as payerbase_rpc; run inside a turn (src/turn/turn.sql).
-- A turn of writes holds the payer's lock.

-- A memory as callers see it, without its vector.
create function rpc.memory_json(p_memory tenant.memories) returns jsonb
language sql stable
as $$
  select jsonb_build_object(
    'id', p_memory.id, 'namespace', p_memory.namespace, 'content', p_memory.content, 'metadata', p_memory.metadata,
    'tags', to_jsonb(p_memory.tags), 'importance', p_memory.importance, 'hasEmbedding', p_memory.embedding is not null,
    'embeddingModel', nullif(p_memory.model, ''), 'dimensions', nullif(p_memory.dimensions, 0),
    'expiresAt', case when p_memory.expires_at > {{last_time}} then {{last_time}} else p_memory.expires_at end,
    'createdAt', p_memory.created_at, 'updatedAt', p_memory.updated_at)
$$;

-- How much a memory counts in the size of a page.
create function rpc.memory_bytes(p_memory tenant.memories) returns integer
language sql stable
as $$
  select octet_length(p_memory.content) + octet_length(p_memory.metadata::text)
$$;

-- The size of a memory, to tell whether it grows.
create function rpc.memory_size(p_memory tenant.memories) returns integer
language sql stable
as $$
  select rpc.memory_bytes(p_memory) + octet_length(p_memory.namespace)
    + octet_length(array_to_string(p_memory.tags, '')) + 4 * p_memory.dimensions
$$;

-- Updates the counts of a space and returns it.
--   p_memories  change of the number of memories
--   p_places    number of vectors that are written
create function rpc.count_in_space(
  p_payer text, p_model text, p_dimensions integer, p_memories integer, p_places integer
) returns tenant.memory_spaces
language plpgsql
as $$
#variable_conflict use_column
declare
  v_space tenant.memory_spaces;
begin
  update tenant.memory_spaces
    set memories = memories + p_memories, last_place = last_place + p_places
    where payer = p_payer and model = p_model and dimensions = p_dimensions
    returning * into v_space;
  if not found then
    insert into tenant.memory_spaces (payer, model, dimensions, memories, last_place, grown_until)
      values (p_payer, p_model, p_dimensions, p_memories, p_places, 0)
      returning * into v_space;
  elsif v_space.memories = 0 then
    delete from tenant.memory_spaces
      where payer = p_payer and model = p_model and dimensions = p_dimensions;
  end if;
  return v_space;
end $$;

-- Writes a memory and updates the counts of its spaces. A replaced vector leaves the graph; the sweeper adds the new
-- one.
--   p_old  the memory before; its id is NULL if there was none
create function rpc.put_memory(p_payer text, p_memory tenant.memories, p_old tenant.memories) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
  v_comes boolean := p_old.id is null or p_old.model <> p_memory.model or p_old.dimensions <> p_memory.dimensions;
  v_leaves boolean := v_comes and p_old.id is not null;
  v_is_new_vector boolean := p_memory.dimensions > 0
    and (v_comes or p_old.embedding operator(public.<>) p_memory.embedding);
  v_space tenant.memory_spaces;
  v_grown_until bigint;
begin
  p_memory.place := case when v_comes then 0 else p_old.place end;
  if v_comes or v_is_new_vector then
    v_space := rpc.count_in_space(
      p_payer, p_memory.model, p_memory.dimensions, v_comes::integer, v_is_new_vector::integer);
    p_memory.place := case when v_is_new_vector then v_space.last_place else 0 end;
    v_grown_until := v_space.grown_until;
  end if;
  if v_leaves then
    v_space := rpc.count_in_space(p_payer, p_old.model, p_old.dimensions, -1, 0);
    v_grown_until := v_space.grown_until;
  end if;
  if p_old.dimensions > 0 and p_old.place <= v_grown_until then
    delete from tenant.memory_graph
      where payer = p_payer and id = p_old.id;
  end if;
  insert into tenant.memories (
    payer, id, namespace, content, metadata, tags, importance, model, dimensions, is_made, embedding, words, place,
    expires_at, created_at, updated_at
  )
    values (p_payer, p_memory.id, p_memory.namespace, p_memory.content, p_memory.metadata, p_memory.tags,
      p_memory.importance, p_memory.model, p_memory.dimensions, p_memory.is_made, p_memory.embedding, p_memory.words,
      p_memory.place, p_memory.expires_at, p_memory.created_at, p_memory.updated_at)
    on conflict (payer, id) do update
      set namespace = excluded.namespace, content = excluded.content, metadata = excluded.metadata,
        tags = excluded.tags, importance = excluded.importance, model = excluded.model,
        dimensions = excluded.dimensions, is_made = excluded.is_made, embedding = excluded.embedding,
        words = excluded.words, place = excluded.place, expires_at = excluded.expires_at,
        created_at = excluded.created_at, updated_at = excluded.updated_at;
end $$;

-- The expiry of a call from "expiresAt" or "ttlMs". NULL if it has neither.
create function rpc.expiry(p_params jsonb, p_now timestamptz) returns timestamptz
language sql immutable
as $$
  select coalesce(
    (p_params->>'expiresAt')::timestamptz, p_now + make_interval(secs => (p_params->>'ttlMs')::bigint / 1000.0))
$$;

-- A problem if the metadata is over 32 KiB as text of jsonb, which has a space after each comma and colon: only a value
-- from a $ref can be, or a request of an older server. NULL if it fits.
--   p_within  JSON pointer of the memory in the request
create function rpc.metadata_problem(p_metadata jsonb, p_within text) returns json
language plpgsql immutable
as $$
begin
  -- The limit of the domain tenant.metadata.
  if octet_length(p_metadata::text) > {{memory_metadata_stored_max}} then
    return rpc.invalid_value(
      p_within || '/metadata',
      'must be at most {{memory_metadata_stored_max}} bytes of JSON with spaces and all digits of its numbers');
  end if;
  return null;
end $$;

-- Stores one memory and returns it. It replaces the memory with the same id.
--   p_params  of the call, with "embedding" as text; "searchText" (rpc.words); "isMade": the server made the vector
create function rpc.store(p_payer text, p_params jsonb, p_now timestamptz) returns jsonb
language plpgsql
as $$
#variable_conflict use_column
declare
  v_memory tenant.memories;
  v_old tenant.memories;
  v_replaced boolean;
begin
  v_memory.id := p_params->>'id';
  select * into v_old
    from tenant.memories
    where payer = p_payer and id = v_memory.id;
  v_replaced := found and coalesce(v_old.expires_at > p_now, true);
  v_memory.namespace := p_params->>'namespace';
  v_memory.content := p_params->>'content';
  v_memory.metadata := p_params->'metadata';
  v_memory.tags := array(select jsonb_array_elements_text(p_params->'tags'));
  v_memory.importance := p_params->>'importance';
  v_memory.embedding := p_params->>'embedding';
  v_memory.model := coalesce(p_params->>'embeddingModel', '');
  v_memory.dimensions := coalesce(public.vector_dims(v_memory.embedding), 0);
  v_memory.is_made := p_params->>'isMade';
  v_memory.words := rpc.words(p_params->'searchText', v_memory.content);
  v_memory.expires_at := rpc.expiry(p_params, p_now);
  v_memory.created_at := case when v_replaced then v_old.created_at else p_now end;
  v_memory.updated_at := p_now;
  perform rpc.put_memory(p_payer, v_memory, v_old);
  if not p_params->'searchText' ? 'parts' then
    perform rpc.reword_from(p_payer, v_memory.id);
  end if;
  return rpc.memory_json(v_memory) || jsonb_build_object('replaced', v_replaced);
end $$;

-- The problem of memories that would be new or larger than before, if the payer has as many as it may have. NULL if
-- they may be stored.
--   p_memories  parameters as in rpc.store
create function rpc.store_problem(p_payer text, p_memories jsonb) returns json
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_problem json := rpc.quota_problem(p_payer, 'memories');
  v_new tenant.memories;
  v_size integer;
begin
  for i in 0 .. case when v_problem is null then -1 else jsonb_array_length(p_memories) - 1 end loop
    v_new := jsonb_populate_record(null::tenant.memories, p_memories->i);
    v_new.dimensions := coalesce(public.vector_dims(v_new.embedding), 0);
    select rpc.memory_size(memories) into v_size
      from tenant.memories
      where payer = p_payer and id = v_new.id;
    if not found or rpc.memory_size(v_new) > v_size then
      return v_problem;
    end if;
  end loop;
  return null;
end $$;

create function rpc.store_memory(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
declare
  v_problem json := coalesce(
    rpc.metadata_problem(p_params->'metadata', ''), rpc.store_problem(p_payer, jsonb_build_array(p_params)));
begin
  if v_problem is not null then
    return v_problem;
  end if;
  return json_build_object('ok', rpc.store(p_payer, p_params, rpc.now()));
end $$;

create function rpc.store_memories(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
declare
  v_now timestamptz := rpc.now();
  v_memories json[] := '{}';
  v_problem json := rpc.store_problem(p_payer, p_params->'memories');
begin
  if v_problem is not null then
    return v_problem;
  end if;
  for i in 0 .. jsonb_array_length(p_params->'memories') - 1 loop
    v_problem := rpc.metadata_problem(p_params->'memories'->i->'metadata', '/memories/' || i);
    if v_problem is not null then
      return v_problem;
    end if;
  end loop;
  for i in 0 .. jsonb_array_length(p_params->'memories') - 1 loop
    v_memories := v_memories || rpc.store(p_payer, p_params->'memories'->i, v_now)::json;
  end loop;
  return json_build_object('ok', json_build_object('memories', array_to_json(v_memories)));
end $$;

create function rpc.recall_memory(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_id text := p_params->>'id';
  v_memory tenant.memories;
begin
  select * into v_memory
    from tenant.memories
    where payer = p_payer and id = v_id and coalesce(expires_at > v_now, true);
  if not found then
    return rpc.problem('not-found');
  end if;
  return json_build_object('ok', case when (p_params->>'includeEmbedding')::boolean
    then rpc.memory_json(v_memory) || jsonb_build_object('embedding', v_memory.embedding::text::jsonb)
    else rpc.memory_json(v_memory) end);
end $$;

-- The result of a merge patch (RFC 7396): one statement for each object of the patch, whatever its number of members.
create function rpc.merge_patch(p_target jsonb, p_patch jsonb) returns jsonb
language plpgsql immutable
as $$
begin
  if jsonb_typeof(p_patch) <> 'object' then
    return p_patch;
  end if;
  return coalesce((
    select jsonb_object_agg(key, case
        when patch.value is null then target.value
        -- An object without null and without a counterpart is its own result.
        when jsonb_typeof(patch.value) = 'object'
          and (jsonb_typeof(target.value) = 'object' or patch.value @? '$.** ? (@ == null)')
          then rpc.merge_patch(target.value, patch.value)
        else patch.value
      end)
      from jsonb_each(case when jsonb_typeof(p_target) = 'object' then p_target else '{}' end) as target
      full join jsonb_each(p_patch) as patch using (key)
      where jsonb_typeof(patch.value) is distinct from 'null'), '{}');
end $$;

-- Updates a memory with a merge patch: absent members are unchanged, and null removes a value or restores its default.
-- If the content changes, a vector that the server made is replaced, or removed if the call has no new one. A vector
-- from the caller stays until the caller sends another one, or null.
--   p_params  as in rpc.store; "embedding": null removes the vector
create function rpc.update_memory(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_id text := p_params->>'id';
  v_old tenant.memories;
  v_memory tenant.memories;
  v_metadata jsonb;
  v_problem json;
begin
  select * into v_old
    from tenant.memories
    where payer = p_payer and id = v_id and coalesce(expires_at > v_now, true);
  if not found then
    return rpc.problem('not-found');
  end if;
  v_memory := v_old;
  v_memory.updated_at := v_now;
  v_memory.namespace := coalesce(p_params->>'namespace', v_old.namespace);
  v_memory.importance := coalesce((p_params->>'importance')::double precision, v_old.importance);
  if p_params ? 'tags' then
    v_memory.tags := array(select jsonb_array_elements_text(p_params->'tags'));
  end if;
  if p_params ? 'metadata' then
    v_metadata := case
      when jsonb_typeof(p_params->'metadata') = 'null' then '{}'
      else rpc.merge_patch(v_old.metadata, p_params->'metadata')
    end;
    -- The limit of the domain tenant.metadata.
    if octet_length(v_metadata::text) > {{memory_metadata_stored_max}} then
      return rpc.problem(
        'payload-too-large', json_build_object(
          'limitBytes', {{memory_metadata_stored_max}}, 'detail', 'The metadata would become larger than the limit.'));
    end if;
    v_memory.metadata := v_metadata;
  end if;
  if p_params ?| '{expiresAt,ttlMs}' then
    v_memory.expires_at := rpc.expiry(p_params, v_now);
  end if;
  if p_params ? 'content' then
    v_memory.content := p_params->>'content';
    v_memory.words := rpc.words(p_params->'searchText', v_memory.content);
  end if;
  if (case
    when (p_params->>'isMade')::boolean then v_old.is_made or v_old.embedding is null
    else p_params ? 'embedding' or (v_old.is_made and p_params ? 'content')
  end) then
    v_memory.embedding := p_params->>'embedding';
    v_memory.model := coalesce(p_params->>'embeddingModel', '');
    v_memory.dimensions := coalesce(public.vector_dims(v_memory.embedding), 0);
    v_memory.is_made := p_params->>'isMade';
  end if;
  if rpc.memory_size(v_memory) > rpc.memory_size(v_old) then
    v_problem := rpc.quota_problem(p_payer, 'memories');
    if v_problem is not null then
      return v_problem;
    end if;
  end if;
  perform rpc.put_memory(p_payer, v_memory, v_old);
  if p_params ? 'content' and not p_params->'searchText' ? 'parts' then
    perform rpc.reword_from(p_payer, v_id);
  end if;
  return json_build_object('ok', rpc.memory_json(v_memory));
end $$;

create function rpc.forget_memory(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_id text := p_params->>'id';
  v_old record;
  v_space tenant.memory_spaces;
begin
  delete from tenant.memories
    where payer = p_payer and id = v_id
    returning model, dimensions, place, expires_at into v_old;
  if not found then
    return rpc.problem('not-found');
  end if;
  v_space := rpc.count_in_space(p_payer, v_old.model, v_old.dimensions, -1, 0);
  if v_old.place <= v_space.grown_until then
    delete from tenant.memory_graph
      where payer = p_payer and id = v_id;
  end if;
  -- An expired memory is deleted too, but callers do not see it.
  return case when v_old.expires_at <= v_now then rpc.problem('not-found') else '{"ok":null}' end;
end $$;

-- A page of memories in the order of their ids. With a tag, the index finds the memories that have it.
create function rpc.list_memories(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_prefix text := coalesce(p_params->>'prefix', '');
  v_last text := v_prefix || {{prefix_end}};
  v_after text := coalesce(p_params->>'cursor', '');
  v_limit integer := (p_params->>'limit')::integer;
  v_namespace text := p_params->>'namespace';
  v_tag text := p_params->>'tag';
  v_ids text[];
  v_items json;
begin
  if v_tag is not null then
    v_ids := array(
      select id
        from unnest(search.ids_by_keys(p_payer, array[tenant.hashed_key(p_payer, 't', v_tag)], null, null)) as id
        -- The ids from search.ids_by_keys have the default collation of the database.
        where id collate "C" > v_after and id collate "C" >= v_prefix and id collate "C" <= v_last);
    v_ids := array(
      select id
        from tenant.memories
        where payer = p_payer and id = any (v_ids) and tags @> array[v_tag] and coalesce(expires_at > v_now, true)
          and (v_namespace is null or namespace = v_namespace)
        order by id
        limit v_limit + 1);
  elsif v_namespace is not null then
    v_ids := array(
      select id
        from tenant.memories
        where payer = p_payer and namespace = v_namespace and id > v_after and id >= v_prefix and id <= v_last
          and coalesce(expires_at > v_now, true)
        order by id
        limit v_limit + 1);
  else
    v_ids := array(
      select id
        from tenant.memories
        where payer = p_payer and id > v_after and id >= v_prefix and id <= v_last
          and coalesce(expires_at > v_now, true)
        order by id
        limit v_limit + 1);
  end if;
  -- The page ends early once its contents and metadata exceed the limit.
  select count(*) into v_limit
    from (
      select sum(bytes) over (order by id) - bytes as bytes_before
        from tenant.memories, rpc.memory_bytes(memories) as bytes
        where payer = p_payer and id = any (v_ids[:v_limit])
    ) sized
    where bytes_before <= {{memories_bytes_max}};
  select json_agg(rpc.memory_json(memories) order by id) into v_items
    from tenant.memories
    where payer = p_payer and id = any (v_ids[:v_limit]);
  return json_build_object('ok', json_build_object(
    'items', coalesce(v_items, '[]'), 'nextCursor', case when cardinality(v_ids) > v_limit then v_ids[v_limit] end));
end $$;

