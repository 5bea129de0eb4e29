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
-- payers (tenant.payer_lock) in the same order and cannot deadlock.
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
  v_lock bigint;
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
      v_lock := tenant.payer_lock(v_payer);
      -- While functions of an earlier version may run, a turn takes their lock too.
      v_locked := (not tenant.has_old_turns() or pg_try_advisory_xact_lock(hashtextextended(v_payer, 0)))
        and pg_try_advisory_xact_lock(v_lock);
      if not v_locked and p_wait_ms > 0 then
        perform set_config('lock_timeout', p_wait_ms::text, true),
          case when tenant.has_old_turns() then pg_advisory_xact_lock(hashtextextended(v_payer, 0)) end,
          pg_advisory_xact_lock(v_lock);
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
