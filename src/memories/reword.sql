-- Memories: makes the words of stored memories again, as this version makes them. Installed as payerbase_rpc. A server
-- reads a few contents (rpc.unworded_memories), prepares them, and sends them back (rpc.reword_memories), which runs
-- in a turn and holds the payer's lock.

-- The words of a memory come from a server of an earlier version: makes them again later.
create function rpc.reword_from(p_payer text, p_id text) returns void
language plpgsql
as $$
#variable_conflict use_column
begin
  insert into tenant.memory_rewording (payer, next_id)
    values (p_payer, p_id)
    on conflict (payer) do update
      set next_id = least(memory_rewording.next_id, excluded.next_id);
end $$;

-- The next memories to make the words of again. NULL if the payer has none to look at; an empty list at the end.
create function rpc.unworded_memories(p_payer text, p_params jsonb) returns json
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_from text;
  v_memories json;
begin
  select next_id into v_from
    from tenant.memory_rewording
    where payer = p_payer;
  if not found then
    return '{"ok":null}';
  end if;
  select json_agg(json_build_object('id', id, 'content', content) order by id) into v_memories
    from (
      select id, content, sum(octet_length(content)) over (order by id) - octet_length(content) as bytes_before
        from (
          select id, content
            from tenant.memories
            where payer = p_payer and id >= v_from
            order by id
            limit {{memories_reworded}}
        ) next_memories
    ) summed
    where bytes_before < {{reworded_bytes}};
  return json_build_object('ok', json_build_object('from', v_from, 'memories', coalesce(v_memories, '[]')));
end $$;

-- Writes the words of memories whose contents are still the same, and moves on. Returns the number of memories that got
-- other words.
--   p_params  "from" of rpc.unworded_memories; "memories": [{"id", "content", "searchText" (rpc.words)}]
create function rpc.reword_memories(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_from text := p_params->>'from';
  v_item jsonb;
  v_id text;
  v_content text;
  v_words tsvector;
  v_next text;
  v_count integer := 0;
begin
  for v_item in select value from jsonb_array_elements(p_params->'memories') loop
    v_id := v_item->>'id';
    v_content := v_item->>'content';
    v_words := rpc.words(v_item->'searchText', v_content);
    update tenant.memories
      set words = v_words
      where payer = p_payer and id = v_id and content = v_content and words <> v_words;
    v_count := v_count + found::integer;
    -- The smallest text that is greater.
    v_next := v_id || chr(1);
  end loop;
  -- A server of an earlier version may have set it back meanwhile.
  if v_next is null then
    delete from tenant.memory_rewording
      where payer = p_payer and next_id = v_from;
  else
    update tenant.memory_rewording
      set next_id = v_next
      where payer = p_payer and next_id = v_from;
  end if;
  return json_build_object('ok', v_count);
end $$;
