-- Memories: search by vector. Installed as payerbase_rpc.
--
-- Filters, tags, namespaces and ends hold before the best are taken, on every way:
--   space    every vector of the space is compared: nothing narrows the search.
--   scope    every memory that fits is looked at, and its vector compared.
--   keys     what the search demands is looked up in the index first, and only those are compared. As exact.
--   graph    the neighbours of the query along the graph, more than are wanted, and what is not in the graph yet; these are
--            compared. Not exact. The way of spaces with more than tenant.exact_max() vectors, unless the caller wants it
--            otherwise; when the graph finds too few, the other ways are gone, which is not called exact either.

-- The nearest of a space.
create function rpc.nearest_in_space(p_payer text, q tenant.memory_query, out ids text[], out scores float8[])
language plpgsql stable
as $$
#variable_conflict use_column
begin
  select array_agg(id), array_agg(score) into ids, scores
    from (
      select id, 1 - (embedding operator(public.<=>) q.embedding) as score
        from tenant.memories
        where payer = p_payer and model = q.model and dimensions = q.dimensions and dimensions > 0 and coalesce(expires_at > q.at, true)
        order by score desc, id
        limit q.depth
    ) best;
end $$;

-- The nearest in scope. searched: how many were compared; skipped: how many could not be; mismatched: how many of
-- these have a vector, of another space.
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
        case when model = q.model and dimensions = q.dimensions then 1 - (embedding operator(public.<=>) q.embedding) end as score
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
  select (select array_agg(id order by score desc, id) from best), (select array_agg(score order by score desc, id) from best),
      count(score), count(*) - count(score), count(*) filter (where score is null and dimensions > 0)
    into nearest_in_scope.ids, nearest_in_scope.scores, nearest_in_scope.searched, nearest_in_scope.skipped, nearest_in_scope.mismatched
    from scope;
end $$;

-- The nearest of some, otherwise the same.
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
        case when model = q.model and dimensions = q.dimensions then 1 - (embedding operator(public.<=>) q.embedding) end as score
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
  select (select array_agg(id order by score desc, id) from best), (select array_agg(score order by score desc, id) from best),
      count(score), count(*) - count(score), count(*) filter (where score is null and dimensions > 0)
    into nearest_of.ids, nearest_of.scores, nearest_of.searched, nearest_of.skipped, nearest_of.mismatched
    from scope;
end $$;

-- The first p_count in scope that the graph finds: along the graph, each is looked at. An index has one width, so each
-- width has its statement; what else the planner could do is switched off.
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
    when 384 then
      return array(
        select memory_graph.id
          from tenant.memory_graph
          cross join lateral (
            select
              from tenant.memories
              where payer = p_payer and id = memory_graph.id and namespace >= q.namespace_min and namespace <= q.namespace_max
                and rpc.is_wanted(expires_at, tags, metadata, q.at, q.tags_all, q.tags_any, q.filter)
              limit 1
          ) wanted
          where payer = p_payer and width = 384 and model = q.model and dimensions = q.dimensions
          order by embedding::public.halfvec(384) operator(public.<=>) v_query
          limit p_count);
    when 768 then
      return array(
        select memory_graph.id
          from tenant.memory_graph
          cross join lateral (
            select
              from tenant.memories
              where payer = p_payer and id = memory_graph.id and namespace >= q.namespace_min and namespace <= q.namespace_max
                and rpc.is_wanted(expires_at, tags, metadata, q.at, q.tags_all, q.tags_any, q.filter)
              limit 1
          ) wanted
          where payer = p_payer and width = 768 and model = q.model and dimensions = q.dimensions
          order by embedding::public.halfvec(768) operator(public.<=>) v_query
          limit p_count);
    when 1536 then
      return array(
        select memory_graph.id
          from tenant.memory_graph
          cross join lateral (
            select
              from tenant.memories
              where payer = p_payer and id = memory_graph.id and namespace >= q.namespace_min and namespace <= q.namespace_max
                and rpc.is_wanted(expires_at, tags, metadata, q.at, q.tags_all, q.tags_any, q.filter)
              limit 1
          ) wanted
          where payer = p_payer and width = 1536 and model = q.model and dimensions = q.dimensions
          order by embedding::public.halfvec(1536) operator(public.<=>) v_query
          limit p_count);
    when 3072 then
      return array(
        select memory_graph.id
          from tenant.memory_graph
          cross join lateral (
            select
              from tenant.memories
              where payer = p_payer and id = memory_graph.id and namespace >= q.namespace_min and namespace <= q.namespace_max
                and rpc.is_wanted(expires_at, tags, metadata, q.at, q.tags_all, q.tags_any, q.filter)
              limit 1
          ) wanted
          where payer = p_payer and width = 3072 and model = q.model and dimensions = q.dimensions
          order by embedding::public.halfvec(3072) operator(public.<=>) v_query
          limit p_count);
    else return '{}';
  end case;
end $$;

-- The nearest, on the way that fits. A large space is searched exactly only if p_exact says so.
--   p_total, p_vectors  how many memories the payer has, and how many of them have a vector
create function rpc.nearest(
  p_payer text, q tenant.memory_query, p_space tenant.memory_spaces, p_total bigint, p_vectors bigint, p_exact boolean,
  out ids text[], out scores float8[], out searched bigint, out skipped bigint, out mismatched bigint, out is_exact boolean
)
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_is_narrowed boolean := q.namespace_min <> '' or q.filter is not null or q.tags_all is not null or q.tags_any is not null;
  v_by_graph boolean := coalesce(p_space.memories, 0) > tenant.exact_max() and not coalesce(p_exact, false)
    -- What is not in the graph yet is compared vector by vector: not if it is much.
    and p_space.last_place - p_space.grown_until <= 20000;
  -- A namespace alone is found as well by the other ways, unless these go along the graph.
  v_keys bigint[] := case when v_by_graph or cardinality(q.keys) > 0 then q.keys || q.namespace_keys end;
  -- More steps through the index than this are slower than the other way.
  v_keyed_max integer := case when v_by_graph then 20000 else least(p_total / 8, 5000) end;
  -- The fewer fit, the less the first ones that the graph finds are the nearest.
  v_candidates integer := case when v_is_narrowed then q.depth * 4 else q.depth * 2 end + 20;
  v_ids text[];
begin
  is_exact := true;
  if cardinality(v_keys) > 0 then
    v_ids := search.having(p_payer, v_keys, null, v_keyed_max + 1);
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
          where payer = p_payer and model = q.model and dimensions = q.dimensions and dimensions > 0 and place > p_space.grown_until);
      select near.ids, near.scores into ids, scores from rpc.nearest_of(p_payer, q, v_ids) as near;
      is_exact := false;
      return;
    end if;
  end if;
  -- After the graph, although all of them are compared now: that it found too few may be due to what others have stored
  -- near by, and is nobody's business.
  is_exact := not v_by_graph;
  if v_is_narrowed then
    select * into ids, scores, searched, skipped, mismatched from rpc.nearest_in_scope(p_payer, q);
  else
    select * into ids, scores from rpc.nearest_in_space(p_payer, q);
  end if;
end $$;

-- The space that a query vector is compared in. One that does not say what made it goes into the space of those that do
-- not either, or into the only one of its dimensions.
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
