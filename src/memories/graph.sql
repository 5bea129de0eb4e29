-- Memories: the graph of large spaces, an index for approximate search. Installed as payerbase_rpc; runs inside a turn,
-- which holds the payer's lock.

-- Width of the HNSW index for vectors with this many dimensions. NULL if no index is wide enough.
create function rpc.graph_width(p_dimensions integer) returns integer
language sql immutable
as $$
  select case
{{graph_width_arms}}  end
$$;

-- A vector as the graph stores it: of length 1, so that half precision can hold it, and padded with zeros to the width
-- of the index.
create function rpc.for_graph(p_vector public.vector) returns public.halfvec
language plpgsql immutable
as $$
declare
  v_missing integer := rpc.graph_width(public.vector_dims(p_vector)) - public.vector_dims(p_vector);
  v_unit public.vector := public.l2_normalize(p_vector);
begin
  if v_missing > 0 then
    v_unit := v_unit operator(public.||) array_fill(0::real, array[v_missing])::public.vector;
  end if;
  return v_unit::public.halfvec;
end $$;

-- Copies the next vectors of a space into its graph, in the order in which they were written. Returns their number. If
-- it is less than "bite", the graph is complete. Each vector takes a millisecond or more.
create function rpc.grow_graph(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_model text := p_params->>'model';
  v_dimensions integer := p_params->>'dimensions';
  v_width integer := rpc.graph_width(v_dimensions);
  v_bite integer := p_params->>'bite';
  v_space tenant.memory_spaces;
  v_memory record;
  v_count integer := 0;
begin
  select * into v_space
    from tenant.memory_spaces
    where payer = p_payer and model = v_model and dimensions = v_dimensions;
  if not found or v_width is null then
    return '{"ok":0}';
  end if;
  for v_memory in
    select id, place, rpc.for_graph(embedding) as embedding
      from tenant.memories
      where payer = p_payer and model = v_model and dimensions = v_dimensions and dimensions > 0
        and place > v_space.grown_until
      order by place
      limit v_bite
  loop
    insert into tenant.memory_graph (payer, id, width, model, dimensions, embedding)
      values (p_payer, v_memory.id, v_width, v_model, v_dimensions, v_memory.embedding)
      on conflict (payer, id) do update
        set width = excluded.width, model = excluded.model, dimensions = excluded.dimensions,
          embedding = excluded.embedding;
    v_space.grown_until := v_memory.place;
    v_count := v_count + 1;
  end loop;
  if v_count < v_bite then
    -- The vectors with the remaining numbers were deleted or replaced.
    v_space.grown_until := v_space.last_place;
  end if;
  update tenant.memory_spaces
    set grown_until = v_space.grown_until
    where payer = p_payer and model = v_model and dimensions = v_dimensions;
  return json_build_object('ok', v_count);
end $$;
