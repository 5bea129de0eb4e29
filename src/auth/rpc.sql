-- Tokens. The functions belong to payerbase_auth. The server may look up tokens, and create those of wallets that sign
-- in; the role that migrates creates and revokes any.

-- The tokens with these ids, no rows for unknown ones. Only this function and the next three lead from a token to a
-- payer.
--   expires_in_ms  time left by the database's clock, negative after expiry
create function auth.tokens_with_allowances(p_ids text[])
returns table (
  id text, payer text, secret_sha256 bytea, scopes text[], name text, expires_at timestamptz, expires_in_ms bigint,
  revoked boolean, methods text[], prefix text, allowance text, allowance_assets text[]
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select id, payer, secret_sha256, scopes, name, expires_at,
      (extract(epoch from expires_at - clock_timestamp()) * 1000)::bigint,
      revoked_at is not null, methods, prefix, allowance, allowance_assets
    from auth.tokens
    where id = any (p_ids) and grantee is null
$$;

-- The same for servers that do not know allowances: tokens with an allowance are unknown to them.
create function auth.tokens_with_limits(p_ids text[])
returns table (
  id text, payer text, secret_sha256 bytea, scopes text[], name text,
  expires_at timestamptz, expires_in_ms bigint, revoked boolean, methods text[], prefix text
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select id, payer, secret_sha256, scopes, name, expires_at,
      (extract(epoch from expires_at - clock_timestamp()) * 1000)::bigint,
      revoked_at is not null, methods, prefix
    from auth.tokens
    where id = any (p_ids) and allowance is null and grantee is null
$$;

-- The same for servers that do not know limits: tokens with limits are unknown to them.
create function auth.tokens_by_id(p_ids text[])
returns table (
  id text, payer text, secret_sha256 bytea, scopes text[], name text,
  expires_at timestamptz, expires_in_ms bigint, revoked boolean
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select id, payer, secret_sha256, scopes, name, expires_at,
      (extract(epoch from expires_at - clock_timestamp()) * 1000)::bigint,
      revoked_at is not null
    from auth.tokens
    where id = any (p_ids) and methods is null and prefix is null and allowance is null and grantee is null
$$;

-- The token with this id. Servers that run while the database is upgraded call it.
create function auth.token_by_id(p_id text)
returns table (
  payer text, secret_sha256 bytea, scopes text[], name text,
  expires_at timestamptz, expires_in_ms bigint, revoked boolean
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select payer, secret_sha256, scopes, name, expires_at,
      (extract(epoch from expires_at - clock_timestamp()) * 1000)::bigint,
      revoked_at is not null
    from auth.tokens
    where id = p_id and methods is null and prefix is null and allowance is null and grantee is null
$$;

-- Ids of the tokens that were revoked, or whose time of expiry was brought forward, in the last minute. Each server
-- asks every two seconds and removes them from its cache.
create function auth.revoked_lately() returns setof text
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select id
    from auth.tokens
    where revoked_at > clock_timestamp() - interval '1 minute'
  union
  select id
    from auth.tokens
    where shortened_at > clock_timestamp() - interval '1 minute'
$$;

-- Stores a token. Returns its time of expiry.
create function auth.create_token(
  p_id text, p_secret_sha256 bytea, p_payer text, p_scopes text[], p_name text, p_lifetime_s double precision
) returns timestamptz
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
  v_expires_at timestamptz := v_now + make_interval(secs => p_lifetime_s);
begin
  insert into auth.tokens (payer, id, secret_sha256, scopes, name, created_at, expires_at)
    values (p_payer, p_id, p_secret_sha256, p_scopes, p_name, v_now, v_expires_at);
  perform auth.note(p_payer, 'token-created', jsonb_build_object('token', p_id, 'scopes', p_scopes));
  return v_expires_at;
end $$;

-- The tokens of a payer; of all payers if p_payer is NULL.
create function auth.list_tokens(p_payer text)
returns table (
  id text, payer text, scopes text[], name text, created_at timestamptz, expires_at timestamptz,
  revoked_at timestamptz, methods text[], prefix text, allowance json, grantee text
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select id, payer, scopes, name, created_at, expires_at, revoked_at, methods, prefix,
      auth.shown_allowance(payer, allowance), grantee
    from auth.tokens
    where p_payer is null or payer = p_payer
    order by payer, created_at
$$;

-- Revokes a token and all that were made with it; a second time changes nothing. False if the token is unknown.
create function auth.revoke_token(p_id text) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_payer text;
  v_grantee text;
  v_revoked_at timestamptz;
begin
  select payer, grantee, revoked_at into v_payer, v_grantee, v_revoked_at
    from auth.tokens
    where id = p_id;
  if v_payer is null then
    return false;
  end if;
  perform auth.revoke_all(v_payer, p_id);
  if v_revoked_at is null then
    perform auth.note(
      v_payer, case when v_grantee is null then 'token-revoked' else 'grant-revoked' end,
      jsonb_build_object('token', p_id));
  end if;
  return true;
end $$;

-- Stores the token of a wallet that signed a challenge. Its id is made of the nonce, so that each challenge makes one
-- token. Returns its time of expiry; NULL if the challenge was used before.
create function auth.sign_in(
  p_id text, p_secret_sha256 bytea, p_payer text, p_scopes text[], p_lifetime_s double precision, p_network text
) returns timestamptz
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
  v_expires_at timestamptz := v_now + make_interval(secs => p_lifetime_s);
begin
  insert into auth.tokens (payer, id, secret_sha256, scopes, created_at, expires_at)
    values (p_payer, p_id, p_secret_sha256, p_scopes, v_now, v_expires_at)
    on conflict do nothing;
  if not found then
    return null;
  end if;
  perform auth.note(
    p_payer, 'signed-in', jsonb_build_object('token', p_id, 'scopes', p_scopes, 'network', p_network));
  return v_expires_at;
end $$;

grant execute on function
  auth.tokens_with_allowances(text[]), auth.tokens_with_limits(text[]), auth.tokens_by_id(text[]),
  auth.token_by_id(text), auth.revoked_lately(),
  auth.sign_in(text, bytea, text, text[], double precision, text)
  to payerbase_app;
grant execute on function
  auth.create_token(text, bytea, text, text[], text, double precision), auth.list_tokens(text), auth.revoke_token(text)
  to payerbase_owner;
