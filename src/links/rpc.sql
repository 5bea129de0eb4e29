-- Methods of links. Owned by payerbase_rpc. Writes run in a turn (src/turn/turn.sql), which holds the payer's lock.

-- A link as JSON. The server adds the short URL.
create function rpc.link_json(p_link tenant.links) returns json
language sql stable
as $$
  select json_build_object(
    'slug', p_link.slug, 'url', p_link.url, 'title', p_link.title, 'clicks', p_link.clicks,
    'maxClicks', p_link.max_clicks,
    'expiresAt', case when p_link.expires_at > {{last_time}} then {{last_time}} else p_link.expires_at end,
    'createdAt', p_link.created_at, 'updatedAt', p_link.updated_at)
$$;

-- The new link. Its slug was reserved for the payer before the turn (src/links/slug.sql).
create function rpc.create_link(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_link tenant.links;
  v_problem json := rpc.quota_problem(p_payer, 'links');
begin
  if v_problem is not null then
    return v_problem;
  end if;
  v_link.slug := p_params->>'slug';
  v_link.id := p_params->>'id';
  v_link.url := p_params->>'url';
  v_link.title := p_params->>'title';
  v_link.max_clicks := p_params->>'maxClicks';
  v_link.expires_at := coalesce(
    (p_params->>'expiresAt')::timestamptz,
    v_now + make_interval(secs => (p_params->>'ttlMs')::bigint / 1000.0));
  v_link.clicks := 0;
  v_link.created_at := v_now;
  v_link.updated_at := v_now;
  insert into tenant.links (
      payer, slug, id, url, title, clicks, bot_clicks, max_clicks, expires_at, rolled_until, created_at, updated_at)
    values (
      p_payer, v_link.slug, v_link.id, v_link.url, v_link.title, 0, 0, v_link.max_clicks, v_link.expires_at, v_now,
      v_now, v_now)
    on conflict (payer, slug) do nothing;
  if not found then
    return rpc.problem('slug-taken');
  end if;
  return json_build_object('ok', rpc.link_json(v_link));
end $$;

create function rpc.get_link(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_slug text := p_params->>'slug';
  v_link tenant.links;
begin
  select * into v_link
    from tenant.links
    where payer = p_payer and slug = v_slug;
  if not found then
    return rpc.problem('not-found');
  end if;
  return json_build_object('ok', rpc.link_json(v_link));
end $$;

-- The link after a JSON merge patch: absent members stay unchanged, null removes the title or a limit.
create function rpc.update_link(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_slug text := p_params->>'slug';
  v_link tenant.links;
  v_bytes integer;
  v_problem json;
begin
  select * into v_link
    from tenant.links
    where payer = p_payer and slug = v_slug;
  if not found then
    return rpc.problem('not-found');
  end if;
  v_bytes := octet_length(concat(v_link.url, v_link.title));
  v_link.url := coalesce(p_params->>'url', v_link.url);
  v_link.title := case when p_params ? 'title' then p_params->>'title' else v_link.title end;
  v_link.expires_at := case
    when p_params ? 'expiresAt' then (p_params->>'expiresAt')::timestamptz
    else v_link.expires_at
  end;
  v_link.max_clicks := case
    when p_params ? 'maxClicks' then (p_params->>'maxClicks')::bigint
    else v_link.max_clicks
  end;
  v_link.updated_at := v_now;
  if octet_length(concat(v_link.url, v_link.title)) > v_bytes then
    v_problem := rpc.quota_problem(p_payer, 'links');
    if v_problem is not null then
      return v_problem;
    end if;
  end if;
  update tenant.links
    set url = v_link.url, title = v_link.title, expires_at = v_link.expires_at, max_clicks = v_link.max_clicks,
      updated_at = v_now
    where payer = p_payer and slug = v_slug;
  return json_build_object('ok', rpc.link_json(v_link));
end $$;

-- Deletes a link and its statistics. The sweeper deletes the single clicks.
create function rpc.delete_link(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_slug text := p_params->>'slug';
begin
  delete from tenant.links
    where payer = p_payer and slug = v_slug;
  if not found then
    return rpc.problem('not-found');
  end if;
  delete from tenant.click_totals
    where payer = p_payer and slug = v_slug;
  return '{"ok":null}';
end $$;

-- Counts one click. The update checks the expiry and the limit of clicks in the same statement, so that the limit
-- holds. Bots are counted separately and do not count towards the limit. Returns the target URL and the number of
-- clicks, or a problem. If the payer has as many clicks as it may have, the click is counted only in its link.
create function rpc.click(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_slug text := p_params->>'slug';
  v_id uuid := p_params->>'id';
  v_bot boolean := p_params->>'bot';
  v_human integer := case when v_bot then 0 else 1 end;
  v_referrer text := p_params->>'referrer';
  v_country text := p_params->>'country';
  v_browser text := p_params->>'browser';
  v_is_full boolean := rpc.quota_problem(p_payer, 'clicks') is not null;
  v_url text;
  v_clicks bigint;
begin
  update tenant.links
    set clicks = clicks + v_human, bot_clicks = bot_clicks + 1 - v_human, last_click_at = v_now
    where payer = p_payer and slug = v_slug
      and coalesce(expires_at > v_now, true) and coalesce(clicks < max_clicks, true)
    returning url, clicks into v_url, v_clicks;
  if found then
    insert into tenant.clicks (payer, slug, clicked_at, id, referrer, country, browser, bot)
      select p_payer, v_slug, v_now, v_id, v_referrer, v_country, v_browser, v_bot
        where not v_is_full;
    return json_build_object('ok', json_build_object('url', v_url, 'recorded', not v_bot, 'clicks', v_clicks));
  end if;
  select clicks into v_clicks
    from tenant.links
    where payer = p_payer and slug = v_slug;
  return case when found then rpc.problem('link-gone') else rpc.problem('not-found') end;
end $$;

create function rpc.follow_link(p_payer text, p_params jsonb) returns json
language sql
as $$
  select rpc.click(p_payer, p_params)
$$;

create function rpc.record_click(p_payer text, p_params jsonb) returns json
language sql
as $$
  select rpc.click(p_payer, p_params)
$$;

-- A page of links, newest first.
create function rpc.list_links(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_limit integer := (p_params->>'limit')::integer;
  v_before uuid := coalesce(p_params->>'cursor', 'ffffffff-ffff-ffff-ffff-ffffffffffff');
  v_items json[] := '{}';
  v_link tenant.links;
  v_next text;
begin
  for v_link in
    select *
      from tenant.links
      where payer = p_payer and id < v_before
      order by id desc
      limit v_limit + 1
  loop
    if cardinality(v_items) = v_limit then
      v_next := v_before;
      exit;
    end if;
    v_items := v_items || rpc.link_json(v_link);
    v_before := v_link.id;
  end loop;
  return json_build_object('ok', json_build_object('items', array_to_json(v_items), 'nextCursor', v_next));
end $$;

-- The latest clicks of a link, newest first.
create function rpc.recent_clicks(p_payer text, p_slug text, p_since timestamptz) returns json
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_recent json;
begin
  select coalesce(json_agg(item), '[]') into v_recent
    from (
      select json_build_object(
          'clickedAt', clicked_at, 'referrer', referrer, 'country', country, 'browser', browser, 'bot', bot) as item
        from tenant.clicks
        where payer = p_payer and slug = p_slug and clicked_at >= p_since
        order by clicked_at desc, id desc
        limit {{recent_clicks}}
    ) recent;
  return v_recent;
end $$;

-- Click statistics over the last days, including today: totals for the days that are added up, single clicks since
-- then.
create function rpc.get_link_stats(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_slug text := p_params->>'slug';
  v_today date := (v_now at time zone 'UTC')::date;
  v_first date := v_today - ((p_params->>'days')::integer - 1);
  v_link tenant.links;
  v_from timestamptz;
  v_counts json;
  v_recent json;
begin
  select * into v_link
    from tenant.links
    where payer = p_payer and slug = v_slug;
  if not found then
    return rpc.problem('not-found');
  end if;
  v_from := greatest(v_link.rolled_until, v_first::timestamp at time zone 'UTC');
  with counted as (
    select kind, day, value, clicks, bot_clicks
      from tenant.click_totals
      where payer = p_payer and slug = v_slug and day >= v_first
    union all
    select kinds.kind, (clicked_at at time zone 'UTC')::date,
        coalesce(
          case kind when 'referrer' then referrer when 'country' then country when 'browser' then browser end, ''),
        (not bot)::integer, bot::integer
      from tenant.clicks
      cross join (values ('day'), ('referrer'), ('country'), ('browser')) as kinds (kind)
      where payer = p_payer and slug = v_slug and clicked_at >= v_from
  ), by_value as (
    select kind, nullif(value, '') as value, sum(clicks) as clicks,
        row_number() over (partition by kind order by sum(clicks) desc, nullif(value, '')) as place
      from counted
      where kind <> 'day' and clicks > 0
      group by kind, value
  ), top as (
    select kind, json_agg(json_build_object('value', value, 'clicks', clicks) order by place) as items
      from by_value
      where place <= 50
      group by kind
  ), by_day as (
    select v_first + number as date, coalesce(sum(clicks), 0) as clicks, coalesce(sum(bot_clicks), 0) as bot_clicks
      from generate_series(0, v_today - v_first) as number
      left join counted on counted.kind = 'day' and counted.day = v_first + number
      group by number
  )
  select json_build_object(
      'referrers', coalesce((select items from top where kind = 'referrer'), '[]'),
      'countries', coalesce((select items from top where kind = 'country'), '[]'),
      'browsers', coalesce((select items from top where kind = 'browser'), '[]'),
      'daily', (
        select json_agg(json_build_object('date', date, 'clicks', clicks, 'botClicks', bot_clicks) order by date)
          from by_day))
    into v_counts;
  v_recent := rpc.recent_clicks(p_payer, v_slug, v_link.created_at);
  return json_build_object('ok', json_build_object(
    'slug', v_slug, 'url', v_link.url, 'title', v_link.title, 'clicks', v_link.clicks, 'botClicks', v_link.bot_clicks,
    'createdAt', v_link.created_at, 'lastClickAt', v_link.last_click_at,
    'referrers', v_counts->'referrers', 'countries', v_counts->'countries', 'browsers', v_counts->'browsers',
    'daily', v_counts->'daily', 'recentClicks', v_recent));
end $$;

-- Adds the clicks of one link before today to its totals, then deletes clicks that are in the totals and past their
-- retention. About 5,000 clicks of each per call. Returns the number of totals written plus the number of clicks
-- deleted: 0 when no work is left.
--   keepMs  retention of single clicks
create function rpc.sweep_links(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_slug text := p_params->>'slug';
  v_midnight timestamptz := date_trunc('day', v_now, 'UTC');
  v_from timestamptz;
  v_until timestamptz;
  v_rolled integer := 0;
  v_forgotten integer;
begin
  select rolled_until into v_from
    from tenant.links
    where payer = p_payer and slug = v_slug;
  if not found then
    -- The link is deleted: delete all of its clicks.
    v_from := 'infinity';
  elsif v_from < v_midnight then
    select clicked_at into v_until
      from tenant.clicks
      where payer = p_payer and slug = v_slug and clicked_at > v_from and clicked_at < v_midnight
      order by clicked_at
      offset {{clicks_swept}}
      limit 1;
    v_until := coalesce(v_until, v_midnight);
    insert into tenant.click_totals (payer, slug, day, kind, value, clicks, bot_clicks)
      select p_payer, v_slug, (clicked_at at time zone 'UTC')::date, kinds.kind,
          coalesce(
            case kinds.kind when 'referrer' then referrer when 'country' then country when 'browser' then browser end,
            ''),
          sum((not bot)::integer), sum(bot::integer)
        from tenant.clicks
        cross join (values ('day'), ('referrer'), ('country'), ('browser')) as kinds (kind)
        where payer = p_payer and slug = v_slug and clicked_at >= v_from and clicked_at < v_until
        group by 3, 4, 5
      on conflict (payer, slug, kind, day, value) do update
        set clicks = click_totals.clicks + excluded.clicks, bot_clicks = click_totals.bot_clicks + excluded.bot_clicks;
    get diagnostics v_rolled = row_count;
    update tenant.links
      set rolled_until = v_until
      where payer = p_payer and slug = v_slug;
    v_from := v_until;
  end if;
  v_from := case
    when v_from = 'infinity' then v_from
    else least(v_from, v_now - make_interval(secs => (p_params->>'keepMs')::bigint / 1000.0))
  end;
  select clicked_at into v_until
    from tenant.clicks
    where payer = p_payer and slug = v_slug and clicked_at < v_from
    order by clicked_at
    offset {{clicks_swept}}
    limit 1;
  v_until := coalesce(v_until, v_from);
  delete from tenant.clicks
    where payer = p_payer and slug = v_slug and clicked_at < v_until;
  get diagnostics v_forgotten = row_count;
  return json_build_object('ok', v_rolled + v_forgotten);
end $$;
