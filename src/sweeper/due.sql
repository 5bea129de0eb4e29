-- What the sweeper may see: who has work that no call brings. Installed as payerbase_sweeper, which may only read, and
-- only the columns that say what is due; the work is done payer by payer, in turns. Each function reads a bounded
-- stretch: what comes after (p_payer, p_key), where the one before ended. p_keep_ms is for how long clicks are kept.

-- One server sweeps at a time: whoever holds this, until it is no longer renewed.
create function sweep.lead(p_holder text, p_ms integer) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := clock_timestamp();
  v_until timestamptz := v_now + make_interval(secs => p_ms / 1000.0);
begin
  insert into sweep.leader (name, holder, until)
    values ('sweeper', p_holder, v_until)
    on conflict (name) do update set holder = excluded.holder, until = excluded.until
      where leader.holder = excluded.holder or leader.until < v_now;
  return found;
end $$;

-- The next payers with finished jobs, each a step along their index: one is due whose first job has been kept for long
-- enough.
create function sweep.jobs(p_payer text, p_key text, p_keep_ms bigint) returns table (payer text, key text, due boolean)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_finished record;
begin
  for i in 1 .. {{steps}} loop
    select payer, due_at into v_finished
      from tenant.jobs
      where payer > p_payer and state in ('completed', 'dead')
      order by payer, due_at
      limit 1;
    exit when not found;
    p_payer := v_finished.payer;
    payer := p_payer;
    key := '';
    due := v_finished.due_at <= v_now;
    return next;
  end loop;
end $$;

-- Of the next ten thousand queues, the payers of those to which time has done something; and where the stretch ended.
create function sweep.queues(p_payer text, p_key text, p_keep_ms bigint) returns table (payer text, key text, due boolean)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select payer, max(queue::text), bool_or(due_at <= clock_timestamp())
    from (
      select payer, queue, due_at
        from tenant.queues
        where (payer, queue) > (p_payer, p_key)
        order by payer, queue
        limit {{rows}}
    ) stretch
    group by payer
    order by payer
$$;

-- Of the next ten thousand locks, the payers of those that nobody has held for an hour; and where the stretch ended.
create function sweep.locks(p_payer text, p_key text, p_keep_ms bigint) returns table (payer text, key text, due boolean)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select payer, max(name), bool_or(expires_at <= clock_timestamp() - {{lock_kept}})
    from (
      select payer, name, expires_at
        from tenant.locks
        where (payer, name) > (p_payer, p_key)
        order by payer, name
        limit {{rows}}
    ) stretch
    group by payer
    order by payer
$$;

-- Of the next ten thousand idempotency records, the payers of those that are a day old; and where the stretch ended.
create function sweep.idempotency(p_payer text, p_key text, p_keep_ms bigint) returns table (payer text, key text, due boolean)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select payer, encode(max(key_sha256), 'hex'), bool_or(created_at <= clock_timestamp() - {{idempotency_kept}})
    from (
      select payer, key_sha256, created_at
        from tenant.idempotency
        where (payer, key_sha256) > (p_payer, decode(p_key, 'hex'))
        order by payer, key_sha256
        limit {{rows}}
    ) stretch
    group by payer
    order by payer
$$;

-- The next links with clicks, each one step along the index of clicks: a link whose days have not been added up, whose
-- clicks were kept for long enough, or that was deleted, is due.
create function sweep.links(p_payer text, p_key text, p_keep_ms bigint) returns table (payer text, key text, due boolean)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_midnight timestamptz := date_trunc('day', clock_timestamp(), 'UTC');
  v_keep timestamptz := clock_timestamp() - make_interval(secs => p_keep_ms / 1000.0);
  v_click record;
  v_link record;
begin
  for i in 1 .. {{steps}} loop
    select payer, slug, clicked_at into v_click
      from tenant.clicks
      where (payer, slug) > (p_payer, p_key)
      order by payer, slug, clicked_at
      limit 1;
    exit when not found;
    p_payer := v_click.payer;
    p_key := v_click.slug;
    select last_click_at, rolled_until into v_link
      from tenant.links
      where payer = p_payer and slug = p_key;
    payer := p_payer;
    key := p_key;
    due := v_link.rolled_until is null or (v_link.rolled_until < v_midnight and v_link.last_click_at >= v_link.rolled_until)
      or v_click.clicked_at < least(v_keep, v_link.rolled_until);
    return next;
  end loop;
end $$;

-- Slugs of which no link came, or whose link is gone: those of the next two thousand, and the last one of these.
create function sweep.slugs(p_payer text, p_key text, p_keep_ms bigint) returns table (payer text, key text, due boolean)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select payer, slug, due
    from (
      select payer, slug, lead(slug) over (order by slug) is null as last,
          reserved_at < clock_timestamp() - {{slug_reserved}}
          and not exists (select from tenant.links where links.payer = stretch.payer and links.slug = stretch.slug) as due
        from (
          select payer, slug, reserved_at
            from slug.slugs
            where slug > p_key
            order by slug
            limit {{slugs}}
        ) stretch
    ) walked
    where due or last
    order by slug
$$;

-- The next payers with memories that end, each a step along their index: one is due whose first one has.
create function sweep.memories(p_payer text, p_key text, p_keep_ms bigint) returns table (payer text, key text, due boolean)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_memory record;
begin
  for i in 1 .. {{steps}} loop
    select payer, expires_at into v_memory
      from tenant.memories
      where payer > p_payer and expires_at is not null
      order by payer, expires_at
      limit 1;
    exit when not found;
    p_payer := v_memory.payer;
    payer := p_payer;
    key := '';
    due := v_memory.expires_at <= v_now;
    return next;
  end loop;
end $$;

-- Of the next ten thousand spaces of memories, those with vectors that are to go into their graph, and the last one. The
-- key is the model and the dimensions, with U+0001 between them, which no model has in its name.
create function sweep.graphs(p_payer text, p_key text, p_keep_ms bigint) returns table (payer text, key text, due boolean)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select payer, model || chr(1) || dimensions, due
    from (
      select payer, model, dimensions, lead(payer) over (order by payer, model, dimensions) is null as last,
          dimensions between 1 and 3072 and last_place > grown_until and (grown_until > 0 or memories > tenant.exact_max()) as due
        from (
          select *
            from tenant.memory_spaces
            where (payer, model, dimensions) > (p_payer, split_part(p_key, chr(1), 1), coalesce(nullif(split_part(p_key, chr(1), 2), '')::integer, -1))
            order by payer, model, dimensions
            limit {{rows}}
        ) stretch
    ) walked
    where due or last
    order by payer, model, dimensions
$$;

grant execute on function
  sweep.lead(text, integer), sweep.jobs(text, text, bigint), sweep.queues(text, text, bigint), sweep.locks(text, text, bigint), sweep.idempotency(text, text, bigint),
  sweep.links(text, text, bigint), sweep.slugs(text, text, bigint), sweep.memories(text, text, bigint), sweep.graphs(text, text, bigint)
  to payerbase_app;
