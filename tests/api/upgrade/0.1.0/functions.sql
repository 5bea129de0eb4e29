-- The functions of a release, as its `migrate` installed them.
begin;

set local role payerbase_auth;
-- Tokens. The functions belong to payerbase_auth. The server may only look up tokens; the role that migrates creates
-- and revokes them.

-- The token with this id, no rows if it is unknown. Only this function leads from a token to a payer.
--   expires_in_ms  time left by the database's clock, negative after expiry
create function auth.token_by_id(p_id text)
returns table (
  payer text, secret_sha256 bytea, scopes text[], name text,
  expires_at timestamptz, expires_in_ms bigint, revoked boolean
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select payer, secret_sha256, scopes, name, expires_at,
      (extract(epoch from expires_at - clock_timestamp()) * 1000)::bigint,
      revoked_at is not null
    from auth.tokens
    where id = p_id
$$;

-- Ids of the tokens revoked in the last minute. Each server asks every two seconds and removes them from its cache.
create function auth.revoked_lately() returns setof text
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select id
    from auth.tokens
    where revoked_at > clock_timestamp() - interval '1 minute'
$$;

-- Stores a token. Returns its time of expiry.
create function auth.create_token(
  p_id text, p_secret_sha256 bytea, p_payer text, p_scopes text[], p_name text, p_lifetime_s double precision
) returns timestamptz
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
  v_expires_at timestamptz := v_now + make_interval(secs => p_lifetime_s);
begin
  insert into auth.tokens (id, secret_sha256, payer, scopes, name, created_at, expires_at)
    values (p_id, p_secret_sha256, p_payer, p_scopes, p_name, v_now, v_expires_at);
  return v_expires_at;
end $$;

-- The tokens of a payer; of all payers if p_payer is NULL.
create function auth.list_tokens(p_payer text)
returns table (
  id text, payer text, scopes text[], name text, created_at timestamptz, expires_at timestamptz, revoked_at timestamptz
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select id, payer, scopes, name, created_at, expires_at, revoked_at
    from auth.tokens
    where p_payer is null or payer = p_payer
    order by payer, created_at
$$;

-- Revokes a token; a second time changes nothing. False if the token is unknown.
create function auth.revoke_token(p_id text) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
begin
  update auth.tokens
    set revoked_at = coalesce(revoked_at, v_now)
    where id = p_id;
  return found;
end $$;

grant execute on function auth.token_by_id(text), auth.revoked_lately() to payerbase_app;
grant execute on function
  auth.create_token(text, bytea, text, text[], text, double precision), auth.list_tokens(text), auth.revoke_token(text)
  to payerbase_owner;

set local role payerbase_slug;
-- Slugs: the only namespace that payers share. Owned by payerbase_slug, which has no access to other tables.

-- Reserves a slug unless another payer holds it. Returns whether the payer holds it. Reserving again renews the
-- reservation.
create function slug.reserve(p_slug text, p_payer text) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
begin
  insert into slug.slugs (slug, payer, reserved_at)
    values (p_slug, p_payer, v_now)
    on conflict (slug) do update set reserved_at = excluded.reserved_at where slugs.payer = excluded.payer;
  return found;
end $$;

-- The payer that holds the slug; NULL if it is free.
create function slug.owner(p_slug text) returns text
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select payer
    from slug.slugs
    where slug = p_slug
$$;

-- Frees a slug whose reservation is older than ten minutes: longer than any call that could still create its link.
-- The sweeper calls it for slugs without a link. Returns whether it was freed.
create function slug.free(p_slug text, p_payer text) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_until timestamptz := clock_timestamp() - interval '600 seconds';
begin
  delete from slug.slugs
    where slug = p_slug and payer = p_payer and reserved_at < v_until;
  return found;
end $$;

grant execute on function slug.reserve(text, text), slug.owner(text), slug.free(text, text) to payerbase_app;

set local role payerbase_sweeper;
-- Functions that find due work for the sweeper. Installed as payerbase_sweeper, which reads only the columns that say
-- when something is due. Methods do the work itself, payer by payer, in turns. Each function walks one stretch: a
-- limited number of rows after (p_payer, p_key), the last row of the previous stretch. It returns at least the last row
-- of its stretch, and no rows at the end.
--   p_keep_ms  retention of single clicks; only sweep.links uses it

-- Makes p_holder the leader for p_ms milliseconds, unless another server leads. Returns whether p_holder leads. Only
-- the leader sweeps. Another server can lead once the leader has not renewed its time.
create function sweep.lead(p_holder text, p_ms integer) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
  v_until timestamptz := v_now + make_interval(secs => p_ms / 1000.0);
begin
  insert into sweep.leader (name, holder, until)
    values ('sweeper', p_holder, v_until)
    on conflict (name) do update set holder = excluded.holder, until = excluded.until
      where leader.holder = excluded.holder or leader.until < v_now;
  return found;
end $$;

-- The next payers with finished jobs, one index step per payer. A payer is due if its first job is past its retention.
create function sweep.jobs(p_payer text, p_key text, p_keep_ms bigint) returns table (payer text, key text, due boolean)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_finished record;
begin
  for i in 1 .. 1000 loop
    select payer, due_at into v_finished
      from tenant.jobs
      where payer > p_payer and state in ('completed', 'dead')
      order by payer, due_at
      limit 1;
    exit when not found;
    p_payer := v_finished.payer;
    payer := p_payer;
    key := '';
    due := v_finished.due_at <= v_now;
    return next;
  end loop;
end $$;

-- The payers of the next queues, each with its last queue in the stretch. A payer is due if one of its queues is due.
create function sweep.queues(p_payer text, p_key text, p_keep_ms bigint)
returns table (payer text, key text, due boolean)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select payer, max(queue::text), bool_or(due_at <= clock_timestamp())
    from (
      select payer, queue, due_at
        from tenant.queues
        where (payer, queue) > (p_payer, p_key)
        order by payer, queue
        limit 10000
    ) stretch
    group by payer
    order by payer
$$;

-- The payers of the next locks, each with its last lock in the stretch. A payer is due if one of its locks is past its
-- retention.
create function sweep.locks(p_payer text, p_key text, p_keep_ms bigint)
returns table (payer text, key text, due boolean)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select payer, max(name), bool_or(expires_at <= clock_timestamp() - interval '3600 seconds')
    from (
      select payer, name, expires_at
        from tenant.locks
        where (payer, name) > (p_payer, p_key)
        order by payer, name
        limit 10000
    ) stretch
    group by payer
    order by payer
$$;

-- The payers of the next idempotency records, each with its last key in the stretch. A payer is due if one of its
-- records is past its retention.
create function sweep.idempotency(p_payer text, p_key text, p_keep_ms bigint)
returns table (payer text, key text, due boolean)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select payer, max(encode(key_sha256, 'hex') collate "C"),
      bool_or(created_at <= clock_timestamp() - interval '86400 seconds')
    from (
      select payer, key_sha256, created_at
        from tenant.idempotency
        where (payer, key_sha256) > (p_payer, decode(p_key, 'hex'))
        order by payer, key_sha256
        limit 10000
    ) stretch
    group by payer
    order by payer
$$;

-- The next links with clicks, one index step per link. A link is due if it was deleted, if it has clicks that are
-- not added up and a day has ended since, or if it has clicks that are added up and past their retention.
create function sweep.links(p_payer text, p_key text, p_keep_ms bigint)
returns table (payer text, key text, due boolean)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_midnight timestamptz := date_trunc('day', clock_timestamp(), 'UTC');
  v_keep timestamptz := clock_timestamp() - make_interval(secs => p_keep_ms / 1000.0);
  v_click record;
  v_link record;
begin
  for i in 1 .. 1000 loop
    select payer, slug, clicked_at into v_click
      from tenant.clicks
      where (payer, slug) > (p_payer, p_key)
      order by payer, slug, clicked_at
      limit 1;
    exit when not found;
    p_payer := v_click.payer;
    p_key := v_click.slug;
    select last_click_at, rolled_until into v_link
      from tenant.links
      where payer = p_payer and slug = p_key;
    payer := p_payer;
    key := p_key;
    due := v_link.rolled_until is null
      or (v_link.rolled_until < v_midnight and v_link.last_click_at >= v_link.rolled_until)
      or v_click.clicked_at < least(v_keep, v_link.rolled_until);
    return next;
  end loop;
end $$;

-- The due slugs among the next slugs, and the last slug of the stretch. A slug is due if its reservation is over and it
-- has no link: the link was never created, or it was deleted.
create function sweep.slugs(p_payer text, p_key text, p_keep_ms bigint)
returns table (payer text, key text, due boolean)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select payer, slug, due
    from (
      select payer, slug, lead(slug) over (order by slug) is null as last,
          reserved_at < clock_timestamp() - interval '600 seconds'
          and not exists (
            select
              from tenant.links
              where links.payer = stretch.payer and links.slug = stretch.slug) as due
        from (
          select payer, slug, reserved_at
            from slug.slugs
            where slug > p_key
            order by slug
            limit 2000
        ) stretch
    ) walked
    where due or last
    order by slug
$$;

-- The next payers with memories that expire, one index step per payer. A payer is due if its first memory has expired.
create function sweep.memories(p_payer text, p_key text, p_keep_ms bigint)
returns table (payer text, key text, due boolean)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_memory record;
begin
  for i in 1 .. 1000 loop
    select payer, expires_at into v_memory
      from tenant.memories
      where payer > p_payer and expires_at is not null
      order by payer, expires_at
      limit 1;
    exit when not found;
    p_payer := v_memory.payer;
    payer := p_payer;
    key := '';
    due := v_memory.expires_at <= v_now;
    return next;
  end loop;
end $$;

-- The due spaces of memories among the next spaces, and the last space of the stretch. A space is due if it has or
-- needs a graph and has vectors that are not in it. The key is the model and the dimensions, separated by U+0001, which
-- no name of a model contains.
create function sweep.graphs(p_payer text, p_key text, p_keep_ms bigint)
returns table (payer text, key text, due boolean)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select payer, model || chr(1) || dimensions, due
    from (
      select payer, model, dimensions, lead(payer) over (order by payer, model, dimensions) is null as last,
          dimensions between 1 and 3072 and last_place > grown_until
          and (grown_until > 0 or memories > tenant.exact_max()) as due
        from (
          select *
            from tenant.memory_spaces
            where (payer, model, dimensions) > (
              p_payer, split_part(p_key, chr(1), 1), coalesce(nullif(split_part(p_key, chr(1), 2), '')::integer, -1))
            order by payer, model, dimensions
            limit 10000
        ) stretch
    ) walked
    where due or last
    order by payer, model, dimensions
$$;

grant execute on function
  sweep.lead(text, integer), sweep.jobs(text, text, bigint), sweep.queues(text, text, bigint),
  sweep.locks(text, text, bigint), sweep.idempotency(text, text, bigint), sweep.links(text, text, bigint),
  sweep.slugs(text, text, bigint), sweep.memories(text, text, bigint), sweep.graphs(text, text, bigint)
  to payerbase_app;

set local role payerbase_search;
-- Memories: look-up of words, tags, namespaces and metadata in memories_by_key, the only index over all payers.
-- Installed as payerbase_search, a role that may read only ids and the indexed columns.
--
-- Row-level security keeps PostgreSQL from using a GIN index. So the policy of this role shows all rows, and the
-- function itself restricts them to the payer of the turn: each key contains the payer, and the conditions name it. The
-- function returns ids. The caller reads these memories under its own policy and checks each against the search.

-- Ids of memories that have all keys of p_all and at least one key of p_any (tenant.memory_key, tenant.metadata_key).
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

grant execute on function search.ids_by_keys(text, bigint[], bigint[], integer) to payerbase_rpc;

set local role payerbase_rpc;
-- One write of one payer, under the payer's lock.
-- The result is {"ok": ..}, {"empty": ..} for a pop without a job, or {"problem": {"code": .., ..}}.
create function rpc.dispatch_write(p_payer text, p_method text, p_params jsonb) returns json
language plpgsql
as $$
begin
  case p_method
    when 'increment' then return rpc.increment(p_payer, p_params);
    when 'decrement' then return rpc.decrement(p_payer, p_params);
    when 'resetCounter' then return rpc.reset_counter(p_payer, p_params);
    when 'deleteCounter' then return rpc.delete_counter(p_payer, p_params);
    when 'createLink' then return rpc.create_link(p_payer, p_params);
    when 'updateLink' then return rpc.update_link(p_payer, p_params);
    when 'recordClick' then return rpc.record_click(p_payer, p_params);
    when 'deleteLink' then return rpc.delete_link(p_payer, p_params);
    when 'acquireLock' then return rpc.acquire_lock(p_payer, p_params);
    when 'releaseLock' then return rpc.release_lock(p_payer, p_params);
    when 'extendLock' then return rpc.extend_lock(p_payer, p_params);
    when 'pushJob' then return rpc.push_job(p_payer, p_params);
    when 'pushJobs' then return rpc.push_jobs(p_payer, p_params);
    when 'popJob' then return rpc.pop_job(p_payer, p_params);
    when 'popJobs' then return rpc.pop_jobs(p_payer, p_params);
    when 'completeJob' then return rpc.complete_job(p_payer, p_params);
    when 'failJob' then return rpc.fail_job(p_payer, p_params);
    when 'extendJob' then return rpc.extend_job(p_payer, p_params);
    when 'cancelJob' then return rpc.cancel_job(p_payer, p_params);
    when 'retryDead' then return rpc.retry_dead(p_payer, p_params);
    when 'purgeQueue' then return rpc.purge_queue(p_payer, p_params);
    when 'storeMemory' then return rpc.store_memory(p_payer, p_params);
    when 'storeMemories' then return rpc.store_memories(p_payer, p_params);
    when 'updateMemory' then return rpc.update_memory(p_payer, p_params);
    when 'forgetMemory' then return rpc.forget_memory(p_payer, p_params);
    when 'followLink' then return rpc.follow_link(p_payer, p_params);
    when 'sweepQueues' then return rpc.sweep_queues(p_payer, p_params);
    when 'sweepJobs' then return rpc.sweep_jobs(p_payer, p_params);
    when 'sweepLocks' then return rpc.sweep_locks(p_payer, p_params);
    when 'sweepIdempotency' then return rpc.sweep_idempotency(p_payer, p_params);
    when 'sweepMemories' then return rpc.sweep_memories(p_payer, p_params);
    when 'growGraph' then return rpc.grow_graph(p_payer, p_params);
    when 'sweepLinks' then return rpc.sweep_links(p_payer, p_params);
    when 'transact' then return rpc.transact(p_payer, p_params);
    else raise exception 'no method %', p_method;
  end case;
end $$;

-- One read of one payer, without a lock. The result is as that of a write.
--   p_vector  the query vector of a search
create function rpc.dispatch_read(p_payer text, p_method text, p_params jsonb, p_vector public.vector) returns json
language plpgsql
as $$
begin
  case p_method
    when 'getCounter' then return rpc.get_counter(p_payer, p_params);
    when 'listCounters' then return rpc.list_counters(p_payer, p_params);
    when 'getLink' then return rpc.get_link(p_payer, p_params);
    when 'getLinkStats' then return rpc.get_link_stats(p_payer, p_params);
    when 'listLinks' then return rpc.list_links(p_payer, p_params);
    when 'checkLock' then return rpc.check_lock(p_payer, p_params);
    when 'listLocks' then return rpc.list_locks(p_payer, p_params);
    when 'getJob' then return rpc.get_job(p_payer, p_params);
    when 'listJobs' then return rpc.list_jobs(p_payer, p_params);
    when 'queueStatus' then return rpc.queue_status(p_payer, p_params);
    when 'listQueues' then return rpc.list_queues(p_payer, p_params);
    when 'recallMemory' then return rpc.recall_memory(p_payer, p_params);
    when 'searchMemories' then return rpc.search_memories(p_payer, p_params, p_vector);
    when 'listMemories' then return rpc.list_memories(p_payer, p_params);
    when 'getMe' then return rpc.get_me(p_payer, p_params);
    when 'hasAnswer' then return rpc.has_answer(p_payer, p_params);
    else raise exception 'no method %', p_method;
  end case;
end $$;

-- A run: several writes of one payer and method, as a set. Returns one result per call.
create function rpc.dispatch_run(p_payer text, p_method text, p_params jsonb) returns json[]
language plpgsql
as $$
begin
  case p_method
    when 'increment' then return rpc.increment_run(p_payer, p_params);
    when 'decrement' then return rpc.decrement_run(p_payer, p_params);
    when 'pushJob' then return rpc.push_job_run(p_payer, p_params);
    when 'popJob' then return rpc.pop_job_run(p_payer, p_params);
    when 'completeJob' then return rpc.complete_job_run(p_payer, p_params);
    else raise exception 'no method %', p_method;
  end case;
end $$;

-- Whether a method has a form for runs.
create function rpc.has_run(p_method text) returns boolean
language sql immutable
as $$
  select p_method in ('increment', 'decrement', 'pushJob', 'popJob', 'completeJob')
$$;


set local role payerbase_rpc;
-- A turn: one statement that runs a batch of calls. Installed as payerbase_rpc by `payerbase migrate`.

-- The clock of every method. Tests replace it.
create function rpc.now() returns timestamptz
language sql volatile
as $$
  select clock_timestamp()
$$;

-- The last call of a run: the calls from p_first on with the same payer and method and without conditions.
create function rpc.run_end(p_payers text[], p_methods text[], p_conditions text[], p_first integer) returns integer
language plpgsql immutable
as $$
declare
  v_last integer := p_first;
begin
  while p_payers[v_last + 1] = p_payers[p_first] and p_methods[v_last + 1] = p_methods[p_first]
    and p_conditions[v_last + 1] is null
  loop
    v_last := v_last + 1;
  end loop;
  return v_last;
end $$;

-- Runs a batch of writes in one transaction. The calls are sorted by payer, so that two batches take the locks of their
-- payers in the same order and cannot deadlock.
--   p_route       a payer of the batch: it selects the node of a cluster
--   p_conditions  the conditions of each call (rpc.write_with_conditions); NULL for most calls
--   p_wait_ms     0: the result of a payer whose lock is held is {"busy": null}, without waiting;
--                 otherwise how long to wait for the lock, then SQLSTATE 55P03: only for batches of one payer
-- `ran` is the time inside of this function: the rest of a round trip is the commit. Functions are called in
-- assignments, not with `perform`, which would run each as a query of its own.
create function rpc.turn(
  p_route text, p_payers text[], p_methods text[], p_params text[], p_conditions text[], p_wait_ms integer,
  out results text[], out ran interval
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_started timestamptz := clock_timestamp();
  v_payer text := '';
  v_locked boolean;
  v_run_end integer := 0;
begin
  if p_route <> all (p_payers) then
    raise exception 'the route is not a payer of the batch';
  end if;
  for i in 1 .. cardinality(p_payers) loop
    continue when i <= v_run_end;
    if p_payers[i] <> v_payer then
      v_payer := set_config('payerbase.payer', p_payers[i], true);
      v_locked := pg_try_advisory_xact_lock(hashtextextended(v_payer, 0));
      if not v_locked and p_wait_ms > 0 then
        perform set_config('lock_timeout', p_wait_ms::text, true), pg_advisory_xact_lock(hashtextextended(v_payer, 0));
        v_locked := true;
      end if;
    end if;
    -- Anything that must be atomic with every write belongs here, such as its price.
    if not v_locked then
      results[i] := '{"busy":null}';
    elsif p_payers[i + 1] = v_payer and p_methods[i + 1] = p_methods[i] and rpc.has_run(p_methods[i])
      and p_conditions[i] is null and p_conditions[i + 1] is null
    then
      v_run_end := rpc.run_end(p_payers, p_methods, p_conditions, i);
      results := results || rpc.dispatch_run(
        v_payer, p_methods[i], ('[' || array_to_string(p_params[i:v_run_end], ',') || ']')::jsonb)::text[];
    elsif p_conditions[i] is null then
      results[i] := rpc.dispatch_write(v_payer, p_methods[i], p_params[i]::jsonb);
    else
      results[i] := rpc.write_with_conditions(v_payer, p_methods[i], p_params[i]::jsonb, p_conditions[i]::jsonb);
    end if;
  end loop;
  ran := clock_timestamp() - v_started;
end $$;

-- Runs a batch of reads without a lock, in a transaction that it makes read-only.
--   p_vector  the query vector of a search, which is a batch of its own; NULL for other reads
create function rpc.read(
  p_route text, p_payers text[], p_methods text[], p_params text[], p_vector public.vector,
  out results text[], out ran interval
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_started timestamptz := clock_timestamp();
  v_payer text;
begin
  if p_route <> all (p_payers) then
    raise exception 'the route is not a payer of the batch';
  end if;
  v_payer := set_config('transaction_read_only', 'on', true);
  for i in 1 .. cardinality(p_payers) loop
    if p_payers[i] <> v_payer then
      v_payer := set_config('payerbase.payer', p_payers[i], true);
    end if;
    results[i] := rpc.dispatch_read(v_payer, p_methods[i], p_params[i]::jsonb, p_vector);
  end loop;
  ran := clock_timestamp() - v_started;
end $$;

grant execute on function rpc.turn(text, text[], text[], text[], text[], integer) to payerbase_app;
grant execute on function rpc.read(text, text[], text[], text[], public.vector) to payerbase_app;

set local role payerbase_rpc;
-- Problems, as methods return them. Installed as payerbase_rpc.

create function rpc.problem(p_code text, p_members json default null) returns json
language plpgsql immutable
as $$
begin
  return json_build_object('problem', (jsonb_build_object('code', p_code) || coalesce(p_members::jsonb, '{}'))::json);
end $$;

create function rpc.invalid_value(p_pointer text, p_detail text) returns json
language plpgsql immutable
as $$
begin
  return rpc.problem('invalid-value', json_build_object(
    'errors', json_build_array(json_build_object('pointer', p_pointer, 'detail', p_detail))));
end $$;

set local role payerbase_rpc;
-- Conditions of a write: its idempotency key and its guard. Installed as payerbase_rpc.

-- Whether the key of a write has an answer that is kept long enough for the turn to return it. Such a write does not
-- run again.
--   p_conditions  as in rpc.write_with_conditions
create function rpc.has_answer(p_payer text, p_conditions jsonb) returns json
language sql stable
as $$
  select json_build_object('ok', exists (
    select
      from tenant.idempotency
      where payer = p_payer and key_sha256 = decode(p_conditions->>'key', 'hex')
        and created_at > rpc.now() - (interval '86400 seconds' - interval '60 seconds')))
$$;

-- Runs a write under its conditions. Its effect and its idempotency record are in one transaction.
--   p_conditions  {"key": .., "request": .., "guard": {"lock": .., "fence": ..}}; key and request are SHA-256 in hex
create function rpc.write_with_conditions(p_payer text, p_method text, p_params jsonb, p_conditions jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_key bytea := decode(p_conditions->>'key', 'hex');
  v_request bytea := decode(p_conditions->>'request', 'hex');
  v_seen record;
  v_answer json;
begin
  if v_key is not null then
    select request_sha256, answer, created_at into v_seen
      from tenant.idempotency
      where payer = p_payer and key_sha256 = v_key;
    if v_seen.created_at > v_now - interval '86400 seconds' then
      if v_seen.request_sha256 <> v_request then
        return rpc.problem('idempotency-mismatch');
      end if;
      return json_build_object('replay', v_seen.answer);
    end if;
  end if;
  v_answer := rpc.check_guard(p_payer, p_conditions->'guard');
  if v_answer is null then
    v_answer := rpc.dispatch_write(p_payer, p_method, p_params);
  end if;
  -- A problem and an empty pop are not recorded: a retry runs again.
  if v_key is not null and json_typeof(v_answer->'ok') is not null then
    insert into tenant.idempotency (payer, key_sha256, request_sha256, answer, created_at)
      values (p_payer, v_key, v_request, v_answer->'ok', v_now)
      on conflict (payer, key_sha256) do update
        set request_sha256 = excluded.request_sha256, answer = excluded.answer, created_at = excluded.created_at;
  end if;
  return v_answer;
end $$;

-- Deletes idempotency records that are past their retention, a limited number per call. Returns the number deleted.
create function rpc.sweep_idempotency(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_until timestamptz := rpc.now() - interval '86400 seconds';
  v_keys bytea[];
  v_count integer;
begin
  v_keys := array(
    select key_sha256
      from tenant.idempotency
      where payer = p_payer and created_at <= v_until
      limit 1000);
  delete from tenant.idempotency
    where payer = p_payer and key_sha256 = any (v_keys);
  get diagnostics v_count = row_count;
  return json_build_object('ok', v_count);
end $$;

set local role payerbase_rpc;
-- Transactions. Installed as payerbase_rpc.

-- Joins the pieces of the parameters of a call with the members of earlier results that it refers to.
--   p_bytes  size of the results so far; `bytes` adds each referenced result
--   problem  set if a member does not exist, or the results are too large
create function rpc.resolve_references(
  p_call jsonb, p_index integer, p_results json[], p_bytes bigint, out params jsonb, out bytes bigint, out problem jsonb
)
language plpgsql stable
as $$
declare
  v_pieces text[] := array[p_call->'pieces'->>0];
  v_ref jsonb;
  v_result text;
  v_value jsonb;
begin
  bytes := p_bytes;
  for i in 1 .. jsonb_array_length(p_call->'refs') loop
    v_ref := p_call->'refs'->(i - 1);
    v_result := p_results[(v_ref->>'call')::integer + 1];
    bytes := bytes + octet_length(v_result);
    if bytes > 8388608 then
      problem := rpc.results_too_large();
      return;
    end if;
    v_value := v_result::jsonb #> array(select jsonb_array_elements_text(v_ref->'from'));
    if v_value is null then
      problem := rpc.invalid_value(v_ref->>'pointer', 'the result has no such member')->'problem';
      return;
    end if;
    v_pieces := v_pieces || array[v_value::text, p_call->'pieces'->>i];
  end loop;
  params := array_to_string(v_pieces, '');
  if exists (
    select
      from jsonb_each(params)
      where key in ('id', 'name', 'queue', 'slug', 'lease', 'token') and jsonb_typeof(value) not in ('string', 'null')
  ) then
    raise data_exception using message = 'a name or an id is a text';
  end if;
  -- 64 levels inside of a member, as in a request.
  if params @? '$.**{66}' then
    problem := rpc.invalid_value('/calls/' || p_index || '/params', 'must be nested at most 64 levels deep')->'problem';
  end if;
end $$;

create function rpc.results_too_large() returns jsonb
language sql immutable
as $$
  select jsonb_build_object(
    'code', 'payload-too-large', 'limitBytes', 8388608,
    'detail', 'The results of the calls, together with the results that they refer to, are larger than the limit.')
$$;

-- Runs one call.
create function rpc.transact_one(p_payer text, p_call jsonb, p_params jsonb) returns json
language plpgsql
as $$
declare
  v_answer json;
begin
  if p_call ? 'guard' then
    v_answer := rpc.check_guard(p_payer, p_call->'guard');
    if v_answer is not null then
      return v_answer;
    end if;
  end if;
  if p_call @> '{"write":true}' then
    return rpc.dispatch_write(p_payer, p_call->>'method', p_params);
  end if;
  return rpc.dispatch_read(p_payer, p_call->>'method', p_params, null);
end $$;

-- The problem of a call, with pointers into the transaction.
create function rpc.transact_problem(p_problem jsonb, p_index integer) returns jsonb
language sql immutable
as $$
  select case when p_problem ? 'errors' then p_problem || jsonb_build_object('errors', (
    select jsonb_agg(error || jsonb_build_object('pointer', '/calls/' || p_index || '/params' || (error->>'pointer')))
      from jsonb_array_elements(p_problem->'errors') as error)) else p_problem end
$$;

-- Runs several calls: all succeed, or none has an effect. This is the only function with a subtransaction.
-- "calls" has one object per call, or per run of calls of one method:
--   method  name of the method
--   write   whether the method writes
--   params  its parameters, if they contain no references
--   pieces  instead of params: the JSON text of the parameters, cut at each reference
--   refs    with pieces, one object per reference: "call", the index of the earlier call; "from", the path of the
--           value in the result of that call; "pointer", the position of the reference in the request
--   run     instead of params: the parameters of each call of a run
--   guard   optional: lock and fence (rpc.check_guard)
create function rpc.transact(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
declare
  v_calls jsonb := p_params->'calls';
  v_call jsonb;
  v_input record;
  v_answer json;
  v_answers json[];
  v_ok json;
  -- Their number is the index of the next call.
  v_results json[] := '{}';
  -- Size of all results. A result counts once, and once more for each reference to it.
  v_bytes bigint := 0;
  v_problem jsonb;
begin
  begin
    for i in 0 .. jsonb_array_length(v_calls) - 1 loop
      v_call := v_calls->i;
      if v_call ? 'run' then
        v_answers := rpc.dispatch_run(p_payer, v_call->>'method', v_call->'run');
      elsif v_call ? 'refs' then
        v_input := rpc.resolve_references(v_call, cardinality(v_results), v_results, v_bytes);
        v_bytes := v_input.bytes;
        v_problem := v_input.problem;
        if v_problem is null then
          v_answers := array[rpc.transact_one(p_payer, v_call, v_input.params)];
        end if;
      else
        v_answers := array[rpc.transact_one(p_payer, v_call, v_call->'params')];
      end if;
      if v_problem is null then
        foreach v_answer in array v_answers loop
          v_ok := coalesce(v_answer->'ok', v_answer->'empty');
          v_bytes := v_bytes + octet_length(v_answer::text);
          if v_ok is null then
            v_problem := rpc.transact_problem((v_answer->'problem')::jsonb, cardinality(v_results));
          elsif v_bytes > 8388608 then
            v_problem := rpc.results_too_large();
          end if;
          exit when v_problem is not null;
          v_results := v_results || v_ok;
        end loop;
      end if;
      if v_problem is not null then
        raise exception using errcode = 'PB001', message = 'rolled back';
      end if;
    end loop;
  exception
    when sqlstate 'PB001' then
      null;
    when data_exception or integrity_constraint_violation then
      -- Only the value of a reference is unchecked here: the types of the other parameters were checked before.
      if not v_call ? 'refs' then
        raise;
      end if;
      v_problem := rpc.invalid_value(
        '/calls/' || cardinality(v_results) || '/params', 'the value of a $ref does not fit its place')->'problem';
  end;
  if v_problem is not null then
    return json_build_object('problem', v_problem || jsonb_build_object(
      'index', cardinality(v_results), 'method', v_call->'method'));
  end if;
  return json_build_object('ok', json_build_object('results', array_to_json(v_results)));
end $$;

set local role payerbase_rpc;
-- Methods of counters. Owned by payerbase_rpc. Writes run in a turn (src/turn/turn.sql), which holds the payer's lock.

-- A counter, and a counter after an increment or a decrement, as callers see them: one attribute per JSON member.
create type rpc.shown_counter as (
  name text, value bigint, min bigint, max bigint, "createdAt" timestamptz, "updatedAt" timestamptz
);
create type rpc.adjusted_counter as (
  name text, value bigint, min bigint, max bigint, "createdAt" timestamptz, "updatedAt" timestamptz,
  "previousValue" bigint, applied bigint, capped boolean
);

-- The general case of an increment or a decrement: creates the counter, changes its bounds, stops at a bound. Returns
-- the counter.
--
-- A bound stops the counter but never moves it: a value that is already outside can only move towards the bounds.
-- The sum is numeric: a bigint could overflow before a bound stops it.
create function rpc.move_within_bounds(
  p_payer text, p_params jsonb, p_delta numeric, p_sign integer, p_now timestamptz
) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_name text := p_params->>'name';
  v_exists boolean;
  v_old bigint;
  v_min bigint;
  v_max bigint;
  v_created_at timestamptz;
  v_sum numeric;
  v_new bigint;
  v_capped boolean := false;
begin
  select value, min, max, created_at into v_old, v_min, v_max, v_created_at
    from tenant.counters
    where payer = p_payer and name = v_name;
  v_exists := found;
  v_old := coalesce(v_old, 0);
  v_created_at := coalesce(v_created_at, p_now);
  v_min := case when p_params ? 'min' then (p_params->>'min')::bigint else v_min end;
  v_max := case when p_params ? 'max' then (p_params->>'max')::bigint else v_max end;
  if v_min > v_max then
    return rpc.invalid_value(case when p_params ? 'min' then '/min' else '/max' end, 'min must not be above max');
  end if;

  v_sum := v_old + p_delta;
  if v_sum > v_max and p_delta > 0 then
    v_capped := true;
    v_sum := greatest(v_max, v_old);
  elsif v_sum < v_min and p_delta < 0 then
    v_capped := true;
    v_sum := least(v_min, v_old);
  end if;
  if v_capped and p_params->>'onBound' = 'reject' then
    return rpc.problem('counter-out-of-bounds', json_build_object('value', v_old, 'min', v_min, 'max', v_max));
  end if;
  if v_sum not between -9223372036854775808 and 9223372036854775807 then
    return rpc.problem('counter-overflow', json_build_object('value', v_old));
  end if;
  v_new := v_sum;

  if v_exists then
    update tenant.counters
      set value = v_new, min = v_min, max = v_max, updated_at = p_now
      where payer = p_payer and name = v_name;
  else
    insert into tenant.counters (payer, name, value, min, max, created_at, updated_at)
      values (p_payer, v_name, v_new, v_min, v_max, p_now, p_now);
  end if;
  return json_build_object('ok', to_json(row(
    v_name, v_new, v_min, v_max, v_created_at, p_now, v_old, (v_sum - v_old) * p_sign, v_capped
  )::rpc.adjusted_counter));
end $$;

-- The counter after an increment or a decrement. Most calls end after the first statement: the counter exists, its
-- bounds stay, and no bound stops it.
--   p_sign  1: increment, -1: decrement
create function rpc.add_to_counter(p_payer text, p_params jsonb, p_sign integer) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_name text := p_params->>'name';
  v_delta numeric := (p_params->>'amount')::bigint::numeric * p_sign;
  v_min bigint;
  v_max bigint;
  v_created_at timestamptz;
  v_new bigint;
begin
  if not p_params ?| '{min,max}' then
    update tenant.counters
      set value = value + v_delta, updated_at = v_now
      where payer = p_payer and name = v_name
        and case
          when v_delta > 0 then value + v_delta <= coalesce(max, 9223372036854775807)
          else value + v_delta >= coalesce(min, -9223372036854775808)
        end
      returning value, min, max, created_at into v_new, v_min, v_max, v_created_at;
    if found then
      return json_build_object('ok', to_json(row(
        v_name, v_new, v_min, v_max, v_created_at, v_now, v_new - v_delta, v_delta * p_sign, false
      )::rpc.adjusted_counter));
    end if;
  end if;
  return rpc.move_within_bounds(p_payer, p_params, v_delta, p_sign, v_now);
end $$;

-- Written in SQL, so that PostgreSQL inlines them.
create function rpc.increment(p_payer text, p_params jsonb) returns json
language sql
as $$
  select rpc.add_to_counter(p_payer, p_params, 1)
$$;

create function rpc.decrement(p_payer text, p_params jsonb) returns json
language sql
as $$
  select rpc.add_to_counter(p_payer, p_params, -1)
$$;

create function rpc.reset_counter(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_name text := p_params->>'name';
  v_new bigint := (p_params->>'value')::bigint;
  v_exists boolean;
  v_old bigint;
  v_min bigint;
  v_max bigint;
  v_created_at timestamptz;
begin
  select value, min, max, created_at into v_old, v_min, v_max, v_created_at
    from tenant.counters
    where payer = p_payer and name = v_name;
  v_exists := found;
  if v_new < v_min or v_new > v_max then
    return rpc.invalid_value('/value', 'must be within the bounds of the counter');
  end if;
  if v_exists then
    update tenant.counters
      set value = v_new, updated_at = v_now
      where payer = p_payer and name = v_name;
  else
    v_old := 0;
    v_created_at := v_now;
    insert into tenant.counters (payer, name, value, created_at, updated_at)
      values (p_payer, v_name, v_new, v_now, v_now);
  end if;
  return json_build_object('ok', json_build_object(
    'name', v_name, 'value', v_new, 'min', v_min, 'max', v_max, 'createdAt', v_created_at, 'updatedAt', v_now,
    'previousValue', v_old));
end $$;

create function rpc.delete_counter(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_name text := p_params->>'name';
begin
  delete from tenant.counters
    where payer = p_payer and name = v_name;
  if not found then
    return rpc.problem('not-found');
  end if;
  return '{"ok":null}';
end $$;

create function rpc.get_counter(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_name text := p_params->>'name';
  v_counter rpc.shown_counter;
begin
  select name, value, min, max, created_at, updated_at into v_counter
    from tenant.counters
    where payer = p_payer and name = v_name;
  if not found then
    return rpc.problem('not-found');
  end if;
  return json_build_object('ok', v_counter);
end $$;

-- A page of counters, sorted by name. Reads one row more than the page, to know whether a next page exists. The prefix
-- becomes a range of the primary key that ends with the prefix and the highest characters (src/name.rs).
create function rpc.list_counters(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_prefix text := coalesce(p_params->>'prefix', '');
  v_last text := v_prefix || repeat(chr(1114111), 65);
  v_after text := coalesce(p_params->>'cursor', '');
  v_limit integer := (p_params->>'limit')::integer;
  v_counter rpc.shown_counter;
  v_items json[] := '{}';
  v_next text;
begin
  for v_counter in
    select name, value, min, max, created_at, updated_at
      from tenant.counters
      where payer = p_payer and name > v_after and name >= v_prefix and name <= v_last
      order by name
      limit v_limit + 1
  loop
    if cardinality(v_items) = v_limit then
      v_next := v_after;
      exit;
    end if;
    v_items := v_items || to_json(v_counter);
    v_after := v_counter.name;
  end loop;
  return json_build_object('ok', json_build_object('items', array_to_json(v_items), 'nextCursor', v_next));
end $$;

set local role payerbase_rpc;
-- A run of increments, or of decrements, as a set. Installed as payerbase_rpc; runs in a turn, which holds the payer's
-- lock.

-- Adds the amounts of several calls to their counters with one update. A counter may have several calls. Returns one
-- result per call, as rpc.add_to_counter does.
--   p_params  the parameters of each call
--   p_sign    1: increment, -1: decrement
create function rpc.add_to_counters(p_payer text, p_params jsonb, p_sign integer) returns json[]
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_call jsonb;
  v_name text;
  -- Per call: its amount with the sign, and the index of the call before it with the same counter.
  v_deltas numeric[] := '{}';
  v_before integer[] := '{}';
  -- Per counter: its name, the sum of its amounts, and the index of its last call.
  v_names text[] := '{}';
  v_totals numeric[] := '{}';
  v_last integer[] := '{}';
  v_at integer;
  v_counter record;
  v_value numeric;
  v_is_plain boolean := true;
  v_answers json[] := '{}';
begin
  for i in 1 .. jsonb_array_length(p_params) loop
    v_call := p_params->(i - 1);
    v_name := v_call->>'name';
    v_deltas[i] := (v_call->>'amount')::numeric * p_sign;
    v_is_plain := v_is_plain and not v_call ?| '{min,max}' and v_deltas[i] * p_sign >= 0;
    v_at := coalesce(array_position(v_names, v_name), cardinality(v_names) + 1);
    v_names[v_at] := v_name;
    v_totals[v_at] := coalesce(v_totals[v_at], 0) + v_deltas[i];
    v_before[i] := v_last[v_at];
    v_last[v_at] := i;
  end loop;
  -- All amounts have one sign. If no bound stops the sum of them, no bound stops one of the calls.
  if v_is_plain then
    for v_counter in
      update tenant.counters
        set value = value + v_totals[array_position(v_names, name::text)], updated_at = v_now
        where payer = p_payer and name = any (v_names)
          and case
            when p_sign > 0
              then value + v_totals[array_position(v_names, name::text)] <= coalesce(max, 9223372036854775807)
            else value + v_totals[array_position(v_names, name::text)] >= coalesce(min, -9223372036854775808)
          end
        returning array_position(v_names, name::text) as at, name, value, min, max, created_at
    loop
      -- From the last call of the counter to its first.
      v_at := v_last[v_counter.at];
      v_value := v_counter.value;
      while v_at is not null loop
        v_answers[v_at] := json_build_object('ok', to_json(row(
          v_counter.name, v_value, v_counter.min, v_counter.max, v_counter.created_at, v_now,
          v_value - v_deltas[v_at], v_deltas[v_at] * p_sign, false)::rpc.adjusted_counter));
        v_value := v_value - v_deltas[v_at];
        v_at := v_before[v_at];
      end loop;
    end loop;
  end if;
  -- The other counters do not exist, or a bound may stop one of their calls. The calls of a counter keep their order.
  for i in 1 .. jsonb_array_length(p_params) loop
    if v_answers[i] is null then
      v_answers[i] := rpc.add_to_counter(p_payer, p_params->(i - 1), p_sign);
    end if;
  end loop;
  return v_answers;
end $$;

create function rpc.increment_run(p_payer text, p_params jsonb) returns json[]
language sql
as $$
  select rpc.add_to_counters(p_payer, p_params, 1)
$$;

create function rpc.decrement_run(p_payer text, p_params jsonb) returns json[]
language sql
as $$
  select rpc.add_to_counters(p_payer, p_params, -1)
$$;

set local role payerbase_rpc;
-- Methods of links. Owned by payerbase_rpc. Writes run in a turn (src/turn/turn.sql), which holds the payer's lock.

-- A link as JSON. The server adds the short URL.
create function rpc.link_json(p_link tenant.links) returns json
language sql stable
as $$
  select json_build_object(
    'slug', p_link.slug, 'url', p_link.url, 'title', p_link.title, 'clicks', p_link.clicks,
    'maxClicks', p_link.max_clicks, 'expiresAt', p_link.expires_at,
    'createdAt', p_link.created_at, 'updatedAt', p_link.updated_at)
$$;

-- The new link. Its slug was reserved for the payer before the turn (src/links/slug.sql).
create function rpc.create_link(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_link tenant.links;
begin
  v_link.slug := p_params->>'slug';
  v_link.id := p_params->>'id';
  v_link.url := p_params->>'url';
  v_link.title := p_params->>'title';
  v_link.max_clicks := p_params->>'maxClicks';
  v_link.expires_at := coalesce(
    (p_params->>'expiresAt')::timestamptz,
    v_now + make_interval(secs => (p_params->>'ttlMs')::bigint / 1000.0));
  v_link.clicks := 0;
  v_link.created_at := v_now;
  v_link.updated_at := v_now;
  insert into tenant.links (
      payer, slug, id, url, title, clicks, bot_clicks, max_clicks, expires_at, rolled_until, created_at, updated_at)
    values (
      p_payer, v_link.slug, v_link.id, v_link.url, v_link.title, 0, 0, v_link.max_clicks, v_link.expires_at, v_now,
      v_now, v_now)
    on conflict (payer, slug) do nothing;
  if not found then
    return rpc.problem('slug-taken');
  end if;
  return json_build_object('ok', rpc.link_json(v_link));
end $$;

create function rpc.get_link(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_slug text := p_params->>'slug';
  v_link tenant.links;
begin
  select * into v_link
    from tenant.links
    where payer = p_payer and slug = v_slug;
  if not found then
    return rpc.problem('not-found');
  end if;
  return json_build_object('ok', rpc.link_json(v_link));
end $$;

-- The link after a JSON merge patch: absent members stay unchanged, null removes the title or a limit.
create function rpc.update_link(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_slug text := p_params->>'slug';
  v_link tenant.links;
begin
  select * into v_link
    from tenant.links
    where payer = p_payer and slug = v_slug;
  if not found then
    return rpc.problem('not-found');
  end if;
  v_link.url := coalesce(p_params->>'url', v_link.url);
  v_link.title := case when p_params ? 'title' then p_params->>'title' else v_link.title end;
  v_link.expires_at := case
    when p_params ? 'expiresAt' then (p_params->>'expiresAt')::timestamptz
    else v_link.expires_at
  end;
  v_link.max_clicks := case
    when p_params ? 'maxClicks' then (p_params->>'maxClicks')::bigint
    else v_link.max_clicks
  end;
  v_link.updated_at := v_now;
  update tenant.links
    set url = v_link.url, title = v_link.title, expires_at = v_link.expires_at, max_clicks = v_link.max_clicks,
      updated_at = v_now
    where payer = p_payer and slug = v_slug;
  return json_build_object('ok', rpc.link_json(v_link));
end $$;

-- Deletes a link and its statistics. The sweeper deletes the single clicks.
create function rpc.delete_link(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_slug text := p_params->>'slug';
begin
  delete from tenant.links
    where payer = p_payer and slug = v_slug;
  if not found then
    return rpc.problem('not-found');
  end if;
  delete from tenant.click_totals
    where payer = p_payer and slug = v_slug;
  return '{"ok":null}';
end $$;

-- Counts one click. The update checks the expiry and the limit of clicks in the same statement, so that the limit
-- holds. Bots are counted separately and do not count towards the limit. Returns the target URL and the number of
-- clicks, or a problem.
create function rpc.click(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_slug text := p_params->>'slug';
  v_id uuid := p_params->>'id';
  v_bot boolean := p_params->>'bot';
  v_human integer := case when v_bot then 0 else 1 end;
  v_referrer text := p_params->>'referrer';
  v_country text := p_params->>'country';
  v_browser text := p_params->>'browser';
  v_url text;
  v_clicks bigint;
begin
  update tenant.links
    set clicks = clicks + v_human, bot_clicks = bot_clicks + 1 - v_human, last_click_at = v_now
    where payer = p_payer and slug = v_slug
      and coalesce(expires_at > v_now, true) and coalesce(clicks < max_clicks, true)
    returning url, clicks into v_url, v_clicks;
  if found then
    insert into tenant.clicks (payer, slug, clicked_at, id, referrer, country, browser, bot)
      values (p_payer, v_slug, v_now, v_id, v_referrer, v_country, v_browser, v_bot);
    return json_build_object('ok', json_build_object('url', v_url, 'recorded', not v_bot, 'clicks', v_clicks));
  end if;
  select clicks into v_clicks
    from tenant.links
    where payer = p_payer and slug = v_slug;
  return case when found then rpc.problem('link-gone') else rpc.problem('not-found') end;
end $$;

create function rpc.follow_link(p_payer text, p_params jsonb) returns json
language sql
as $$
  select rpc.click(p_payer, p_params)
$$;

create function rpc.record_click(p_payer text, p_params jsonb) returns json
language sql
as $$
  select rpc.click(p_payer, p_params)
$$;

-- A page of links, newest first.
create function rpc.list_links(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_limit integer := (p_params->>'limit')::integer;
  v_before uuid := coalesce(p_params->>'cursor', 'ffffffff-ffff-ffff-ffff-ffffffffffff');
  v_items json[] := '{}';
  v_link tenant.links;
  v_next text;
begin
  for v_link in
    select *
      from tenant.links
      where payer = p_payer and id < v_before
      order by id desc
      limit v_limit + 1
  loop
    if cardinality(v_items) = v_limit then
      v_next := v_before;
      exit;
    end if;
    v_items := v_items || rpc.link_json(v_link);
    v_before := v_link.id;
  end loop;
  return json_build_object('ok', json_build_object('items', array_to_json(v_items), 'nextCursor', v_next));
end $$;

-- The latest clicks of a link, newest first.
create function rpc.recent_clicks(p_payer text, p_slug text, p_since timestamptz) returns json
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_recent json;
begin
  select coalesce(json_agg(item), '[]') into v_recent
    from (
      select json_build_object(
          'clickedAt', clicked_at, 'referrer', referrer, 'country', country, 'browser', browser, 'bot', bot) as item
        from tenant.clicks
        where payer = p_payer and slug = p_slug and clicked_at >= p_since
        order by clicked_at desc, id desc
        limit 20
    ) recent;
  return v_recent;
end $$;

-- Click statistics over the last days, including today: totals for the days that are added up, single clicks since
-- then.
create function rpc.get_link_stats(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_slug text := p_params->>'slug';
  v_today date := (v_now at time zone 'UTC')::date;
  v_first date := v_today - ((p_params->>'days')::integer - 1);
  v_link tenant.links;
  v_from timestamptz;
  v_counts json;
  v_recent json;
begin
  select * into v_link
    from tenant.links
    where payer = p_payer and slug = v_slug;
  if not found then
    return rpc.problem('not-found');
  end if;
  v_from := greatest(v_link.rolled_until, v_first::timestamp at time zone 'UTC');
  with counted as (
    select kind, day, value, clicks, bot_clicks
      from tenant.click_totals
      where payer = p_payer and slug = v_slug and day >= v_first
    union all
    select kinds.kind, (clicked_at at time zone 'UTC')::date,
        coalesce(
          case kind when 'referrer' then referrer when 'country' then country when 'browser' then browser end, ''),
        (not bot)::integer, bot::integer
      from tenant.clicks
      cross join (values ('day'), ('referrer'), ('country'), ('browser')) as kinds (kind)
      where payer = p_payer and slug = v_slug and clicked_at >= v_from
  ), by_value as (
    select kind, nullif(value, '') as value, sum(clicks) as clicks,
        row_number() over (partition by kind order by sum(clicks) desc, nullif(value, '')) as place
      from counted
      where kind <> 'day' and clicks > 0
      group by kind, value
  ), top as (
    select kind, json_agg(json_build_object('value', value, 'clicks', clicks) order by place) as items
      from by_value
      where place <= 50
      group by kind
  ), by_day as (
    select v_first + number as date, coalesce(sum(clicks), 0) as clicks, coalesce(sum(bot_clicks), 0) as bot_clicks
      from generate_series(0, v_today - v_first) as number
      left join counted on counted.kind = 'day' and counted.day = v_first + number
      group by number
  )
  select json_build_object(
      'referrers', coalesce((select items from top where kind = 'referrer'), '[]'),
      'countries', coalesce((select items from top where kind = 'country'), '[]'),
      'browsers', coalesce((select items from top where kind = 'browser'), '[]'),
      'daily', (
        select json_agg(json_build_object('date', date, 'clicks', clicks, 'botClicks', bot_clicks) order by date)
          from by_day))
    into v_counts;
  v_recent := rpc.recent_clicks(p_payer, v_slug, v_link.created_at);
  return json_build_object('ok', json_build_object(
    'slug', v_slug, 'url', v_link.url, 'title', v_link.title, 'clicks', v_link.clicks, 'botClicks', v_link.bot_clicks,
    'createdAt', v_link.created_at, 'lastClickAt', v_link.last_click_at,
    'referrers', v_counts->'referrers', 'countries', v_counts->'countries', 'browsers', v_counts->'browsers',
    'daily', v_counts->'daily', 'recentClicks', v_recent));
end $$;

-- Adds the clicks of one link before today to its totals, then deletes clicks that are in the totals and past their
-- retention. About 5,000 clicks of each per call. Returns the number of totals written plus the number of clicks
-- deleted: 0 when no work is left.
--   keepMs  retention of single clicks
create function rpc.sweep_links(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_slug text := p_params->>'slug';
  v_midnight timestamptz := date_trunc('day', v_now, 'UTC');
  v_from timestamptz;
  v_until timestamptz;
  v_rolled integer := 0;
  v_forgotten integer;
begin
  select rolled_until into v_from
    from tenant.links
    where payer = p_payer and slug = v_slug;
  if not found then
    -- The link is deleted: delete all of its clicks.
    v_from := 'infinity';
  elsif v_from < v_midnight then
    select clicked_at into v_until
      from tenant.clicks
      where payer = p_payer and slug = v_slug and clicked_at > v_from and clicked_at < v_midnight
      order by clicked_at
      offset 5000
      limit 1;
    v_until := coalesce(v_until, v_midnight);
    insert into tenant.click_totals (payer, slug, day, kind, value, clicks, bot_clicks)
      select p_payer, v_slug, (clicked_at at time zone 'UTC')::date, kinds.kind,
          coalesce(
            case kinds.kind when 'referrer' then referrer when 'country' then country when 'browser' then browser end,
            ''),
          sum((not bot)::integer), sum(bot::integer)
        from tenant.clicks
        cross join (values ('day'), ('referrer'), ('country'), ('browser')) as kinds (kind)
        where payer = p_payer and slug = v_slug and clicked_at >= v_from and clicked_at < v_until
        group by 3, 4, 5
      on conflict (payer, slug, kind, day, value) do update
        set clicks = click_totals.clicks + excluded.clicks, bot_clicks = click_totals.bot_clicks + excluded.bot_clicks;
    get diagnostics v_rolled = row_count;
    update tenant.links
      set rolled_until = v_until
      where payer = p_payer and slug = v_slug;
    v_from := v_until;
  end if;
  v_from := case
    when v_from = 'infinity' then v_from
    else least(v_from, v_now - make_interval(secs => (p_params->>'keepMs')::bigint / 1000.0))
  end;
  select clicked_at into v_until
    from tenant.clicks
    where payer = p_payer and slug = v_slug and clicked_at < v_from
    order by clicked_at
    offset 5000
    limit 1;
  v_until := coalesce(v_until, v_from);
  delete from tenant.clicks
    where payer = p_payer and slug = v_slug and clicked_at < v_until;
  get diagnostics v_forgotten = row_count;
  return json_build_object('ok', v_rolled + v_forgotten);
end $$;

set local role payerbase_rpc;
-- Methods of locks. Owned by payerbase_rpc. Writes run in a turn (src/turn/turn.sql), which holds the payer's lock.

create function rpc.lock_token_sha256(p_params jsonb) returns bytea
language sql immutable
as $$
  select sha256(convert_to(p_params->>'token', 'UTF8'))
$$;

-- A lease as JSON, without the token: the database stores only its SHA-256, so the server adds it.
create function rpc.lease(p_name text, p_fence bigint, p_acquired_at timestamptz, p_expires_at timestamptz) returns json
language sql immutable
as $$
  select json_build_object('ok', json_build_object(
    'name', p_name, 'fence', p_fence, 'acquiredAt', p_acquired_at, 'expiresAt', p_expires_at))
$$;

-- The lease, or lock-held with the expiry of the current lease.
create function rpc.acquire_lock(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_name text := p_params->>'name';
  v_token_sha256 bytea := rpc.lock_token_sha256(p_params);
  v_until timestamptz := v_now + make_interval(secs => (p_params->>'ttlMs')::integer / 1000.0);
  v_metadata jsonb := nullif(p_params->'metadata', 'null');
  v_lock record;
  v_fence bigint;
begin
  -- The request was within 4 KiB. As jsonb text it is longer: with spaces, and numbers without exponents.
  if octet_length(v_metadata::text) > 8192 then
    return rpc.invalid_value(
      '/metadata',
      'must be at most 4096 bytes of JSON, and 8192 with spaces '
      'and all digits of its numbers');
  end if;
  select fence, token_sha256, acquired_at, expires_at into v_lock
    from tenant.locks
    where payer = p_payer and name = v_name;
  if found then
    if v_lock.token_sha256 is not null and v_lock.expires_at > v_now then
      if v_lock.token_sha256 = v_token_sha256 then
        -- The holder retries, since it lost the first answer.
        return rpc.lease(v_name, v_lock.fence, v_lock.acquired_at, v_lock.expires_at);
      end if;
      return rpc.problem('lock-held', json_build_object(
        'expiresAt', v_lock.expires_at,
        'expiresInMs', ceil(extract(epoch from v_lock.expires_at - v_now) * 1000)::bigint));
    end if;
    v_fence := v_lock.fence + 1;
    update tenant.locks
      set fence = v_fence, token_sha256 = v_token_sha256, acquired_at = v_now, expires_at = v_until,
        metadata = v_metadata
      where payer = p_payer and name = v_name;
  else
    select last + 1 into v_fence
      from tenant.fences
      where payer = p_payer;
    v_fence := coalesce(v_fence, 1);
    insert into tenant.locks (payer, name, fence, token_sha256, acquired_at, expires_at, metadata)
      values (p_payer, v_name, v_fence, v_token_sha256, v_now, v_until, v_metadata);
  end if;
  return rpc.lease(v_name, v_fence, v_now, v_until);
end $$;

-- The problem of a token that does not hold the lock; NULL if it does.
--   p_held  SHA-256 of the holder's token; NULL if the lock is free
create function rpc.lock_problem(p_held bytea, p_expires_at timestamptz, p_token_sha256 bytea, p_now timestamptz)
returns json
language plpgsql immutable
as $$
begin
  if p_held is null then
    return rpc.problem('lock-not-held');
  elsif p_expires_at > p_now then
    return case when p_held <> p_token_sha256 then rpc.problem('lock-wrong-token') end;
  elsif p_held = p_token_sha256 then
    return rpc.problem('lock-expired', json_build_object('expiredAt', p_expires_at));
  end if;
  return rpc.problem('lock-not-held');
end $$;

create function rpc.release_lock(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_name text := p_params->>'name';
  v_lock record;
  v_problem json;
begin
  select token_sha256, expires_at into v_lock
    from tenant.locks
    where payer = p_payer and name = v_name;
  v_problem := rpc.lock_problem(v_lock.token_sha256, v_lock.expires_at, rpc.lock_token_sha256(p_params), v_now);
  if v_problem is not null then
    return v_problem;
  end if;
  update tenant.locks
    set token_sha256 = null, expires_at = v_now, metadata = null
    where payer = p_payer and name = v_name;
  return '{"ok":null}';
end $$;

create function rpc.extend_lock(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_name text := p_params->>'name';
  v_until timestamptz := v_now + make_interval(secs => (p_params->>'ttlMs')::integer / 1000.0);
  v_lock record;
  v_problem json;
begin
  select fence, token_sha256, acquired_at, expires_at into v_lock
    from tenant.locks
    where payer = p_payer and name = v_name;
  v_problem := rpc.lock_problem(v_lock.token_sha256, v_lock.expires_at, rpc.lock_token_sha256(p_params), v_now);
  if v_problem is not null then
    return v_problem;
  end if;
  v_until := greatest(v_until, v_lock.expires_at);
  update tenant.locks
    set expires_at = v_until
    where payer = p_payer and name = v_name;
  return rpc.lease(v_name, v_lock.fence, v_lock.acquired_at, v_until);
end $$;

-- The problem of a write whose guard does not hold; NULL if the write may run.
--   p_guard  {"lock": .., "fence": ..}; NULL or {}: no guard
create function rpc.check_guard(p_payer text, p_guard jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_name text := p_guard->>'lock';
  v_fence bigint;
begin
  if v_name is null then
    return null;
  end if;
  select fence into v_fence
    from tenant.locks
    where payer = p_payer and name = v_name and token_sha256 is not null and expires_at > v_now;
  if v_fence = (p_guard->>'fence')::bigint then
    return null;
  end if;
  return rpc.problem('stale-fence', json_build_object('lock', v_name, 'fence', p_guard->'fence'));
end $$;

-- The state of a lock as JSON.
--   p_lock  its row while it is held, otherwise NULL
create function rpc.lock_json(p_name text, p_lock tenant.locks) returns json
language sql stable
as $$
  select json_build_object(
    'name', p_name, 'locked', p_lock.fence is not null, 'fence', p_lock.fence, 'acquiredAt', p_lock.acquired_at,
    'expiresAt', p_lock.expires_at, 'metadata', p_lock.metadata)
$$;

create function rpc.check_lock(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_name text := p_params->>'name';
  v_lock tenant.locks;
begin
  select * into v_lock
    from tenant.locks
    where payer = p_payer and name = v_name and token_sha256 is not null and expires_at > v_now;
  return json_build_object('ok', rpc.lock_json(v_name, v_lock));
end $$;

-- A page of the held locks, sorted by name.
create function rpc.list_locks(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_after text := coalesce(p_params->>'cursor', '');
  v_limit integer := (p_params->>'limit')::integer;
  v_lock tenant.locks;
  v_items json[] := '{}';
  v_next text;
begin
  for v_lock in
    select *
      from tenant.locks
      where payer = p_payer and name > v_after and token_sha256 is not null and expires_at > v_now
      order by name
      limit v_limit + 1
  loop
    if cardinality(v_items) = v_limit then
      v_next := v_after;
      exit;
    end if;
    v_items := v_items || rpc.lock_json(v_lock.name, v_lock);
    v_after := v_lock.name;
  end loop;
  return json_build_object('ok', json_build_object('items', array_to_json(v_items), 'nextCursor', v_next));
end $$;

-- Deletes up to 1,000 locks that have been free for an hour, and keeps their highest fence. Returns the number of locks
-- deleted.
create function rpc.sweep_locks(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_until timestamptz := rpc.now() - interval '3600 seconds';
  v_names text[];
  v_fence bigint;
begin
  select array_agg(name), max(fence) into v_names, v_fence
    from (
      select name, fence
        from tenant.locks
        where payer = p_payer and expires_at <= v_until
        limit 1000
    ) unused;
  if v_names is null then
    return '{"ok":0}';
  end if;
  insert into tenant.fences (payer, last)
    values (p_payer, v_fence)
    on conflict (payer) do update set last = greatest(fences.last, excluded.last);
  delete from tenant.locks
    where payer = p_payer and name = any (v_names);
  return json_build_object('ok', cardinality(v_names));
end $$;

set local role payerbase_rpc;
-- State of queues: the changes of a job, of its group, and of the row of its queue. Installed as payerbase_rpc.

-- The public status of a job.
--   p_lost  whether the job is running and its lease has expired
create function rpc.job_status(p_state text, p_lost boolean, p_attempts integer, p_max_attempts integer) returns text
language sql immutable
as $$
  select case
    when p_state in ('delayed', 'waiting') then 'pending'
    when p_lost and p_attempts >= p_max_attempts then 'dead'
    when p_lost then 'pending'
    else p_state
  end
$$;

-- A job as callers see it: one attribute per JSON member. to_json of such a row takes two thirds of the time of
-- json_build_object, which looks up the type of each of its arguments.
create type rpc.shown_job as (
  id uuid, queue text, payload jsonb, priority integer, status text, attempts integer, "maxAttempts" integer,
  "backoffMs" integer, "runAt" timestamptz, lease uuid, "leaseExpiresAt" timestamptz, "dedupKey" text, "group" text,
  result jsonb, error jsonb, "createdAt" timestamptz, "updatedAt" timestamptz, "finishedAt" timestamptz
);

-- A job as JSON. A job with an expired lease has the status that the next call will give it. Written in SQL, so that
-- PostgreSQL inlines it.
--   p_lease  lease of the attempt: only in the result of a pop
create function rpc.job_json(p_job tenant.jobs, p_now timestamptz, p_lease uuid default null) returns json
language sql stable
as $$
  select to_json(row(
    p_job.id, p_job.queue, p_job.payload, -1 - p_job.rank,
    rpc.job_status(p_job.state, p_job.state = 'running' and p_job.due_at <= p_now, p_job.attempts, p_job.max_attempts),
    p_job.attempts, p_job.max_attempts, p_job.backoff_ms, p_job.run_at,
    p_lease, case when p_job.state = 'running' and p_job.due_at > p_now then p_job.due_at end,
    p_job.dedup_key, p_job."group", p_job.result, p_job.errors->-1->'error',
    p_job.created_at, p_job.updated_at, p_job.finished_at)::rpc.shown_job)
$$;

-- A queue is one row of tenant.queues. A call reads the row, passes it from function to function as a value, and writes
-- it at most once.

-- Moves the head of a rank back to p_place if it is after that place, so that no pending job is before the head. Adds
-- the rank if the row does not have it; the row keeps the first ranks only.
create function rpc.open_rank(p_queue tenant.queues, p_rank smallint, p_place bigint) returns tenant.queues
language plpgsql immutable
as $$
declare
  v_known integer := cardinality(p_queue.ranks);
  v_at integer := 1;
begin
  while p_queue.ranks[v_at] < p_rank loop
    v_at := v_at + 1;
  end loop;
  if p_queue.ranks[v_at] = p_rank then
    if p_queue.heads[v_at] > p_place then
      p_queue.heads[v_at] := p_place;
    end if;
  elsif v_at <= v_known or not p_queue.has_more_ranks then
    p_queue.ranks := p_queue.ranks[:v_at - 1] || p_rank || p_queue.ranks[v_at:];
    p_queue.heads := p_queue.heads[:v_at - 1] || p_place || p_queue.heads[v_at:];
    if v_known = 64 then
      p_queue.ranks := p_queue.ranks[:64];
      p_queue.heads := p_queue.heads[:64];
      p_queue.has_more_ranks := true;
    end if;
  end if;
  return p_queue;
end $$;

-- Finds the first ranks with pending jobs. Called when the row has no rank left and the queue may have more.
create function rpc.find_ranks(p_payer text, p_queue tenant.queues) returns tenant.queues
language plpgsql
as $$
#variable_conflict use_column
declare
  v_rank integer := -32769;
  v_first record;
begin
  for i in 1 .. 64 loop
    select rank, place into v_first
      from tenant.jobs
      where payer = p_payer and queue = p_queue.queue and state = 'pending' and rank > v_rank
      order by rank, place
      limit 1;
    if not found then
      p_queue.has_more_ranks := false;
      exit;
    end if;
    v_rank := v_first.rank;
    p_queue.ranks[i] := v_first.rank;
    p_queue.heads[i] := v_first.place;
  end loop;
  return p_queue;
end $$;

-- The row of a queue; NULL in all members if there is none.
create function rpc.queue_row(p_payer text, p_queue text) returns tenant.queues
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_queue tenant.queues;
begin
  select * into v_queue
    from tenant.queues
    where payer = p_payer and queue = p_queue;
  return v_queue;
end $$;

-- Writes the row of a queue if it has changed.
--   p_before  the stored row; NULL in all members if there is none
create function rpc.save_queue(p_payer text, p_queue tenant.queues, p_before tenant.queues) returns void
language plpgsql
as $$
#variable_conflict use_column
begin
  if p_queue is not distinct from p_before then
    return;
  elsif p_before.queue is null then
    insert into tenant.queues (payer, queue, last_place, ranks, heads, has_more_ranks, due_at)
      values (
        p_payer, p_queue.queue, p_queue.last_place, p_queue.ranks, p_queue.heads, p_queue.has_more_ranks,
        p_queue.due_at);
  else
    update tenant.queues
      set last_place = p_queue.last_place, ranks = p_queue.ranks, heads = p_queue.heads,
        has_more_ranks = p_queue.has_more_ranks, due_at = p_queue.due_at
      where payer = p_payer and queue = p_queue.queue;
  end if;
end $$;

-- Makes the first job of a group pending, unless a job of the group is running. Called after every change of a job with
-- a group.
create function rpc.advance_group(p_payer text, p_queue tenant.queues, p_group text) returns tenant.queues
language plpgsql
as $$
#variable_conflict use_column
declare
  v_first record;
begin
  if p_group is null then
    return p_queue;
  end if;
  select id into v_first
    from tenant.jobs
    where payer = p_payer and queue = p_queue.queue and "group" = p_group and state = 'running'
    limit 1;
  if found then
    return p_queue;
  end if;
  select id, state, rank, place into v_first
    from tenant.jobs
    where payer = p_payer and queue = p_queue.queue and "group" = p_group and state in ('pending', 'waiting')
    order by place
    limit 1;
  if not found or v_first.state = 'pending' then
    return p_queue;
  end if;
  -- A job that was the first of its group waits again after an older job came back.
  update tenant.jobs
    set state = 'waiting'
    where payer = p_payer and queue = p_queue.queue and "group" = p_group and state = 'pending';
  update tenant.jobs
    set state = 'pending'
    where payer = p_payer and id = v_first.id;
  return rpc.open_rank(p_queue, v_first.rank, v_first.place);
end $$;

-- Makes the next job of a group pending, after a call that did not read the row of the queue.
create function rpc.leave_group(p_payer text, p_queue text, p_group text) returns void
language plpgsql
as $$
declare
  v_before tenant.queues;
begin
  if p_group is not null then
    v_before := rpc.queue_row(p_payer, p_queue);
    perform rpc.save_queue(p_payer, rpc.advance_group(p_payer, v_before, p_group), v_before);
  end if;
end $$;

-- Puts a job back into its queue. It can be popped from p_run_at on; a job of a group only while it is the first job of
-- its group.
create function rpc.requeue_job(
  p_payer text, p_queue tenant.queues, p_job tenant.jobs, p_run_at timestamptz, p_errors jsonb, p_now timestamptz
) returns tenant.queues
language plpgsql
as $$
#variable_conflict use_column
declare
  v_state text := case
    when p_run_at > p_now then 'delayed'
    when p_job."group" is not null then 'waiting'
    else 'pending'
  end;
  v_due_at timestamptz := case when v_state = 'delayed' then p_run_at end;
begin
  update tenant.jobs
    set state = v_state, run_at = p_run_at, due_at = v_due_at, lease = null, errors = p_errors, updated_at = p_now,
      finished_at = null, attempts = p_job.attempts
    where payer = p_payer and id = p_job.id;
  if v_state = 'pending' then
    p_queue := rpc.open_rank(p_queue, p_job.rank, p_job.place);
  end if;
  p_queue.due_at := least(p_queue.due_at, v_due_at);
  return rpc.advance_group(p_payer, p_queue, p_job."group");
end $$;

create function rpc.bury_job(
  p_payer text, p_queue tenant.queues, p_job tenant.jobs, p_errors jsonb, p_now timestamptz
) returns tenant.queues
language plpgsql
as $$
#variable_conflict use_column
begin
  update tenant.jobs
    set state = 'dead', due_at = p_now + interval '1209600 seconds', lease = null, errors = p_errors, updated_at = p_now,
      finished_at = p_now
    where payer = p_payer and id = p_job.id;
  return rpc.advance_group(p_payer, p_queue, p_job."group");
end $$;

-- The errors of a job with one more. The oldest error is dropped when there are too many.
create function rpc.errors_with(p_job tenant.jobs, p_error text, p_now timestamptz) returns jsonb
language plpgsql stable
as $$
declare
  v_errors jsonb := case
    when jsonb_array_length(p_job.errors) >= 10 then p_job.errors - 0
    else p_job.errors
  end;
begin
  return v_errors || jsonb_build_array(jsonb_build_object('attempt', p_job.attempts, 'error', p_error, 'at', p_now));
end $$;

-- Ends the attempt of a job whose lease has expired: the job is retried at once, or it is dead.
create function rpc.expire_job(
  p_payer text, p_queue tenant.queues, p_job tenant.jobs, p_now timestamptz
) returns tenant.queues
language plpgsql
as $$
declare
  v_errors jsonb := rpc.errors_with(p_job, 'the lease ran out', p_now);
begin
  if p_job.attempts >= p_job.max_attempts then
    return rpc.bury_job(p_payer, p_queue, p_job, v_errors, p_now);
  end if;
  return rpc.requeue_job(p_payer, p_queue, p_job, p_now, v_errors, p_now);
end $$;

-- Applies expired leases and delayed jobs that are due, the earliest first. Applies a limited number of jobs, so that
-- one pop does not pay for all jobs that are due at midnight.
create function rpc.apply_due_jobs(p_payer text, p_queue tenant.queues, p_now timestamptz) returns tenant.queues
language plpgsql
as $$
#variable_conflict use_column
declare
  v_job tenant.jobs;
  v_next timestamptz;
begin
  if p_queue.queue is null or p_queue.due_at > p_now then
    return p_queue;
  end if;
  for v_job in
    select *
      from tenant.jobs
      where payer = p_payer and queue = p_queue.queue and state in ('delayed', 'running') and due_at <= p_now
      order by due_at
      limit 100
  loop
    if v_job.state = 'running' then
      p_queue := rpc.expire_job(p_payer, p_queue, v_job, p_now);
    else
      p_queue := rpc.requeue_job(p_payer, p_queue, v_job, v_job.run_at, v_job.errors, p_now);
    end if;
  end loop;
  select due_at into v_next
    from tenant.jobs
    where payer = p_payer and queue = p_queue.queue and state in ('delayed', 'running')
    order by due_at
    limit 1;
  -- The row is due again after a while even if no job is, so that the sweeper visits a queue that no call uses.
  p_queue.due_at := least(v_next, p_now + interval '3600 seconds');
  return p_queue;
end $$;

-- Whether the text of a payload or a result is larger than the limit. A value of up to 4,096 bytes in the database
-- never is: a number has at most 309 digits (1e308).
create function rpc.is_too_large(p_value jsonb) returns boolean
language sql stable
as $$
  select pg_column_size(p_value) > 4096 and octet_length(p_value::text) > 262144
$$;

create function rpc.too_large() returns json
language plpgsql immutable
as $$
begin
  return rpc.problem('payload-too-large', '{"limitBytes":262144}');
end $$;

-- The job with this id. An expired lease is applied first. NULL in all members if there is no job.
create function rpc.job_now(p_payer text, p_id uuid, p_now timestamptz) returns tenant.jobs
language plpgsql
as $$
#variable_conflict use_column
declare
  v_job tenant.jobs;
  v_before tenant.queues;
begin
  select * into v_job
    from tenant.jobs
    where payer = p_payer and id = p_id;
  if v_job.state = 'running' and v_job.due_at <= p_now then
    v_before := rpc.queue_row(p_payer, v_job.queue);
    perform rpc.save_queue(p_payer, rpc.expire_job(p_payer, v_before, v_job, p_now), v_before);
    select * into v_job
      from tenant.jobs
      where payer = p_payer and id = p_id;
  end if;
  return v_job;
end $$;

-- Id of the unfinished job with a deduplication key; NULL if there is none.
create function rpc.job_by_key(p_payer text, p_queue text, p_dedup_key text) returns uuid
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_id uuid;
begin
  select id into v_id
    from tenant.jobs
    where payer = p_payer and queue = p_queue and dedup_key = p_dedup_key
      and state in ('delayed', 'pending', 'waiting', 'running');
  return v_id;
end $$;

set local role payerbase_rpc;
-- Methods that push jobs. state.sql has the functions that all queue methods share. Installed as payerbase_rpc; runs in
-- a turn, which holds the payer's lock.

-- Adds jobs to a queue, in order, with one insert and one update of the queue's row. Returns one JSON per job.
--   p_jobs  rows without a place
create function rpc.insert_jobs(
  p_payer text, p_queue tenant.name, p_jobs tenant.jobs[], p_now timestamptz
) returns json[]
language plpgsql
as $$
#variable_conflict use_column
declare
  v_count integer := cardinality(p_jobs);
  v_queue tenant.queues;
  v_before tenant.queues;
  v_place bigint;
  v_new record;
begin
  update tenant.queues
    set last_place = last_place + v_count
    where payer = p_payer and queue = p_queue
    returning * into v_queue;
  if found then
    v_before := v_queue;
  else
    v_queue := row(p_payer, p_queue, v_count, '{}', '{}', false, p_now + interval '3600 seconds');
  end if;
  v_place := v_queue.last_place - v_count;
  insert into tenant.jobs (
    payer, id, queue, state, rank, place, payload, attempts, max_attempts, backoff_ms, run_at, due_at, dedup_key,
    "group", errors, created_at, updated_at
  )
    select p_payer, id, queue, state, rank, v_place + ordinality, payload, attempts, max_attempts, backoff_ms, run_at,
        due_at, dedup_key, "group", errors, created_at, updated_at
      from unnest(p_jobs) with ordinality;
  -- The queue's row gets the ranks of the pending jobs and the earliest due time, and the groups of the jobs advance. A
  -- rank that the row has already keeps its head: the new jobs are after it.
  for v_new in
    select state, case when state = 'pending' then rank end as rank,
        case when state = 'waiting' then "group" end as "group", min(due_at) as due_at
      from unnest(p_jobs)
      group by 1, 2, 3
  loop
    if v_new.state = 'pending' then
      v_queue := rpc.open_rank(v_queue, v_new.rank, v_place + 1);
    elsif v_new.state = 'waiting' then
      v_queue := rpc.advance_group(p_payer, v_queue, v_new."group");
    else
      v_queue.due_at := least(v_queue.due_at, v_new.due_at);
    end if;
  end loop;
  if v_queue is distinct from v_before then
    perform rpc.save_queue(p_payer, v_queue, v_before);
  end if;
  return array(
    select rpc.job_json(job, p_now)
      from unnest(p_jobs) as job);
end $$;

-- Adds jobs of which some have a deduplication key. If an unfinished job has the key of a job, the job is not added,
-- and its result is the unfinished job, which may be an earlier one of the same call.
create function rpc.insert_jobs_by_key(
  p_payer text, p_queue tenant.name, p_jobs tenant.jobs[], p_now timestamptz
) returns json[]
language plpgsql
as $$
#variable_conflict use_column
declare
  v_job tenant.jobs;
  v_twin tenant.jobs;
  v_twin_id uuid;
  -- Per job: id of the unfinished job with its key; NULL if the job is added.
  v_twin_ids uuid[] := '{}';
  v_new tenant.jobs[] := '{}';
  v_new_ids uuid[] := '{}';
  v_new_keys text[] := '{}';
  v_added json[] := '{}';
  v_answers json[] := '{}';
  v_at integer := 0;
begin
  foreach v_job in array p_jobs loop
    v_twin_id := null;
    if v_job.dedup_key is not null then
      -- rpc.job_now applies an expired lease, so a job without attempts left is dead and does not keep its key.
      v_twin := rpc.job_now(p_payer, rpc.job_by_key(p_payer, p_queue, v_job.dedup_key), p_now);
      if v_twin.state in ('delayed', 'pending', 'waiting', 'running') then
        v_twin_id := v_twin.id;
      else
        v_twin_id := v_new_ids[array_position(v_new_keys, v_job.dedup_key::text)];
      end if;
    end if;
    v_twin_ids := v_twin_ids || v_twin_id;
    if v_twin_id is null then
      v_new := v_new || v_job;
      v_new_ids := v_new_ids || v_job.id;
      v_new_keys := v_new_keys || v_job.dedup_key::text;
    end if;
  end loop;
  if cardinality(v_new) > 0 then
    v_added := rpc.insert_jobs(p_payer, p_queue, v_new, p_now);
  end if;
  foreach v_twin_id in array v_twin_ids loop
    if v_twin_id is null then
      v_at := v_at + 1;
      v_answers := v_answers || v_added[v_at];
    else
      select * into v_twin
        from tenant.jobs
        where payer = p_payer and id = v_twin_id;
      v_answers := v_answers || (rpc.job_json(v_twin, p_now)::jsonb || '{"deduplicated":true}')::json;
    end if;
  end loop;
  return v_answers;
end $$;

-- Adds jobs to one queue, in order. Returns one JSON per job, as rpc.job_json does; it contains `deduplicated` if an
-- unfinished job has the key. NULL if a payload is too large.
create function rpc.push(p_payer text, p_queue text, p_jobs jsonb) returns json[]
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_queue tenant.name := p_queue;
  v_jobs tenant.jobs[];
  v_keys integer;
  v_is_too_large boolean;
begin
  select array_agg(job::tenant.jobs), count(dedup_key), bool_or(rpc.is_too_large(payload))
    into v_jobs, v_keys, v_is_too_large
    from (
      select p_payer as payer, id, v_queue as queue,
          case when run_at > v_now then 'delayed' when "group" is not null then 'waiting' else 'pending' end as state,
          (-1 - priority)::smallint as rank, null::bigint as place, coalesce(payload, 'null') as payload, 0 as attempts,
          "maxAttempts" as max_attempts, "backoffMs" as backoff_ms, run_at,
          case when run_at > v_now then run_at end as due_at, null::uuid as lease, "dedupKey" as dedup_key, "group",
          null::jsonb as result, jsonb '[]' as errors, v_now as created_at, v_now as updated_at,
          null::timestamptz as finished_at
        from (
          select id, payload, priority, "maxAttempts", "backoffMs", "dedupKey", "group",
              greatest(v_now, "runAt", v_now + make_interval(secs => "delayMs" / 1000.0)) as run_at
            from jsonb_to_recordset(p_jobs) as given (
              id uuid, payload jsonb, priority integer, "maxAttempts" integer, "backoffMs" integer, "runAt" timestamptz,
              "delayMs" bigint, "dedupKey" text, "group" text)
        ) given
    ) job;
  if v_is_too_large then
    return null;
  elsif v_keys > 0 then
    return rpc.insert_jobs_by_key(p_payer, v_queue, v_jobs, v_now);
  end if;
  return rpc.insert_jobs(p_payer, v_queue, v_jobs, v_now);
end $$;

-- Pushes one job. Most jobs are due at once and have neither a key nor a group; for them, two statements are enough.
create function rpc.push_job(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_name text := p_params->>'queue';
  v_payload jsonb := p_params->'payload';
  v_rank smallint := -1 - (p_params->>'priority')::integer;
  v_id uuid := p_params->>'id';
  v_max_attempts integer := p_params->>'maxAttempts';
  v_backoff_ms integer := p_params->>'backoffMs';
  v_due_at timestamptz;
  v_queue tenant.name;
  v_place bigint;
  v_is_known boolean;
  v_before tenant.queues;
  v_pushed json[];
begin
  if rpc.is_too_large(v_payload) then
    return rpc.too_large();
  elsif p_params ?| '{dedupKey,group,delayMs,runAt}' then
    v_pushed := rpc.push(p_payer, v_name, jsonb_build_array(p_params));
    return json_build_object('ok', v_pushed[1]);
  end if;
  update tenant.queues
    set last_place = last_place + 1
    where payer = p_payer and queue = v_name
    returning queue, last_place, v_rank = any (ranks) into v_queue, v_place, v_is_known;
  if not found then
    v_place := 1;
    v_is_known := true;
    v_due_at := v_now + interval '3600 seconds';
    insert into tenant.queues (payer, queue, last_place, ranks, heads, has_more_ranks, due_at)
      values (p_payer, v_name, v_place, array[v_rank], array[v_place], false, v_due_at)
      returning queue into v_queue;
  end if;
  insert into tenant.jobs (
    payer, id, queue, state, rank, place, payload, attempts, max_attempts, backoff_ms, run_at, errors, created_at,
    updated_at
  )
    values (p_payer, v_id, v_queue, 'pending', v_rank, v_place, v_payload, 0, v_max_attempts, v_backoff_ms, v_now, '[]',
      v_now, v_now);
  if not v_is_known then
    v_before := rpc.queue_row(p_payer, v_name);
    perform rpc.save_queue(p_payer, rpc.open_rank(v_before, v_rank, v_place), v_before);
  end if;
  -- The same JSON as from rpc.job_json, without `returning` the inserted row.
  return json_build_object('ok', to_json(row(
    v_id, v_queue, v_payload, -1 - v_rank, 'pending', 0, v_max_attempts, v_backoff_ms, v_now, null, null, null, null,
    null, null, v_now, v_now, null)::rpc.shown_job));
end $$;

create function rpc.push_jobs(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
declare
  v_pushed json[] := rpc.push(p_payer, p_params->>'queue', p_params->'jobs');
begin
  if v_pushed is null then
    return rpc.too_large();
  end if;
  return json_build_object('ok', json_build_object('jobs', array_to_json(v_pushed)));
end $$;

-- A run of pushJob calls. If all have one queue, their jobs are added as a set. Returns one result per call, as
-- rpc.push_job does.
--   p_params  the parameters of each call
create function rpc.push_job_run(p_payer text, p_params jsonb) returns json[]
language plpgsql
as $$
declare
  v_queue jsonb := jsonb_build_object('queue', p_params->0->'queue');
  v_pushed json[];
  v_answers json[] := '{}';
begin
  if not jsonb_path_exists(p_params, '$[*] ? (@.queue != $queue)', v_queue) then
    v_pushed := rpc.push(p_payer, v_queue->>'queue', p_params);
  end if;
  for i in 1 .. jsonb_array_length(p_params) loop
    if v_pushed is not null then
      v_answers[i] := json_build_object('ok', v_pushed[i]);
    else
      -- The calls have several queues, or one payload is too large: only its own call may fail.
      v_answers[i] := rpc.push_job(p_payer, p_params->(i - 1));
    end if;
  end loop;
  return v_answers;
end $$;

set local role payerbase_rpc;
-- Methods that pop jobs. state.sql has the functions that all queue methods share. Installed as payerbase_rpc; runs in
-- a turn, which holds the payer's lock.

-- Starts pending jobs with one update. Returns one JSON per job, in the order of the ids.
create function rpc.start_jobs(p_payer text, p_ids uuid[], p_until timestamptz, p_now timestamptz) returns json[]
language plpgsql
as $$
#variable_conflict use_column
declare
  v_leases uuid[] := array(select gen_random_uuid() from unnest(p_ids));
  v_job tenant.jobs;
  v_at integer;
  v_started json[] := '{}';
begin
  -- The condition names only the ids: with other columns, the planner may take another index before the first analyze.
  for v_job in
    update tenant.jobs
      set state = 'running', attempts = attempts + 1, lease = v_leases[array_position(p_ids, id)], due_at = p_until,
        updated_at = p_now
      where payer = p_payer and id = any (p_ids)
      returning *
  loop
    v_at := array_position(p_ids, v_job.id);
    v_started[v_at] := rpc.job_json(v_job, p_now, v_job.lease);
  end loop;
  return v_started;
end $$;

-- Starts up to p_count jobs of a queue, in the order (rank, place), from the head of each rank on. Starts no more jobs
-- once their size reaches the limit.
create function rpc.pop(p_payer text, p_params jsonb, p_count integer) returns json[]
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_until timestamptz := v_now + make_interval(secs => (p_params->>'leaseMs')::integer / 1000.0);
  v_name text := p_params->>'queue';
  v_before tenant.queues;
  v_queue tenant.queues;
  v_rank smallint;
  v_head bigint;
  v_wanted integer := p_count;
  v_ids uuid[];
  v_id uuid;
  v_place bigint;
  v_size integer;
  v_bytes bigint := 0;
  v_bytes_max constant bigint := 4194304;
  v_popped json[] := '{}';
begin
  select * into v_before
    from tenant.queues
    where payer = p_payer and queue = v_name;
  if not found then
    return v_popped;
  end if;
  v_queue := rpc.apply_due_jobs(p_payer, v_before, v_now);
  while v_wanted > 0 and v_bytes < v_bytes_max loop
    if v_queue.ranks = '{}' and v_queue.has_more_ranks then
      v_queue := rpc.find_ranks(p_payer, v_queue);
    end if;
    exit when v_queue.ranks = '{}';
    v_rank := v_queue.ranks[1];
    v_head := v_queue.heads[1];
    v_ids := '{}';
    for v_id, v_place, v_size in
      select id, place, octet_length(payload::text) + coalesce(octet_length((errors->-1)::text), 0)
        from tenant.jobs
        where payer = p_payer and queue = v_queue.queue and state = 'pending' and rank = v_rank and place >= v_head
        order by place
        limit v_wanted
    loop
      v_ids := v_ids || v_id;
      v_bytes := v_bytes + v_size + 512;
      exit when v_bytes >= v_bytes_max;
    end loop;
    if v_ids <> '{}' then
      v_popped := v_popped || rpc.start_jobs(p_payer, v_ids, v_until, v_now);
      v_wanted := v_wanted - cardinality(v_ids);
      v_queue.due_at := least(v_queue.due_at, v_until);
    end if;
    if v_wanted > 0 and v_bytes < v_bytes_max then
      v_queue.ranks := v_queue.ranks[2:];
      v_queue.heads := v_queue.heads[2:];
    elsif v_place - v_head >= 32 then
      -- The head moves only now and then: a step over the index entries of a few dozen popped jobs costs less than a
      -- write of the head.
      v_queue.heads[1] := v_place;
    end if;
  end loop;
  if v_queue is distinct from v_before then
    perform rpc.save_queue(p_payer, v_queue, v_before);
  end if;
  return v_popped;
end $$;

-- The outcome "empty" is not recorded under an idempotency key: a retry runs again.
create function rpc.pop_outcome(p_popped json[]) returns text
language sql immutable
as $$
  select case when cardinality(p_popped) = 0 then 'empty' else 'ok' end
$$;

-- Pops one job. In most pops nothing is due and the first rank of the queue's row has a job; then two statements are
-- enough.
create function rpc.pop_job(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_name text := p_params->>'queue';
  v_until timestamptz;
  v_lease uuid;
  v_rank smallint;
  v_head bigint;
  v_due_at timestamptz;
  v_has_more_ranks boolean;
  v_job tenant.jobs;
  v_popped json[];
begin
  select ranks[1], heads[1], due_at, has_more_ranks into v_rank, v_head, v_due_at, v_has_more_ranks
    from tenant.queues
    where payer = p_payer and queue = v_name;
  if v_rank is null and (not found or v_due_at > v_now and not v_has_more_ranks) then
    return '{"empty":null}';
  elsif v_rank is not null and v_due_at > v_now then
    v_until := v_now + make_interval(secs => (p_params->>'leaseMs')::integer / 1000.0);
    v_lease := gen_random_uuid();
    update tenant.jobs
      set state = 'running', attempts = attempts + 1, lease = v_lease, due_at = v_until, updated_at = v_now
      where payer = p_payer and id = (
        select id
          from tenant.jobs
          where payer = p_payer and queue = v_name and state = 'pending' and rank = v_rank and place >= v_head
          order by place
          limit 1)
      returning * into v_job;
    if found then
      -- The head moves as in rpc.pop.
      if v_job.place - v_head >= 32 or v_until < v_due_at then
        v_head := case when v_job.place - v_head >= 32 then v_job.place else v_head end;
        v_due_at := least(v_due_at, v_until);
        update tenant.queues
          set heads[1] = v_head, due_at = v_due_at
          where payer = p_payer and queue = v_name;
      end if;
      return json_build_object('ok', rpc.job_json(v_job, v_now, v_lease));
    end if;
  end if;
  v_popped := rpc.pop(p_payer, p_params, 1);
  return json_build_object(rpc.pop_outcome(v_popped), v_popped[1]);
end $$;

create function rpc.pop_jobs(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
declare
  v_popped json[] := rpc.pop(p_payer, p_params, (p_params->>'count')::integer);
begin
  return json_build_object(rpc.pop_outcome(v_popped), json_build_object('jobs', array_to_json(v_popped)));
end $$;

-- A run of popJob calls. Calls with one queue and one lease time are one pop. Returns one result per call, like
-- rpc.pop_job.
--   p_params  the parameters of each call
create function rpc.pop_job_run(p_payer text, p_params jsonb) returns json[]
language plpgsql
as $$
declare
  v_count integer := jsonb_array_length(p_params);
  v_first jsonb := p_params->0;
  v_popped json[];
  v_answers json[] := '{}';
begin
  if not jsonb_path_exists(p_params, '$[*] ? (@.queue != $queue || @.leaseMs != $leaseMs)', v_first) then
    v_popped := rpc.pop(p_payer, v_first, v_count);
  end if;
  for i in 1 .. v_count loop
    if v_popped[i] is not null then
      v_answers[i] := json_build_object('ok', v_popped[i]);
    elsif cardinality(v_popped) = 0 then
      v_answers[i] := '{"empty":null}';
    else
      -- The calls have several queues or lease times, or the pop ended at its size limit or at the last job.
      v_answers[i] := rpc.pop_job(p_payer, p_params->(i - 1));
    end if;
  end loop;
  return v_answers;
end $$;

set local role payerbase_rpc;
-- Methods that change the jobs of a queue, and the methods of the sweeper. push.sql adds jobs, pop.sql starts them,
-- read.sql reads them; state.sql has the functions that these files share. Installed as payerbase_rpc.
-- The methods run in a turn (src/turn/turn.sql), which holds the payer's lock. So no two calls of a payer work on its
-- jobs at the same time, and no statement waits for locked rows or skips them.

-- The problem of a call that needs a running job. NULL if the job is running and has the lease of the call.
create function rpc.job_problem(p_job tenant.jobs, p_params jsonb) returns json
language plpgsql immutable
as $$
begin
  if p_job.id is null then
    return rpc.problem('not-found');
  elsif p_params ? 'lease' and (p_params->>'lease')::uuid is distinct from p_job.lease then
    return rpc.problem('lease-lost');
  elsif p_job.state <> 'running' then
    return rpc.problem('job-not-running', json_build_object(
      'jobStatus', case when p_job.state in ('delayed', 'waiting') then 'pending' else p_job.state end));
  end if;
  return null;
end $$;

create function rpc.complete_job(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_kept_until timestamptz := v_now + interval '86400 seconds';
  v_id uuid := p_params->>'id';
  v_lease uuid := p_params->>'lease';
  -- Only an absent lease means any attempt. A lease of null, from a $ref, fits no attempt.
  v_any boolean := not p_params ? 'lease';
  v_result jsonb := nullif(p_params->'result', 'null');
  v_job tenant.jobs;
begin
  if rpc.is_too_large(v_result) then
    return rpc.too_large();
  end if;
  -- Only a running job has a lease, so the condition does not name the state: with it, the planner may take the index
  -- of due jobs instead of the primary key.
  update tenant.jobs
    set state = 'completed', due_at = v_kept_until, lease = null, result = v_result, updated_at = v_now,
      finished_at = v_now
    where payer = p_payer and id = v_id and due_at > v_now and lease = case when v_any then lease else v_lease end
    returning * into v_job;
  if not found then
    return rpc.job_problem(rpc.job_now(p_payer, v_id, v_now), p_params);
  end if;
  if v_job."group" is not null then
    perform rpc.leave_group(p_payer, v_job.queue, v_job."group");
  end if;
  return json_build_object('ok', rpc.job_json(v_job, v_now));
end $$;

-- A run of completeJob calls. One update completes the jobs of the calls with a lease and a small result; the other
-- calls run one by one, also those whose job the update did not find. Returns one result per call, as rpc.complete_job
-- does.
--   p_params  the parameters of each call
create function rpc.complete_job_run(p_payer text, p_params jsonb) returns json[]
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_kept_until timestamptz := v_now + interval '86400 seconds';
  v_count integer := jsonb_array_length(p_params);
  v_call jsonb;
  v_id uuid;
  v_seen uuid[] := '{}';
  v_ids uuid[] := '{}';
  v_leases uuid[] := '{}';
  v_results jsonb[] := '{}';
  v_job tenant.jobs;
  v_at integer;
  v_answers json[] := '{}';
begin
  for i in 1 .. v_count loop
    v_call := p_params->(i - 1);
    v_id := v_call->>'id';
    if array_position(v_seen, v_id) is not null then
      -- Two calls of one job must keep their order, so all calls of the run are executed one by one.
      v_ids := '{}';
      exit;
    end if;
    v_seen := v_seen || v_id;
    -- A call without a lease, or with a result that may be too large, is not part of the update.
    if v_call ? 'lease' and pg_column_size(v_call) <= 4096 then
      v_ids[i] := v_id;
      v_leases[i] := v_call->>'lease';
      v_results[i] := nullif(v_call->'result', 'null');
    end if;
  end loop;
  for v_job in
    update tenant.jobs
      set state = 'completed', due_at = v_kept_until, lease = null, result = v_results[array_position(v_ids, id)],
        updated_at = v_now, finished_at = v_now
      where payer = p_payer and id = any (v_ids) and due_at > v_now and lease = v_leases[array_position(v_ids, id)]
      returning *
  loop
    v_at := array_position(v_ids, v_job.id);
    v_answers[v_at] := json_build_object('ok', rpc.job_json(v_job, v_now));
    if v_job."group" is not null then
      perform rpc.leave_group(p_payer, v_job.queue, v_job."group");
    end if;
  end loop;
  for i in 1 .. v_count loop
    if v_answers[i] is null then
      v_answers[i] := rpc.complete_job(p_payer, p_params->(i - 1));
    end if;
  end loop;
  return v_answers;
end $$;

-- Ends a failed attempt: the job is retried later, or it is dead. The back-off has full jitter, so that jobs that
-- failed together are not retried together.
--   jitter  random factor of the back-off from the server, at least 0 and less than 1
create function rpc.fail_job(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
declare
  v_now timestamptz := rpc.now();
  v_job tenant.jobs := rpc.job_now(p_payer, (p_params->>'id')::uuid, v_now);
  v_problem json := rpc.job_problem(v_job, p_params);
  v_errors jsonb;
  v_delay_ms double precision;
  v_before tenant.queues;
  v_queue tenant.queues;
begin
  if v_problem is not null then
    return v_problem;
  end if;
  v_errors := rpc.errors_with(v_job, p_params->>'error', v_now);
  v_before := rpc.queue_row(p_payer, v_job.queue);
  if v_job.attempts >= v_job.max_attempts or not (p_params->>'retry')::boolean then
    v_queue := rpc.bury_job(p_payer, v_before, v_job, v_errors, v_now);
  else
    v_delay_ms := coalesce(
      (p_params->>'retryInMs')::double precision,
      least(
        1000 * extract(epoch from interval '3600 seconds')::double precision,
        v_job.backoff_ms * power(2::double precision, least(v_job.attempts - 1, 30)))
        * (p_params->>'jitter')::double precision);
    v_queue := rpc.requeue_job(
      p_payer, v_before, v_job, v_now + make_interval(secs => v_delay_ms / 1000), v_errors, v_now);
  end if;
  perform rpc.save_queue(p_payer, v_queue, v_before);
  return json_build_object('ok', rpc.job_json(rpc.job_now(p_payer, v_job.id, v_now), v_now));
end $$;

-- Moves the end of a lease, counted from now. A lease is never shortened.
create function rpc.extend_job(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_job tenant.jobs := rpc.job_now(p_payer, (p_params->>'id')::uuid, v_now);
  v_problem json := rpc.job_problem(v_job, p_params);
begin
  if v_problem is not null then
    return v_problem;
  end if;
  v_job.due_at := greatest(v_job.due_at, v_now + make_interval(secs => (p_params->>'leaseMs')::integer / 1000.0));
  v_job.updated_at := v_now;
  update tenant.jobs
    set due_at = v_job.due_at, updated_at = v_now
    where payer = p_payer and id = v_job.id;
  return json_build_object('ok', rpc.job_json(v_job, v_now));
end $$;

create function rpc.cancel_job(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_job tenant.jobs := rpc.job_now(p_payer, (p_params->>'id')::uuid, v_now);
begin
  if v_job.id is null then
    return rpc.problem('not-found');
  elsif v_job.state not in ('delayed', 'pending', 'waiting') then
    return rpc.problem('job-not-pending', json_build_object('jobStatus', v_job.state));
  end if;
  delete from tenant.jobs
    where payer = p_payer and id = v_job.id;
  perform rpc.leave_group(p_payer, v_job.queue, v_job."group");
  return '{"ok":null}';
end $$;

-- Puts dead jobs back into their queue, in the order of pops. Their attempts start again at 0; their errors are kept.
-- Examines a limited number of dead jobs.
create function rpc.retry_dead(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_name text := p_params->>'queue';
  v_limit integer := (p_params->>'limit')::integer;
  v_before tenant.queues := rpc.queue_row(p_payer, v_name);
  v_queue tenant.queues := rpc.apply_due_jobs(p_payer, v_before, v_now);
  v_job tenant.jobs;
  v_retried integer := 0;
begin
  for v_job in
    select *
      from tenant.jobs
      where payer = p_payer and queue = v_name and state = 'dead'
      order by rank, place
      limit 1000
  loop
    exit when v_retried = v_limit;
    -- A newer, unfinished job may have the deduplication key now.
    continue when v_job.dedup_key is not null and rpc.job_by_key(p_payer, v_name, v_job.dedup_key) is not null;
    v_job.attempts := 0;
    v_queue := rpc.requeue_job(p_payer, v_queue, v_job, v_now, v_job.errors, v_now);
    v_retried := v_retried + 1;
  end loop;
  perform rpc.save_queue(p_payer, v_queue, v_before);
  return json_build_object('ok', json_build_object('retried', v_retried));
end $$;

-- Deletes the jobs of a queue with a status; without a status, all jobs except running ones. Deletes a limited number
-- per call.
create function rpc.purge_queue(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_name text := p_params->>'queue';
  v_before tenant.queues := rpc.queue_row(p_payer, v_name);
  v_queue tenant.queues := rpc.apply_due_jobs(p_payer, v_before, v_now);
  v_states text[] := case
    when p_params ? 'status' then rpc.states_of_status(p_params->>'status')
    else array['completed', 'dead', 'delayed', 'pending', 'waiting']
  end;
  v_ids uuid[];
  v_groups text[];
  v_group text;
begin
  select array_agg(id), array_agg(distinct "group") filter (where "group" is not null) into v_ids, v_groups
    from (
      select id, "group"
        from tenant.jobs
        where payer = p_payer and queue = v_name and state = any (v_states)
        limit 1000
    ) purged;
  delete from tenant.jobs
    where payer = p_payer and id = any (v_ids);
  foreach v_group in array coalesce(v_groups, '{}') loop
    v_queue := rpc.advance_group(p_payer, v_queue, v_group);
  end loop;
  perform rpc.save_queue(p_payer, v_queue, v_before);
  return json_build_object('ok', json_build_object(
    'purged', coalesce(cardinality(v_ids), 0), 'hasMore', coalesce(cardinality(v_ids), 0) = 1000));
end $$;

-- Applies expired leases and due jobs in the due queues of a payer, and deletes the rows of queues without jobs. Visits
-- a limited number of queues per call. Returns the number of queues visited.
create function rpc.sweep_queues(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_before tenant.queues;
  v_count integer := 0;
begin
  for v_before in
    select *
      from tenant.queues
      where payer = p_payer and due_at <= v_now
      limit 10
  loop
    v_count := v_count + 1;
    perform from tenant.jobs where payer = p_payer and queue = v_before.queue limit 1;
    if found then
      perform rpc.save_queue(p_payer, rpc.apply_due_jobs(p_payer, v_before, v_now), v_before);
    else
      delete from tenant.queues
        where payer = p_payer and queue = v_before.queue;
    end if;
  end loop;
  return json_build_object('ok', v_count);
end $$;

-- Deletes finished jobs that are past their retention, a limited number per call. Returns the number of jobs deleted.
create function rpc.sweep_jobs(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_ids uuid[];
begin
  v_ids := array(
    select id
      from tenant.jobs
      where payer = p_payer and state in ('completed', 'dead') and due_at <= v_now
      limit 500);
  delete from tenant.jobs
    where payer = p_payer and id = any (v_ids);
  return json_build_object('ok', cardinality(v_ids));
end $$;

set local role payerbase_rpc;
-- Queues: reads. Installed as payerbase_rpc; run inside a turn (src/turn/turn.sql).

-- A job with the errors of its last ten failed attempts.
create function rpc.get_job(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_id uuid := p_params->>'id';
  v_job tenant.jobs;
begin
  select * into v_job
    from tenant.jobs
    where payer = p_payer and id = v_id;
  if not found then
    return rpc.problem('not-found');
  end if;
  return json_build_object('ok', rpc.job_json(v_job, v_now)::jsonb || jsonb_build_object('errors', v_job.errors));
end $$;

-- The internal states of a public status. NULL: all states.
create function rpc.states_of_status(p_status text) returns text[]
language sql immutable
as $$
  select case p_status
    when 'pending' then array['delayed', 'pending', 'waiting']
    when 'running' then array['running']
    when 'completed' then array['completed']
    when 'dead' then array['dead']
    else array['completed', 'dead', 'delayed', 'pending', 'running', 'waiting']
  end
$$;

-- A page of jobs in the order of the index jobs_by_state: by state, then in the order in which they are popped. The
-- cursor is state/rank/place of the last job of the previous page. A page ends once its jobs exceed 4 MiB.
create function rpc.list_jobs(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_queue text := p_params->>'queue';
  v_status text := p_params->>'status';
  -- A running job whose lease has expired counts as pending or dead.
  v_states text[] := rpc.states_of_status(v_status)
    || case when v_status in ('pending', 'dead') then array['running'] end;
  v_limit integer := (p_params->>'limit')::integer;
  v_cursor text[] := string_to_array(coalesce(p_params->>'cursor', '/0/0'), '/');
  v_state text := v_cursor[1];
  v_rank integer := v_cursor[2];
  v_place bigint := v_cursor[3];
  v_items json[] := '{}';
  v_item json;
  v_bytes bigint := 0;
  v_job tenant.jobs;
  v_next text;
begin
  for v_job in
    select *
      from tenant.jobs
      where payer = p_payer and queue = v_queue and state = any (v_states)
        and (state, rank, place) > (v_state, v_rank, v_place)
        and (state <> 'running' or v_status is null
          or v_status = rpc.job_status(state, due_at <= v_now, attempts, max_attempts))
      order by state, rank, place
      limit v_limit + 1
  loop
    if cardinality(v_items) = v_limit or v_bytes > 4194304 then
      v_next := concat_ws('/', v_state, v_rank, v_place);
      exit;
    end if;
    v_item := rpc.job_json(v_job, v_now);
    v_bytes := v_bytes + octet_length(v_item::text);
    v_items := v_items || v_item;
    v_state := v_job.state;
    v_rank := v_job.rank;
    v_place := v_job.place;
  end loop;
  return json_build_object('ok', json_build_object('items', array_to_json(v_items), 'nextCursor', v_next));
end $$;

-- The status of a queue. It counts expired leases and due delayed jobs as the next call will change them.
create function rpc.queue_counts(p_payer text, p_queue text, p_now timestamptz) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_count record;
  v_lost record;
  v_oldest timestamptz;
  v_due record;
  v_queue tenant.queues;
  v_rank smallint := -32768;
  v_place bigint;
  v_created_at timestamptz;
begin
  select count(*) filter (where state in ('pending', 'waiting')) as pending,
      count(*) filter (where state = 'delayed') as delayed,
      count(*) filter (where state = 'running') as running, count(*) filter (where state = 'completed') as completed,
      count(*) filter (where state = 'dead') as dead, count(*) as total
    into v_count
    from tenant.jobs
    where payer = p_payer and queue = p_queue;
  -- Running jobs with an expired lease.
  select count(*) filter (where attempts < max_attempts) as pending,
      count(*) filter (where attempts >= max_attempts) as dead,
      min(created_at) filter (where attempts < max_attempts) as oldest
    into v_lost
    from tenant.jobs
    where payer = p_payer and queue = p_queue and state = 'running' and due_at <= p_now;
  v_oldest := v_lost.oldest;
  -- Delayed jobs that are due.
  select count(*) as pending, min(created_at) as oldest into v_due
    from tenant.jobs
    where payer = p_payer and queue = p_queue and state = 'delayed' and due_at <= p_now;
  v_count.pending := v_count.pending + v_due.pending + v_lost.pending;
  v_count.delayed := v_count.delayed - v_due.pending;
  v_oldest := least(v_oldest, v_due.oldest);
  -- The row of the queue has no heads for jobs that wait for another job of their group.
  select min(created_at) into v_created_at
    from tenant.jobs
    where payer = p_payer and queue = p_queue and state = 'waiting';
  v_oldest := least(v_oldest, v_created_at);
  v_queue := rpc.queue_row(p_payer, p_queue);
  -- The heads spare a walk over the index entries of jobs that were popped since the last vacuum.
  for i in 1 .. coalesce(cardinality(v_queue.ranks), 0) loop
    v_rank := v_queue.ranks[i];
    v_place := v_queue.heads[i];
    select created_at into v_created_at
      from tenant.jobs
      where payer = p_payer and queue = p_queue and state = 'pending' and rank = v_rank and place >= v_place
      order by place
      limit 1;
    v_oldest := least(v_oldest, v_created_at);
  end loop;
  if v_queue.has_more_ranks then
    select min(created_at) into v_created_at
      from tenant.jobs
      where payer = p_payer and queue = p_queue and state = 'pending' and rank > v_rank;
    v_oldest := least(v_oldest, v_created_at);
  end if;
  return json_build_object(
    'queue', p_queue, 'pending', v_count.pending, 'delayed', v_count.delayed,
    'running', v_count.running - v_lost.pending - v_lost.dead, 'completed', v_count.completed,
    'dead', v_count.dead + v_lost.dead, 'total', v_count.total, 'oldestPendingAt', v_oldest);
end $$;

create function rpc.queue_status(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
declare
  v_now timestamptz := rpc.now();
begin
  return json_build_object('ok', rpc.queue_counts(p_payer, p_params->>'queue', v_now));
end $$;

-- A page of the queues that have jobs, by name. Each iteration skips to the next queue in the index.
create function rpc.list_queues(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_limit integer := (p_params->>'limit')::integer;
  v_queue text := coalesce(p_params->>'cursor', '');
  v_items json[] := '{}';
  v_next text;
  v_found text;
begin
  loop
    select queue into v_found
      from tenant.jobs
      where payer = p_payer and queue > v_queue
      order by queue
      limit 1;
    exit when not found;
    if cardinality(v_items) = v_limit then
      v_next := v_queue;
      exit;
    end if;
    v_queue := v_found;
    v_items := v_items || rpc.queue_counts(p_payer, v_queue, v_now);
  end loop;
  return json_build_object('ok', json_build_object('items', array_to_json(v_items), 'nextCursor', v_next));
end $$;

set local role payerbase_rpc;
-- Memories: the methods that store, read and delete. Installed as payerbase_rpc; run inside a turn (src/turn/turn.sql).
-- A turn of writes holds the payer's lock.

-- A memory as callers see it, without its vector.
create function rpc.memory_json(p_memory tenant.memories) returns jsonb
language sql stable
as $$
  select jsonb_build_object(
    'id', p_memory.id, 'namespace', p_memory.namespace, 'content', p_memory.content, 'metadata', p_memory.metadata,
    'tags', to_jsonb(p_memory.tags), 'importance', p_memory.importance, 'hasEmbedding', p_memory.embedding is not null,
    'embeddingModel', nullif(p_memory.model, ''), 'dimensions', nullif(p_memory.dimensions, 0),
    'expiresAt', p_memory.expires_at, 'createdAt', p_memory.created_at, 'updatedAt', p_memory.updated_at)
$$;

-- The words of a text: stems with their positions, and the unchanged words, so that a search also finds words of other
-- languages. A text of more than 100,000 bytes (256 KiB at most) is parsed in two parts and stored without positions,
-- because a tsvector holds at most 1 MiB.
--   p_search_text  {"language": text search configuration, "text": prepared text; absent if p_text is parsed as it is}
create function rpc.words(p_search_text jsonb, p_text text) returns tsvector
language plpgsql stable
as $$
declare
  v_language text := p_search_text->>'language';
  v_text text := coalesce(p_search_text->>'text', p_text);
  v_half integer := length(v_text) / 2;
  v_words tsvector;
begin
  if octet_length(v_text) <= 100000 then
    v_words := to_tsvector(v_language::regconfig, v_text);
    return case when v_language = 'simple' then v_words else v_words || strip(to_tsvector('simple', v_text)) end;
  end if;
  -- Cut at a space.
  v_half := v_half + strpos(substr(v_text, v_half + 1), ' ');
  v_words := strip(to_tsvector('simple', left(v_text, v_half)))
    || strip(to_tsvector('simple', substr(v_text, v_half + 1)));
  if v_language <> 'simple' then
    v_words := v_words || strip(to_tsvector(v_language::regconfig, left(v_text, v_half)));
    v_words := v_words || strip(to_tsvector(v_language::regconfig, substr(v_text, v_half + 1)));
  end if;
  return v_words;
end $$;

-- Updates the counts of a space and returns it.
--   p_memories  change of the number of memories
--   p_places    number of vectors that are written
create function rpc.count_in_space(
  p_payer text, p_model text, p_dimensions integer, p_memories integer, p_places integer
) returns tenant.memory_spaces
language plpgsql
as $$
#variable_conflict use_column
declare
  v_space tenant.memory_spaces;
begin
  update tenant.memory_spaces
    set memories = memories + p_memories, last_place = last_place + p_places
    where payer = p_payer and model = p_model and dimensions = p_dimensions
    returning * into v_space;
  if not found then
    insert into tenant.memory_spaces (payer, model, dimensions, memories, last_place, grown_until)
      values (p_payer, p_model, p_dimensions, p_memories, p_places, 0)
      returning * into v_space;
  elsif v_space.memories = 0 then
    delete from tenant.memory_spaces
      where payer = p_payer and model = p_model and dimensions = p_dimensions;
  end if;
  return v_space;
end $$;

-- Writes a memory and updates the counts of its spaces. A replaced vector leaves the graph; the sweeper adds the new
-- one.
--   p_old  the memory before; its id is NULL if there was none
create function rpc.put_memory(p_payer text, p_memory tenant.memories, p_old tenant.memories) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
  v_comes boolean := p_old.id is null or p_old.model <> p_memory.model or p_old.dimensions <> p_memory.dimensions;
  v_leaves boolean := v_comes and p_old.id is not null;
  v_is_new_vector boolean := p_memory.dimensions > 0
    and (v_comes or p_old.embedding operator(public.<>) p_memory.embedding);
  v_space tenant.memory_spaces;
  v_grown_until bigint;
begin
  p_memory.place := case when v_comes then 0 else p_old.place end;
  if v_comes or v_is_new_vector then
    v_space := rpc.count_in_space(
      p_payer, p_memory.model, p_memory.dimensions, v_comes::integer, v_is_new_vector::integer);
    p_memory.place := case when v_is_new_vector then v_space.last_place else 0 end;
    v_grown_until := v_space.grown_until;
  end if;
  if v_leaves then
    v_space := rpc.count_in_space(p_payer, p_old.model, p_old.dimensions, -1, 0);
    v_grown_until := v_space.grown_until;
  end if;
  if p_old.dimensions > 0 and p_old.place <= v_grown_until then
    delete from tenant.memory_graph
      where payer = p_payer and id = p_old.id;
  end if;
  insert into tenant.memories (
    payer, id, namespace, content, metadata, tags, importance, model, dimensions, is_made, embedding, words, place,
    expires_at, created_at, updated_at
  )
    values (p_payer, p_memory.id, p_memory.namespace, p_memory.content, p_memory.metadata, p_memory.tags,
      p_memory.importance, p_memory.model, p_memory.dimensions, p_memory.is_made, p_memory.embedding, p_memory.words,
      p_memory.place, p_memory.expires_at, p_memory.created_at, p_memory.updated_at)
    on conflict (payer, id) do update
      set namespace = excluded.namespace, content = excluded.content, metadata = excluded.metadata,
        tags = excluded.tags, importance = excluded.importance, model = excluded.model,
        dimensions = excluded.dimensions, is_made = excluded.is_made, embedding = excluded.embedding,
        words = excluded.words, place = excluded.place, expires_at = excluded.expires_at,
        created_at = excluded.created_at, updated_at = excluded.updated_at;
end $$;

-- The expiry of a call from "expiresAt" or "ttlMs". NULL if it has neither.
create function rpc.expiry(p_params jsonb, p_now timestamptz) returns timestamptz
language sql immutable
as $$
  select coalesce(
    (p_params->>'expiresAt')::timestamptz, p_now + make_interval(secs => (p_params->>'ttlMs')::bigint / 1000.0))
$$;

-- A problem if the metadata is over 32 KiB as text of jsonb, although it was within 16 KiB in the request: jsonb writes
-- spaces and all digits of numbers. NULL if it fits.
--   p_within  JSON pointer of the memory in the request
create function rpc.metadata_problem(p_metadata jsonb, p_within text) returns json
language plpgsql immutable
as $$
begin
  -- The limit of the domain tenant.metadata.
  if octet_length(p_metadata::text) > 32768 then
    return rpc.invalid_value(
      p_within || '/metadata',
      'must be at most 16384 bytes of JSON, and 32768 with spaces '
      'and all digits of its numbers');
  end if;
  return null;
end $$;

-- Stores one memory and returns it. It replaces the memory with the same id.
--   p_params  of the call, with "embedding" as text; "searchText" (rpc.words); "isMade": the server made the vector
create function rpc.store(p_payer text, p_params jsonb, p_now timestamptz) returns jsonb
language plpgsql
as $$
#variable_conflict use_column
declare
  v_memory tenant.memories;
  v_old tenant.memories;
  v_replaced boolean;
begin
  v_memory.id := p_params->>'id';
  select * into v_old
    from tenant.memories
    where payer = p_payer and id = v_memory.id;
  v_replaced := found and coalesce(v_old.expires_at > p_now, true);
  v_memory.namespace := p_params->>'namespace';
  v_memory.content := p_params->>'content';
  v_memory.metadata := p_params->'metadata';
  v_memory.tags := array(select jsonb_array_elements_text(p_params->'tags'));
  v_memory.importance := p_params->>'importance';
  v_memory.embedding := p_params->>'embedding';
  v_memory.model := coalesce(p_params->>'embeddingModel', '');
  v_memory.dimensions := coalesce(public.vector_dims(v_memory.embedding), 0);
  v_memory.is_made := p_params->>'isMade';
  v_memory.words := rpc.words(p_params->'searchText', v_memory.content);
  v_memory.expires_at := rpc.expiry(p_params, p_now);
  v_memory.created_at := case when v_replaced then v_old.created_at else p_now end;
  v_memory.updated_at := p_now;
  perform rpc.put_memory(p_payer, v_memory, v_old);
  return rpc.memory_json(v_memory) || jsonb_build_object('replaced', v_replaced);
end $$;

create function rpc.store_memory(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
declare
  v_problem json := rpc.metadata_problem(p_params->'metadata', '');
begin
  if v_problem is not null then
    return v_problem;
  end if;
  return json_build_object('ok', rpc.store(p_payer, p_params, rpc.now()));
end $$;

create function rpc.store_memories(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
declare
  v_now timestamptz := rpc.now();
  v_memories json[] := '{}';
  v_problem json;
begin
  for i in 0 .. jsonb_array_length(p_params->'memories') - 1 loop
    v_problem := rpc.metadata_problem(p_params->'memories'->i->'metadata', '/memories/' || i);
    if v_problem is not null then
      return v_problem;
    end if;
  end loop;
  for i in 0 .. jsonb_array_length(p_params->'memories') - 1 loop
    v_memories := v_memories || rpc.store(p_payer, p_params->'memories'->i, v_now)::json;
  end loop;
  return json_build_object('ok', json_build_object('memories', array_to_json(v_memories)));
end $$;

create function rpc.recall_memory(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_id text := p_params->>'id';
  v_memory tenant.memories;
begin
  select * into v_memory
    from tenant.memories
    where payer = p_payer and id = v_id and coalesce(expires_at > v_now, true);
  if not found then
    return rpc.problem('not-found');
  end if;
  return json_build_object('ok', case when (p_params->>'includeEmbedding')::boolean
    then rpc.memory_json(v_memory) || jsonb_build_object('embedding', v_memory.embedding::text::jsonb)
    else rpc.memory_json(v_memory) end);
end $$;

-- The result of a merge patch (RFC 7396).
create function rpc.merge_patch(p_target jsonb, p_patch jsonb) returns jsonb
language plpgsql immutable
as $$
declare
  v_result jsonb := case when jsonb_typeof(p_target) = 'object' then p_target else '{}' end;
  v_member record;
begin
  if jsonb_typeof(p_patch) <> 'object' then
    return p_patch;
  end if;
  for v_member in select key, value from jsonb_each(p_patch) loop
    if jsonb_typeof(v_member.value) = 'null' then
      v_result := v_result - v_member.key;
    else
      v_result := v_result || jsonb_build_object(v_member.key, rpc.merge_patch(v_result->v_member.key, v_member.value));
    end if;
  end loop;
  return v_result;
end $$;

-- Updates a memory with a merge patch: absent members are unchanged, and null removes a value or restores its default.
-- If the content changes, a vector that the server made is replaced, or removed if the call has no new one. A vector
-- from the caller stays until the caller sends another one, or null.
--   p_params  as in rpc.store; "embedding": null removes the vector
create function rpc.update_memory(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_id text := p_params->>'id';
  v_old tenant.memories;
  v_memory tenant.memories;
  v_metadata jsonb;
begin
  select * into v_old
    from tenant.memories
    where payer = p_payer and id = v_id and coalesce(expires_at > v_now, true);
  if not found then
    return rpc.problem('not-found');
  end if;
  v_memory := v_old;
  v_memory.updated_at := v_now;
  v_memory.namespace := coalesce(p_params->>'namespace', v_old.namespace);
  v_memory.importance := coalesce((p_params->>'importance')::double precision, v_old.importance);
  if p_params ? 'tags' then
    v_memory.tags := array(select jsonb_array_elements_text(p_params->'tags'));
  end if;
  if p_params ? 'metadata' then
    v_metadata := case
      when jsonb_typeof(p_params->'metadata') = 'null' then '{}'
      else rpc.merge_patch(v_old.metadata, p_params->'metadata')
    end;
    -- The limit of the domain tenant.metadata.
    if octet_length(v_metadata::text) > 32768 then
      return rpc.problem(
        'payload-too-large', json_build_object(
          'limitBytes', 32768, 'detail', 'The metadata would become larger than the limit.'));
    end if;
    v_memory.metadata := v_metadata;
  end if;
  if p_params ?| '{expiresAt,ttlMs}' then
    v_memory.expires_at := rpc.expiry(p_params, v_now);
  end if;
  if p_params ? 'content' then
    v_memory.content := p_params->>'content';
    v_memory.words := rpc.words(p_params->'searchText', v_memory.content);
  end if;
  if (case
    when (p_params->>'isMade')::boolean then v_old.is_made or v_old.embedding is null
    else p_params ? 'embedding' or (v_old.is_made and p_params ? 'content')
  end) then
    v_memory.embedding := p_params->>'embedding';
    v_memory.model := coalesce(p_params->>'embeddingModel', '');
    v_memory.dimensions := coalesce(public.vector_dims(v_memory.embedding), 0);
    v_memory.is_made := p_params->>'isMade';
  end if;
  perform rpc.put_memory(p_payer, v_memory, v_old);
  return json_build_object('ok', rpc.memory_json(v_memory));
end $$;

create function rpc.forget_memory(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_id text := p_params->>'id';
  v_old record;
  v_space tenant.memory_spaces;
begin
  delete from tenant.memories
    where payer = p_payer and id = v_id
    returning model, dimensions, place, expires_at into v_old;
  if not found then
    return rpc.problem('not-found');
  end if;
  v_space := rpc.count_in_space(p_payer, v_old.model, v_old.dimensions, -1, 0);
  if v_old.place <= v_space.grown_until then
    delete from tenant.memory_graph
      where payer = p_payer and id = v_id;
  end if;
  -- An expired memory is deleted too, but callers do not see it.
  return case when v_old.expires_at <= v_now then rpc.problem('not-found') else '{"ok":null}' end;
end $$;

-- A page of memories in the order of their ids. With a tag, the index finds the memories that have it.
create function rpc.list_memories(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_prefix text := coalesce(p_params->>'prefix', '');
  v_last text := v_prefix || repeat(chr(1114111), 65);
  v_after text := coalesce(p_params->>'cursor', '');
  v_limit integer := (p_params->>'limit')::integer;
  v_namespace text := p_params->>'namespace';
  v_tag text := p_params->>'tag';
  v_ids text[];
  v_items json;
begin
  if v_tag is not null then
    v_ids := array(
      select id
        from unnest(search.ids_by_keys(p_payer, array[tenant.memory_key(p_payer, 't', v_tag)], null, null)) as id
        -- The ids from search.ids_by_keys have the default collation of the database.
        where id collate "C" > v_after and id collate "C" >= v_prefix and id collate "C" <= v_last);
    v_ids := array(
      select id
        from tenant.memories
        where payer = p_payer and id = any (v_ids) and tags @> array[v_tag] and coalesce(expires_at > v_now, true)
          and (v_namespace is null or namespace = v_namespace)
        order by id
        limit v_limit + 1);
  elsif v_namespace is not null then
    v_ids := array(
      select id
        from tenant.memories
        where payer = p_payer and namespace = v_namespace and id > v_after and id >= v_prefix and id <= v_last
          and coalesce(expires_at > v_now, true)
        order by id
        limit v_limit + 1);
  else
    v_ids := array(
      select id
        from tenant.memories
        where payer = p_payer and id > v_after and id >= v_prefix and id <= v_last
          and coalesce(expires_at > v_now, true)
        order by id
        limit v_limit + 1);
  end if;
  select json_agg(rpc.memory_json(memories) order by id) into v_items
    from tenant.memories
    where payer = p_payer and id = any (v_ids[:v_limit]);
  return json_build_object('ok', json_build_object(
    'items', coalesce(v_items, '[]'), 'nextCursor', case when cardinality(v_ids) > v_limit then v_ids[v_limit] end));
end $$;


set local role payerbase_rpc;
-- Memories: the graph of large spaces, an index for approximate search. Installed as payerbase_rpc; runs inside a turn,
-- which holds the payer's lock.

-- Width of the HNSW index for vectors with this many dimensions. NULL if no index is wide enough.
create function rpc.graph_width(p_dimensions integer) returns integer
language sql immutable
as $$
  select case
    when p_dimensions <= 384 then 384
    when p_dimensions <= 768 then 768
    when p_dimensions <= 1536 then 1536
    when p_dimensions <= 3072 then 3072
  end
$$;

-- A vector as the graph stores it: of length 1, so that half precision can hold it, and padded with zeros to the width
-- of the index.
create function rpc.for_graph(p_vector public.vector) returns public.halfvec
language plpgsql immutable
as $$
declare
  v_missing integer := rpc.graph_width(public.vector_dims(p_vector)) - public.vector_dims(p_vector);
  v_unit public.vector := public.l2_normalize(p_vector);
begin
  if v_missing > 0 then
    v_unit := v_unit operator(public.||) array_fill(0::real, array[v_missing])::public.vector;
  end if;
  return v_unit::public.halfvec;
end $$;

-- Copies the next vectors of a space into its graph, in the order in which they were written. Returns their number. If
-- it is less than "bite", the graph is complete. Each vector takes a millisecond or more.
create function rpc.grow_graph(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_model text := p_params->>'model';
  v_dimensions integer := p_params->>'dimensions';
  v_width integer := rpc.graph_width(v_dimensions);
  v_bite integer := p_params->>'bite';
  v_space tenant.memory_spaces;
  v_memory record;
  v_count integer := 0;
begin
  select * into v_space
    from tenant.memory_spaces
    where payer = p_payer and model = v_model and dimensions = v_dimensions;
  if not found or v_width is null then
    return '{"ok":0}';
  end if;
  for v_memory in
    select id, place, rpc.for_graph(embedding) as embedding
      from tenant.memories
      where payer = p_payer and model = v_model and dimensions = v_dimensions and dimensions > 0
        and place > v_space.grown_until
      order by place
      limit v_bite
  loop
    insert into tenant.memory_graph (payer, id, width, model, dimensions, embedding)
      values (p_payer, v_memory.id, v_width, v_model, v_dimensions, v_memory.embedding)
      on conflict (payer, id) do update
        set width = excluded.width, model = excluded.model, dimensions = excluded.dimensions,
          embedding = excluded.embedding;
    v_space.grown_until := v_memory.place;
    v_count := v_count + 1;
  end loop;
  if v_count < v_bite then
    -- The vectors with the remaining numbers were deleted or replaced.
    v_space.grown_until := v_space.last_place;
  end if;
  update tenant.memory_spaces
    set grown_until = v_space.grown_until
    where payer = p_payer and model = v_model and dimensions = v_dimensions;
  return json_build_object('ok', v_count);
end $$;

set local role payerbase_rpc;
-- Memories: the clean-up of expired ones. Installed as payerbase_rpc; runs inside a turn, which holds the payer's lock.

-- Deletes some expired memories. Returns their number.
create function rpc.sweep_memories(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_ids text[];
  v_left record;
  v_space tenant.memory_spaces;
  v_count integer := 0;
begin
  v_ids := array(
    select id
      from tenant.memories
      where payer = p_payer and expires_at <= v_now
      order by expires_at
      limit 500);
  for v_left in
    select model, dimensions, count(*)::integer as memories
      from tenant.memories
      where payer = p_payer and id = any (v_ids)
      group by model, dimensions
  loop
    v_space := rpc.count_in_space(p_payer, v_left.model, v_left.dimensions, -v_left.memories, 0);
    v_count := v_count + v_left.memories;
  end loop;
  delete from tenant.memory_graph
    where payer = p_payer and id = any (v_ids);
  delete from tenant.memories
    where payer = p_payer and id = any (v_ids);
  return json_build_object('ok', v_count);
end $$;

set local role payerbase_rpc;
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
  q.namespace_keys := '{}';
  if v_namespace is not null then
    q.namespace_keys := array[tenant.memory_key(p_payer, 'n', v_namespace)];
  end if;
  -- Rank fusion takes as many results of each search as the limit, but at least 10: results ranked lower are noise.
  q.depth := case when p_mode = 'hybrid' then greatest(v_limit, 10) else v_limit end;
  return q;
end $$;

-- The results in the order of their scores. Reciprocal rank fusion of two lists (Cormack, Clarke and Buettcher, 2009),
-- k = 60, in mode hybrid; otherwise the list of the mode.
create function rpc.fuse(
  p_mode text, p_limit integer, p_near_ids text[], p_near_scores float8[], p_worded_ids text[],
  p_worded_scores float8[],
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
              (coalesce(1.0 / (60 + near.place), 0) + coalesce(1.0 / (60 + worded.place), 0))::float8 as score
            from unnest(p_near_ids, p_near_scores) with ordinality as near (id, score, place)
            full join unnest(p_worded_ids, p_worded_scores) with ordinality as worded (id, score, place) using (id)
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
      rpc.memory_json(memories) || jsonb_build_object('score', found.score)
        || case when p_mode = 'hybrid' then jsonb_build_object('vectorScore', near, 'textScore', worded) else '{}' end
        || case when v_with_vectors then jsonb_build_object('embedding', embedding::text::jsonb) else '{}' end
      order by found.score desc, found.id) into v_memories
    from unnest(p_found.ids, p_found.scores, p_found.near_scores, p_found.worded_scores)
      as found (id, score, near, worded)
    join tenant.memories on memories.payer = p_payer and memories.id = found.id
    where coalesce(found.score >= v_score_min, true);
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
    -- A word in more than 50000 memories is not specific, and to rank all of them takes too long.
    select ids, v_is_exact and is_all into v_ids, v_is_exact
      from rpc.ids_by_words(p_payer, q, v_words, 50000);
    select * into v_worded_ids, v_worded_scores
      from rpc.rank_by_bm25(p_payer, q, v_words, v_ids, v_total);
  end if;
  v_searched := case when v_mode = 'text' then v_total else v_searched end;
  v_skipped := case when v_mode = 'text' then 0 else v_skipped end;
  v_scoring := case v_mode
    when 'vector' then 'cosine-similarity' when 'text' then 'bm25' else 'reciprocal-rank-fusion'
  end;
  return json_build_object('ok', json_build_object(
    'mode', v_mode, 'scoring', v_scoring, 'exact', v_is_exact, 'searched', v_searched, 'skipped', v_skipped, 'results',
    rpc.found_memories(p_payer, p_params, v_mode, rpc.fuse(
      v_mode, (p_params->>'limit')::integer, v_near_ids, v_near_scores, v_worded_ids, v_worded_scores))));
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
        limit 10
    ) spaces;
  return v_stored;
end $$;

set local role payerbase_rpc;
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
    when 384 then
      return array(
        select memory_graph.id
          from tenant.memory_graph
          cross join lateral (
            select
              from tenant.memories
              where payer = p_payer and id = memory_graph.id
                and namespace >= q.namespace_min and namespace <= q.namespace_max
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
              where payer = p_payer and id = memory_graph.id
                and namespace >= q.namespace_min and namespace <= q.namespace_max
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
              where payer = p_payer and id = memory_graph.id
                and namespace >= q.namespace_min and namespace <= q.namespace_max
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
              where payer = p_payer and id = memory_graph.id
                and namespace >= q.namespace_min and namespace <= q.namespace_max
                and rpc.is_wanted(expires_at, tags, metadata, q.at, q.tags_all, q.tags_any, q.filter)
              limit 1
          ) wanted
          where payer = p_payer and width = 3072 and model = q.model and dimensions = q.dimensions
          order by embedding::public.halfvec(3072) operator(public.<=>) v_query
          limit p_count);
    else return '{}';
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
    and p_space.last_place - p_space.grown_until <= 20000;
  -- For a namespace alone, the path keys is better than the path graph, but not better than the path scope.
  v_keys bigint[] := case when v_by_graph or cardinality(q.keys) > 0 then q.keys || q.namespace_keys end;
  -- With more keyed memories than this, another path is faster.
  v_keyed_max integer := case when v_by_graph then 20000 else least(p_total / 8, 5000) end;
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

set local role payerbase_rpc;
-- Memories: search by words. Installed as payerbase_rpc.

-- The words of a query, at most 64, as rpc.words stores them: stems, and the unchanged words except for stop words of
-- the language. If the query has only stop words, it keeps them.
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
  -- A very long query keeps its longest words, which are the most specific.
  return array(
    select word
      from unnest(v_words) as word
      order by length(word) desc, word
      limit 64);
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
create function rpc.rank_by_bm25(
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
    select scope.id, asked.word, greatest(ts_rank_cd('{1,1,1,1}', scope.words, asked.query), 1)::float8 as times,
        scope.size
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
  select array_agg(id order by score desc, id), array_agg(score order by score desc, id)
    into rank_by_bm25.ids, rank_by_bm25.scores
    from best;
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
  v_any bigint[] := array(select tenant.memory_key(p_payer, 'w', word) from unnest(p_words) as word);
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

set local role payerbase_rpc;
-- Methods of the account. Owned by payerbase_rpc.

-- The usage of the payer.
create function rpc.get_me(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_counters bigint;
  v_links bigint;
  v_locks bigint;
  v_jobs bigint;
  v_memories bigint;
begin
  -- Counts stop at 100,000 rows, so that the cost of the call is bounded.
  select count(*) into v_counters
    from (select from tenant.counters where payer = p_payer limit 100000) counted;
  select count(*) into v_links
    from (select from tenant.links where payer = p_payer limit 100000) counted;
  select count(*) into v_locks
    from (select from tenant.locks where payer = p_payer limit 100000) counted;
  select count(*) into v_jobs
    from (select from tenant.jobs where payer = p_payer limit 100000) counted;
  select coalesce(sum(memories), 0) into v_memories
    from tenant.memory_spaces
    where payer = p_payer;
  return json_build_object('ok', json_build_object(
    'counters', v_counters, 'links', v_links, 'locks', v_locks, 'jobs', v_jobs, 'memories', v_memories));
end $$;

reset role;
comment on schema rpc is 'payerbase 0.1.0 9f4d6ca83fa4dc8302f6a89c5445a1216ec1344a7eda04c7c0929d7a9be84833';
commit;
