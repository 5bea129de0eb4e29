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

-- Waits for the lock of a payer.
--   p_wait_ms  how long, then SQLSTATE 55P03
create function rpc.wait_for_payer(p_payer text, p_wait_ms integer) returns boolean
language plpgsql
as $$
begin
  perform set_config('lock_timeout', p_wait_ms::text, true),
    case when tenant.has_old_turns() then pg_advisory_xact_lock(hashtextextended(p_payer, 0)) end,
    pg_advisory_xact_lock(tenant.payer_lock(p_payer));
  return true;
end $$;

-- Runs a batch of writes in one transaction. The calls of a payer are neighbours. Functions are called in assignments,
-- not with `perform`, which would run each as a query of its own.
--   p_route       a payer of the batch: it selects the node of a cluster
--   p_conditions  the conditions of each call (rpc.write_with_conditions); NULL for most calls
--   p_wait_ms     0: the result of a payer whose lock (tenant.payer_lock) is held is {"busy": null}, without waiting,
--                 so two batches cannot deadlock; otherwise how long to wait for the lock, then SQLSTATE 55P03: only
--                 for batches of one payer
--   p_budget_ms   once the batch has run a call and this time has passed, the result of each call that has not begun is
--                 {"again": null}; NULL: no limit
--   p_assets      the assets in which calls can be paid; NULL: calls are free
--   p_prices      per asset, the price of each call
--   p_totals      likewise; at the first call of a payer, the price of all its calls
--   ran           time inside of this function: the rest of a round trip is the commit
--   ended         per call, the time after the begin of the batch at which it ended; of a set, only for its last call
create function rpc.write_batch(
  p_route text, p_payers text[], p_methods text[], p_params text[], p_conditions text[], p_wait_ms integer,
  p_budget_ms integer, p_assets text[] default null, p_prices bigint[] default null, p_totals bigint[] default null,
  out results text[], out ran interval, out ended interval[]
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_started timestamptz := clock_timestamp();
  v_budget interval := make_interval(secs => p_budget_ms / 1000.0);
  v_calls integer := cardinality(p_payers);
  -- The asset in which the calls of the payer are paid together; NULL: each call is paid alone.
  v_paid_in integer := 0;
  v_all_paid_in integer[];
  v_payer text := '';
  v_locked boolean;
  v_at integer := 1;
  v_run_end integer := 0;
  v_has_run boolean := false;
begin
  if p_route <> all (p_payers) then
    raise exception 'the route is not a payer of the batch';
  end if;
  ended := array_fill(null::interval, array[v_calls]);
  while v_at <= v_calls loop
    if p_payers[v_at] <> v_payer then
      v_payer := set_config('payerbase.payer', p_payers[v_at], true);
      -- While functions of an earlier version may run, a turn takes their lock too.
      v_locked := (not tenant.has_old_turns() or pg_try_advisory_xact_lock(hashtextextended(v_payer, 0)))
        and pg_try_advisory_xact_lock(tenant.payer_lock(v_payer));
      v_locked := v_locked or (p_wait_ms > 0 and rpc.wait_for_payer(v_payer, p_wait_ms));
      if v_locked and p_assets is not null then
        v_paid_in := rpc.debit(v_payer, p_assets, p_totals, v_calls, v_at);
        v_all_paid_in[v_at] := v_paid_in;
      end if;
    end if;
    if v_at <= v_run_end and results[v_at] is not null then null;
    elsif not v_locked then
      results[v_at] := '{"busy":null}';
    elsif v_has_run and clock_timestamp() - v_started > v_budget then
      results[v_at] := '{"again":null}';
    elsif v_at > v_run_end and v_paid_in >= 0 and p_payers[v_at + 1] = v_payer and p_methods[v_at + 1] = p_methods[v_at]
      and rpc.has_run(p_methods[v_at]) and coalesce(p_conditions[v_at], p_conditions[v_at + 1]) is null
    then
      v_run_end := rpc.run_end(p_payers, p_methods, p_conditions, v_at);
      results[v_at:v_run_end] := rpc.dispatch_run(
        v_payer, p_methods[v_at], ('[' || array_to_string(p_params[v_at:v_run_end], ',') || ']')::jsonb)::text[];
      ended[v_run_end] := clock_timestamp() - v_started;
      v_has_run := v_has_run or results[v_at] is not null;
      -- The calls of the run that could not be part of the set run next, one by one.
      continue;
    else
      results[v_at] := case
        when v_paid_in is null then rpc.write_if_paid(
          v_payer, p_methods[v_at], p_params[v_at], p_conditions[v_at], p_assets, p_prices, v_calls, v_at)
        when p_conditions[v_at] is null then rpc.dispatch_write(v_payer, p_methods[v_at], p_params[v_at]::jsonb)
        else rpc.write_with_conditions(v_payer, p_methods[v_at], p_params[v_at]::jsonb, p_conditions[v_at]::jsonb,
          p_assets[v_paid_in], p_prices[(v_paid_in - 1) * v_calls + v_at])
      end;
      ended[v_at] := clock_timestamp() - v_started;
      v_has_run := true;
    end if;
    v_at := v_at + 1;
  end loop;
  if p_assets is not null then
    perform rpc.refund_batch(p_payers, p_assets, p_prices, v_all_paid_in, results);
  end if;
  ran := clock_timestamp() - v_started;
end $$;

-- Runs a batch of reads without a lock, in a transaction that it makes read-only.
--   p_vector     the query vector of a search, which is a batch of its own; NULL for other reads
--   p_budget_ms  as in rpc.write_batch, and so are the results
create function rpc.read_batch(
  p_route text, p_payers text[], p_methods text[], p_params text[], p_vector public.vector, p_budget_ms integer,
  out results text[], out ran interval, out ended interval[]
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_started timestamptz := clock_timestamp();
  v_budget interval := make_interval(secs => p_budget_ms / 1000.0);
  v_payer text;
begin
  if p_route <> all (p_payers) then
    raise exception 'the route is not a payer of the batch';
  end if;
  v_payer := set_config('transaction_read_only', 'on', true);
  ended := array_fill(null::interval, array[cardinality(p_payers)]);
  for i in 1 .. cardinality(p_payers) loop
    if i > 1 and clock_timestamp() - v_started > v_budget then
      results[i] := '{"again":null}';
      continue;
    end if;
    if p_payers[i] <> v_payer then
      v_payer := set_config('payerbase.payer', p_payers[i], true);
    end if;
    results[i] := rpc.dispatch_read(v_payer, p_methods[i], p_params[i]::jsonb, p_vector);
    ended[i] := clock_timestamp() - v_started;
  end loop;
  ran := clock_timestamp() - v_started;
end $$;

-- For servers of revisions before 6, whose batches have no budget of time.
create function rpc.turn(
  p_route text, p_payers text[], p_methods text[], p_params text[], p_conditions text[], p_wait_ms integer,
  out results text[], out ran interval
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  select w.results, w.ran into results, ran
    from rpc.write_batch(p_route, p_payers, p_methods, p_params, p_conditions, p_wait_ms, null) w;
end $$;

create function rpc.read(
  p_route text, p_payers text[], p_methods text[], p_params text[], p_vector public.vector,
  out results text[], out ran interval
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  select r.results, r.ran into results, ran
    from rpc.read_batch(p_route, p_payers, p_methods, p_params, p_vector, null) r;
end $$;

grant execute on function
  rpc.write_batch(text, text[], text[], text[], text[], integer, integer, text[], bigint[], bigint[]) to payerbase_app;
grant execute on function rpc.read_batch(text, text[], text[], text[], public.vector, integer) to payerbase_app;
grant execute on function rpc.turn(text, text[], text[], text[], text[], integer) to payerbase_app;
grant execute on function rpc.read(text, text[], text[], text[], public.vector) to payerbase_app;
