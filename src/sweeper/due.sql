-- Functions that find due work for the sweeper. Installed as payerbase_sweeper, which reads only the columns that say
-- when something is due. Methods do the work itself, payer by payer, in turns. Each function walks one stretch: a
-- limited number of rows after (p_payer, p_key), the last row of the previous stretch. It returns at least the last row
-- of its stretch, and no rows at the end.
--   p_keep_ms  retention of single clicks; only sweep.links uses it

-- Makes p_holder the leader for p_ms milliseconds, unless another server leads. Returns whether p_holder leads. Only
-- the leader sweeps. Another server can lead once the leader has not renewed its time.
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

-- The next payers with finished jobs, one index step per payer. A payer is due if its first job is past its retention.
create function sweep.jobs(p_payer text, p_key text, p_keep_ms bigint) returns table (payer text, key text, due boolean)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_finished record;
begin
  for i in 1 .. {{walk_steps}} loop
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

-- The payers of the next pages that are put aside, each with its last write in the stretch. A payer is due if one of
-- them is too old. A write may have more pages than a stretch: they are as old as those in it.
create function sweep.sql(p_payer text, p_key text, p_keep_ms bigint) returns table (payer text, key text, due boolean)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select payer, max(stage::text collate "C"), bool_or(created_at <= clock_timestamp() - {{sql_staged_kept}})
    from (
      select payer, stage, created_at
        from tenant.sql_staged
        where (payer, stage) > (p_payer, coalesce(nullif(p_key, ''), '00000000-0000-0000-0000-000000000000')::uuid)
        order by payer, stage
        limit {{walk_rows}}
    ) stretch
    group by payer
    order by payer
$$;

-- The payers of the next queues, each with its last queue in the stretch. A payer is due if one of its queues is due.
create function sweep.queues(p_payer text, p_key text, p_keep_ms bigint)
returns table (payer text, key text, due boolean)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select payer, max(queue::text), bool_or(due_at <= clock_timestamp())
    from (
      select payer, queue, due_at
        from tenant.queues
        where (payer, queue) > (p_payer, p_key)
        order by payer, queue
        limit {{walk_rows}}
    ) stretch
    group by payer
    order by payer
$$;

-- The payers of the next locks, each with its last lock in the stretch. A payer is due if one of its locks is past its
-- retention.
create function sweep.locks(p_payer text, p_key text, p_keep_ms bigint)
returns table (payer text, key text, due boolean)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select payer, max(name), bool_or(expires_at <= clock_timestamp() - {{lock_kept}})
    from (
      select payer, name, expires_at
        from tenant.locks
        where (payer, name) > (p_payer, p_key)
        order by payer, name
        limit {{walk_rows}}
    ) stretch
    group by payer
    order by payer
$$;

-- The payers of the next idempotency records, each with its last key in the stretch. A payer is due if one of its
-- records is past its retention.
create function sweep.idempotency(p_payer text, p_key text, p_keep_ms bigint)
returns table (payer text, key text, due boolean)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select payer, max(encode(key_sha256, 'hex') collate "C"),
      bool_or(created_at <= clock_timestamp() - {{idempotency_kept}})
    from (
      select payer, key_sha256, created_at
        from tenant.idempotency
        where (payer, key_sha256) > (p_payer, decode(p_key, 'hex'))
        order by payer, key_sha256
        limit {{walk_rows}}
    ) stretch
    group by payer
    order by payer
$$;

-- The next links with clicks, one index step per link. A link is due if it was deleted, if it has clicks that are
-- not added up and a day has ended since, or if it has clicks that are added up and past their retention.
create function sweep.links(p_payer text, p_key text, p_keep_ms bigint)
returns table (payer text, key text, due boolean)
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
  for i in 1 .. {{walk_steps}} loop
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
    due := v_link.rolled_until is null
      or (v_link.rolled_until < v_midnight and v_link.last_click_at >= v_link.rolled_until)
      or v_click.clicked_at < least(v_keep, v_link.rolled_until);
    return next;
  end loop;
end $$;

-- The due slugs among the next slugs, and the last slug of the stretch. A slug is due if its reservation is over and it
-- has no link: the link was never created, or it was deleted.
create function sweep.slugs(p_payer text, p_key text, p_keep_ms bigint)
returns table (payer text, key text, due boolean)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select payer, slug, due
    from (
      select payer, slug, lead(slug) over (order by slug) is null as last,
          reserved_at < clock_timestamp() - {{slug_reserved}}
          and not exists (
            select
              from tenant.links
              where links.payer = stretch.payer and links.slug = stretch.slug) as due
        from (
          select payer, slug, reserved_at
            from slug.slugs
            where slug > p_key
            order by slug
            limit {{walk_slugs}}
        ) stretch
    ) walked
    where due or last
    order by slug
$$;

-- The next payers with memories that expire, one index step per payer. A payer is due if its first memory has expired.
create function sweep.memories(p_payer text, p_key text, p_keep_ms bigint)
returns table (payer text, key text, due boolean)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_memory record;
begin
  for i in 1 .. {{walk_steps}} loop
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

-- The payers of the next credit, each with its last asset in the stretch. A payer is due if calls have spent something
-- that is not booked, and the last entry was long ago.
create function sweep.credit(p_payer text, p_key text, p_keep_ms bigint)
returns table (payer text, key text, due boolean)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select payer, max(asset), bool_or(balance < posted and posted_at <= clock_timestamp() - {{usage_posted}})
    from (
      select payer, asset, balance, posted, posted_at
        from tenant.credit
        where (payer, asset) > (p_payer, p_key)
        order by payer, asset
        limit {{walk_rows}}
    ) stretch
    group by payer
    order by payer
$$;

-- The next payers with payments that are not final, one index step per payer. A payer is due if one of them is.
create function sweep.payments(p_payer text, p_key text, p_keep_ms bigint)
returns table (payer text, key text, due boolean)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_payment record;
begin
  for i in 1 .. {{walk_steps}} loop
    select payer, due_at into v_payment
      from tenant.payments
      where payer > p_payer and due_at is not null
      order by payer, due_at
      limit 1;
    exit when not found;
    p_payer := v_payment.payer;
    payer := p_payer;
    key := '';
    due := v_payment.due_at <= v_now;
    return next;
  end loop;
end $$;

-- The due spaces of memories among the next spaces, and the last space of the stretch. A space is due if it has or
-- needs a graph and has vectors that are not in it. The key is the model and the dimensions, separated by U+0001, which
-- no name of a model contains.
create function sweep.graphs(p_payer text, p_key text, p_keep_ms bigint)
returns table (payer text, key text, due boolean)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select payer, model || chr(1) || dimensions, due
    from (
      select payer, model, dimensions, lead(payer) over (order by payer, model, dimensions) is null as last,
          dimensions between 1 and 3072 and last_place > grown_until
          and (grown_until > 0 or memories > tenant.exact_max()) as due
        from (
          select *
            from tenant.memory_spaces
            where (payer, model, dimensions) > (
              p_payer, split_part(p_key, chr(1), 1), coalesce(nullif(split_part(p_key, chr(1), 2), '')::integer, -1))
            order by payer, model, dimensions
            limit {{walk_rows}}
        ) stretch
    ) walked
    where due or last
    order by payer, model, dimensions
$$;

-- The number of payments whose outcome is not known, and the age of the oldest one in seconds.
create function sweep.unknown_payments(out payments bigint, out oldest_s double precision)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select count(*), coalesce(extract(epoch from clock_timestamp() - min(received_at))::double precision, 0)
    from tenant.payments
    where due_at is not null and state in ('unknown', 'settling')
$$;

-- The jobs of the next queues by state, each counted up to {{backlog_jobs}}, and how long the oldest pending job of
-- each has been due: of each of its first ranks, the first job.
create function sweep.backlog(p_payer text, p_queue text)
returns table (
  payer text, queue text, pending bigint, delayed bigint, running bigint, dead bigint, oldest_s double precision)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select q.payer, q.queue::text, count_of.pending + count_of.waiting, count_of.delayed, count_of.running,
      count_of.dead, coalesce(oldest.s, 0)
    from (
      select payer, queue, ranks
        from tenant.queues
        where (queues.payer, queues.queue) > (p_payer, p_queue)
        order by payer, queue
        limit {{backlog_queues}}
    ) q
    cross join lateral (
      select sum(jobs) filter (where state = 'pending') as pending,
          sum(jobs) filter (where state = 'waiting') as waiting,
          sum(jobs) filter (where state = 'delayed') as delayed,
          sum(jobs) filter (where state = 'running') as running,
          sum(jobs) filter (where state = 'dead') as dead
        from unnest(array['pending', 'waiting', 'delayed', 'running', 'dead']) as states (state)
        cross join lateral (
          select count(*) as jobs
            from (
              select
                from tenant.jobs
                where jobs.payer = q.payer and jobs.queue = q.queue and jobs.state = states.state collate "C"
                limit {{backlog_jobs}}
            ) counted
        ) of_state
    ) count_of
    cross join lateral (
      select max(extract(epoch from clock_timestamp() - first_of.run_at))::double precision as s
        from unnest(q.ranks) as ranks (rank)
        cross join lateral (
          select run_at
            from tenant.jobs
            where jobs.payer = q.payer and jobs.queue = q.queue and jobs.state = 'pending' and jobs.rank = ranks.rank
            order by place
            limit 1
        ) first_of
    ) oldest
    order by q.payer, q.queue
$$;

-- The next payers with memories whose words an earlier version made. All of them are due.
create function sweep.rewording(p_payer text, p_key text, p_keep_ms bigint)
returns table (payer text, key text, due boolean)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select payer, '', true
    from tenant.memory_rewording
    where payer > p_payer
    order by payer
    limit {{walk_steps}}
$$;

-- The primitives to measure and the full ones among the next primitives, and the last one of the stretch. A primitive
-- is due if it was never measured; if a tenth of a quota was written to it; if it was measured at or above a quota and
-- is not marked as full; if its mark has another quota; and after some time, if something was written to it.
--   p_rows_max, p_bytes_max  the quotas; NULL: none
create function sweep.usage(p_payer text, p_primitive text, p_rows_max bigint, p_bytes_max bigint)
returns table (payer text, primitive text, is_due boolean, is_full boolean, writes bigint, written_bytes bigint)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select payer, primitive, is_due, is_full, writes, written_bytes
    from (
      select usage.*, quota is not null as is_full,
          measured_at is null
          or writes > 0 and (
            coalesce(writes >= p_rows_max / 10 or written_bytes >= p_bytes_max / 10, false)
            or measured_at <= clock_timestamp() - {{usage_measured}})
          or quota is null and coalesce(rows >= p_rows_max or bytes >= p_bytes_max, false)
          or quota is not null and (
            quota is distinct from case unit when 'rows' then p_rows_max else p_bytes_max end
            or writes > 0 and (writes >= rows / 100 or measured_at <= clock_timestamp() - {{full_measured}})) as is_due,
          lead(payer) over (order by payer, primitive) is null as is_last
        from (
          select payer, primitive::text collate "C" as primitive, rows, bytes, writes, written_bytes, measured_at
            from tenant.usage
            where (usage.payer, usage.primitive) > (p_payer, p_primitive)
            order by usage.payer, usage.primitive
            limit {{walk_rows}}
        ) usage
        left join tenant.full_primitives using (payer, primitive)
    ) walked
    where is_due or is_full or is_last
    order by payer, primitive
$$;

-- The payers of whom a primitive is full.
create function sweep.full_payers() returns setof text
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select distinct payer from tenant.full_primitives
$$;

grant execute on function
  sweep.backlog(text, text), sweep.lead(text, integer),
  sweep.jobs(text, text, bigint), sweep.queues(text, text, bigint),
  sweep.locks(text, text, bigint), sweep.idempotency(text, text, bigint), sweep.links(text, text, bigint),
  sweep.slugs(text, text, bigint), sweep.memories(text, text, bigint), sweep.graphs(text, text, bigint),
  sweep.rewording(text, text, bigint), sweep.credit(text, text, bigint),
  sweep.payments(text, text, bigint), sweep.sql(text, text, bigint), sweep.unknown_payments(),
  sweep.usage(text, text, bigint, bigint), sweep.full_payers()
  to payerbase_app;
