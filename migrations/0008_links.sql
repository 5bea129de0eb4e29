create domain tenant.title as text collate "C" check (octet_length(value) <= 512 and value !~ '[\u0001-\u001f\u007f-\u009f]');
alter domain tenant.title owner to payerbase_owner;

-- Links. The slug belongs to the payer as long as slug.slugs says so.
create table tenant.links (
  payer text collate "C" not null,
  slug text collate "C" not null,
  -- The order of creation: UUIDv7, so that lists can walk along it.
  id uuid not null,
  url text not null,
  title tenant.title,
  clicks bigint not null,
  bot_clicks bigint not null,
  max_clicks bigint,
  expires_at timestamptz,
  last_click_at timestamptz,
  -- Clicks before this are in tenant.click_totals.
  rolled_until timestamptz not null,
  created_at timestamptz not null,
  updated_at timestamptz not null
)
-- Every click updates its link in place.
with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
alter table tenant.links owner to payerbase_owner;
alter table tenant.links enable row level security;
alter table tenant.links force row level security;
create policy links_of_the_payer on tenant.links to payerbase_rpc
  using (payer = tenant.current_payer())
  with check (payer = tenant.current_payer());
grant select, insert, update, delete on tenant.links to payerbase_rpc;
create policy links_to_sweep on tenant.links for select to payerbase_sweeper using (true);
grant select (payer, slug, last_click_at, rolled_until) on tenant.links to payerbase_sweeper;
-- The newest first.
create index links_by_age on tenant.links (payer, id);
-- After the other index, as with jobs.
alter table tenant.links add primary key (payer, slug);

-- One row for each click: no address of a visitor is kept.
create table tenant.clicks (
  payer text collate "C" not null,
  slug text collate "C" not null,
  clicked_at timestamptz not null,
  id uuid not null,
  referrer text,
  country text,
  browser text,
  bot boolean not null,
  primary key (payer, slug, clicked_at, id)
) with (autovacuum_vacuum_insert_scale_factor = 0.05);
alter table tenant.clicks owner to payerbase_owner;
alter table tenant.clicks enable row level security;
alter table tenant.clicks force row level security;
create policy clicks_of_the_payer on tenant.clicks to payerbase_rpc
  using (payer = tenant.current_payer())
  with check (payer = tenant.current_payer());
grant select, insert, delete on tenant.clicks to payerbase_rpc;
create policy clicks_to_sweep on tenant.clicks for select to payerbase_sweeper using (true);
grant select (payer, slug, clicked_at) on tenant.clicks to payerbase_sweeper;

-- Clicks of whole days, counted by what is asked for: kind is day, referrer, country or browser; for a day, value is ''.
create table tenant.click_totals (
  payer text collate "C" not null,
  slug text collate "C" not null,
  day date not null,
  kind text collate "C" not null,
  value text collate "C" not null,
  clicks bigint not null,
  bot_clicks bigint not null,
  primary key (payer, slug, kind, day, value)
) with (fillfactor = 90);
alter table tenant.click_totals owner to payerbase_owner;
alter table tenant.click_totals enable row level security;
alter table tenant.click_totals force row level security;
create policy click_totals_of_the_payer on tenant.click_totals to payerbase_rpc
  using (payer = tenant.current_payer())
  with check (payer = tenant.current_payer());
grant select, insert, update, delete on tenant.click_totals to payerbase_rpc;

-- The one namespace that payers share: who has which slug. Reserved before the turn that makes the link, by functions
-- of their own (src/links/slug.sql) as payerbase_slug; one without a link is freed by the sweeper.
create table slug.slugs (
  slug text collate "C" primary key,
  payer text collate "C" not null,
  reserved_at timestamptz not null
);
grant create on schema slug to payerbase_owner;
alter table slug.slugs owner to payerbase_owner;
revoke create on schema slug from payerbase_owner;
alter table slug.slugs enable row level security;
alter table slug.slugs force row level security;
create policy slugs_of_every_payer on slug.slugs to payerbase_slug using (true) with check (true);
grant select, insert, update, delete on slug.slugs to payerbase_slug;
create policy slugs_to_sweep on slug.slugs for select to payerbase_sweeper using (true);
grant select on slug.slugs to payerbase_sweeper;
