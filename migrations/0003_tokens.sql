-- API tokens. Looked up by id before the payer is known, so the id is the key: one of the tables that the catalogue
-- test excepts from "payer leads every key". Only payerbase_auth reaches it, through the functions of src/auth/rpc.sql.
create table auth.tokens (
  id text collate "C" primary key,
  secret_sha256 bytea not null,
  payer text collate "C" not null,
  scopes text[] not null,
  name text,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  revoked_at timestamptz,
  constraint tokens_secret_is_a_sha256 check (octet_length(secret_sha256) = 32),
  constraint tokens_have_scopes check (cardinality(scopes) > 0)
);
grant create on schema auth to payerbase_owner;
alter table auth.tokens owner to payerbase_owner;
revoke create on schema auth from payerbase_owner;
alter table auth.tokens enable row level security;
alter table auth.tokens force row level security;
create policy tokens_of_every_payer on auth.tokens to payerbase_auth using (true) with check (true);
grant select, insert, update on auth.tokens to payerbase_auth;

-- The list of one payer's tokens.
create index tokens_by_payer on auth.tokens (payer, created_at);
-- What was revoked just now: asked every two seconds by every server, and nearly always nothing.
create index tokens_by_revocation on auth.tokens (revoked_at) where revoked_at is not null;
