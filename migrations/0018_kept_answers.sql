-- Answers that are kept under idempotency keys have a limit in bytes for each payer. Only large answers count, so that most
-- writes with a key do not update a second row.
-- NULL: the answer is small, or an earlier version kept it.
alter table tenant.idempotency add column large_bytes integer;

-- The size of the large answers that are kept for a payer.
create table tenant.kept_answers (
  payer text collate "C" not null primary key,
  bytes bigint not null
) with (fillfactor = 50);
alter table tenant.kept_answers owner to payerbase_owner;
alter table tenant.kept_answers enable row level security;
alter table tenant.kept_answers force row level security;
create policy kept_answers_of_the_payer on tenant.kept_answers to payerbase_rpc
  using (payer = tenant.current_payer())
  with check (payer = tenant.current_payer());
grant select, insert, update, delete on tenant.kept_answers to payerbase_rpc;
create policy all_rows_to_back_up on tenant.kept_answers for select to payerbase_backup using (true);
grant select on tenant.kept_answers to payerbase_backup;
