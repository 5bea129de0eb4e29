-- Which memories have words, tags or metadata: the one index of memories that is over all payers. Installed as
-- payerbase_search, which may only read, and of memories only what is in the index, and ids. Row-level security would not
-- let the index be used, so the policy of this role lets it see all rows, and these two functions name the payer
-- themselves, who must be the one of the turn: in each key that they look for, and in the condition. They answer ids; who
-- asks reads the memories under its own policy, and looks itself whether each is what it wants.

-- Those that have all of the keys (tenant.memory_key), p_max of them at most.
create function search.having_all(p_payer text, p_keys bigint[], p_max integer) returns text[]
language sql stable security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = on
set enable_indexscan = off
set enable_seqscan = off
as $$
  select array(
    select id
      from tenant.memories
      -- Written so that no index of payers can serve it: the keys are fewer.
      where (payer = p_payer) is true and p_payer = tenant.current_payer()
        and tenant.memory_keys(payer, words, tags, metadata) @> p_keys
      limit p_max)
$$;

-- Those that have one of the keys, p_max of them at most.
create function search.having_any(p_payer text, p_keys bigint[], p_max integer) returns text[]
language sql stable security definer
set search_path = pg_catalog, pg_temp
set enable_bitmapscan = on
set enable_indexscan = off
set enable_seqscan = off
as $$
  select array(
    select id
      from tenant.memories
      where (payer = p_payer) is true and p_payer = tenant.current_payer()
        and tenant.memory_keys(payer, words, tags, metadata) && p_keys
      limit p_max)
$$;

grant execute on function search.having_all(text, bigint[], integer), search.having_any(text, bigint[], integer) to payerbase_rpc;
