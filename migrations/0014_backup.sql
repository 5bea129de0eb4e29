-- A role that can dump the database without being a superuser. It reads all tables and writes nothing. Row-level security is
-- forced on each table, so a policy shows it all rows, and pg_dump runs with --enable-row-security (docs/OPERATIONS.md).
do $$
declare
  v_table regclass;
begin
  begin
    create role payerbase_backup nologin;
  exception when duplicate_object or unique_violation then
    -- Another database of this server has it.
    null;
  end;
  grant usage on schema tenant, rpc, auth, slug, sweep, search to payerbase_backup;
  grant select on _sqlx_migrations to payerbase_backup;
  for v_table in
    select oid
      from pg_class
      where relnamespace = any ('{tenant,auth,slug,sweep,search}'::regnamespace[]) and relkind in ('r', 'p')
  loop
    execute format('grant select on %s to payerbase_backup', v_table);
    execute format('create policy all_rows_to_back_up on %s for select to payerbase_backup using (true)', v_table);
  end loop;
  -- A dump reads the database through connections of this role.
  execute format('grant connect on database %I to payerbase_backup', current_database());
end $$;
