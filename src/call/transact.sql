-- Transactions. Installed as payerbase_rpc.

-- The result of a call as its caller sees it: with times in RFC 3339 with microseconds and `Z`, and with the members
-- that the server adds or leaves out. Only references need it. Values of callers stay as they are: payload, result,
-- metadata.
--   p_short_url  the short URL of an empty slug
create function rpc.shown_result(p_method text, p_result jsonb, p_short_url text) returns jsonb
language plpgsql stable
as $$
declare
  v_shown jsonb;
  v_list text;
begin
  if jsonb_typeof(p_result) <> 'object' then
    return p_result;
  end if;
  v_shown := p_result || coalesce((
    select jsonb_object_agg(key, to_char(value::timestamptz at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
      from jsonb_each_text(p_result)
      where (key like '%At' or key = 'at') and value is not null), '{}');
  foreach v_list in array '{jobs,memories,errors}'::text[] loop
    if v_shown ? v_list then
      v_shown := v_shown || jsonb_build_object(v_list, (
        select coalesce(jsonb_agg(rpc.shown_result(p_method, item, p_short_url) order by place), '[]')
          from jsonb_array_elements(v_shown->v_list) with ordinality as list (item, place)));
    end if;
  end loop;
  -- Only the result of a pop has a lease.
  if v_shown->'lease' = 'null' then
    v_shown := v_shown - 'lease';
  end if;
  return case
    when p_method in ('createLink', 'getLink', 'updateLink')
      then v_shown || jsonb_build_object('shortUrl', p_short_url || (v_shown->>'slug'))
    when p_method = 'recordClick' then v_shown - 'url'
    when p_method in ('acquireLock', 'extendLock') then v_shown - 'isCoded'
    when p_method in ('pushJob', 'pushJobs') and v_shown ? 'payload' then '{"deduplicated":false}' || v_shown
    when v_shown ? 'content' then '{"embedding":null}' || v_shown
    else v_shown
  end;
end $$;

-- Joins the pieces of the parameters of a call with the members of earlier results that it refers to.
--   p_results  the earlier results that the call refers to, each at the place of its call
--   p_bytes    size of the values of all references so far; `bytes` adds those of this call
--   problem    set if a member does not exist, or the values are too large
create function rpc.resolve_references(
  p_call jsonb, p_index integer, p_results jsonb[], p_bytes bigint,
  out params jsonb, out bytes bigint, out problem jsonb
)
language plpgsql stable
as $$
declare
  v_pieces text[] := array[p_call->'pieces'->>0];
  v_ref jsonb;
  v_value jsonb;
  v_text text;
begin
  bytes := p_bytes;
  for i in 1 .. jsonb_array_length(p_call->'refs') loop
    v_ref := p_call->'refs'->(i - 1);
    v_value := p_results[(v_ref->>'call')::integer + 1] #> array(select jsonb_array_elements_text(v_ref->'from'));
    if v_value is null then
      problem := rpc.invalid_value(v_ref->>'pointer', 'the result has no such member')->'problem';
      return;
    end if;
    v_text := v_value;
    bytes := bytes + octet_length(v_text);
    if bytes > {{referenced_bytes_max}} then
      problem := rpc.results_too_large(
        {{referenced_bytes_max}}, 'The values of all references are larger than the limit.');
      return;
    end if;
    v_pieces := v_pieces || array[v_text, p_call->'pieces'->>i];
  end loop;
  params := array_to_string(v_pieces, '');
  if octet_length((params->'payload')::text) > {{filled_bytes_max}}
    or octet_length((params->'result')::text) > {{filled_bytes_max}}
  then
    problem := jsonb_build_object('code', 'payload-too-large', 'limitBytes', {{filled_bytes_max}});
    return;
  end if;
  if exists (
    select
      from jsonb_each(params)
      where key in ('id', 'name', 'queue', 'slug', 'lease', 'token', 'title', 'dedupKey', 'group')
        and jsonb_typeof(value) not in ('string', 'null')
  ) then
    raise data_exception using message = 'a name, an id or a title is a text';
  end if;
  -- 3.0 is an integer, as in a request.
  params := params || coalesce((
    select jsonb_object_agg(key, trim_scale(value::numeric))
      from jsonb_each(params)
      where key in ('amount', 'min', 'max', 'value') and jsonb_typeof(value) = 'number'), '{}');
  -- 64 levels inside of a member, as in a request.
  if params @? '$.**{66}' then
    problem := rpc.invalid_value('/calls/' || p_index || '/params', 'must be nested at most 64 levels deep')->'problem';
  end if;
end $$;

create function rpc.results_too_large(p_limit integer, p_detail text) returns jsonb
language sql immutable
as $$
  select jsonb_build_object('code', 'payload-too-large', 'limitBytes', p_limit, 'detail', p_detail)
$$;

-- The results that a call refers to, as their caller sees them. A result is read once, however often it is referred to.
--   p_parsed     the results that were read before
--   p_short_url  the short URL of an empty slug
create function rpc.parse_referenced(
  p_refs jsonb, p_results json[], p_parsed jsonb[], p_short_url text
) returns jsonb[]
language plpgsql stable
as $$
declare
  v_at integer;
begin
  for i in 0 .. jsonb_array_length(p_refs) - 1 loop
    v_at := (p_refs->i->>'call')::integer + 1;
    if p_parsed[v_at] is null then
      p_parsed[v_at] := rpc.shown_result(p_refs->i->>'method', p_results[v_at]::jsonb, p_short_url);
    end if;
  end loop;
  return p_parsed;
end $$;

-- Runs the calls of a run. Returns one result per call.
create function rpc.transact_run(p_payer text, p_method text, p_run jsonb) returns json[]
language plpgsql
as $$
declare
  v_answers json[] := rpc.dispatch_run(p_payer, p_method, p_run);
begin
  for i in 1 .. jsonb_array_length(p_run) loop
    if v_answers[i] is null then
      v_answers[i] := rpc.dispatch_write(p_payer, p_method, p_run->(i - 1));
    end if;
  end loop;
  return v_answers;
end $$;

-- Runs one call.
create function rpc.transact_one(p_payer text, p_call jsonb, p_params jsonb) returns json
language plpgsql
as $$
declare
  v_answer json;
begin
  if p_call ? 'guard' then
    v_answer := rpc.check_guard(p_payer, p_call->'guard');
    if v_answer is not null then
      return v_answer;
    end if;
  end if;
  if p_call @> '{"write":true}' then
    return rpc.dispatch_write(p_payer, p_call->>'method', p_params);
  end if;
  return rpc.dispatch_read(p_payer, p_call->>'method', p_params, null);
end $$;

-- The problem of a call, with pointers into the transaction.
create function rpc.transact_problem(p_problem jsonb, p_index integer) returns jsonb
language sql immutable
as $$
  select case when p_problem ? 'errors' then p_problem || jsonb_build_object('errors', (
    select jsonb_agg(error || jsonb_build_object('pointer', '/calls/' || p_index || '/params' || (error->>'pointer')))
      from jsonb_array_elements(p_problem->'errors') as error)) else p_problem end
$$;

-- Runs several calls: all succeed, or none has an effect. This is the only function with a subtransaction.
-- "calls" has one object per call, or per run of calls of one method:
--   method  name of the method
--   write   whether the method writes
--   params  its parameters, if they contain no references
--   pieces  instead of params: the JSON text of the parameters, cut at each reference
--   refs    with pieces, one object per reference: "call", the index of the earlier call, and its "method"; "from",
--           the path of the value in the result of that call; "pointer", the position of the reference in the request
--   run     instead of params: the parameters of each call of a run
--   guard   optional: lock and fence (rpc.check_guard)
-- "shortUrl" is the short URL of an empty slug, if a call has references.
create function rpc.transact(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
declare
  v_calls jsonb := p_params->'calls';
  v_call jsonb;
  v_input record;
  v_answer json;
  v_answers json[];
  v_ok json;
  -- Their number is the index of the next call.
  v_results json[] := '{}';
  v_parsed jsonb[] := '{}';
  -- Size of all results, and of the values of all references.
  v_bytes bigint := 0;
  v_referenced bigint := 0;
  v_problem jsonb;
begin
  begin
    for i in 0 .. jsonb_array_length(v_calls) - 1 loop
      v_call := v_calls->i;
      if v_call ? 'run' then
        v_answers := rpc.transact_run(p_payer, v_call->>'method', v_call->'run');
      elsif v_call ? 'refs' then
        v_parsed := rpc.parse_referenced(v_call->'refs', v_results, v_parsed, p_params->>'shortUrl');
        v_input := rpc.resolve_references(v_call, cardinality(v_results), v_parsed, v_referenced);
        v_referenced := v_input.bytes;
        v_problem := v_input.problem;
        if v_problem is null then
          v_answers := array[rpc.transact_one(p_payer, v_call, v_input.params)];
        end if;
      else
        v_answers := array[rpc.transact_one(p_payer, v_call, v_call->'params')];
      end if;
      if v_problem is null then
        foreach v_answer in array v_answers loop
          v_ok := coalesce(v_answer->'ok', v_answer->'empty');
          v_bytes := v_bytes + octet_length(v_answer::text);
          if v_ok is null then
            v_problem := rpc.transact_problem((v_answer->'problem')::jsonb, cardinality(v_results));
          elsif v_bytes > {{results_bytes_max}} then
            v_problem := rpc.results_too_large(
              {{results_bytes_max}}, 'The results of the calls are larger than the limit.');
          end if;
          exit when v_problem is not null;
          v_results := v_results || v_ok;
        end loop;
      end if;
      if v_problem is not null then
        raise exception using errcode = 'PB001', message = 'rolled back';
      end if;
    end loop;
  exception
    when sqlstate 'PB001' then
      null;
    when data_exception or integrity_constraint_violation then
      -- Only the value of a reference is unchecked here: the types of the other parameters were checked before.
      if not v_call ? 'refs' then
        raise;
      end if;
      v_problem := rpc.invalid_value(
        '/calls/' || cardinality(v_results) || '/params', 'the value of a $ref does not fit its place')->'problem';
  end;
  if v_problem is not null then
    return json_build_object('problem', v_problem || jsonb_build_object(
      'index', cardinality(v_results), 'method', v_call->'method'));
  end if;
  return json_build_object('ok', json_build_object('results', array_to_json(v_results)));
end $$;
