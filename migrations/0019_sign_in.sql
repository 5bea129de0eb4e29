-- Signing in with a wallet (src/auth/sign_in.rs).
set local role payerbase_owner;

-- The key of the codes in challenges, which is a secret of this database. It is a constant of the body, so it is in every
-- back-up, and all servers of the database have the same.
do $$
begin
  execute format(
    'create function tenant.challenge_key() returns bytea
     language sql immutable parallel safe security definer
     set search_path = pg_catalog, pg_temp
     return %L::bytea',
    sha256(convert_to(concat(gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid()), 'UTF8')));
end $$;
grant execute on function tenant.challenge_key() to payerbase_app;
reset role;
