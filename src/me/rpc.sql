-- What a payer has. Installed as payerbase_rpc.
create function rpc.get_me(p_payer text) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_counters bigint;
begin
  select count(*) into v_counters
    from tenant.counters
    where payer = p_payer;
  return json_build_object('ok', json_build_object('counters', v_counters));
end $$;
