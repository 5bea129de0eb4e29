-- The roles behind the five fences (docs/ARCHITECTURE.md). Roles belong to the whole server, not to one database, so
-- another database's migration may have made them already, or be making them right now.
do $$
declare
  v_role text;
begin
  foreach v_role in array array[
    'payerbase_owner', 'payerbase_rpc', 'payerbase_auth', 'payerbase_slug', 'payerbase_sweeper', 'payerbase_search',
    'payerbase_app'
  ] loop
    begin
      execute format('create role %I nologin', v_role);
    exception when duplicate_object or unique_violation then
      null;
    end;
    -- Whoever migrates installs objects on behalf of these roles.
    if not pg_has_role(current_user, v_role, 'usage') then
      execute format('grant %I to current_user with inherit true, set true', v_role);
    end if;
  end loop;
end $$;

-- Nothing is anybody's unless it is granted below. Large objects know no rights of making: anybody could fill the disk.
revoke create on schema public from public;
revoke execute on function lo_create(oid), lo_creat(integer), lo_from_bytea(oid, bytea) from public;
do $$
begin
  execute format('revoke all on database %I from public', current_database());
  execute format('grant connect on database %I to payerbase_app', current_database());
end $$;
alter default privileges for role payerbase_owner revoke execute on functions from public;
alter default privileges for role payerbase_rpc revoke execute on functions from public;
alter default privileges for role payerbase_auth revoke execute on functions from public;
alter default privileges for role payerbase_slug revoke execute on functions from public;
alter default privileges for role payerbase_sweeper revoke execute on functions from public;
alter default privileges for role payerbase_search revoke execute on functions from public;

-- tenant: what payers own.  rpc: the methods.  auth: who pays.  slug: the one namespace that payers share.
-- sweep: what finds work that no call brings.  search: what finds memories by their words, tags and metadata.
create schema tenant authorization payerbase_owner;
create schema rpc authorization payerbase_rpc;
create schema auth authorization payerbase_auth;
create schema slug authorization payerbase_slug;
create schema sweep authorization payerbase_sweeper;
create schema search authorization payerbase_search;
grant usage on schema tenant to payerbase_rpc, payerbase_slug, payerbase_sweeper, payerbase_search, payerbase_app;
grant usage on schema rpc, auth, slug, sweep to payerbase_app;
grant usage on schema auth, slug, sweep to payerbase_owner;
grant usage on schema slug to payerbase_sweeper;
grant usage on schema search to payerbase_rpc;
