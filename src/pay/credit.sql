-- The credit of payers. Calls are paid in their own turn, under the payer's lock. Installed as payerbase_rpc.

-- Takes the price of calls from the credit of a payer, in the first asset of which there is enough. Returns the place
-- of the asset; 0 if the calls are free; NULL if there is too little of each asset.
--   p_prices  per asset, a price for each of p_calls calls
--   p_at      the place of the price in each asset
create function rpc.debit(p_payer text, p_assets text[], p_prices bigint[], p_calls integer, p_at integer)
returns integer
language plpgsql
as $$
declare
  v_asset text;
  v_price bigint;
begin
  for place in 1 .. cardinality(p_assets) loop
    v_asset := p_assets[place];
    v_price := p_prices[(place - 1) * p_calls + p_at];
    if v_price = 0 then
      return 0;
    end if;
    update tenant.credit
      set balance = balance - v_price
      where payer = p_payer and asset = v_asset and balance >= v_price;
    if found then
      return place;
    end if;
  end loop;
  return null;
end $$;

create function rpc.refund(p_payer text, p_asset text, p_amount bigint) returns void
language plpgsql
as $$
begin
  update tenant.credit
    set balance = balance + p_amount
    where payer = p_payer and asset = p_asset;
end $$;

-- Gives back what the calls of a batch have paid that did not succeed: those with a problem, pops without a job,
-- answers that were kept, and calls that did not begin.
--   p_paid_in  at the first call of each payer, the place of the asset with which its calls were paid together; 0 or
--              NULL: they were not
create function rpc.refund_batch(
  p_payers text[], p_assets text[], p_prices bigint[], p_paid_in integer[], p_results text[]
) returns void
language plpgsql
as $$
declare
  v_calls integer := cardinality(p_payers);
  v_payer text := '';
  v_place integer;
  v_amount bigint := 0;
begin
  if (select bool_and(starts_with(result, '{"ok"')) from unnest(p_results) as result) then
    return;
  end if;
  for i in 1 .. v_calls + 1 loop
    if p_payers[i] is distinct from v_payer then
      if v_amount > 0 then
        v_payer := set_config('payerbase.payer', v_payer, true);
        perform rpc.refund(v_payer, p_assets[v_place], v_amount);
      end if;
      v_payer := p_payers[i];
      v_place := p_paid_in[i];
      v_amount := 0;
    end if;
    if v_place > 0 and not starts_with(p_results[i], '{"ok"') then
      v_amount := v_amount + p_prices[(v_place - 1) * v_calls + i];
    end if;
  end loop;
end $$;

-- Runs a write whose payer cannot pay for all its calls of the batch. A call whose answer was kept under its key is
-- answered without credit.
--   p_at  the place of the call in the batch, which has p_calls calls
create function rpc.write_if_paid(
  p_payer text, p_method text, p_params text, p_conditions text,
  p_assets text[], p_prices bigint[], p_calls integer, p_at integer
) returns json
language plpgsql
as $$
declare
  v_place integer := rpc.debit(p_payer, p_assets, p_prices, p_calls, p_at);
  v_answer json;
begin
  if v_place is null and rpc.has_answer(p_payer, p_conditions::jsonb)->>'ok' = 'false' then
    -- Nobody pays for a call that is not allowed.
    return coalesce(
      auth.check_rights(p_conditions::jsonb->'rights', null, null), rpc.problem('payment-required'));
  end if;
  v_answer := case
    when p_conditions is null then rpc.dispatch_write(p_payer, p_method, p_params::jsonb)
    else rpc.write_with_conditions(
      p_payer, p_method, p_params::jsonb, p_conditions::jsonb, p_assets[v_place],
      p_prices[(v_place - 1) * p_calls + p_at])
  end;
  if v_place > 0 and not starts_with(v_answer::text, '{"ok"') then
    perform rpc.refund(p_payer, p_assets[v_place], p_prices[(v_place - 1) * p_calls + p_at]);
  end if;
  return v_answer;
end $$;

-- Takes what reads have cost from the credit of a payer, as much as there is. Returns the balance.
--   p_amount  0: only the balance is read
create function rpc.debit_reads_of(p_payer text, p_asset text, p_amount bigint) returns bigint
language plpgsql
as $$
#variable_conflict use_column
declare
  v_balance bigint;
begin
  if p_amount = 0 then
    select balance into v_balance
      from tenant.credit
      where payer = p_payer and asset = p_asset;
  else
    update tenant.credit
      set balance = greatest(balance - p_amount, 0)
      where payer = p_payer and asset = p_asset
      returning balance into v_balance;
  end if;
  return coalesce(v_balance, 0);
end $$;

-- Takes what the reads of many payers have cost. If the database is killed, they may be forgiven.
--   p_owes     for each payer, whether one of its amounts is not 0
--   p_amounts  per asset, an amount for each payer: 0 or more
--   balances   like p_amounts; NULL for a payer whose lock is held: nothing was taken from it
create function rpc.debit_reads(
  p_route text, p_payers text[], p_owes boolean[], p_assets text[], p_amounts bigint[], out balances bigint[]
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_count integer := cardinality(p_payers);
  v_payer text;
  v_at integer;
begin
  if p_route <> all (p_payers) then
    raise exception 'the route is not a payer of the batch';
  end if;
  v_payer := set_config('synchronous_commit', 'off', true);
  balances := array_fill(null::bigint, array[cardinality(p_amounts)]);
  for i in 1 .. v_count loop
    v_payer := set_config('payerbase.payer', p_payers[i], true);
    continue when p_owes[i] and not pg_try_advisory_xact_lock(tenant.payer_lock(v_payer));
    for place in 1 .. cardinality(p_assets) loop
      v_at := (place - 1) * v_count + i;
      balances[v_at] := rpc.debit_reads_of(v_payer, p_assets[place], p_amounts[v_at]);
    end loop;
  end loop;
end $$;

grant execute on function rpc.debit_reads(text, text[], boolean[], text[], bigint[]) to payerbase_app;
