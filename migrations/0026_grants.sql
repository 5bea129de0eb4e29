-- Grants: tokens that another payer uses (src/auth/grants.sql), and refusals in the log.

-- grantee: the payer who may call with the rights of this token, a grant, whose secret nobody knows; NULL: not a grant.
-- grantee_pays: whether the grantee pays for its calls, and not the payer of the grant.
alter table auth.tokens
  add column grantee text collate "C",
  add column grantee_pays boolean,
  add constraint grants_say_who_pays check ((grantee is null) = (grantee_pays is null));
-- Those that a call of the grantee can use.
create index grants_by_grantee on auth.tokens (payer, grantee, created_at)
  where grantee is not null and revoked_at is null;

-- grantee: of a grant. code, calls: the problem of calls that were refused, and their number.
alter table auth.audit
  add column grantee text collate "C",
  add column code text,
  add column calls bigint;
