-- A turn: one statement that runs a batch of calls. Installed as payerbase_rpc by `payerbase migrate`.

-- What time it is. The one clock of every method: tests put another in its place.
create function rpc.now() returns timestamptz
language sql volatile
as $$
  select clock_timestamp()
$$;

-- A batch of writes: one statement, one transaction, one commit for all. The calls of one payer stand together and the
-- payers in one order in every batch, so that two batches never wait for each other in a circle.
--   p_route    a payer of the batch; says which node of a cluster runs it
--   p_conditions  what stands around each call (rpc.write_with_conditions); null for most
--   p_wait_ms  0: a payer whose lock is taken answers {"busy": null} and nothing waits;
--              else its lock is waited for so long (then SQLSTATE 55P03): only for batches of one payer
-- `ran` is the time in here, so that the caller can tell it from the time of the commit. Functions are called in
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
begin
  if p_route <> all (p_payers) then
    raise exception 'the route is not a payer of the batch';
  end if;
  for i in 1 .. cardinality(p_payers) loop
    if p_payers[i] <> v_payer then
      v_payer := set_config('payerbase.payer', p_payers[i], true);
      v_locked := pg_try_advisory_xact_lock(hashtextextended(v_payer, 0));
      if not v_locked and p_wait_ms > 0 then
        perform set_config('lock_timeout', p_wait_ms::text, true), pg_advisory_xact_lock(hashtextextended(v_payer, 0));
        v_locked := true;
      end if;
    end if;
    -- What must be atomic with every write belongs here, around the call: its price will be the next.
    if not v_locked then
      results[i] := '{"busy":null}';
    elsif p_conditions[i] is null then
      results[i] := rpc.dispatch_write(v_payer, p_methods[i], p_params[i]::jsonb);
    else
      results[i] := rpc.write_with_conditions(v_payer, p_methods[i], p_params[i]::jsonb, p_conditions[i]::jsonb);
    end if;
  end loop;
  ran := clock_timestamp() - v_started;
end $$;

-- A batch of reads: no lock, and the transaction is made read-only.
create function rpc.read(
  p_route text, p_payers text[], p_methods text[], p_params text[],
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
    results[i] := rpc.dispatch_read(v_payer, p_methods[i], p_params[i]::jsonb);
  end loop;
  ran := clock_timestamp() - v_started;
end $$;

grant execute on function rpc.turn(text, text[], text[], text[], text[], integer) to payerbase_app;
grant execute on function rpc.read(text, text[], text[], text[]) to payerbase_app;
