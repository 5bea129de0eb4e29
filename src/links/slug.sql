-- Slugs: the only namespace that payers share. Owned by payerbase_slug, which has no access to other tables.

-- Reserves a slug unless another payer holds it. Reserving again renews the reservation.
--   held         whether the payer holds it
--   is_new       whether it was free
--   reserved_at  the time of the reservation: only slug.release with the same time ends it
create function slug.hold(
  p_slug text, p_payer text, out held boolean, out is_new boolean, out reserved_at timestamptz
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
begin
  for i in 1 .. 3 loop
    insert into slug.slugs (slug, payer, reserved_at)
      values (p_slug, p_payer, v_now)
      on conflict (slug) do nothing
      returning reserved_at into reserved_at;
    is_new := found;
    held := is_new;
    exit when held;
    update slug.slugs
      set reserved_at = greatest(v_now, slugs.reserved_at + interval '1 microsecond')
      where slug = p_slug and payer = p_payer
      returning reserved_at into reserved_at;
    held := found;
    exit when held;
    -- The row is another payer's, unless it was released between the two statements.
    perform slug
      from slug.slugs
      where slug = p_slug and payer <> p_payer;
    exit when found;
  end loop;
end $$;

-- Renews the reservation of a slug that the payer holds.
create function slug.renew(p_slug text, p_payer text) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
begin
  update slug.slugs
    set reserved_at = greatest(v_now, reserved_at + interval '1 microsecond')
    where slug = p_slug and payer = p_payer;
end $$;

-- Renews the reservations of slugs that the payer holds, unless that was done a short time ago.
create function slug.renew_all(p_slugs text[], p_payer text) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
  v_old timestamptz := v_now - {{slug_reserved}} / 20;
begin
  update slug.slugs
    set reserved_at = v_now
    where slug = any (p_slugs) and payer = p_payer and reserved_at < v_old;
end $$;

-- Frees a slug whose reservation made no link. Does nothing if the reservation was renewed: then another call of the
-- payer counts on it.
create function slug.release(p_slug text, p_payer text, p_reserved_at timestamptz) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from slug.slugs
    where slug = p_slug and payer = p_payer and reserved_at = p_reserved_at;
end $$;

-- Reserves a slug, and returns whether the payer holds it. Servers that run while the database is upgraded call it.
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

-- The payers that hold these slugs; no rows for free ones.
create function slug.owners(p_slugs text[]) returns table (slug text, payer text)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select slug, payer
    from slug.slugs
    where slug = any (p_slugs)
$$;

-- The payer that holds the slug; NULL if it is free. Servers that run while the database is upgraded call it.
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

grant execute on function
  slug.hold(text, text), slug.renew(text, text), slug.renew_all(text[], text), slug.release(text, text, timestamptz),
  slug.reserve(text, text), slug.owners(text[]), slug.owner(text), slug.free(text, text)
  to payerbase_app;
