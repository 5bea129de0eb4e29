-- Slugs: the one namespace that payers share. Installed as payerbase_slug, which reaches nothing else.

-- Gives a slug to a payer, or leaves it to the one who has it. Each time the payer asks, it has it anew.
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

-- Who has it.
create function slug.owner(p_slug text) returns text
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select payer
    from slug.slugs
    where slug = p_slug
$$;

-- Frees a slug that its payer has not asked for in ten minutes: longer than any call that would make its link takes.
create function slug.free(p_slug text, p_payer text) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_until timestamptz := clock_timestamp() - interval '10 minutes';
begin
  delete from slug.slugs
    where slug = p_slug and payer = p_payer and reserved_at < v_until;
  return found;
end $$;

grant execute on function slug.reserve(text, text), slug.owner(text), slug.free(text, text) to payerbase_app;
