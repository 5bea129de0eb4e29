-- A run of increments, or of decrements, as a set. Installed as payerbase_rpc; runs in a turn, which holds the payer's
-- lock.

-- Adds the amounts of several calls to their counters with one update. A counter may have several calls. Returns one
-- result per call, as rpc.add_to_counter does.
--   p_params  the parameters of each call
--   p_sign    1: increment, -1: decrement
create function rpc.add_to_counters(p_payer text, p_params jsonb, p_sign integer) returns json[]
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_call jsonb;
  v_name text;
  -- Per call: its amount with the sign, and the index of the call before it with the same counter.
  v_deltas numeric[] := '{}';
  v_before integer[] := '{}';
  -- Per counter: its name, the sum of its amounts, and the index of its last call.
  v_names text[] := '{}';
  v_totals numeric[] := '{}';
  v_last integer[] := '{}';
  v_at integer;
  v_counter record;
  v_value numeric;
  v_is_plain boolean := true;
  v_answers json[] := '{}';
begin
  for i in 1 .. jsonb_array_length(p_params) loop
    v_call := p_params->(i - 1);
    v_name := v_call->>'name';
    v_deltas[i] := (v_call->>'amount')::numeric * p_sign;
    v_is_plain := v_is_plain and not v_call ?| '{min,max}' and v_deltas[i] * p_sign >= 0;
    v_at := coalesce(array_position(v_names, v_name), cardinality(v_names) + 1);
    v_names[v_at] := v_name;
    v_totals[v_at] := coalesce(v_totals[v_at], 0) + v_deltas[i];
    v_before[i] := v_last[v_at];
    v_last[v_at] := i;
  end loop;
  -- All amounts have one sign. If no bound stops the sum of them, no bound stops one of the calls.
  if v_is_plain then
    for v_counter in
      update tenant.counters
        set value = value + v_totals[array_position(v_names, name::text)], updated_at = v_now
        where payer = p_payer and name = any (v_names)
          and case
            when p_sign > 0
              then value + v_totals[array_position(v_names, name::text)] <= coalesce(max, 9223372036854775807)
            else value + v_totals[array_position(v_names, name::text)] >= coalesce(min, -9223372036854775808)
          end
        returning array_position(v_names, name::text) as at, name, value, min, max, created_at
    loop
      -- From the last call of the counter to its first.
      v_at := v_last[v_counter.at];
      v_value := v_counter.value;
      while v_at is not null loop
        v_answers[v_at] := json_build_object('ok', to_json(row(
          v_counter.name, v_value, v_counter.min, v_counter.max, v_counter.created_at, v_now,
          v_value - v_deltas[v_at], v_deltas[v_at] * p_sign, false)::rpc.adjusted_counter));
        v_value := v_value - v_deltas[v_at];
        v_at := v_before[v_at];
      end loop;
    end loop;
  end if;
  -- The other counters do not exist, or a bound may stop one of their calls. The calls of a counter keep their order.
  for i in 1 .. jsonb_array_length(p_params) loop
    if v_answers[i] is null then
      v_answers[i] := rpc.add_to_counter(p_payer, p_params->(i - 1), p_sign);
    end if;
  end loop;
  return v_answers;
end $$;

create function rpc.increment_run(p_payer text, p_params jsonb) returns json[]
language sql
as $$
  select rpc.add_to_counters(p_payer, p_params, 1)
$$;

create function rpc.decrement_run(p_payer text, p_params jsonb) returns json[]
language sql
as $$
  select rpc.add_to_counters(p_payer, p_params, -1)
$$;
