-- A run of increments as a set. Installed as payerbase_rpc; runs in a turn, which holds the payer's lock.

-- Adds the amounts of several calls to their counters with one update. A counter may have several calls. Returns one
-- result per call: NULL if the counter does not exist or a bound may stop one of its calls; then it is unchanged.
--   p_names, p_deltas  counter and amount of each call
create function rpc.move_counters(p_payer text, p_names text[], p_deltas numeric[], p_now timestamptz) returns json[]
language plpgsql
as $$
#variable_conflict use_column
declare
  v_count constant integer := cardinality(p_names);
  -- Per counter: its name, the sum of its amounts, and the highest and the lowest sum after one of its calls: these are
  -- compared with the bounds.
  v_names text[] := '{}';
  v_totals numeric[] := '{}';
  v_highs numeric[] := '{}';
  v_lows numeric[] := '{}';
  -- Per call: the index of its counter in these arrays, and the sum of that counter after the call.
  v_places integer[] := '{}';
  v_sums numeric[] := '{}';
  v_counter record;
  -- Per counter that was updated: its value before the run, and its other columns.
  v_values numeric[] := '{}';
  v_mins bigint[] := '{}';
  v_maxs bigint[] := '{}';
  v_created timestamptz[] := '{}';
  v_at integer;
  v_sum numeric;
  v_answers json[] := '{}';
begin
  for i in 1 .. v_count loop
    v_at := coalesce(array_position(v_names, p_names[i]), cardinality(v_names) + 1);
    v_sum := coalesce(v_totals[v_at], 0) + p_deltas[i];
    v_names[v_at] := p_names[i];
    v_totals[v_at] := v_sum;
    if p_deltas[i] > 0 then
      v_highs[v_at] := greatest(v_highs[v_at], v_sum);
    else
      v_lows[v_at] := least(v_lows[v_at], v_sum);
    end if;
    v_places[i] := v_at;
    v_sums[i] := v_sum;
  end loop;
  for v_counter in
    update tenant.counters
      set value = value + v_totals[array_position(v_names, name::text)], updated_at = p_now
      where payer = p_payer and name = any (v_names)
        and coalesce(value + v_highs[array_position(v_names, name::text)] <= coalesce(max, 9223372036854775807), true)
        and coalesce(value + v_lows[array_position(v_names, name::text)] >= coalesce(min, -9223372036854775808), true)
      returning name, value, min, max, created_at
  loop
    v_at := array_position(v_names, v_counter.name::text);
    v_values[v_at] := v_counter.value - v_totals[v_at];
    v_mins[v_at] := v_counter.min;
    v_maxs[v_at] := v_counter.max;
    v_created[v_at] := v_counter.created_at;
  end loop;
  for i in 1 .. v_count loop
    v_at := v_places[i];
    if v_values[v_at] is not null then
      v_sum := v_values[v_at] + v_sums[i];
      v_answers[i] := json_build_object('ok', json_build_object(
        'name', p_names[i], 'value', v_sum, 'min', v_mins[v_at], 'max', v_maxs[v_at], 'createdAt', v_created[v_at],
        'updatedAt', p_now, 'previousValue', v_sum - p_deltas[i], 'applied', p_deltas[i], 'capped', false));
    end if;
  end loop;
  return v_answers;
end $$;

-- A run of increments. Returns one result per call, as rpc.increment does.
--   p_params  the parameters of each call
create function rpc.increment_run(p_payer text, p_params jsonb) returns json[]
language plpgsql
as $$
declare
  v_now timestamptz := rpc.now();
  v_names text[] := '{}';
  v_deltas numeric[] := '{}';
  v_call jsonb;
  v_has_bounds boolean := false;
  v_answers json[] := '{}';
begin
  for i in 1 .. jsonb_array_length(p_params) loop
    v_call := p_params->(i - 1);
    v_names[i] := v_call->>'name';
    v_deltas[i] := (v_call->>'amount')::bigint;
    v_has_bounds := v_has_bounds or v_call ?| '{min,max}';
  end loop;
  if not v_has_bounds then
    v_answers := rpc.move_counters(p_payer, v_names, v_deltas, v_now);
  end if;
  -- Either all calls of a counter have a result by now or none has, so the calls of a counter keep their order.
  for i in 1 .. jsonb_array_length(p_params) loop
    if v_answers[i] is null then
      v_answers[i] := rpc.increment(p_payer, p_params->(i - 1));
    end if;
  end loop;
  return v_answers;
end $$;
