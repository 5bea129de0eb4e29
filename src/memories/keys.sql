-- Memories: look-up of words, tags, namespaces and metadata in memories_by_hashed_key, the only index over all payers.
-- Installed as payerbase_search, a role that may read only ids and the indexed columns.
--
-- Row-level security keeps PostgreSQL from using a GIN index. So the policy of this role shows all rows, and the
-- function itself restricts them to the payer of the turn: each key contains the payer, and the conditions name it. The
-- function returns ids. The caller reads these memories under its own policy and checks each against the search.

-- Ids of memories that have all keys of p_all and at least one key of p_any (tenant.hashed_key).
--   p_any  NULL: no condition
--   p_max  maximum number of ids; NULL: no limit
create function search.ids_by_keys(p_payer text, p_all bigint[], p_any bigint[], p_max integer) returns text[]
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = on
set enable_indexscan = off
set enable_seqscan = off
as $$
#variable_conflict use_column
begin
  -- `is true` keeps the planner from the indexes that begin with the payer: the keys match fewer rows.
  if p_any is null then
    return array(
      select id
        from tenant.memories
        where (payer = p_payer) is true and p_payer = tenant.current_payer()
          and tenant.hashed_keys(payer, namespace, words, tags, metadata) @> p_all
        limit p_max);
  elsif cardinality(p_all) = 0 then
    return array(
      select id
        from tenant.memories
        where (payer = p_payer) is true and p_payer = tenant.current_payer()
          and tenant.hashed_keys(payer, namespace, words, tags, metadata) && p_any
        limit p_max);
  end if;
  return array(
    select id
      from tenant.memories
      where (payer = p_payer) is true and p_payer = tenant.current_payer()
        and tenant.hashed_keys(payer, namespace, words, tags, metadata) @> p_all
        and tenant.hashed_keys(payer, namespace, words, tags, metadata) && p_any
      limit p_max);
end $$;

grant execute on function search.ids_by_keys(text, bigint[], bigint[], integer) to payerbase_rpc;
