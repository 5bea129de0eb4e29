-- Payments: each is recorded before its money can move, and credited once. Installed as payerbase_rpc.

-- A payment, as its payer sees it.
create type rpc.shown_payment as (
  id uuid, state text, network text, asset text, amount text, "payTo" text, method text, transaction text, reason text,
  "receivedAt" timestamptz, "settledAt" timestamptz
);

create function rpc.show_payment(p_payment tenant.payments) returns rpc.shown_payment
language sql immutable
as $$
  select p_payment.id, p_payment.state::text, split_part(p_payment.asset, '/', 1), split_part(p_payment.asset, '/', 2),
    p_payment.amount::text, p_payment.pay_to, p_payment.method, p_payment.transaction, p_payment.reason,
    p_payment.received_at, p_payment.settled_at
$$;

-- Gives the work on a payment to a server, if it is free.
--   p_state  the state that it has meanwhile
create function rpc.lease_payment(p_payer text, p_id uuid, p_lease uuid, p_state text) returns void
language plpgsql
as $$
declare
  v_now timestamptz := rpc.now();
  v_until timestamptz := v_now + {{payment_lease}};
begin
  update tenant.payments
    set lease = p_lease, leased_until = v_until, state = p_state, due_at = v_until
    where payer = p_payer and id = p_id;
end $$;

-- What the server that works on a payment needs to know.
create function rpc.payment_work(p_payment tenant.payments, p_is_yours boolean) returns json
language sql immutable
as $$
  select json_build_object('ok', json_build_object(
    'id', p_payment.id, 'state', p_payment.state, 'isYours', p_is_yours, 'transaction', p_payment.transaction,
    'reason', p_payment.reason, 'repeats', p_payment.repeats,
    'work', case when p_is_yours then json_build_object(
      'asset', p_payment.asset, 'amount', p_payment.amount, 'payTo', p_payment.pay_to, 'nonce', p_payment.nonce,
      'transaction', p_payment.transaction,
      'maxTimeoutS', p_payment.max_timeout_s, 'payload', p_payment.payload, 'validBefore', p_payment.valid_before,
      'fromBlock', p_payment.from_block, 'receivedAt', p_payment.received_at, 'tries', p_payment.tries) end))
$$;

-- Has no effect but the record of its idempotency key, which a sign-in for one request uses once.
create function rpc.use_sign_in(p_payer text, p_params jsonb) returns json
language sql immutable
as $$
  select '{"ok":null}'::json
$$;

-- Records a payment before it is settled, or finds it. The first server that comes may settle it.
--   p_params  "id", "lease", "asset", "amount", "payTo", "nonce", "maxTimeoutS", "payload", "method", "request":
--             SHA-256 in hex, "identifier", "validBefore", "fromBlock", "transaction"
create function rpc.receive_payment(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_id uuid := p_params->>'id';
  v_identifier text := p_params->>'identifier';
  v_request bytea := decode(p_params->>'request', 'hex');
  v_valid_before timestamptz := p_params->>'validBefore';
  v_asset text := p_params->>'asset';
  v_amount bigint := p_params->>'amount';
  v_pay_to text := p_params->>'payTo';
  v_nonce text := p_params->>'nonce';
  v_max_timeout_s integer := p_params->>'maxTimeoutS';
  v_payload text := p_params->>'payload';
  v_method text := p_params->>'method';
  v_from_block bigint := p_params->>'fromBlock';
  v_transaction text := p_params->>'transaction';
  v_payment tenant.payments;
  v_is_new boolean;
  v_other uuid;
begin
  select id into v_other
    from tenant.payments
    where payer = p_payer and identifier = v_identifier and id <> v_id;
  if found then
    return rpc.problem('payment-used', json_build_object('payment', v_other, 'detail',
      'Another payment has this payment-identifier. Send that payment again, or choose another identifier.'));
  end if;
  insert into tenant.payments (
      payer, id, state, asset, amount, pay_to, nonce, max_timeout_s, payload, method, request_sha256, identifier,
      valid_before, from_block, transaction, received_at, due_at, tries, repeats)
    values (
      p_payer, v_id, 'received', v_asset, v_amount, v_pay_to, v_nonce, v_max_timeout_s, v_payload, v_method, v_request,
      v_identifier, v_valid_before, v_from_block, v_transaction, v_now, v_now, 0, 0)
    on conflict (payer, id) do nothing;
  v_is_new := found;
  select * into v_payment
    from tenant.payments
    where payer = p_payer and id = v_id;
  if v_payment.request_sha256 <> v_request or v_payment.payload <> v_payload then
    return rpc.problem('payment-used', json_build_object('payment', v_id));
  elsif v_payment.repeats >= {{payment_repeats_max}}
    or v_now > v_payment.received_at + make_interval(secs => v_payment.max_timeout_s)
  then
    return rpc.problem('payment-used', json_build_object('payment', v_id, 'detail',
      'The request was sent again too often or too late with this payment. What is left of it is credit: sign in.'));
  elsif not v_is_new then
    update tenant.payments
      set repeats = repeats + 1
      where payer = p_payer and id = v_id
      returning * into v_payment;
  end if;
  if v_payment.state = 'received' then
    perform rpc.lease_payment(p_payer, v_id, (p_params->>'lease')::uuid, 'settling');
    return rpc.payment_work(v_payment, true);
  end if;
  return rpc.payment_work(v_payment, false);
end $$;

-- Takes over a payment whose outcome is not known: that of a server that has not finished it, too. Only one server at a
-- time asks the network.
--   p_params  "id": NULL for the first that is due; "lease"
create function rpc.take_payment(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_id uuid := p_params->>'id';
  v_payment tenant.payments;
  v_is_due boolean;
begin
  select * into v_payment
    from tenant.payments
    where payer = p_payer
      and (id = v_id or (v_id is null and due_at <= v_now and (lease is null or leased_until <= v_now)))
    order by due_at
    limit 1;
  if not found then
    return '{"empty":null}';
  end if;
  v_is_due := v_payment.due_at <= v_now and (v_payment.leased_until <= v_now or v_payment.lease is null);
  if v_is_due then
    if v_payment.state = 'settling' then
      v_payment.state := 'unknown';
    end if;
    perform rpc.lease_payment(p_payer, v_payment.id, (p_params->>'lease')::uuid, v_payment.state);
  end if;
  return rpc.payment_work(v_payment, coalesce(v_is_due, false));
end $$;

-- Ends the work on a payment. The money of a settled payment is credited in the same transaction, once. That the money
-- has arrived is always believed; everything else only of the server that has the lease.
--   p_params  "id", "lease", "state", "transaction", "reason", "retryMs": when to look at it again; NULL: never
--             "entry": id of the entry of the ledger
create function rpc.finish_payment(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_id uuid := p_params->>'id';
  v_state text := p_params->>'state';
  v_transaction text := p_params->>'transaction';
  v_reason text := p_params->>'reason';
  v_due_at timestamptz := v_now + make_interval(secs => (p_params->>'retryMs')::bigint / 1000.0);
  v_settled_at timestamptz := case v_state when 'settled' then v_now end;
  v_payment tenant.payments;
begin
  select * into v_payment
    from tenant.payments
    where payer = p_payer and id = v_id;
  if v_payment.state <> 'settled' and (v_state = 'settled' or v_payment.lease = (p_params->>'lease')::uuid) then
    if v_state = 'settled' then
      perform rpc.add_credit(
        p_payer, (p_params->>'entry')::uuid, v_payment.asset, v_payment.amount, 'network', v_id::text);
    end if;
    update tenant.payments
      set state = v_state, transaction = coalesce(v_transaction, transaction), reason = coalesce(v_reason, reason),
        due_at = v_due_at, settled_at = v_settled_at, tries = tries + 1, lease = null, leased_until = null
      where payer = p_payer and id = v_id
      returning * into v_payment;
    if v_state in ('settled', 'rejected') then
      perform auth.note_payment('payment-' || v_state, v_id, split_part(v_payment.asset, '/', 1));
    end if;
  end if;
  return rpc.payment_work(v_payment, false);
end $$;

-- Makes the work on a payment due now, for the operator. Returns whether there is any.
create function rpc.retry_payment(p_payer text, p_id uuid) returns boolean
language plpgsql
as $$
declare
  v_now timestamptz := rpc.now();
begin
  update tenant.payments
    set due_at = greatest(v_now, leased_until)
    where payer = p_payer and id = p_id and due_at is not null;
  return found;
end $$;

-- A payment of the payer.
create function rpc.get_payment(p_payer text, p_params jsonb) returns json
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_payment tenant.payments;
begin
  select * into v_payment
    from tenant.payments
    where payer = p_payer and id = (p_params->>'id')::uuid;
  if not found then
    return rpc.problem('not-found');
  end if;
  return json_build_object('ok', rpc.show_payment(v_payment));
end $$;

-- A page of the payer's payments, newest first. The cursor is the last payment of the previous page.
create function rpc.list_payments(p_payer text, p_params jsonb) returns json
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_limit integer := (p_params->>'limit')::integer;
  v_last uuid := p_params->>'cursor';
  v_last_at timestamptz;
  v_items rpc.shown_payment[];
begin
  select received_at into v_last_at
    from tenant.payments
    where payer = p_payer and id = v_last;
  if v_last is not null and not found then
    return rpc.invalid_value('/cursor', 'must be the cursor of an earlier answer');
  end if;
  v_items := array(
    select rpc.show_payment(p)
      from tenant.payments as p
      where payer = p_payer and (v_last is null or (received_at, id) < (v_last_at, v_last))
      order by received_at desc, id desc
      limit v_limit + 1);
  return json_build_object('ok', json_build_object(
    'items', to_json(v_items[:v_limit]),
    'nextCursor', case when cardinality(v_items) > v_limit then v_items[v_limit].id end));
end $$;
