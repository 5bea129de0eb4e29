-- Methods of tokens and grants. Owned by payerbase_rpc. Their functions in `auth` run for the payer of the turn.

create function rpc.create_token(p_payer text, p_params jsonb) returns json
language sql
as $$
  select auth.create_own_token(p_params)
$$;

create function rpc.rotate_token(p_payer text, p_params jsonb) returns json
language sql
as $$
  select auth.rotate_own_token(p_params)
$$;

create function rpc.revoke_token(p_payer text, p_params jsonb) returns json
language sql
as $$
  select auth.revoke_own_token(p_params)
$$;

create function rpc.create_grant(p_payer text, p_params jsonb) returns json
language sql
as $$
  select auth.create_own_grant(p_params)
$$;

create function rpc.revoke_grant(p_payer text, p_params jsonb) returns json
language sql
as $$
  select auth.revoke_own_grant(p_params)
$$;

create function rpc.list_grants(p_payer text, p_params jsonb) returns json
language sql stable
as $$
  select auth.list_own_grants(p_params)
$$;

create function rpc.list_tokens(p_payer text, p_params jsonb) returns json
language sql stable
as $$
  select auth.list_own_tokens(p_params)
$$;
