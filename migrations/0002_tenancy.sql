-- The payer of the turn. Raises when none is set, so that a forgotten turn finds nothing and writes nothing.
-- (After a transaction a custom setting reads back as '', not null.) Every row-level check calls it: one expression of
-- SQL without a pinned search_path is inlined into the statement, and names only pg_catalog.
create function tenant.no_payer() returns text
language plpgsql stable
as $$
begin
  raise exception 'no payer is set';
end $$;
create function tenant.current_payer() returns text
language sql stable
as $$
  select coalesce(nullif(pg_catalog.current_setting('payerbase.payer', true), ''), tenant.no_payer())
$$;
alter function tenant.no_payer() owner to payerbase_owner;
alter function tenant.current_payer() owner to payerbase_owner;
grant execute on function tenant.current_payer(), tenant.no_payer() to payerbase_rpc;

-- What callers may call things. A domain, because a CHECK constraint of a table is read and planned anew by every
-- statement that writes to the table (a quarter of an increment), and a domain is checked only where a name is written.
create domain tenant.name as text collate "C"
  constraint name_length check (octet_length(value) between 1 and 256)
  constraint name_has_no_control_characters check (value !~ '[\x01-\x1f\x7f-\x9f]');
alter domain tenant.name owner to payerbase_owner;

-- Which node of the database holds which payers: here every hash, on the node that one is connected to. On a cluster
-- this function reads the cluster's catalogue instead. Lanes belong to nodes: the map is asked for, never computed.
create function tenant.routes() returns table (hash_min integer, hash_max integer, node text)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select -2147483648, 2147483647, ''
$$;
-- Whoever gets an object must have the right to make one there, unless a superuser gives it.
grant create on schema tenant to payerbase_rpc;
alter function tenant.routes() owner to payerbase_rpc;
revoke create on schema tenant from payerbase_rpc;
grant execute on function tenant.routes() to payerbase_app;

revoke execute on all functions in schema tenant from public;
