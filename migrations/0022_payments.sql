-- Payments of payers: what was signed, and what became of it (src/payments/payments.sql).

-- docs/ARCHITECTURE.md has the diagram of the states.
create domain tenant.payment_state as text collate "C"
  constraint payment_state_is_known check (
    value in ('received', 'settling', 'unknown', 'settled-unconfirmed', 'settled', 'rejected'));
alter domain tenant.payment_state owner to payerbase_owner;

create table tenant.payments (
  payer text collate "C" not null,
  -- Made of what the payment can spend once: the network, the token, the payer and the nonce.
  id uuid not null,
  state tenant.payment_state not null,
  -- As in tenant.credit.
  asset text collate "C" not null,
  amount tenant.amount not null,
  pay_to text collate "C" not null,
  nonce text collate "C" not null,
  max_timeout_s integer not null,
  -- PaymentPayload of x402, as it was sent.
  payload text not null,
  -- The request that it pays for: the method, and SHA-256 of its parameters.
  method text not null,
  request_sha256 bytea not null,
  -- What the payer named it; NULL: nothing.
  identifier text collate "C",
  -- When the network no longer takes it; NULL: it always may.
  valid_before timestamptz,
  -- The last block before it was sent to the network; NULL: not known, or not needed.
  from_block bigint,
  -- Hash of the transaction, once it is known.
  transaction text,
  -- Why it was rejected.
  reason text,
  received_at timestamptz not null,
  settled_at timestamptz,
  -- When the sweeper looks at it; NULL: it is final.
  due_at timestamptz,
  -- Who works on it, until when.
  lease uuid,
  leased_until timestamptz,
  -- How often its network was asked.
  tries integer not null,
  -- How often its request was sent again.
  repeats integer not null,
  primary key (payer, id)
);
alter table tenant.payments owner to payerbase_owner;
alter table tenant.payments enable row level security;
alter table tenant.payments force row level security;
create policy payments_of_the_payer on tenant.payments to payerbase_rpc
  using (payer = tenant.current_payer())
  with check (payer = tenant.current_payer());
grant select, insert, update on tenant.payments to payerbase_rpc;
create policy all_rows_to_back_up on tenant.payments for select to payerbase_backup using (true);
grant select on tenant.payments to payerbase_backup;
create policy payments_to_finish on tenant.payments for select to payerbase_sweeper using (true);
grant select (payer, id, state, asset, amount, received_at, due_at) on tenant.payments to payerbase_sweeper;
create unique index payments_by_identifier on tenant.payments (payer, identifier) where identifier is not null;
-- For listPayments.
create index payments_by_time on tenant.payments (payer, received_at, id);
-- For the sweeper.
create index payments_by_due on tenant.payments (payer, due_at) where due_at is not null;
