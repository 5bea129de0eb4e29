-- Memories: search by words. Installed as payerbase_rpc.

-- The words of a query as rpc.words keeps them: stems, and the words as they stand unless the language takes no notice of
-- them; all of them if it takes notice of none.
create function rpc.query_words(p_search_text jsonb, p_text text) returns text[]
language plpgsql stable
as $$
declare
  v_language text := p_search_text->>'language';
  v_text text := coalesce(p_search_text->>'text', p_text);
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
