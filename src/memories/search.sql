-- Memories: search. Installed as payerbase_rpc. A search is a slow read and runs under the payer's policy
-- (src/turn/turn.sql). nearest.sql searches by vector, worded.sql by words.

-- Whether a memory has not expired and meets the conditions of the search. A single expression, so that PostgreSQL
-- inlines it.
create function rpc.is_wanted(
  p_expires_at timestamptz, p_tags text[], p_metadata jsonb, p_at timestamptz, p_all text[], p_any text[],
  p_filter jsonpath
) returns boolean
language sql immutable
as $$
  select coalesce(p_expires_at > p_at, true) and coalesce(p_tags @> p_all, true) and coalesce(p_tags && p_any, true)
    and (p_filter is null or p_metadata @@ p_filter)
$$;

-- The query of a search, as the functions below read it.
create function rpc.memory_query(p_payer text, p_params jsonb, p_mode text) returns tenant.memory_query
language plpgsql
as $$
declare
  v_limit integer := p_params->>'limit';
  v_namespace text := p_params->>'namespace';
  v_tags text[] := array(select jsonb_array_elements_text(p_params->'tags'));
  q tenant.memory_query;
begin
  q.at := rpc.now();
  q.namespace_min := coalesce(v_namespace, '');
  q.namespace_max := coalesce(v_namespace, {{prefix_end}});
  q.filter := p_params->>'filter';
  if cardinality(v_tags) > 0 and p_params->>'tagsMatch' = 'any' then
    q.tags_any := v_tags;
  elsif cardinality(v_tags) > 0 then
    q.tags_all := v_tags;
  end if;
  q.keys := array(
    select tenant.hashed_key(p_payer, 't', tag)
      from unnest(q.tags_all) as tag
    union all
    select tenant.hashed_key(p_payer, 'm', tenant.metadata_text(equal->>0, equal->1))
      from jsonb_array_elements(p_params->'equals') as equal);
  q.namespace_keys := '{}';
  if v_namespace is not null then
    q.namespace_keys := array[tenant.hashed_key(p_payer, 'n', v_namespace)];
  end if;
  -- A hybrid search takes as many results of each part as the limit, but at least 10.
  q.depth := case when p_mode = 'hybrid' then greatest(v_limit, 10) else v_limit end;
  return q;
end $$;

-- The results in the order of their scores. In mode hybrid, the mean of the cosine similarity, or 0 if that is negative
-- or unknown, and of the BM25 score as a part of its bound (convex combination: Bruch, Gai and Ingber, 2023). Otherwise
-- the list of the mode.
create function rpc.fuse(
  p_mode text, p_limit integer, p_near_ids text[], p_near_scores float8[], p_worded_ids text[],
  p_worded_scores float8[], p_bound float8,
  out ids text[], out scores float8[], out near_scores float8[], out worded_scores float8[]
)
language plpgsql immutable
as $$
begin
  case p_mode
    when 'vector' then
      ids := p_near_ids;
      scores := p_near_scores;
    when 'text' then
      ids := p_worded_ids;
      scores := p_worded_scores;
    else
      select array_agg(id), array_agg(score), array_agg(near), array_agg(worded)
        into ids, scores, near_scores, worded_scores
        from (
          select id, near.score as near, worded.score as worded,
              (greatest(near.score, 0) + coalesce(worded.score / p_bound, 0)) / 2 as score
            from unnest(p_near_ids, p_near_scores) as near (id, score)
            full join unnest(p_worded_ids, p_worded_scores) as worded (id, score) using (id)
            order by score desc, id
            limit p_limit
        ) fused;
  end case;
end $$;

-- The memories of a search, as JSON.
create function rpc.found_memories(p_payer text, p_params jsonb, p_mode text, p_found record) returns json
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_score_min float8 := p_params->>'minScore';
  v_with_vectors boolean := p_params->>'includeEmbedding';
  v_memories json;
begin
  select json_agg(
      rpc.memory_json(memories) || jsonb_build_object('score', score)
        || case when p_mode = 'hybrid' then jsonb_build_object('vectorScore', near, 'textScore', worded) else '{}' end
        || case when v_with_vectors then jsonb_build_object('embedding', embedding::text::jsonb) else '{}' end
      order by score desc, found_id) into v_memories
    from (
      select memories, found.score, near, worded, embedding, found.id as found_id,
          sum(bytes) over (order by found.score desc, found.id) - bytes as bytes_before
        from unnest(p_found.ids, p_found.scores, p_found.near_scores, p_found.worded_scores)
          as found (id, score, near, worded)
        join tenant.memories on memories.payer = p_payer and memories.id = found.id
        cross join rpc.memory_bytes(memories) as bytes
        where coalesce(found.score >= v_score_min, true)
    ) sized
    where bytes_before <= {{memories_bytes_max}};
  return coalesce(v_memories, '[]');
end $$;

-- Searches memories by vector, by words or by both.
--   p_vector  the vector of the query
--   p_params
--     "mode": vector, text or hybrid; "isDefault": whether the server chose it
--     "query", "searchText" (rpc.words)
--     "embeddingModel" of p_vector; "isMade": whether the server made the vector
--     "exact", "limit", "minScore", "includeEmbedding", "namespace", "tags", "tagsMatch"
--     "filter" as jsonpath; "equals": [[name, value]], the equalities that the filter requires
create function rpc.search_memories(p_payer text, p_params jsonb, p_vector public.vector) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_mode text := p_params->>'mode';
  v_model text := p_params->>'embeddingModel';
  q tenant.memory_query := rpc.memory_query(p_payer, p_params, v_mode);
  v_space tenant.memory_spaces;
  v_total bigint;
  v_vectors bigint;
  v_near_ids text[];
  v_near_scores float8[];
  v_worded_ids text[];
  v_worded_scores float8[];
  v_bound float8;
  v_mismatched bigint;
  v_words text[];
  v_ids text[];
  v_is_exact boolean := true;
  v_searched bigint;
  v_skipped bigint;
  v_scoring text;
begin
  select coalesce(sum(memories), 0), coalesce(sum(memories) filter (where dimensions > 0), 0) into v_total, v_vectors
    from tenant.memory_spaces
    where payer = p_payer;
  if v_mode <> 'text' then
    q.embedding := p_vector;
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
    v_words := rpc.query_words(p_params->'searchText', p_params->>'query');
    -- A word in more than {{ranked_max}} memories is not specific, and to rank all of them takes too long.
    select ids, v_is_exact and is_all into v_ids, v_is_exact
      from rpc.ids_by_words(p_payer, q, v_words, {{ranked_max}});
    select * into v_worded_ids, v_worded_scores, v_bound
      from rpc.rank_by_bm25(p_payer, q, v_words, v_ids, v_total, v_near_ids);
  end if;
  if v_mode = 'hybrid' then
    select ids, scores into v_near_ids, v_near_scores
      from rpc.with_cosines(p_payer, q, v_near_ids, v_near_scores, v_worded_ids);
  end if;
  v_searched := case when v_mode = 'text' then v_total else v_searched end;
  v_skipped := case when v_mode = 'text' then 0 else v_skipped end;
  v_scoring := case
    when v_mode = 'vector' then 'cosine-similarity'
    when v_mode = 'text' then 'bm25'
    when p_params->'searchText' ? 'parts' then 'mean'
    -- The name that a server of the version before knows.
    else 'reciprocal-rank-fusion'
  end;
  return json_build_object('ok', json_build_object(
    'mode', v_mode, 'scoring', v_scoring, 'exact', v_is_exact, 'searched', v_searched, 'skipped', v_skipped, 'results',
    rpc.found_memories(p_payer, p_params, v_mode, rpc.fuse(
      v_mode, (p_params->>'limit')::integer, v_near_ids, v_near_scores, v_worded_ids, v_worded_scores,
      v_bound))));
end $$;

-- The spaces of a payer that have vectors, the ten largest, for the problem dimension-mismatch.
create function rpc.stored_spaces(p_payer text) returns json
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_stored json;
begin
  select json_agg(json_build_object(
      'dimensions', dimensions, 'embeddingModel', nullif(model, ''), 'memories', memories) order by memories desc)
    into v_stored
    from (
      select model, dimensions, memories
        from tenant.memory_spaces
        where payer = p_payer and dimensions > 0
        order by memories desc
        limit {{spaces_listed}}
    ) spaces;
  return v_stored;
end $$;
