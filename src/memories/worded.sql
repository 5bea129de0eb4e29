-- Memories: search by words. Installed as payerbase_rpc.

-- The words of a query, at most 64, as rpc.words stores them: stems, and the unchanged words except for stop words of
-- the language. If the query has only stop words, it keeps them.
create function rpc.query_words(p_search_text jsonb, p_text text) returns text[]
language plpgsql stable
as $$
declare
  v_language text := p_search_text->>'language';
  -- The parts are words of their own, as in rpc.words. A line feed ends every word.
  v_text text := concat(coalesce(p_search_text->>'text', p_text), chr(10), p_search_text->>'parts');
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
  -- A very long query keeps its longest words, which are the most specific.
  return array(
    select word
      from unnest(v_words) as word
      order by length(word) desc, word
      limit {{query_words_max}});
end $$;

-- A tsquery that matches one word.
create function rpc.word_query(p_word text) returns tsquery
language sql immutable
as $$
  select ('''' || replace(replace(p_word, '\', '\\'), '''', '''''') || '''')::tsquery
$$;

-- Ranks those memories of p_ids that are in scope and have at least one of the words, by BM25 (Robertson and Zaragoza,
-- 2009; k1 = 1.2, b = 0.75), best first. Rare words count more. So do words that are frequent for the length of the
-- text. The length is the number of different words, divided by the average of these memories. ts_rank_cd of a single
-- word is its frequency.
--   p_total  number of all memories of the payer
--   p_also   ids of p_ids that are returned too, whatever their rank
--   bound    the score that no text reaches: that of a text with nothing but the words
create function rpc.rank_by_bm25(
  p_payer text, q tenant.memory_query, p_words text[], p_ids text[], p_total bigint, p_also text[],
  out ids text[], out scores float8[], out bound float8
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
    select scope.id, asked.word, greatest(ts_rank_cd('{1,1,1,1}', scope.words, asked.query), 1)::float8 as times,
        scope.size
      from scope
      join asked on scope.words @@ asked.query
  ), rarities as materialized (
    select word, ln(1 + ((greatest(p_total, count) - count + 0.5) / (count + 0.5))::float8) as rarity
      from (
        select asked.word, count(hits.id) as count
          from asked
          left join hits using (word)
          group by asked.word
      ) counted
  ), ranked as (
    select id, sum(rarity * times * 2.2 / (times + 1.2 * (0.25 + 0.75 * size))) as score,
        row_number() over (order by sum(rarity * times * 2.2 / (times + 1.2 * (0.25 + 0.75 * size))) desc, id) as place
      from hits
      join rarities using (word)
      group by id
  )
  select array_agg(id order by place), array_agg(score order by place),
      (select sum(rarity) * 2.2 from rarities)
    into rank_by_bm25.ids, rank_by_bm25.scores, rank_by_bm25.bound
    from ranked
    where place <= q.depth or id = any (p_also);
end $$;

-- Candidates of a search by words: memories that have the keys of the scope and at least one of the words. If there are
-- more than p_max, is_all is false, and each word gets an equal share of p_max: all memories with a rare word are among
-- them.
create function rpc.ids_by_words(
  p_payer text, q tenant.memory_query, p_words text[], p_max integer, out ids text[], out is_all boolean
)
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_all bigint[] := q.keys || q.namespace_keys;
  v_any bigint[] := array(select tenant.hashed_key(p_payer, 'w', word) from unnest(p_words) as word);
  v_query tsquery;
begin
  ids := search.ids_by_keys(p_payer, v_all, v_any, p_max + 1);
  is_all := cardinality(ids) <= p_max;
  if is_all then
    return;
  end if;
  ids := array(
    select id
      from unnest(v_any) as word
      cross join lateral unnest(search.ids_by_keys(p_payer, v_all, array[word], p_max / cardinality(v_any))) as id);
  -- The candidates ignore conditions that are not keys. A scan adds memories that meet them.
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
