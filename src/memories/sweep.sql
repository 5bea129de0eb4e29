-- Memories: the clean-up of expired ones. Installed as payerbase_rpc; runs inside a turn, which holds the payer's lock.

-- Deletes memories, and updates the counts of their spaces. Returns their number.
create function rpc.drop_memories(p_payer text, p_ids text[]) returns integer
language plpgsql
as $$
#variable_conflict use_column
declare
  v_left record;
  v_space tenant.memory_spaces;
  v_count integer := 0;
begin
  for v_left in
    select model, dimensions, count(*)::integer as memories
      from tenant.memories
      where payer = p_payer and id = any (p_ids)
      group by model, dimensions
  loop
    v_space := rpc.count_in_space(p_payer, v_left.model, v_left.dimensions, -v_left.memories, 0);
    v_count := v_count + v_left.memories;
  end loop;
  delete from tenant.memory_graph
    where payer = p_payer and id = any (p_ids);
  delete from tenant.memories
    where payer = p_payer and id = any (p_ids);
  return v_count;
end $$;

-- Deletes some expired memories. Returns their number.
create function rpc.sweep_memories(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
declare
  v_now timestamptz := rpc.now();
  v_ids text[];
begin
  v_ids := array(
    select id
      from tenant.memories
      where payer = p_payer and expires_at <= v_now
      order by expires_at
      limit {{memories_swept}});
  return json_build_object('ok', rpc.drop_memories(p_payer, v_ids));
end $$;
