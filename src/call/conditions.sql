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
    if v_seen.created_at > v_now - {{idempotency_kept}} then
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
  v_until timestamptz := rpc.now() - {{idempotency_kept}};
  v_keys bytea[];
  v_count integer;
begin
  v_keys := array(
    select key_sha256
      from tenant.idempotency
      where payer = p_payer and created_at <= v_until
      limit {{idempotency_swept}});
  delete from tenant.idempotency
    where payer = p_payer and key_sha256 = any (v_keys);
  get diagnostics v_count = row_count;
  return json_build_object('ok', v_count);
end $$;
