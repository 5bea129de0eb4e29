-- Memories: the words of a text. Installed as payerbase_rpc.

-- The words that PostgreSQL's parser finds: stems with their positions, and the unchanged words, so that a search also
-- finds words of other languages. A text of more than 100,000 bytes (256 KiB at most) is parsed in two parts and stored
-- without positions, because a tsvector holds at most 1 MiB.
create function rpc.parsed_words(p_language regconfig, p_text text) returns tsvector
language plpgsql stable
as $$
declare
  v_half integer := length(p_text) / 2;
  v_words tsvector;
begin
  if octet_length(p_text) <= {{positions_bytes_max}} then
    v_words := to_tsvector(p_language, p_text);
    return case when p_language = 'simple'::regconfig then v_words
      else v_words || strip(to_tsvector('simple', p_text)) end;
  end if;
  -- Cut at a space.
  v_half := v_half + strpos(substr(p_text, v_half + 1), ' ');
  v_words := strip(to_tsvector('simple', left(p_text, v_half)))
    || strip(to_tsvector('simple', substr(p_text, v_half + 1)));
  if p_language <> 'simple'::regconfig then
    v_words := v_words || strip(to_tsvector(p_language, left(p_text, v_half)));
    v_words := v_words || strip(to_tsvector(p_language, substr(p_text, v_half + 1)));
  end if;
  return v_words;
end $$;

-- The words of a text, and of its parts those that the parser did not find in the text itself.
--   p_search_text
--     "language": text search configuration
--     "text": prepared text; absent if p_text is parsed as it is
--     "parts": parts of words that are joined by signs, and words without accents
create function rpc.words(p_search_text jsonb, p_text text) returns tsvector
language plpgsql stable
as $$
declare
  v_language regconfig := p_search_text->>'language';
  v_text text := coalesce(p_search_text->>'text', p_text);
  v_parts text := coalesce(p_search_text->>'parts', '');
  v_words tsvector := rpc.parsed_words(v_language, v_text);
  v_more tsvector;
begin
  if v_parts = '' then
    return v_words;
  end if;
  v_more := ts_delete(rpc.parsed_words(v_language, v_parts), tsvector_to_array(v_words));
  return case when octet_length(v_text) <= {{positions_bytes_max}} then v_words || v_more
    else v_words || strip(v_more) end;
end $$;
