-- Grants: rights that a payer gives to another payer. A grant is a token that its grantee uses with its own credential.
-- Installed as payerbase_auth. The functions behind methods take the payer of the turn.

-- A grant as its payer sees it.
create type auth.shown_grant as (
  id text, grantee text, pays text, name text, scopes text[], "createdAt" timestamptz, "expiresAt" timestamptz,
  "revokedAt" timestamptz, "createdBy" text, methods text[], prefix text, allowance json
);

create function auth.show_grant(p_grant auth.tokens) returns auth.shown_grant
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select row(
    p_grant.id, p_grant.grantee, case when p_grant.grantee_pays then 'grantee' else 'payer' end, p_grant.name,
    p_grant.scopes, p_grant.created_at, p_grant.expires_at, p_grant.revoked_at, p_grant.parent, p_grant.methods,
    p_grant.prefix, auth.shown_allowance(p_grant.payer, p_grant.allowance))::auth.shown_grant
$$;

-- The valid grants of payers to other payers, the oldest first.
--   p_keys  for each pair, the payer and the grantee, with a space between
create function auth.tokens_granted(p_keys text[])
returns table (
  key text, id text, payer text, secret_sha256 bytea, scopes text[], name text, expires_at timestamptz,
  expires_in_ms bigint, revoked boolean, methods text[], prefix text, allowance text, allowance_assets text[],
  grantee_pays boolean
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select wanted.key, id, payer, secret_sha256, scopes, name, expires_at,
      (extract(epoch from expires_at - clock_timestamp()) * 1000)::bigint, false, methods, prefix, allowance,
      allowance_assets, grantee_pays
    from unnest(p_keys) as wanted (key)
    join auth.tokens
      on payer = split_part(wanted.key, ' ', 1) and grantee = split_part(wanted.key, ' ', 2)
    where revoked_at is null and expires_at > clock_timestamp()
    order by created_at, id
$$;

-- Makes a grant.
--   p_params  as those of auth.create_own_token, and "grantee", "pays": 'payer' or 'grantee'
create function auth.create_own_grant(p_params jsonb) returns json
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_payer text := tenant.current_payer();
  v_grantee text := p_params->>'grantee';
  v_valid bigint;
  v_wished record;
  v_grant auth.tokens;
begin
  select count(*) into v_valid
    from (
      select
        from auth.tokens
        where payer = v_payer and grantee = v_grantee and revoked_at is null and expires_at > clock_timestamp()
        limit {{grants_max}}
    ) as counted;
  if v_valid >= {{grants_max}} then
    return json_build_object('problem', json_build_object(
      'code', 'quota-exceeded', 'limit', {{grants_max}},
      'detail', 'The payer has given this grantee too many grants: revoke some.'));
  end if;
  v_wished := auth.wish(v_payer, p_params);
  if v_wished.problem is not null then
    return v_wished.problem;
  end if;
  v_grant := v_wished.token;
  v_grant.grantee_pays := p_params->>'pays' = 'grantee';
  perform auth.note(v_payer, 'grant-created', auth.about(v_grant, v_grant.parent));
  v_grant := auth.keep(v_grant);
  return json_build_object('ok', auth.show_grant(v_grant));
end $$;

-- Revokes a grant.
--   p_params  as those of auth.revoke_own_token
create function auth.revoke_own_grant(p_params jsonb) returns json
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return auth.revoke_own(p_params, true);
end $$;

-- A page of the grants that the payer has given, newest first.
create function auth.list_own_grants(p_params jsonb) returns json
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return auth.page_of_own(p_params, true);
end $$;

grant execute on function auth.tokens_granted(text[]) to payerbase_app;
grant execute on function
  auth.create_own_grant(jsonb), auth.revoke_own_grant(jsonb), auth.list_own_grants(jsonb)
  to payerbase_rpc;
