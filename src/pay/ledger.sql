-- The ledger of payers. Installed as payerbase_rpc.

-- An entry of the ledger, as its payer sees it.
create type rpc.shown_ledger_entry as (
  id uuid, at timestamptz, kind text, network text, asset text, amount text, reference text
);

-- Adds to the credit of a payer, once for each reference. Returns whether it was added.
create function rpc.add_credit(
  p_payer text, p_id uuid, p_asset text, p_amount bigint, p_from_account text, p_reference text
) returns boolean
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_to_account text := 'payer';
begin
  insert into tenant.ledger (payer, id, at, asset, from_account, to_account, amount, reference)
    values (p_payer, p_id, v_now, p_asset, p_from_account, v_to_account, p_amount, p_reference)
    on conflict (payer, reference) where reference is not null do nothing;
  if not found then
    return false;
  end if;
  insert into tenant.credit (payer, asset, balance, posted, posted_at)
    values (p_payer, p_asset, p_amount, p_amount, v_now)
    on conflict (payer, asset) do update
      set balance = credit.balance + excluded.balance, posted = credit.posted + excluded.posted;
  return true;
end $$;

-- Books what calls have spent since the last entry. Returns the number of entries.
--   p_params  "ids": as many ids of entries as a payer may have assets
create function rpc.post_usage(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_from_account text := 'payer';
  v_to_account text := 'income';
  v_due record;
  v_count integer := 0;
  v_id uuid;
begin
  for v_due in
    select asset, balance, posted - balance as spent
      from tenant.credit
      where payer = p_payer and balance < posted
      limit jsonb_array_length(p_params->'ids')
  loop
    v_id := p_params->'ids'->>v_count;
    insert into tenant.ledger (payer, id, at, asset, from_account, to_account, amount)
      values (p_payer, v_id, v_now, v_due.asset, v_from_account, v_to_account, v_due.spent);
    update tenant.credit
      set posted = v_due.balance, posted_at = v_now
      where payer = p_payer and asset = v_due.asset;
    v_count := v_count + 1;
  end loop;
  return json_build_object('ok', v_count);
end $$;

-- The credit of the payer, in each asset.
create function rpc.get_credit(p_payer text, p_params jsonb) returns json
language sql stable
as $$
  select json_build_object('ok', json_build_object('items', coalesce(json_agg(
    json_build_object(
      'network', split_part(asset, '/', 1), 'asset', split_part(asset, '/', 2), 'balance', balance::text,
      'unposted', (posted - balance)::text)
    order by asset), '[]')))
    from tenant.credit
    where payer = p_payer
$$;

-- The credit after a payment, which was credited before (rpc.finish_payment).
create function rpc.top_up(p_payer text, p_params jsonb) returns json
language sql
as $$
  select rpc.get_credit(p_payer, p_params)
$$;

-- A page of the payer's ledger, newest first. The cursor is the last entry of the previous page.
create function rpc.list_ledger(p_payer text, p_params jsonb) returns json
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_limit integer := (p_params->>'limit')::integer;
  v_last uuid := coalesce((p_params->>'cursor')::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff');
  v_items rpc.shown_ledger_entry[];
begin
  v_items := array(
    select row(
        id, at, case
          when from_account = 'network' then 'payment'
          when from_account = 'operator' then 'gift'
          else 'usage'
        end,
        split_part(asset, '/', 1), split_part(asset, '/', 2),
        case to_account when 'payer' then '' else '-' end || amount, reference)::rpc.shown_ledger_entry
      from tenant.ledger
      where payer = p_payer and id < v_last
      order by id desc
      limit v_limit + 1);
  return json_build_object('ok', json_build_object(
    'items', to_json(v_items[:v_limit]),
    'nextCursor', case when cardinality(v_items) > v_limit then v_items[v_limit].id end));
end $$;
