-- Methods of counters. Owned by payerbase_rpc. Writes run in a turn (src/turn/turn.sql), which holds the payer's lock.

-- A counter, and a counter after an increment or a decrement, as callers see them: one attribute per JSON member.
create type rpc.shown_counter as (
  name text, value bigint, min bigint, max bigint, "createdAt" timestamptz, "updatedAt" timestamptz
);
create type rpc.adjusted_counter as (
  name text, value bigint, min bigint, max bigint, "createdAt" timestamptz, "updatedAt" timestamptz,
  "previousValue" bigint, applied bigint, capped boolean
);

-- The general case of an increment or a decrement: creates the counter, changes its bounds, stops at a bound. Returns
-- the counter.
--
-- A bound stops the counter but never moves it: a value that is already outside can only move towards the bounds.
-- The sum is numeric: a bigint could overflow before a bound stops it.
create function rpc.move_within_bounds(
  p_payer text, p_params jsonb, p_delta numeric, p_sign integer, p_now timestamptz
) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_name text := p_params->>'name';
  v_exists boolean;
  v_old bigint;
  v_min bigint;
  v_max bigint;
  v_created_at timestamptz;
  v_sum numeric;
  v_new bigint;
  v_capped boolean := false;
  v_problem json;
begin
  select value, min, max, created_at into v_old, v_min, v_max, v_created_at
    from tenant.counters
    where payer = p_payer and name = v_name;
  v_exists := found;
  v_old := coalesce(v_old, 0);
  v_created_at := coalesce(v_created_at, p_now);
  v_min := case when p_params ? 'min' then (p_params->>'min')::bigint else v_min end;
  v_max := case when p_params ? 'max' then (p_params->>'max')::bigint else v_max end;
  if v_min > v_max then
    return rpc.invalid_value(case when p_params ? 'min' then '/min' else '/max' end, 'min must not be above max');
  end if;

  v_sum := v_old + p_delta;
  if v_sum > v_max and p_delta > 0 then
    v_capped := true;
    v_sum := greatest(v_max, v_old);
  elsif v_sum < v_min and p_delta < 0 then
    v_capped := true;
    v_sum := least(v_min, v_old);
  end if;
  if v_capped and p_params->>'onBound' = 'reject' then
    return rpc.problem('counter-out-of-bounds', json_build_object('value', v_old, 'min', v_min, 'max', v_max));
  end if;
  if v_sum not between -9223372036854775808 and 9223372036854775807 then
    return rpc.problem('counter-overflow', json_build_object('value', v_old));
  end if;
  v_new := v_sum;

  if v_exists then
    update tenant.counters
      set value = v_new, min = v_min, max = v_max, updated_at = p_now
      where payer = p_payer and name = v_name;
  else
    v_problem := rpc.quota_problem(p_payer, 'counters');
    if v_problem is not null then
      return v_problem;
    end if;
    insert into tenant.counters (payer, name, value, min, max, created_at, updated_at)
      values (p_payer, v_name, v_new, v_min, v_max, p_now, p_now);
  end if;
  return json_build_object('ok', to_json(row(
    v_name, v_new, v_min, v_max, v_created_at, p_now, v_old, (v_sum - v_old) * p_sign, v_capped
  )::rpc.adjusted_counter));
end $$;

-- The counter after an increment or a decrement. Most calls end after the first statement: the counter exists, its
-- bounds stay, and no bound stops it.
--   p_sign  1: increment, -1: decrement
create function rpc.add_to_counter(p_payer text, p_params jsonb, p_sign integer) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_name text := p_params->>'name';
  v_delta numeric := (p_params->>'amount')::bigint::numeric * p_sign;
  v_min bigint;
  v_max bigint;
  v_created_at timestamptz;
  v_new bigint;
begin
  if not p_params ?| '{min,max}' then
    update tenant.counters
      set value = value + v_delta, updated_at = v_now
      where payer = p_payer and name = v_name
        and case
          when v_delta > 0 then value + v_delta <= coalesce(max, 9223372036854775807)
          else value + v_delta >= coalesce(min, -9223372036854775808)
        end
      returning value, min, max, created_at into v_new, v_min, v_max, v_created_at;
    if found then
      return json_build_object('ok', to_json(row(
        v_name, v_new, v_min, v_max, v_created_at, v_now, v_new - v_delta, v_delta * p_sign, false
      )::rpc.adjusted_counter));
    end if;
  end if;
  return rpc.move_within_bounds(p_payer, p_params, v_delta, p_sign, v_now);
end $$;

-- Written in SQL, so that PostgreSQL inlines them.
create function rpc.increment(p_payer text, p_params jsonb) returns json
language sql
as $$
  select rpc.add_to_counter(p_payer, p_params, 1)
$$;

create function rpc.decrement(p_payer text, p_params jsonb) returns json
language sql
as $$
  select rpc.add_to_counter(p_payer, p_params, -1)
$$;

create function rpc.reset_counter(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_name text := p_params->>'name';
  v_new bigint := (p_params->>'value')::bigint;
  v_exists boolean;
  v_old bigint;
  v_min bigint;
  v_max bigint;
  v_created_at timestamptz;
  v_problem json;
begin
  select value, min, max, created_at into v_old, v_min, v_max, v_created_at
    from tenant.counters
    where payer = p_payer and name = v_name;
  v_exists := found;
  if v_new < v_min or v_new > v_max then
    return rpc.invalid_value('/value', 'must be within the bounds of the counter');
  end if;
  if v_exists then
    update tenant.counters
      set value = v_new, updated_at = v_now
      where payer = p_payer and name = v_name;
  else
    v_problem := rpc.quota_problem(p_payer, 'counters');
    if v_problem is not null then
      return v_problem;
    end if;
    v_old := 0;
    v_created_at := v_now;
    insert into tenant.counters (payer, name, value, created_at, updated_at)
      values (p_payer, v_name, v_new, v_now, v_now);
  end if;
  return json_build_object('ok', json_build_object(
    'name', v_name, 'value', v_new, 'min', v_min, 'max', v_max, 'createdAt', v_created_at, 'updatedAt', v_now,
    'previousValue', v_old));
end $$;

create function rpc.delete_counter(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_name text := p_params->>'name';
begin
  delete from tenant.counters
    where payer = p_payer and name = v_name;
  if not found then
    return rpc.problem('not-found');
  end if;
  return '{"ok":null}';
end $$;

create function rpc.get_counter(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_name text := p_params->>'name';
  v_counter rpc.shown_counter;
begin
  select name, value, min, max, created_at, updated_at into v_counter
    from tenant.counters
    where payer = p_payer and name = v_name;
  if not found then
    return rpc.problem('not-found');
  end if;
  return json_build_object('ok', v_counter);
end $$;

-- A page of counters, sorted by name. Reads one row more than the page, to know whether a next page exists. The prefix
-- becomes a range of the primary key that ends with the prefix and the highest characters (src/name.rs).
create function rpc.list_counters(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_prefix text := coalesce(p_params->>'prefix', '');
  v_last text := v_prefix || {{prefix_end}};
  v_after text := coalesce(p_params->>'cursor', '');
  v_limit integer := (p_params->>'limit')::integer;
  v_counter rpc.shown_counter;
  v_items json[] := '{}';
  v_next text;
begin
  for v_counter in
    select name, value, min, max, created_at, updated_at
      from tenant.counters
      where payer = p_payer and name > v_after and name >= v_prefix and name <= v_last
      order by name
      limit v_limit + 1
  loop
    if cardinality(v_items) = v_limit then
      v_next := v_after;
      exit;
    end if;
    v_items := v_items || to_json(v_counter);
    v_after := v_counter.name;
  end loop;
  return json_build_object('ok', json_build_object('items', array_to_json(v_items), 'nextCursor', v_next));
end $$;
