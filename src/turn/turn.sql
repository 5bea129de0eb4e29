-- The turn: every call of every primitive runs in here. Installed as payerbase_rpc by `payerbase migrate`.

-- One write of one payer, under the payer's lock. The answer is {"ok": result} or {"problem": {"code": .., ..}}.
create function rpc.write(p_payer text, p_method text, p_params jsonb) returns json
language plpgsql
as $$
begin
  case p_method
    when 'increment' then return rpc.increment(p_payer, p_params);
    when 'decrement' then return rpc.decrement(p_payer, p_params);
    when 'resetCounter' then return rpc.reset_counter(p_payer, p_params);
    when 'deleteCounter' then return rpc.delete_counter(p_payer, p_params);
    else raise exception 'no write method %', p_method;
  end case;
end $$;

-- One read of one payer, without a lock.
create function rpc.look(p_payer text, p_method text, p_params jsonb) returns json
language plpgsql
as $$
begin
  case p_method
    when 'getCounter' then return rpc.get_counter(p_payer, p_params);
    when 'listCounters' then return rpc.list_counters(p_payer, p_params);
    when 'getMe' then return rpc.get_me(p_payer);
    else raise exception 'no read method %', p_method;
  end case;
end $$;

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

-- A batch of writes: one statement, one transaction, one commit for all. The calls of one payer stand together and the
-- payers in one order in every batch, so that two batches never wait for each other in a circle.
--   p_route    a payer of the batch; says which node of a cluster runs it
--   p_wait_ms  0: a payer whose lock is taken answers {"busy": null} and nothing waits;
--              else its lock is waited for so long (then SQLSTATE 55P03): only for batches of one payer
-- `ran` is the time in here, so that the caller can tell it from the time of the commit. Functions are called in
-- assignments, not with `perform`, which would run each as a query of its own.
create function rpc.turn(
  p_route text, p_payers text[], p_methods text[], p_params text[], p_wait_ms integer,
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
    -- What must be atomic with every write belongs here, around the call: its idempotency record, its guard, its price.
    if v_locked then
      results[i] := rpc.write(v_payer, p_methods[i], p_params[i]::jsonb);
    else
      results[i] := '{"busy":null}';
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
    results[i] := rpc.look(v_payer, p_methods[i], p_params[i]::jsonb);
  end loop;
  ran := clock_timestamp() - v_started;
end $$;

grant execute on function rpc.turn(text, text[], text[], text[], integer) to payerbase_app;
grant execute on function rpc.read(text, text[], text[], text[]) to payerbase_app;
