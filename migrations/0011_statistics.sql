-- No statistics of the columns of primary keys, so that every plan suits a payer who owns much of the table.
--
-- Where most payers have few rows, statistics say that every payer has few. For `payer = .. and id = any (..)` the planner
-- then reads all rows of the payer, who may have a million. Without statistics, the planner assumes that a payer has a
-- 200th of the rows.
set local role payerbase_owner;
alter table tenant.counters alter payer set statistics 0, alter name set statistics 0;
alter table tenant.locks alter payer set statistics 0, alter name set statistics 0;
alter table tenant.jobs alter payer set statistics 0, alter id set statistics 0;
alter table tenant.memories alter payer set statistics 0, alter id set statistics 0;
alter table tenant.idempotency alter payer set statistics 0, alter key_sha256 set statistics 0;
reset role;

-- Statistics that were collected before would stay. Only a superuser may delete them; else a plan suits the payers of today.
do $$
begin
  delete from pg_statistic
    using pg_attribute
    where attrelid = starelid and attnum = staattnum and attstattarget = 0
      and starelid in ('tenant.counters'::regclass, 'tenant.locks'::regclass, 'tenant.jobs'::regclass,
        'tenant.memories'::regclass, 'tenant.idempotency'::regclass);
exception
  when insufficient_privilege then
    null;
end $$;
