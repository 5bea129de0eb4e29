-- Allowances of tokens: what a token may do in all (src/auth/allowances.sql).

-- allowance: the id of the allowance of the token, which is that of the token that it was made for. Tokens that were made
-- with that one share it. NULL: no limit.
-- allowance_assets: the only assets that the token may spend; NULL: all.
alter table auth.tokens
  add column allowance text collate "C",
  add column allowance_assets text[],
  add constraint tokens_have_methods check (cardinality(methods) > 0),
  add constraint tokens_have_a_prefix check (prefix <> '');
-- Whether a token needs an allowance still.
create index tokens_by_allowance on auth.tokens (payer, allowance) where allowance is not null;

-- What is left of an allowance.
--   unit  'calls', or an asset as the ledger names it
create table auth.allowances (
  payer text collate "C" not null,
  id text collate "C" not null,
  unit text collate "C" not null,
  total tenant.amount not null,
  remaining tenant.amount not null,
  primary key (payer, id, unit)
) with (fillfactor = 50);
grant create on schema auth to payerbase_owner;
alter table auth.allowances owner to payerbase_owner;
revoke create on schema auth from payerbase_owner;
alter table auth.allowances enable row level security;
alter table auth.allowances force row level security;
create policy allowances_of_every_payer on auth.allowances to payerbase_auth using (true) with check (true);
grant select, insert, update, delete on auth.allowances to payerbase_auth;
create policy all_rows_to_back_up on auth.allowances for select to payerbase_backup using (true);
grant select on auth.allowances to payerbase_backup;

-- The limits of the token that an entry of the log is about.
alter table auth.audit
  add column methods text[],
  add column prefix text collate "C";
