-- Memories: search by vector. Installed as payerbase_rpc.
--
-- A search has one of four paths. On each of them, expiry, filter, tags and namespace apply before the top-k cut.
--   space    without conditions: compares all vectors of the space. Exact.
--   scope    with conditions: reads all memories in scope and compares their vectors. Exact.
--   keys     looks up the required keys in the index and compares only these memories. Exact.
--   graph    takes more candidates than needed from the HNSW graph, adds the vectors that are not in the graph yet, and
--            compares these. Approximate. For spaces with more than tenant.exact_max() vectors, unless the caller asks
--            for an exact search. If the graph finds too few candidates, the search takes the path space or scope, but
--            does not report it as exact.

-- The nearest vectors of a space.
create function rpc.nearest_in_space(p_payer text, q tenant.memory_query, out ids text[], out scores float8[])
language plpgsql stable
as $$
#variable_conflict use_column
begin
  select array_agg(id), array_agg(score) into ids, scores
    from (
      select id, 1 - (embedding operator(public.<=>) q.embedding) as score
        from tenant.memories
        where payer = p_payer and model = q.model and dimensions = q.dimensions and dimensions > 0
          and coalesce(expires_at > q.at, true)
        order by score desc, id
        limit q.depth
    ) best;
end $$;

-- The nearest vectors in scope.
--   searched    number of memories that were compared
--   skipped     number of memories that could not be compared
--   mismatched  number of those among them that have a vector of another space
create function rpc.nearest_in_scope(
  p_payer text, q tenant.memory_query,
  out ids text[], out scores float8[], out searched bigint, out skipped bigint, out mismatched bigint
)
language plpgsql stable
as $$
#variable_conflict use_column
begin
  with scope as materialized (
    select id, dimensions,
        case when model = q.model and dimensions = q.dimensions
          then 1 - (embedding operator(public.<=>) q.embedding)
        end as score
      from tenant.memories
      where payer = p_payer and namespace >= q.namespace_min and namespace <= q.namespace_max
        and rpc.is_wanted(expires_at, tags, metadata, q.at, q.tags_all, q.tags_any, q.filter)
  ), best as (
    select id, score
      from scope
      where score is not null
      order by score desc, id
      limit q.depth
  )
  select (select array_agg(id order by score desc, id) from best),
      (select array_agg(score order by score desc, id) from best),
      count(score), count(*) - count(score), count(*) filter (where score is null and dimensions > 0)
    into nearest_in_scope.ids, nearest_in_scope.scores, nearest_in_scope.searched, nearest_in_scope.skipped,
      nearest_in_scope.mismatched
    from scope;
end $$;

-- The nearest vectors in scope among the memories p_ids. The results are those of rpc.nearest_in_scope.
create function rpc.nearest_of(
  p_payer text, q tenant.memory_query, p_ids text[],
  out ids text[], out scores float8[], out searched bigint, out skipped bigint, out mismatched bigint
)
language plpgsql stable
as $$
#variable_conflict use_column
begin
  with scope as materialized (
    select id, dimensions,
        case when model = q.model and dimensions = q.dimensions
          then 1 - (embedding operator(public.<=>) q.embedding)
        end as score
      from tenant.memories
      where payer = p_payer and id = any (p_ids) and namespace >= q.namespace_min and namespace <= q.namespace_max
        and rpc.is_wanted(expires_at, tags, metadata, q.at, q.tags_all, q.tags_any, q.filter)
  ), best as (
    select id, score
      from scope
      where score is not null
      order by score desc, id
      limit q.depth
  )
  select (select array_agg(id order by score desc, id) from best),
      (select array_agg(score order by score desc, id) from best),
      count(score), count(*) - count(score), count(*) filter (where score is null and dimensions > 0)
    into nearest_of.ids, nearest_of.scores, nearest_of.searched, nearest_of.skipped, nearest_of.mismatched
    from scope;
end $$;

-- The nearest vectors, and those of the memories p_more that can be compared.
create function rpc.with_cosines(
  p_payer text, q tenant.memory_query, p_ids text[], p_scores float8[], p_more text[],
  out ids text[], out scores float8[]
)
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_left text[] := array(select id from unnest(p_more) as id where id <> all (coalesce(p_ids, '{}')));
  v_more record;
begin
  select array_agg(id) as ids, array_agg(1 - (embedding operator(public.<=>) q.embedding)) as scores into v_more
    from tenant.memories
    where payer = p_payer and id = any (v_left) and model = q.model and dimensions = q.dimensions;
  ids := p_ids || v_more.ids;
  scores := p_scores || v_more.scores;
end $$;

-- The ids of the first p_count memories in scope that a walk of the HNSW graph finds. The walk checks the conditions of
-- each. Each index has one width, so each width has its own statement. The settings leave the planner no other plan.
create function rpc.along_graph(p_payer text, q tenant.memory_query, p_count integer) returns text[]
language plpgsql stable
set hnsw.ef_search = 200
set hnsw.max_scan_tuples = 5000
set hnsw.iterative_scan = relaxed_order
set enable_sort = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
  v_query public.halfvec := rpc.for_graph(q.embedding);
begin
  case rpc.graph_width(q.dimensions)
{{along_graph_arms}}    else return '{}';
  end case;
end $$;

-- The nearest vectors, on the path that suits the search. A large space is searched approximately unless p_exact is
-- true.
--   p_total    number of all memories of the payer
--   p_vectors  number of those that have a vector
create function rpc.nearest(
  p_payer text, q tenant.memory_query, p_space tenant.memory_spaces, p_total bigint, p_vectors bigint, p_exact boolean,
  out ids text[], out scores float8[], out searched bigint, out skipped bigint, out mismatched bigint,
  out is_exact boolean
)
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_is_narrowed boolean :=
    q.namespace_min <> '' or q.filter is not null or q.tags_all is not null or q.tags_any is not null;
  v_by_graph boolean := coalesce(p_space.memories, 0) > tenant.exact_max() and not coalesce(p_exact, false)
    -- Vectors that are not in the graph yet are compared one by one, which takes too long for many.
    and p_space.last_place - p_space.grown_until <= {{compared_max}};
  -- For a namespace alone, the path keys is better than the path graph, but not better than the path scope.
  v_keys bigint[] := case when v_by_graph or cardinality(q.keys) > 0 then q.keys || q.namespace_keys end;
  -- With more keyed memories than this, another path is faster.
  v_keyed_max integer := case when v_by_graph then {{compared_max}} else least(p_total / 8, {{keyed_max}}) end;
  -- The fewer memories meet the conditions, the less likely the first ones of the graph are the nearest.
  v_candidates integer := case when v_is_narrowed then q.depth * 4 else q.depth * 2 end + 20;
  v_ids text[];
begin
  is_exact := true;
  if cardinality(v_keys) > 0 then
    v_ids := search.ids_by_keys(p_payer, v_keys, null, v_keyed_max + 1);
    if cardinality(v_ids) <= v_keyed_max then
      select * into ids, scores, searched, skipped, mismatched from rpc.nearest_of(p_payer, q, v_ids);
      return;
    end if;
  end if;
  searched := coalesce(p_space.memories, 0);
  skipped := p_total - searched;
  mismatched := p_vectors - searched;
  if v_by_graph then
    v_ids := rpc.along_graph(p_payer, q, v_candidates);
    if cardinality(v_ids) = v_candidates then
      v_ids := v_ids || array(
        select id
          from tenant.memories
          where payer = p_payer and model = q.model and dimensions = q.dimensions and dimensions > 0
            and place > p_space.grown_until);
      select near.ids, near.scores into ids, scores from rpc.nearest_of(p_payer, q, v_ids) as near;
      is_exact := false;
      return;
    end if;
  end if;
  -- Report this fallback as not exact although it compares everything: `exact` would otherwise reveal whether other
  -- payers have vectors nearby in the partition.
  is_exact := not v_by_graph;
  if v_is_narrowed then
    select * into ids, scores, searched, skipped, mismatched from rpc.nearest_in_scope(p_payer, q);
  else
    select * into ids, scores from rpc.nearest_in_space(p_payer, q);
  end if;
end $$;

-- The space in which a query vector is compared; NULL if there is none. Without a model: the space of vectors without a
-- model, or the only space with these dimensions.
create function rpc.space_of(p_payer text, p_model text, p_dimensions integer) returns tenant.memory_spaces
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_spaces tenant.memory_spaces[];
begin
  v_spaces := array(
    select memory_spaces
      from tenant.memory_spaces
      where payer = p_payer and dimensions = p_dimensions and (model = p_model or p_model is null)
      order by model
      limit 2);
  return case when cardinality(v_spaces) = 1 or v_spaces[1].model = '' then v_spaces[1] end;
end $$;
