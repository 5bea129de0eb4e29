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
        and created_at > rpc.now() - ({{idempotency_kept}} - {{idempotency_margin}})))
$$;

-- Whether what is kept of an answer may be large although the request is small.
create function rpc.has_large_answer(p_method text) returns boolean
language sql immutable
as $$
  select p_method in ('updateMemory', 'transact', 'executeSql', 'batchSql')
$$;

-- What is kept of an answer about jobs. They keep their payloads and results themselves: of a pop, the leases are kept;
-- a large answer is kept without the payload, and without the result that the call gave.
create function rpc.kept_form(p_method text, p_answer json) returns json
language plpgsql immutable
as $$
begin
  if p_method = 'popJob' then
    return json_build_object('id', p_answer->'id', 'lease', p_answer->'lease');
  elsif p_method = 'popJobs' then
    return json_build_object('jobs', (
      select json_agg(json_build_object('id', job->'id', 'lease', job->'lease') order by place)
        from json_array_elements(p_answer->'jobs') with ordinality as popped (job, place)));
  elsif octet_length(p_answer::text) < {{large_answer_bytes}} then
    return p_answer;
  elsif p_method = 'completeJob' then
    return p_answer::jsonb - '{payload,result}'::text[];
  else
    return p_answer::jsonb - 'payload';
  end if;
end $$;

-- The answer of which this was kept. A pop is answered with those of its jobs whose lease has not ended. The payload
-- and the result of a job that was deleted since are null.
create function rpc.answer_again(p_payer text, p_method text, p_kept json, p_now timestamptz) returns json
language plpgsql stable
as $$
begin
  return case
    when p_method = 'popJob' then rpc.job_under_lease(p_payer, p_kept, p_now)
    when p_method = 'popJobs' then json_build_object('jobs', (
      select coalesce(json_agg(again.job order by place) filter (where again.job is not null), '[]')
        from json_array_elements(p_kept->'jobs') with ordinality as popped (job, place)
        cross join lateral (select rpc.job_under_lease(p_payer, popped.job, p_now) as job) as again))
    when p_method in ('completeJob', 'failJob', 'extendJob') and p_kept->'payload' is null
      then rpc.with_payload(p_payer, p_kept::jsonb)
    else p_kept
  end;
end $$;

-- The problem of a call whose answer would be kept although those that are kept take too much; NULL if there is room.
create function rpc.check_kept_answers(p_payer text, p_method text) returns json
language plpgsql stable
as $$
declare
  v_bytes bigint;
begin
  if not rpc.has_large_answer(p_method) then
    return null;
  end if;
  select bytes into v_bytes
    from tenant.kept_answers
    where payer = p_payer;
  if v_bytes >= {{kept_bytes_max}} then
    return rpc.problem('overloaded', json_build_object(
      'detail', 'Nothing was changed: the answers that are kept under the idempotency keys of the last 24 hours are '
        'too large in sum. Try again later, or without a key.'));
  end if;
  return null;
end $$;

-- Keeps the answer of a write under its key.
--   p_old_bytes  the size of an answer that is past its retention, and is replaced
create function rpc.keep_answer(
  p_payer text, p_method text, p_key bytea, p_request bytea, p_answer json, p_old_bytes integer, p_now timestamptz
) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
  v_kept json := case
    when p_method in ('popJob', 'popJobs', 'completeJob', 'failJob', 'extendJob') then rpc.kept_form(p_method, p_answer)
    else p_answer
  end;
  v_bytes integer := octet_length(v_kept::text);
  v_large_bytes integer := case
    when v_bytes >= {{large_answer_bytes}} and rpc.has_large_answer(p_method) then v_bytes
  end;
  v_more integer := coalesce(v_large_bytes, 0) - coalesce(p_old_bytes, 0);
begin
  insert into tenant.idempotency (payer, key_sha256, request_sha256, answer, large_bytes, created_at)
    values (p_payer, p_key, p_request, v_kept, v_large_bytes, p_now)
    on conflict (payer, key_sha256) do update
      set request_sha256 = excluded.request_sha256, answer = excluded.answer, large_bytes = excluded.large_bytes,
        created_at = excluded.created_at;
  if v_more <> 0 then
    perform rpc.count_kept_bytes(p_payer, v_more);
  end if;
end $$;

create function rpc.count_kept_bytes(p_payer text, p_more bigint) returns void
language plpgsql
as $$
#variable_conflict use_column
begin
  update tenant.kept_answers
    set bytes = bytes + p_more
    where payer = p_payer;
  if not found then
    insert into tenant.kept_answers (payer, bytes)
      values (p_payer, p_more);
  end if;
end $$;

-- Runs a write under its conditions. Its effect, its idempotency record and what it takes from the allowance of its
-- caller are in one transaction.
--   p_conditions  {"key": .., "request": .., "guard": {"lock": .., "fence": ..}, "rights": .., "caller": ..,
--                 "quotas": true}; key and request are SHA-256 in hex; rights as in auth.check_rights; caller as in
--                 rpc.charge_caller; quotas: a quota of the payer may be used up (rpc.quota_problem)
--   p_asset       the asset in which the payer paid for the call; NULL: it did not
create function rpc.write_with_conditions(
  p_payer text, p_method text, p_params jsonb, p_conditions jsonb, p_asset text, p_price bigint
) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_key bytea := decode(p_conditions->>'key', 'hex');
  v_request bytea := decode(p_conditions->>'request', 'hex');
  v_rights jsonb := nullif(p_conditions->'rights', 'null');
  v_caller jsonb := nullif(p_conditions->'caller', 'null');
  v_charged record;
  v_place integer;
  v_seen record;
  v_answer json;
begin
  if v_key is not null then
    select request_sha256, answer, created_at, large_bytes into v_seen
      from tenant.idempotency
      where payer = p_payer and key_sha256 = v_key;
    if v_seen.created_at > v_now - {{idempotency_kept}} then
      if v_seen.request_sha256 <> v_request then
        return rpc.problem('idempotency-mismatch');
      end if;
      return json_build_object('replay', rpc.answer_again(p_payer, p_method, v_seen.answer, v_now));
    end if;
  end if;
  v_answer := rpc.check_guard(p_payer, p_conditions->'guard');
  if v_answer is null and v_rights is not null then
    v_answer := auth.check_rights(v_rights, p_asset, p_price);
  end if;
  if v_answer is null and v_key is not null then
    v_answer := rpc.check_kept_answers(p_payer, p_method);
  end if;
  if v_answer is null and v_caller is not null then
    v_charged := rpc.charge_caller(p_payer, v_caller);
    v_answer := v_charged.problem;
    v_place := v_charged.place;
  end if;
  if v_answer is null then
    if p_conditions ? 'quotas' then
      perform set_config('payerbase.full', p_payer, true);
    end if;
    v_answer := rpc.dispatch_write(p_payer, p_method, p_params);
  end if;
  if v_place is not null then
    perform rpc.settle_caller(p_payer, v_caller, v_place, json_typeof(v_answer->'ok') is not null);
  end if;
  if json_typeof(v_answer->'ok') is null then
    -- A problem and an empty pop are not recorded: a retry runs again. They take nothing from an allowance.
    return v_answer;
  end if;
  if v_rights is not null then
    perform auth.use_rights(v_rights, p_asset, p_price);
  end if;
  if v_key is not null then
    perform rpc.keep_answer(p_payer, p_method, v_key, v_request, v_answer->'ok', v_seen.large_bytes, v_now);
  end if;
  return v_answer;
end $$;

-- Charges a caller who acts for the payer of the turn. A transaction may hold the locks of several payers, so it does
-- not wait for that of the caller: the problem is `payer-busy`, and the server tries again.
--   p_caller  "payer": the caller; "rights" that the call uses of it (auth.check_rights), and "assets" and "prices", if
--             it pays (rpc.debit)
--   place     the place of the asset; 0 if it does not pay; NULL with a problem
create function rpc.charge_caller(p_payer text, p_caller jsonb, out place integer, out problem json)
language plpgsql
as $$
declare
  v_caller text := p_caller->>'payer';
  v_rights jsonb := p_caller->'rights';
  v_assets text[] := array(select jsonb_array_elements_text(p_caller->'assets'));
  v_prices bigint[] := array(select jsonb_array_elements_text(p_caller->'prices')::bigint);
begin
  if (tenant.has_old_turns() and not pg_try_advisory_xact_lock(hashtextextended(v_caller, 0)))
    or not pg_try_advisory_xact_lock(tenant.payer_lock(v_caller))
  then
    problem := rpc.problem('payer-busy');
    return;
  end if;
  v_caller := set_config('payerbase.payer', v_caller, true);
  place := 0;
  if cardinality(v_assets) > 0 then
    place := rpc.debit(v_caller, v_assets, v_prices, 1, 1);
  end if;
  if v_rights is not null then
    problem := auth.check_rights(v_rights, v_assets[place], v_prices[place]);
  end if;
  if place is null and problem is null then
    problem := rpc.problem('payment-required');
  elsif problem is not null and place > 0 then
    perform rpc.refund(v_caller, v_assets[place], v_prices[place]);
  end if;
  if problem is not null then
    place := null;
  end if;
  v_caller := set_config('payerbase.payer', p_payer, true);
end $$;

-- Ends what rpc.charge_caller began: takes the call from the allowance of the caller, or gives its price back.
--   p_is_ok  whether the call succeeded
create function rpc.settle_caller(p_payer text, p_caller jsonb, p_place integer, p_is_ok boolean) returns void
language plpgsql
as $$
declare
  v_caller text := set_config('payerbase.payer', p_caller->>'payer', true);
  v_rights jsonb := p_caller->'rights';
  v_asset text := case when p_place > 0 then p_caller->'assets'->>(p_place - 1) end;
  v_price bigint := case when p_place > 0 then p_caller->'prices'->>(p_place - 1) end;
begin
  if not p_is_ok and p_place > 0 then
    perform rpc.refund(v_caller, v_asset, v_price);
  elsif p_is_ok and v_rights is not null then
    perform auth.use_rights(v_rights, v_asset, v_price);
  end if;
  v_caller := set_config('payerbase.payer', p_payer, true);
end $$;

-- Takes a read from an allowance before it runs.
--   p_params  "rights", "asset" and "price" as in auth.check_rights; "isCheck": whether nothing is taken
create function rpc.use_rights(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
declare
  v_rights jsonb := p_params->'rights';
  v_asset text := p_params->>'asset';
  v_price bigint := p_params->>'price';
  v_problem json := auth.check_rights(v_rights, v_asset, v_price);
begin
  if v_problem is null and not p_params @> '{"isCheck":true}' then
    perform auth.use_rights(v_rights, v_asset, v_price);
  end if;
  return coalesce(v_problem, '{"ok":null}');
end $$;

-- Deletes idempotency records that are past their retention, a limited number per call. Returns the number deleted.
create function rpc.sweep_idempotency(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_until timestamptz := rpc.now() - {{idempotency_kept}};
  v_keys bytea[];
  v_bytes bigint;
  v_count integer;
begin
  select array_agg(key_sha256), sum(large_bytes) into v_keys, v_bytes
    from (
      select key_sha256, large_bytes
        from tenant.idempotency
        where payer = p_payer and created_at <= v_until
        limit {{idempotency_swept}}
    ) due;
  delete from tenant.idempotency
    where payer = p_payer and key_sha256 = any (v_keys);
  get diagnostics v_count = row_count;
  if v_bytes > 0 then
    perform rpc.count_kept_bytes(p_payer, -v_bytes);
  end if;
  return json_build_object('ok', v_count);
end $$;
