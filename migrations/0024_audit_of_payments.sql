-- The log of an account says what became of payments, too (src/auth/account.sql).

-- payment: the payment that the event is about; NULL: the event is about a token.
alter table auth.audit
  alter column token drop not null,
  add column payment uuid;
