-- Erasing the data of a payer (src/me/erase.sql): rows that were only added and updated so far can be deleted, too.
grant delete on tenant.usage, tenant.sql_databases to payerbase_rpc;
