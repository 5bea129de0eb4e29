-- Allowances: how many calls and which amounts tokens may use. Installed as payerbase_auth. The functions take the
-- payer of the turn, so an allowance changes under the payer's lock.

-- Stores the allowance of a new token.
--   p_allowance  {"calls": .., "spend": [{"network": .., "asset": .., "amount": ".."}]}
create function auth.allow(p_payer text, p_id text, p_allowance jsonb) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_given record;
begin
  for v_given in
    select 'calls' as unit, (p_allowance->>'calls')::bigint as amount
    union all
    select network || '/' || asset, amount
      from jsonb_to_recordset(p_allowance->'spend') as spend (network text, asset text, amount bigint)
  loop
    if v_given.amount is not null then
      insert into auth.allowances (payer, id, unit, total, remaining)
        values (p_payer, p_id, v_given.unit, v_given.amount, v_given.amount);
    end if;
  end loop;
end $$;

-- An allowance as its payer sees it; NULL if there is none.
create function auth.shown_allowance(p_payer text, p_id text) returns json
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_calls json;
  v_spend json;
begin
  if p_id is null then
    return null;
  end if;
  select json_build_object('total', total, 'remaining', remaining) into v_calls
    from auth.allowances
    where payer = p_payer and id = p_id and unit = 'calls';
  select json_agg(json_build_object(
      'network', split_part(unit, '/', 1), 'asset', substring(unit from position('/' in unit) + 1),
      'total', total::text, 'remaining', remaining::text) order by unit) into v_spend
    from auth.allowances
    where payer = p_payer and id = p_id and unit <> 'calls';
  return json_build_object('calls', v_calls, 'spend', v_spend);
end $$;

create function auth.own_allowance(p_id text) returns json
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_payer text := tenant.current_payer();
begin
  return auth.shown_allowance(v_payer, p_id);
end $$;

-- The problem of calls that the rights of their caller do not allow; NULL if they do.
--   p_rights  "grant": id of the grant that they use; "allowance": id of the allowance, and "holder" of it: "token" or
--             "grant"; "calls": the number of calls
--   p_asset   the asset in which the calls are paid; NULL: they are free
create function auth.check_rights(p_rights jsonb, p_asset text, p_price bigint) returns json
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_payer text := tenant.current_payer();
  v_id text := p_rights->>'allowance';
  v_calls bigint := (p_rights->>'calls')::bigint;
  v_grant text := p_rights->>'grant';
  v_unit text;
  v_remaining bigint;
begin
  -- The lock of the payer is held, so a grant that is revoked now has ended.
  if v_grant is not null and not exists (
    select
      from auth.tokens
      where payer = v_payer and id = v_grant and revoked_at is null and expires_at > clock_timestamp())
  then
    return '{"problem":{"code":"not-granted","detail":"Nothing was changed: the grant has ended."}}';
  end if;
  select unit, remaining into v_unit, v_remaining
    from auth.allowances
    where payer = v_payer and id = v_id
    order by remaining < case unit when 'calls' then v_calls when p_asset then p_price else 0 end desc
    limit 1;
  -- An allowance without a row is lost, and allows nothing.
  if v_id is null
    or v_remaining >= (case v_unit when 'calls' then v_calls when p_asset then p_price else 0 end)
  then
    return null;
  end if;
  return json_build_object('problem', json_build_object(
    'code', 'allowance-exceeded', 'holder', p_rights->>'holder',
    'detail', format('Nothing was changed: the allowance of the %s has %s left.', p_rights->>'holder', case
      when v_unit is null then 'nothing'
      when v_unit = 'calls' then format('%s calls', v_remaining)
      else format('%s of %s', v_remaining, v_unit) end)));
end $$;

-- Takes calls and their price from an allowance in which there is enough (auth.check_rights).
create function auth.use_rights(p_rights jsonb, p_asset text, p_price bigint) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_payer text := tenant.current_payer();
  v_id text := p_rights->>'allowance';
  v_calls bigint := (p_rights->>'calls')::bigint;
begin
  update auth.allowances
    set remaining = remaining - case unit when 'calls' then v_calls else p_price end
    where payer = v_payer and id = v_id and unit in ('calls', p_asset);
end $$;

grant execute on function
  auth.own_allowance(text), auth.check_rights(jsonb, text, bigint), auth.use_rights(jsonb, text, bigint)
  to payerbase_rpc;
