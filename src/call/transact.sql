-- Many calls as one: all or nothing. The one place with a subtransaction, which is what "nothing" takes.
--   calls: [{"method": .., "params": .., "write": true, "guard"?: ..}]
--     with references: "pieces" instead of "params", the text of the parameters cut where the references stand, and
--     "refs": [{"call": of whose result, "from": [path in it], "pointer": for the problem}], one less than the pieces
create function rpc.transact(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
declare
  v_calls jsonb := p_params->'calls';
  v_at integer := 0;
  v_call jsonb;
  v_params jsonb;
  v_pieces text[];
  v_ref jsonb;
  v_result text;
  v_value jsonb;
  v_answer json;
  v_results json[] := '{}';
  -- Of all results, and of each as often as it is referred to.
  v_bytes bigint := 0;
  v_bytes_max constant bigint := {{results_bytes_max}};
  v_problem jsonb;
begin
  begin
    while v_at < jsonb_array_length(v_calls) loop
      v_call := v_calls->v_at;
      if v_call ? 'refs' then
        v_pieces := array[v_call->'pieces'->>0];
        for i in 1 .. jsonb_array_length(v_call->'refs') loop
          v_ref := v_call->'refs'->(i - 1);
          v_result := v_results[(v_ref->>'call')::integer + 1];
          v_bytes := v_bytes + octet_length(v_result);
          exit when v_bytes > v_bytes_max;
          v_value := v_result::jsonb #> array(select jsonb_array_elements_text(v_ref->'from'));
          if v_value is null then
            v_problem := (rpc.invalid_value(v_ref->>'pointer', 'the result has no such member')->'problem')::jsonb;
            raise exception using errcode = 'PB001', message = 'rolled back';
          end if;
          v_pieces := v_pieces || array[v_value::text, v_call->'pieces'->>i];
        end loop;
        exit when v_bytes > v_bytes_max;
        v_params := array_to_string(v_pieces, '');
        if exists (
          select
            from jsonb_each(v_params)
            where key in ('id', 'name', 'queue', 'slug', 'lease', 'token') and jsonb_typeof(value) not in ('string', 'null')
        ) then
          raise data_exception using message = 'a name or an id is a text';
        end if;
        -- 64 levels in a member, as for what is given.
        if v_params @? '$.**{66}' then
          v_problem := (rpc.invalid_value('/calls/' || v_at || '/params', 'must be nested at most 64 levels deep')->'problem')::jsonb;
          raise exception using errcode = 'PB001', message = 'rolled back';
        end if;
      else
        v_params := v_call->'params';
      end if;
      v_answer := rpc.check_guard(p_payer, v_call->'guard');
      if v_answer is null then
        if (v_call->>'write')::boolean then
          v_answer := rpc.dispatch_write(p_payer, v_call->>'method', v_params);
        else
          v_answer := rpc.dispatch_read(p_payer, v_call->>'method', v_params);
        end if;
      end if;
      v_problem := (v_answer->'problem')::jsonb;
      if v_problem is not null then
        if v_problem ? 'errors' then
          v_problem := v_problem || jsonb_build_object('errors', (
            select jsonb_agg(error || jsonb_build_object('pointer', '/calls/' || v_at || '/params' || (error->>'pointer')))
              from jsonb_array_elements(v_problem->'errors') as error));
        end if;
        raise exception using errcode = 'PB001', message = 'rolled back';
      end if;
      v_results := v_results || (v_answer->'ok');
      v_bytes := v_bytes + octet_length(v_answer::text);
      exit when v_bytes > v_bytes_max;
      v_at := v_at + 1;
    end loop;
    if v_bytes > v_bytes_max then
      v_problem := jsonb_build_object('code', 'payload-too-large', 'limitBytes', v_bytes_max,
        'detail', 'What the calls answer and refer to is larger than the limit.');
      raise exception using errcode = 'PB001', message = 'rolled back';
    end if;
  exception
    when sqlstate 'PB001' then
      null;
    when data_exception or integrity_constraint_violation then
      -- What callers write is parsed before it comes here; what a result brings is not.
      if not v_call ? 'refs' then
        raise;
      end if;
      v_problem := (rpc.invalid_value('/calls/' || v_at || '/params', 'what a $ref stands for does not fit its place')->'problem')::jsonb;
  end;
  if v_problem is not null then
    return json_build_object('problem', v_problem || jsonb_build_object('index', v_at, 'method', v_call->'method'));
  end if;
  return json_build_object('ok', json_build_object('results', array_to_json(v_results)));
end $$;
