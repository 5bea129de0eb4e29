-- Erasing the data of a payer (src/me/erase.sql): rows that were only added and updated so far can be deleted, too.
grant delete on tenant.usage, tenant.sql_databases to payerbase_rpc;

-- The last key whose answer an unfinished erasure has erased. NULL: no erasure has begun.
alter table tenant.kept_answers add column erased_until bytea;
