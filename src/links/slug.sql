-- Slugs: the only namespace that payers share. Owned by payerbase_slug, which has no access to other tables.

-- Reserves a slug unless another payer holds it. Returns whether the payer holds it. Reserving again renews the
-- reservation.
create function slug.reserve(p_slug text, p_payer text) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
begin
  insert into slug.slugs (slug, payer, reserved_at)
    values (p_slug, p_payer, v_now)
    on conflict (slug) do update set reserved_at = excluded.reserved_at where slugs.payer = excluded.payer;
  return found;
end $$;

-- The payer that holds the slug; NULL if it is free.
create function slug.owner(p_slug text) returns text
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select payer
    from slug.slugs
    where slug = p_slug
$$;

-- Frees a slug whose reservation is older than ten minutes: longer than any call that could still create its link.
-- The sweeper calls it for slugs without a link. Returns whether it was freed.
create function slug.free(p_slug text, p_payer text) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_until timestamptz := clock_timestamp() - {{slug_reserved}};
begin
  delete from slug.slugs
    where slug = p_slug and payer = p_payer and reserved_at < v_until;
  return found;
end $$;

grant execute on function slug.reserve(text, text), slug.owner(text), slug.free(text, text) to payerbase_app;
