-- SQL: a SQLite database for each payer (src/sqlite). Its pages are rows.

create domain tenant.sql_page as bytea
  constraint sql_page_is_whole check (octet_length(value) = 4096);
alter domain tenant.sql_page owner to payerbase_owner;
create domain tenant.sql_page_no as integer
  constraint sql_page_no_is_known check (value between 1 and 4096);
alter domain tenant.sql_page_no owner to payerbase_owner;

-- The newest version of the database of a payer. A payer that has never written has no row.
create table tenant.sql_databases (
  payer text collate "C" not null,
  -- Its number: 1 for the first version.
  version bigint not null,
  -- Its id, which the server that made it chose.
  id uuid not null,
  -- The ids of the versions before it, from the latest, so that a server can prove that the version whose pages it has in
  -- memory is one of them. After a failover that lost a version, another one may have its number.
  ancestors uuid[],
  page_count integer not null,
  updated_at timestamptz not null,
  primary key (payer)
)
-- Each write updates its row in place.
with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
alter table tenant.sql_databases owner to payerbase_owner;
alter table tenant.sql_databases enable row level security;
alter table tenant.sql_databases force row level security;
create policy sql_databases_of_the_payer on tenant.sql_databases to payerbase_rpc
  using (payer = tenant.current_payer())
  with check (payer = tenant.current_payer());
grant select, insert, update on tenant.sql_databases to payerbase_rpc;
create policy all_rows_to_back_up on tenant.sql_databases for select to payerbase_backup using (true);
grant select on tenant.sql_databases to payerbase_backup;

-- The pages of the newest version.
create table tenant.sql_pages (
  payer text collate "C" not null,
  page_no tenant.sql_page_no not null,
  -- The version that wrote the page.
  version bigint not null,
  data tenant.sql_page not null,
  primary key (payer, page_no)
)
-- A write updates few pages in place.
with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
alter table tenant.sql_pages owner to payerbase_owner;
alter table tenant.sql_pages enable row level security;
alter table tenant.sql_pages force row level security;
create policy sql_pages_of_the_payer on tenant.sql_pages to payerbase_rpc
  using (payer = tenant.current_payer())
  with check (payer = tenant.current_payer());
grant select, insert, update, delete on tenant.sql_pages to payerbase_rpc;
create policy all_rows_to_back_up on tenant.sql_pages for select to payerbase_backup using (true);
grant select on tenant.sql_pages to payerbase_backup;

-- Pages of a write that changes many: they are put aside before its turn, which moves them. The sweeper deletes those of
-- a write that did not happen.
create table tenant.sql_staged (
  payer text collate "C" not null,
  stage uuid not null,
  page_no tenant.sql_page_no not null,
  data tenant.sql_page not null,
  created_at timestamptz not null,
  primary key (payer, stage, page_no)
);
alter table tenant.sql_staged owner to payerbase_owner;
alter table tenant.sql_staged enable row level security;
alter table tenant.sql_staged force row level security;
create policy sql_staged_of_the_payer on tenant.sql_staged to payerbase_rpc
  using (payer = tenant.current_payer())
  with check (payer = tenant.current_payer());
grant select, insert, delete on tenant.sql_staged to payerbase_rpc;
create policy all_rows_to_back_up on tenant.sql_staged for select to payerbase_backup using (true);
grant select on tenant.sql_staged to payerbase_backup;
create policy sql_staged_to_sweep on tenant.sql_staged for select to payerbase_sweeper using (true);
grant select (payer, stage, created_at) on tenant.sql_staged to payerbase_sweeper;
