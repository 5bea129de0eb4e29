-- Which memories have words, tags or metadata: the one index of memories that is over all payers. Installed as
-- payerbase_search, which may only read, and of memories only what is in the index, and ids. Row-level security would not
-- let the index be used, so the policy of this role lets it see all rows, and this function names the payer itself, who must
-- be the one of the turn: in each key that it looks for, and in the conditions. It answers ids; who asks reads the memories
-- under its own policy, and looks itself whether each is what it wants.

-- Those that have all of p_all and one of p_any (tenant.memory_key; null: all of them), p_max of them at most.
create function search.having(p_payer text, p_all bigint[], p_any bigint[], p_max integer) returns text[]
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = on
set enable_indexscan = off
set enable_seqscan = off
as $$
#variable_conflict use_column
begin
  -- The payer is written so that no index of payers can serve it: the keys are fewer.
  if p_any is null then
    return array(
      select id
        from tenant.memories
        where (payer = p_payer) is true and p_payer = tenant.current_payer()
          and tenant.memory_keys(payer, namespace, words, tags, metadata) @> p_all
        limit p_max);
  elsif cardinality(p_all) = 0 then
    return array(
      select id
        from tenant.memories
        where (payer = p_payer) is true and p_payer = tenant.current_payer()
          and tenant.memory_keys(payer, namespace, words, tags, metadata) && p_any
        limit p_max);
  end if;
  return array(
    select id
      from tenant.memories
      where (payer = p_payer) is true and p_payer = tenant.current_payer()
        and tenant.memory_keys(payer, namespace, words, tags, metadata) @> p_all
        and tenant.memory_keys(payer, namespace, words, tags, metadata) && p_any
      limit p_max);
end $$;

grant execute on function search.having(text, bigint[], bigint[], integer) to payerbase_rpc;
