-- Credit: what a payer has paid in advance, and the ledger of all that came and went (src/pay/credit.sql).

-- An amount of an asset, in its smallest unit. Domains, because a CHECK constraint of a table is read and planned anew
-- by every statement that writes to the table.
create domain tenant.amount as bigint
  constraint amount_is_not_negative check (value >= 0);
alter domain tenant.amount owner to payerbase_owner;
-- The accounts of the ledger: the credit of the payer; the networks, where payments come from; the operator, who gives
-- credit; the income from calls.
create domain tenant.account as text collate "C"
  constraint account_is_known check (value in ('payer', 'network', 'operator', 'income'));
alter domain tenant.account owner to payerbase_owner;

-- The credit of a payer in an asset: `<network>/<id of the asset>`. Calls change only the balance. What they have spent
-- since the last entry of the ledger is the difference between posted and the balance.
create table tenant.credit (
  payer text collate "C" not null,
  asset text collate "C" not null,
  balance tenant.amount not null,
  -- The sum of the entries of the ledger.
  posted tenant.amount not null,
  posted_at timestamptz not null,
  primary key (payer, asset)
) with (fillfactor = 50);
alter table tenant.credit owner to payerbase_owner;
alter table tenant.credit enable row level security;
alter table tenant.credit force row level security;
create policy credit_of_the_payer on tenant.credit to payerbase_rpc
  using (payer = tenant.current_payer())
  with check (payer = tenant.current_payer());
grant select, insert, update on tenant.credit to payerbase_rpc;
create policy all_rows_to_back_up on tenant.credit for select to payerbase_backup using (true);
grant select on tenant.credit to payerbase_backup;
create policy credit_to_post on tenant.credit for select to payerbase_sweeper using (true);
grant select (payer, asset, balance, posted, posted_at) on tenant.credit to payerbase_sweeper;

-- The ledger: each entry moves an amount from one account to another, so the sum of all accounts is always zero.
-- Entries are never changed or deleted.
create table tenant.ledger (
  payer text collate "C" not null,
  -- A UUID of version 7: entries sort by time.
  id uuid not null,
  at timestamptz not null,
  asset text collate "C" not null,
  from_account tenant.account not null,
  to_account tenant.account not null,
  amount tenant.amount not null,
  -- What the entry books: the id of a payment, or what the operator named it. It is booked once.
  reference text collate "C",
  primary key (payer, id)
);
alter table tenant.ledger owner to payerbase_owner;
alter table tenant.ledger enable row level security;
alter table tenant.ledger force row level security;
create policy ledger_of_the_payer on tenant.ledger to payerbase_rpc
  using (payer = tenant.current_payer())
  with check (payer = tenant.current_payer());
grant select, insert on tenant.ledger to payerbase_rpc;
create policy all_rows_to_back_up on tenant.ledger for select to payerbase_backup using (true);
grant select on tenant.ledger to payerbase_backup;
create policy ledger_to_check on tenant.ledger for select to payerbase_sweeper using (true);
grant select (payer, asset, from_account, to_account, amount) on tenant.ledger to payerbase_sweeper;
create unique index ledger_by_reference on tenant.ledger (payer, reference) where reference is not null;
