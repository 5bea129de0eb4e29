-- Problems, as methods return them. Installed as payerbase_rpc.

create function rpc.problem(p_code text, p_members json default null) returns json
language plpgsql immutable
as $$
begin
  return json_build_object('problem', (jsonb_build_object('code', p_code) || coalesce(p_members::jsonb, '{}'))::json);
end $$;

create function rpc.invalid_value(p_pointer text, p_detail text) returns json
language plpgsql immutable
as $$
begin
  return rpc.problem('invalid-value', json_build_object(
    'errors', json_build_array(json_build_object('pointer', p_pointer, 'detail', p_detail))));
end $$;
