-- Tokens that payers make themselves, and the log of each account (src/auth/rpc.sql).

-- The methods of payers call functions of `auth`, which run for the payer of the turn.
grant usage on schema auth to payerbase_rpc;
grant usage on schema tenant to payerbase_auth;
grant execute on function tenant.current_payer(), tenant.no_payer() to payerbase_auth;

-- parent: the token that made this one. When it is revoked, this one is too.
-- shortened_at: when its time of expiry was brought forward.
alter table auth.tokens
  add column parent text collate "C",
  add column shortened_at timestamptz;
-- For those that expired long ago.
grant delete on auth.tokens to payerbase_auth;
create index tokens_by_parent on auth.tokens (payer, parent) where parent is not null and revoked_at is null;
-- Those that count towards the quota.
create index tokens_made_by_expiry on auth.tokens (payer, expires_at) where parent is not null and revoked_at is null;
create index tokens_by_expiry on auth.tokens (payer, expires_at);
create index tokens_of_payer_by_revocation on auth.tokens (payer, revoked_at) where revoked_at is not null;
-- Like tokens_by_revocation.
create index tokens_by_shortening on auth.tokens (shortened_at) where shortened_at is not null;

-- What happened to the account of a payer: rows are only added, and deleted when they are past their retention.
create table auth.audit (
  payer text collate "C" not null,
  id uuid not null,
  at timestamptz not null,
  event text not null,
  -- The token that the event is about.
  token text not null,
  -- The token that the caller used; NULL: a wallet or the operator.
  by_token text,
  -- The scopes of the token; NULL if the event does not change them.
  scopes text[],
  -- The network of the wallet that signed in.
  network text,
  primary key (payer, id)
);
grant create on schema auth to payerbase_owner;
alter table auth.audit owner to payerbase_owner;
revoke create on schema auth from payerbase_owner;
alter table auth.audit enable row level security;
alter table auth.audit force row level security;
create policy audit_of_every_payer on auth.audit to payerbase_auth using (true) with check (true);
grant select, insert, delete on auth.audit to payerbase_auth;
create policy all_rows_to_back_up on auth.audit for select to payerbase_backup using (true);
grant select on auth.audit to payerbase_backup;
