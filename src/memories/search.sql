-- Memories: search. Installed as payerbase_rpc; a slow read, under the payer's policy (src/turn/turn.sql).
--
-- Filters, tags, namespaces and ends hold before the best are taken, on every way:
--   space    every vector of the space is compared: nothing narrows the search.
--   scope    every memory that fits is looked at, and its vector compared.
--   keys     what the search demands is looked up in the index first, and only those are compared. As exact.
--   graph    the neighbours of the query along the graph, more than are wanted, and what is not in the graph yet; these are
--            compared. Not exact. The way of spaces with more than tenant.exact_max() vectors, unless the caller wants it
--            otherwise; when the graph finds too few, the other ways are gone, which is not called exact either.

-- Whether a memory is there and is what the search asks for. One expression, which is inlined.
create function rpc.is_wanted(
  p_expires_at timestamptz, p_tags text[], p_metadata jsonb, p_at timestamptz, p_all text[], p_any text[], p_filter jsonpath
) returns boolean
language sql immutable
as $$
  select coalesce(p_expires_at > p_at, true) and coalesce(p_tags @> p_all, true) and coalesce(p_tags && p_any, true)
    and (p_filter is null or p_metadata @@ p_filter)
$$;

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

-- The words of a query as rpc.words keeps them: stems, and the words as they stand unless the language takes no notice of
-- them; all of them if it takes notice of none.
create function rpc.query_words(p_reading jsonb, p_text text) returns text[]
language plpgsql stable
as $$
declare
  v_language text := p_reading->>'language';
  v_text text := coalesce(p_reading->>'searchText', p_text);
  v_plain text[] := tsvector_to_array(to_tsvector('simple', v_text));
  v_words text[] := v_plain;
begin
  if v_language <> 'simple' then
    v_words := array(
      select unnest(tsvector_to_array(to_tsvector(v_language::regconfig, v_text)))
      union
      select word
        from unnest(v_plain) as word
        where to_tsvector(v_language::regconfig, word) <> '');
    if cardinality(v_words) = 0 then
      v_words := v_plain;
    end if;
  end if;
  -- Of very long queries, the longest words: they say most.
  return array(
    select word
      from unnest(v_words) as word
      order by length(word) desc, word
      limit 64);
end $$;

-- What finds one word.
create function rpc.word_query(p_word text) returns tsquery
language sql immutable
as $$
  select ('''' || replace(replace(p_word, '\', '\\'), '''', '''''') || '''')::tsquery
$$;

-- Those of p_ids in scope that have some of the words, the best first, by BM25 (Robertson and Zaragoza, 2009; k1 = 1.2,
-- b = 0.75): rare words count more, and so do words that come often for the length of the text, which is the number of its
-- different words here, beside the average of what is in scope. For a single word ts_rank_cd counts how often it comes.
--   p_total  how many memories the payer has
create function rpc.best_worded(
  p_payer text, q tenant.memory_query, p_words text[], p_ids text[], p_total bigint, out ids text[], out scores float8[]
)
language plpgsql stable
as $$
#variable_conflict use_column
begin
  with asked as materialized (
    select word, rpc.word_query(word) as query
      from unnest(p_words) as word
  ), scope as materialized (
    select id, words, length(words) / greatest(avg(length(words)::float8) over (), 1) as size
      from tenant.memories
      where payer = p_payer and id = any (p_ids) and namespace >= q.namespace_min and namespace <= q.namespace_max
        and rpc.is_wanted(expires_at, tags, metadata, q.at, q.tags_all, q.tags_any, q.filter)
  ), hits as materialized (
    select scope.id, asked.word, greatest(ts_rank_cd('{1,1,1,1}', scope.words, asked.query), 1)::float8 as times, scope.size
      from scope
      join asked on scope.words @@ asked.query
  ), rarities as materialized (
    select word, ln(1 + ((greatest(p_total, count(*)) - count(*) + 0.5) / (count(*) + 0.5))::float8) as rarity
      from hits
      group by word
  ), best as (
    select id, sum(rarity * times * 2.2 / (times + 1.2 * (0.25 + 0.75 * size))) as score
      from hits
      join rarities using (word)
      group by id
      order by score desc, id
      limit q.depth
  )
  select array_agg(id order by score desc, id), array_agg(score order by score desc, id) into best_worded.ids, best_worded.scores
    from best;
end $$;

-- Memories in scope that have some of the words: all of them, or where these are more than p_max, some, of rare words
-- nevertheless all. Those that only a filter tells apart are then looked for one by one.
create function rpc.worded(p_payer text, q tenant.memory_query, p_words text[], p_max integer, out ids text[], out is_all boolean)
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_all bigint[] := q.keys || q.namespace_keys;
  v_any bigint[] := array(select tenant.memory_key(p_payer, 'w', word) from unnest(p_words) as word);
  v_query tsquery;
begin
  ids := search.having(p_payer, v_all, v_any, p_max + 1);
  is_all := cardinality(ids) <= p_max;
  if is_all then
    return;
  end if;
  ids := array(
    select id
      from unnest(v_any) as word
      cross join lateral unnest(search.having(p_payer, v_all, array[word], p_max / cardinality(v_any))) as id);
  if q.filter is not null or q.tags_any is not null then
    v_query := (select string_agg(rpc.word_query(word)::text, '|')::tsquery from unnest(p_words) as word);
    ids := ids || array(
      select id
        from tenant.memories
        where payer = p_payer and namespace >= q.namespace_min and namespace <= q.namespace_max
          and rpc.is_wanted(expires_at, tags, metadata, q.at, q.tags_all, q.tags_any, q.filter) and words @@ v_query
        limit p_max);
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

--   params: "mode": vector, text or hybrid, "isDefault" if the caller left it to us; "query", "reading" (rpc.words);
--     "embedding" as text, "embeddingModel", "isMade" of the query; "exact"; "limit", "minScore"; "includeEmbedding";
--     "namespace", "tags", "tagsMatch", "filter" as jsonpath, "equals": [[name, value]] that the filter demands
create function rpc.search_memories(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_mode text := p_params->>'mode';
  v_limit integer := p_params->>'limit';
  v_namespace text := p_params->>'namespace';
  v_tags text[] := array(select jsonb_array_elements_text(p_params->'tags'));
  v_model text := p_params->>'embeddingModel';
  q tenant.memory_query;
  v_space tenant.memory_spaces;
  v_total bigint;
  v_vectors bigint;
  v_near_ids text[];
  v_near_scores float8[];
  v_worded_ids text[];
  v_worded_scores float8[];
  v_mismatched bigint;
  v_words text[];
  v_ids text[];
  v_scores float8[];
  v_score_min float8 := p_params->>'minScore';
  v_with_vectors boolean := p_params->>'includeEmbedding';
  v_is_exact boolean := true;
  v_searched bigint;
  v_skipped bigint := 0;
  v_results json;
begin
  select coalesce(sum(memories), 0), coalesce(sum(memories) filter (where dimensions > 0), 0) into v_total, v_vectors
    from tenant.memory_spaces
    where payer = p_payer;
  q.at := rpc.now();
  q.namespace_min := coalesce(v_namespace, '');
  q.namespace_max := coalesce(v_namespace, repeat(chr(1114111), 65));
  q.filter := p_params->>'filter';
  if cardinality(v_tags) > 0 and p_params->>'tagsMatch' = 'any' then
    q.tags_any := v_tags;
  elsif cardinality(v_tags) > 0 then
    q.tags_all := v_tags;
  end if;
  q.keys := array(
    select tenant.memory_key(p_payer, 't', tag)
      from unnest(q.tags_all) as tag
    union all
    select tenant.metadata_key(p_payer, equal->>0, equal->1)
      from jsonb_array_elements(p_params->'equals') as equal);
  q.namespace_keys := case when v_namespace is null then '{}' else array[tenant.memory_key(p_payer, 'n', v_namespace)] end;
  -- Of lists that become one by the places in them, what stands far behind is noise: a list is as long as what is wanted.
  q.depth := case when v_mode = 'hybrid' then greatest(v_limit, 10) else v_limit end;

  if v_mode <> 'text' then
    q.embedding := p_params->>'embedding';
    q.dimensions := public.vector_dims(q.embedding);
    v_space := rpc.space_of(p_payer, v_model, q.dimensions);
    q.model := v_space.model;
    select * into v_near_ids, v_near_scores, v_searched, v_skipped, v_mismatched, v_is_exact
      from rpc.nearest(p_payer, q, v_space, v_total, v_vectors, (p_params->>'exact')::boolean);
    if v_searched = 0 and v_mismatched > 0 then
      if not ((p_params->>'isDefault')::boolean and (p_params->>'isMade')::boolean) then
        return rpc.problem('dimension-mismatch', json_build_object(
          'dimensions', q.dimensions, 'embeddingModel', nullif(v_model, ''), 'stored', rpc.stored_spaces(p_payer)));
      end if;
      v_mode := 'text';
    end if;
  end if;
  if v_mode <> 'vector' then
    v_words := rpc.query_words(p_params->'reading', p_params->>'query');
    -- Words that more memories have say little, and to order all of these would take too long.
    select ids, v_is_exact and is_all into v_ids, v_is_exact
      from rpc.worded(p_payer, q, v_words, 50000);
    select * into v_worded_ids, v_worded_scores
      from rpc.best_worded(p_payer, q, v_words, v_ids, v_total);
  end if;
  if v_mode = 'text' then
    v_searched := v_total;
    v_skipped := 0;
  end if;

  case v_mode
    when 'vector' then
      v_ids := v_near_ids;
      v_scores := v_near_scores;
    when 'text' then
      v_ids := v_worded_ids;
      v_scores := v_worded_scores;
    else
      -- Reciprocal rank fusion (Cormack, Clarke and Buettcher, 2009), k = 60.
      select array_agg(id), array_agg(score), array_agg(near), array_agg(worded) into v_ids, v_scores, v_near_scores, v_worded_scores
        from (
          select id, near.score as near, worded.score as worded,
              (coalesce(1.0 / (60 + near.place), 0) + coalesce(1.0 / (60 + worded.place), 0))::float8 as score
            from unnest(v_near_ids, v_near_scores) with ordinality as near (id, score, place)
            full join unnest(v_worded_ids, v_worded_scores) with ordinality as worded (id, score, place) using (id)
            order by score desc, id
            limit v_limit
        ) fused;
  end case;
  select json_agg(
      rpc.memory(memories) || jsonb_build_object('score', found.score)
        || case when v_mode = 'hybrid' then jsonb_build_object('vectorScore', near, 'textScore', worded) else '{}' end
        || case when v_with_vectors then jsonb_build_object('embedding', embedding::text::jsonb) else '{}' end
      order by found.score desc, found.id) into v_results
    from unnest(v_ids, v_scores, v_near_scores, v_worded_scores) as found (id, score, near, worded)
    join tenant.memories on memories.payer = p_payer and memories.id = found.id
    where coalesce(found.score >= v_score_min, true);
  return json_build_object('ok', json_build_object(
    'mode', v_mode, 'scoring', case v_mode when 'vector' then 'cosine-similarity' when 'text' then 'bm25' else 'reciprocal-rank-fusion' end,
    'exact', v_is_exact, 'searched', v_searched, 'skipped', v_skipped, 'results', coalesce(v_results, '[]')));
end $$;

-- What vectors a payer has, for the caller whose vector fits none.
create function rpc.stored_spaces(p_payer text) returns json
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_stored json;
begin
  select json_agg(json_build_object('dimensions', dimensions, 'embeddingModel', nullif(model, ''), 'memories', memories) order by memories desc)
    into v_stored
    from (
      select model, dimensions, memories
        from tenant.memory_spaces
        where payer = p_payer and dimensions > 0
        order by memories desc
        limit 10
    ) spaces;
  return v_stored;
end $$;
