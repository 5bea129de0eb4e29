-- The account of a payer: its own tokens, and its log. Installed as payerbase_auth. The functions behind methods take
-- the payer of the turn.

-- A token, and an entry of the log, as their payer sees them.
create type auth.shown_token as (
  id text, name text, scopes text[], "createdAt" timestamptz, "expiresAt" timestamptz, "revokedAt" timestamptz,
  "createdBy" text, methods text[], prefix text, allowance json
);
create type auth.shown_entry as (
  id uuid, at timestamptz, event text, "tokenId" text, "byTokenId" text, scopes text[], network text, "paymentId" uuid,
  methods text[], prefix text, grantee text, code text, calls bigint
);

-- A UUID of version 7 for a time, with the rest of another UUID. They sort by time.
create function auth.uuid_at(p_at timestamptz, p_rest uuid) returns uuid
language sql immutable
as $$
  select encode(
    set_byte(
      overlay(
        uuid_send(p_rest)
        placing substring(int8send((extract(epoch from p_at) * 1000)::bigint) from 3) from 1 for 6),
      6, 112 + get_byte(uuid_send(p_rest), 6) % 16),
    'hex')::uuid
$$;

-- Adds to the log of a payer, and deletes some entries and tokens that are past their retention.
--   p_about  the columns of the entry that say what the event is about
create function auth.note(p_payer text, p_event text, p_about jsonb) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
  v_id uuid := auth.uuid_at(v_now, gen_random_uuid());
  v_entry auth.audit := jsonb_populate_record(null::auth.audit, p_about);
  v_last uuid := auth.uuid_at(v_now - {{audit_kept}}, '00000000-0000-0000-0000-000000000000');
  v_until timestamptz := v_now - {{tokens_kept}};
  v_entries uuid[];
  v_tokens text[];
  v_allowances text[];
begin
  insert into auth.audit (
      payer, id, at, event, token, by_token, scopes, network, payment, methods, prefix, grantee, code, calls)
    values (
      p_payer, v_id, v_now, p_event, v_entry.token, v_entry.by_token, v_entry.scopes, v_entry.network, v_entry.payment,
      v_entry.methods, v_entry.prefix, v_entry.grantee, v_entry.code, v_entry.calls);
  v_entries := array(
    select id
      from auth.audit
      where payer = p_payer and id < v_last
      order by id
      limit 10);
  delete from auth.audit
    where payer = p_payer and id = any (v_entries);
  -- Not those whose tokens are valid: they would not be revoked with the maker of their maker.
  v_tokens := array(
    select id
      from auth.tokens
      where payer = p_payer and expires_at < v_until
        and not exists (
          select
            from auth.tokens as made
            where made.payer = p_payer and made.parent = tokens.id and made.revoked_at is null)
      order by expires_at
      limit 10);
  v_tokens := v_tokens || array(
    select id
      from auth.tokens
      where payer = p_payer and revoked_at < v_until
      order by revoked_at
      limit 10);
  v_allowances := array(
    select allowance
      from auth.tokens
      where payer = p_payer and id = any (v_tokens) and allowance is not null);
  delete from auth.tokens
    where payer = p_payer and id = any (v_tokens);
  v_allowances := array(
    select id
      from unnest(v_allowances) as left_by (id)
      where not exists (
        select
          from auth.tokens
          where payer = p_payer and allowance = left_by.id));
  delete from auth.allowances
    where payer = p_payer and id = any (v_allowances);
end $$;

-- Notes what became of a payment of the payer of the turn.
create function auth.note_payment(p_event text, p_payment uuid, p_network text) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_payer text := tenant.current_payer();
begin
  perform auth.note(v_payer, p_event, jsonb_build_object('payment', p_payment, 'network', p_network));
end $$;

-- Notes calls of the payer of the turn, or of its grantees, that a server has refused. Returns the number of entries.
--   p_refused  per kind of refusal the token or grant, or null, the code of the problem, and the number of calls
create function auth.note_refusals(p_refused jsonb) returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_payer text := tenant.current_payer();
  v_refused record;
  v_grantee text;
begin
  for v_refused in
    select token, code, calls
      from jsonb_to_recordset(p_refused) as given (token text, code text, calls bigint)
  loop
    select grantee into v_grantee
      from auth.tokens
      where payer = v_payer and id = v_refused.token;
    perform auth.note(v_payer, 'calls-refused', jsonb_build_object(
      'token', v_refused.token, 'grantee', v_grantee, 'code', v_refused.code, 'calls', v_refused.calls));
  end loop;
  return jsonb_array_length(p_refused);
end $$;

-- Notes that the caller erases the data of the payer of the turn: once an hour, because it takes several calls.
--   p_by  the token of the caller
create function auth.note_erasure(p_by text) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_payer text := tenant.current_payer();
  v_last record;
begin
  select event, by_token, at into v_last
    from auth.audit
    where payer = v_payer
    order by id desc
    limit 1;
  if v_last.event = 'data-erased' and v_last.by_token is not distinct from p_by
    and v_last.at > clock_timestamp() - interval '1 hour'
  then
    return;
  end if;
  perform auth.note(v_payer, 'data-erased', jsonb_build_object('by_token', p_by));
end $$;

-- Revokes a token and all that were made with it, directly or not; a second time changes nothing.
create function auth.revoke_all(p_payer text, p_id text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
  v_ids text[] := array[p_id];
begin
  -- Each round sees the tokens that were made while it waited for their parents.
  while cardinality(v_ids) > 0 loop
    update auth.tokens
      set revoked_at = coalesce(revoked_at, v_now)
      where payer = p_payer and id = any (v_ids);
    v_ids := array(
      select id
        from auth.tokens
        where payer = p_payer and parent = any (v_ids) and revoked_at is null);
  end loop;
end $$;

-- The time until which the caller can make tokens, or the problem of one who cannot: its own token has ended, or the
-- payer has too many.
--   p_by  the token of the caller
create function auth.check_maker(p_payer text, p_by text, out until timestamptz, out problem json)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
  v_revoked_at timestamptz;
  v_tokens bigint;
begin
  -- Until the end of the turn, nobody can revoke it.
  select expires_at, revoked_at into until, v_revoked_at
    from auth.tokens
    where payer = p_payer and id = p_by
    for share;
  if until is null or v_revoked_at is not null then
    problem := '{"problem":{"code":"token-revoked"}}';
  elsif until <= v_now then
    problem := '{"problem":{"code":"token-expired"}}';
  else
    select count(*) into v_tokens
      from (
        select
          from auth.tokens
          where payer = p_payer and expires_at > v_now and revoked_at is null and parent is not null
          limit {{tokens_max}}
      ) as counted;
    if v_tokens >= {{tokens_max}} then
      problem := json_build_object('problem', json_build_object(
        'code', 'quota-exceeded', 'limit', {{tokens_max}}, 'detail', 'The payer has too many tokens: revoke some.'));
    end if;
  end if;
end $$;

create function auth.invalid_value(p_pointer text, p_detail text) returns json
language sql immutable
as $$
  select json_build_object('problem', json_build_object('code', 'invalid-value', 'errors', json_build_array(
    json_build_object('pointer', p_pointer, 'detail', p_detail))))
$$;

-- A token as its payer sees it.
create function auth.shown(p_token auth.tokens) returns auth.shown_token
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select row(
    p_token.id, p_token.name, p_token.scopes, p_token.created_at, p_token.expires_at, p_token.revoked_at,
    p_token.parent, p_token.methods, p_token.prefix,
    auth.shown_allowance(p_token.payer, p_token.allowance))::auth.shown_token
$$;

-- Stores a token that another one made. Returns it.
create function auth.keep(p_token auth.tokens) returns auth.tokens
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_payer text := tenant.current_payer();
  v_now timestamptz := clock_timestamp();
begin
  p_token.created_at := v_now;
  insert into auth.tokens (
      payer, id, secret_sha256, scopes, name, created_at, expires_at, parent, methods, prefix, allowance,
      allowance_assets, grantee, grantee_pays)
    values (
      v_payer, p_token.id, p_token.secret_sha256, p_token.scopes, p_token.name, v_now, p_token.expires_at,
      p_token.parent, p_token.methods, p_token.prefix, p_token.allowance, p_token.allowance_assets,
      p_token.grantee, p_token.grantee_pays);
  return p_token;
end $$;

-- What an entry of the log says of a token.
--   p_by  the token of the caller
create function auth.about(p_token auth.tokens, p_by text) returns jsonb
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select jsonb_build_object(
    'token', p_token.id, 'by_token', p_by, 'scopes', p_token.scopes, 'methods', p_token.methods,
    'prefix', p_token.prefix, 'grantee', p_token.grantee)
$$;

-- The token that a caller wishes to make, with its allowance, which is stored; or the problem.
--   p_params  "secret": the new token, and "by", the token of the caller; "scopes", at most those of "by"; "name";
--             "lifetimeMs"; "methods" and "prefix", at least as narrow as those of "by"; "allowance" (auth.allow), only
--             if "by" has none to share
create function auth.wish(p_payer text, p_params jsonb, out token auth.tokens, out problem json)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_secret jsonb := p_params->'secret';
  v_token auth.tokens := jsonb_populate_record(null::auth.tokens, p_params);
  v_maker record := auth.check_maker(p_payer, v_secret->>'by');
  v_now timestamptz := clock_timestamp();
  v_expires_at timestamptz := v_now + make_interval(secs => (p_params->>'lifetimeMs')::bigint / 1000.0);
begin
  problem := v_maker.problem;
  if problem is null and v_expires_at > v_maker.until then
    problem := auth.invalid_value('/lifetimeMs', 'must end before the token of the caller expires');
  end if;
  if problem is not null then
    return;
  end if;
  v_token.payer := p_payer;
  v_token.id := v_secret->>'id';
  v_token.secret_sha256 := decode(v_secret->>'sha256', 'hex');
  v_token.expires_at := coalesce(v_expires_at, least(v_maker.until, v_now + {{token_lifetime}}));
  v_token.parent := v_secret->>'by';
  if p_params->'allowance' is not null then
    v_token.allowance := v_token.id;
    v_token.allowance_assets := nullif(array(
      select network || '/' || asset
        from jsonb_to_recordset(p_params->'allowance'->'spend') as spend (network text, asset text)), '{}');
    perform auth.allow(p_payer, v_token.id, p_params->'allowance');
  else
    select allowance, allowance_assets into v_token.allowance, v_token.allowance_assets
      from auth.tokens
      where payer = p_payer and id = v_token.parent;
  end if;
  token := v_token;
end $$;

-- Makes a token.
create function auth.create_own_token(p_params jsonb) returns json
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_payer text := tenant.current_payer();
  v_wished record := auth.wish(v_payer, p_params);
  v_token auth.tokens := v_wished.token;
begin
  if v_wished.problem is not null then
    return v_wished.problem;
  end if;
  perform auth.note(v_payer, 'token-created', auth.about(v_token, v_token.parent));
  v_token := auth.keep(v_token);
  return json_build_object('ok', auth.shown(v_token));
end $$;

-- Whether a token was made with another one, directly or not, or is the same.
create function auth.descends(p_payer text, p_id text, p_from text) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_id text := p_id;
begin
  while v_id <> p_from loop
    select parent into v_id
      from auth.tokens
      where payer = p_payer and id = v_id;
  end loop;
  return v_id is not null;
end $$;

-- Makes a token in the place of another one, which expires soon. The other one is that of the caller, or was made with
-- it, so it has no right that the caller lacks, and is revoked with it.
--   p_params  "id": the other token; "overlapMs": how much longer it is valid; "secret" as above
create function auth.rotate_own_token(p_params jsonb) returns json
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_payer text := tenant.current_payer();
  v_id text := p_params->>'id';
  v_secret jsonb := p_params->'secret';
  v_maker record := auth.check_maker(v_payer, v_secret->>'by');
  v_now timestamptz := clock_timestamp();
  v_until timestamptz := v_now + make_interval(secs => (p_params->>'overlapMs')::bigint / 1000.0);
  v_token auth.tokens;
begin
  if v_maker.problem is not null then
    return v_maker.problem;
  end if;
  select * into v_token
    from auth.tokens
    where payer = v_payer and id = v_id and grantee is null and revoked_at is null and expires_at > v_now
    for update;
  if not found then
    return '{"problem":{"code":"not-found"}}';
  elsif not auth.descends(v_payer, v_id, v_secret->>'by') then
    return auth.invalid_value('/id', 'must be the token of the caller, or one that was made with it');
  end if;
  update auth.tokens
    set expires_at = least(expires_at, v_until), shortened_at = v_now
    where payer = v_payer and id = v_id;
  perform auth.note(v_payer, 'token-rotated', auth.about(v_token, v_secret->>'by'));
  v_token.id := v_secret->>'id';
  v_token.secret_sha256 := decode(v_secret->>'sha256', 'hex');
  v_token.parent := v_id;
  v_token := auth.keep(v_token);
  return json_build_object('ok', auth.shown(v_token));
end $$;

-- Revokes a token, or a grant, and all that were made with it. A token with limits revokes only those that it made.
--   p_params  "id"; "by": the token of the caller
create function auth.revoke_own(p_params jsonb, p_is_grant boolean) returns json
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_payer text := tenant.current_payer();
  v_id text := p_params->>'id';
  v_by text := p_params->>'by';
  v_is_limited boolean;
  v_revoked_at timestamptz;
begin
  select methods is not null or prefix is not null or allowance is not null into v_is_limited
    from auth.tokens
    where payer = v_payer and id = v_by;
  select revoked_at into v_revoked_at
    from auth.tokens
    where payer = v_payer and id = v_id and (grantee is not null) = p_is_grant;
  if not found or (v_is_limited and not auth.descends(v_payer, v_id, v_by)) then
    return '{"problem":{"code":"not-found"}}';
  end if;
  perform auth.revoke_all(v_payer, v_id);
  if v_revoked_at is null then
    perform auth.note(
      v_payer, case when p_is_grant then 'grant-revoked' else 'token-revoked' end,
      jsonb_build_object('token', v_id, 'by_token', v_by));
  end if;
  return '{"ok":null}';
end $$;

create function auth.revoke_own_token(p_params jsonb) returns json
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return auth.revoke_own(p_params, false);
end $$;

-- A page of the payer's tokens, or of its grants, newest first. The cursor is the last one of the previous page.
create function auth.page_of_own(p_params jsonb, p_is_grant boolean) returns json
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_payer text := tenant.current_payer();
  v_limit integer := (p_params->>'limit')::integer;
  v_last text := p_params->>'cursor';
  v_last_at timestamptz;
  v_tokens auth.tokens[];
  v_items json[] := '{}';
begin
  select created_at into v_last_at
    from auth.tokens
    where payer = v_payer and id = v_last and (grantee is not null) = p_is_grant;
  if v_last is not null and not found then
    return auth.invalid_value('/cursor', 'must be the cursor of an earlier answer');
  end if;
  v_tokens := array(
    select tokens
      from auth.tokens
      where payer = v_payer and (grantee is not null) = p_is_grant
        and (v_last is null or (created_at, id) < (v_last_at, v_last))
      order by created_at desc, id desc
      limit v_limit + 1);
  for i in 1 .. least(cardinality(v_tokens), v_limit) loop
    v_items[i] := case
      when p_is_grant then to_json(auth.show_grant(v_tokens[i]))
      else to_json(auth.shown(v_tokens[i]))
    end;
  end loop;
  return json_build_object('ok', json_build_object(
    'items', array_to_json(v_items),
    'nextCursor', case when cardinality(v_tokens) > v_limit then v_tokens[v_limit].id end));
end $$;

create function auth.list_own_tokens(p_params jsonb) returns json
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return auth.page_of_own(p_params, false);
end $$;

-- A page of the payer's log, newest first. The cursor is the last entry of the previous page.
--   p_params  "events": those that the server knows; a server of an earlier version does not say so
create function auth.list_own_audit(p_params jsonb) returns json
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_payer text := tenant.current_payer();
  v_limit integer := (p_params->>'limit')::integer;
  v_last uuid := coalesce((p_params->>'cursor')::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff');
  v_events text[] := case
    when p_params ? 'events' then array(select jsonb_array_elements_text(p_params->'events'))
    else '{signed-in,token-created,token-rotated,token-revoked,payment-settled,payment-rejected}'
  end;
  v_items auth.shown_entry[];
begin
  v_items := array(
    select row(id, at, event, token, by_token, scopes, network, payment, methods, prefix, grantee, code,
        calls)::auth.shown_entry
      from auth.audit
      where payer = v_payer and id < v_last and event = any (v_events)
      order by id desc
      limit v_limit + 1);
  return json_build_object('ok', json_build_object(
    'items', to_json(v_items[:v_limit]),
    'nextCursor', case when cardinality(v_items) > v_limit then v_items[v_limit].id end));
end $$;

grant execute on function
  auth.note_payment(text, uuid, text), auth.note_refusals(jsonb), auth.note_erasure(text), auth.create_own_token(jsonb),
  auth.rotate_own_token(jsonb),
  auth.revoke_own_token(jsonb), auth.list_own_tokens(jsonb), auth.list_own_audit(jsonb)
  to payerbase_rpc;
