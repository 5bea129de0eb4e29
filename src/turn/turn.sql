-- The turn: every call of every primitive runs in here. Installed as payerbase_rpc by `payerbase migrate`.

-- What time it is. The one clock of every method: tests put another in its place.
create function rpc.now() returns timestamptz
language sql volatile
as $$
  select clock_timestamp()
$$;

-- One write of one payer, under the payer's lock. The answer is {"ok": result} or {"problem": {"code": .., ..}}.
create function rpc.write(p_payer text, p_method text, p_params jsonb) returns json
language plpgsql
as $$
begin
  case p_method
    when 'increment' then return rpc.increment(p_payer, p_params);
    when 'decrement' then return rpc.decrement(p_payer, p_params);
    when 'resetCounter' then return rpc.reset_counter(p_payer, p_params);
    when 'deleteCounter' then return rpc.delete_counter(p_payer, p_params);
    when 'followLink' then return rpc.follow_link(p_payer, p_params);
    when 'pushJob' then return rpc.push_job(p_payer, p_params);
    when 'popJob' then return rpc.pop_job(p_payer, p_params);
    when 'completeJob' then return rpc.complete_job(p_payer, p_params);
    when 'failJob' then return rpc.fail_job(p_payer, p_params);
    when 'acquireLock' then return rpc.acquire_lock(p_payer, p_params);
    when 'releaseLock' then return rpc.release_lock(p_payer, p_params);
    when 'extendLock' then return rpc.extend_lock(p_payer, p_params);
    when 'transact' then return rpc.transact(p_payer, p_params);
    when 'pushJobs' then return rpc.push_jobs(p_payer, p_params);
    when 'popJobs' then return rpc.pop_jobs(p_payer, p_params);
    when 'extendJob' then return rpc.extend_job(p_payer, p_params);
    when 'cancelJob' then return rpc.cancel_job(p_payer, p_params);
    when 'retryDead' then return rpc.retry_dead(p_payer, p_params);
    when 'purgeQueue' then return rpc.purge_queue(p_payer, p_params);
    when 'createLink' then return rpc.create_link(p_payer, p_params);
    when 'updateLink' then return rpc.update_link(p_payer, p_params);
    when 'recordClick' then return rpc.record_click(p_payer, p_params);
    when 'deleteLink' then return rpc.delete_link(p_payer, p_params);
    when 'sweepIdempotency' then return rpc.sweep_idempotency(p_payer);
    when 'sweepLocks' then return rpc.sweep_locks(p_payer);
    when 'sweepQueues' then return rpc.sweep_queues(p_payer);
    when 'sweepJobs' then return rpc.sweep_jobs(p_payer);
    when 'sweepLinks' then return rpc.sweep_links(p_payer, p_params);
    when 'storeMemory' then return rpc.store_memory(p_payer, p_params);
    when 'storeMemories' then return rpc.store_memories(p_payer, p_params);
    when 'updateMemory' then return rpc.update_memory(p_payer, p_params);
    when 'forgetMemory' then return rpc.forget_memory(p_payer, p_params);
    when 'sweepMemories' then return rpc.sweep_memories(p_payer);
    when 'growGraph' then return rpc.grow_graph(p_payer, p_params);
    else raise exception 'no write method %', p_method;
  end case;
end $$;

-- One read of one payer, without a lock.
create function rpc.look(p_payer text, p_method text, p_params jsonb) returns json
language plpgsql
as $$
begin
  case p_method
    when 'getCounter' then return rpc.get_counter(p_payer, p_params);
    when 'getJob' then return rpc.get_job(p_payer, p_params);
    when 'checkLock' then return rpc.check_lock(p_payer, p_params);
    when 'getLink' then return rpc.get_link(p_payer, p_params);
    when 'listCounters' then return rpc.list_counters(p_payer, p_params);
    when 'listLocks' then return rpc.list_locks(p_payer, p_params);
    when 'listJobs' then return rpc.list_jobs(p_payer, p_params);
    when 'queueStatus' then return rpc.queue_status(p_payer, p_params);
    when 'listQueues' then return rpc.list_queues(p_payer, p_params);
    when 'listLinks' then return rpc.list_links(p_payer, p_params);
    when 'getLinkStats' then return rpc.get_link_stats(p_payer, p_params);
    when 'recallMemory' then return rpc.recall_memory(p_payer, p_params);
    when 'searchMemories' then return rpc.search_memories(p_payer, p_params);
    when 'listMemories' then return rpc.list_memories(p_payer, p_params);
    when 'getMe' then return rpc.get_me(p_payer);
    when 'hasAnswer' then return rpc.has_answer(p_payer, p_params);
    else raise exception 'no read method %', p_method;
  end case;
end $$;

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

-- Whether a write has been answered under its key and will be for some time: it runs no more.
--   p_around  as in rpc.write_around
create function rpc.has_answer(p_payer text, p_around jsonb) returns json
language sql stable
as $$
  select json_build_object('ok', exists (
    select
      from tenant.idempotency
      where payer = p_payer and key_sha256 = decode(p_around->>'key', 'hex') and created_at > rpc.now() - interval '23 hours 59 minutes'))
$$;

-- A write with what its caller put around it. Its idempotency record is written with it, or neither is.
--   p_around  {"key": .., "request": .., "guard": {"lock": .., "fence": ..}}; key and request are SHA-256 in hex
create function rpc.write_around(p_payer text, p_method text, p_params jsonb, p_around jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_key bytea := decode(p_around->>'key', 'hex');
  v_request bytea := decode(p_around->>'request', 'hex');
  v_seen record;
  v_answer json;
begin
  if v_key is not null then
    select request_sha256, answer, created_at into v_seen
      from tenant.idempotency
      where payer = p_payer and key_sha256 = v_key;
    if v_seen.created_at > v_now - interval '24 hours' then
      if v_seen.request_sha256 <> v_request then
        return rpc.problem('idempotency-mismatch');
      end if;
      return json_build_object('replay', v_seen.answer);
    end if;
  end if;
  v_answer := rpc.check_guard(p_payer, p_around->'guard');
  if v_answer is null then
    v_answer := rpc.write(p_payer, p_method, p_params);
  end if;
  -- A problem changed nothing, and neither did a pop that found nothing: asked again, they may end better.
  if v_key is not null and json_typeof(v_answer->'ok') is not null and not (
    (p_method = 'popJob' and json_typeof(v_answer->'ok') = 'null')
    or (p_method = 'popJobs' and json_array_length(v_answer->'ok'->'jobs') = 0)
  ) then
    insert into tenant.idempotency (payer, key_sha256, request_sha256, answer, created_at)
      values (p_payer, v_key, v_request, v_answer->'ok', v_now)
      on conflict (payer, key_sha256) do update
        set request_sha256 = excluded.request_sha256, answer = excluded.answer, created_at = excluded.created_at;
  end if;
  return v_answer;
end $$;

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
  v_bytes_max constant bigint := 8388608;
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
          v_answer := rpc.write(p_payer, v_call->>'method', v_params);
        else
          v_answer := rpc.look(p_payer, v_call->>'method', v_params);
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

-- A batch of writes: one statement, one transaction, one commit for all. The calls of one payer stand together and the
-- payers in one order in every batch, so that two batches never wait for each other in a circle.
--   p_route    a payer of the batch; says which node of a cluster runs it
--   p_arounds  what stands around each call (rpc.write_around); null for most
--   p_wait_ms  0: a payer whose lock is taken answers {"busy": null} and nothing waits;
--              else its lock is waited for so long (then SQLSTATE 55P03): only for batches of one payer
-- `ran` is the time in here, so that the caller can tell it from the time of the commit. Functions are called in
-- assignments, not with `perform`, which would run each as a query of its own.
create function rpc.turn(
  p_route text, p_payers text[], p_methods text[], p_params text[], p_arounds text[], p_wait_ms integer,
  out results text[], out ran interval
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_started timestamptz := clock_timestamp();
  v_payer text := '';
  v_locked boolean;
begin
  if p_route <> all (p_payers) then
    raise exception 'the route is not a payer of the batch';
  end if;
  for i in 1 .. cardinality(p_payers) loop
    if p_payers[i] <> v_payer then
      v_payer := set_config('payerbase.payer', p_payers[i], true);
      v_locked := pg_try_advisory_xact_lock(hashtextextended(v_payer, 0));
      if not v_locked and p_wait_ms > 0 then
        perform set_config('lock_timeout', p_wait_ms::text, true), pg_advisory_xact_lock(hashtextextended(v_payer, 0));
        v_locked := true;
      end if;
    end if;
    -- What must be atomic with every write belongs here, around the call: its price will be the next.
    if not v_locked then
      results[i] := '{"busy":null}';
    elsif p_arounds[i] is null then
      results[i] := rpc.write(v_payer, p_methods[i], p_params[i]::jsonb);
    else
      results[i] := rpc.write_around(v_payer, p_methods[i], p_params[i]::jsonb, p_arounds[i]::jsonb);
    end if;
  end loop;
  ran := clock_timestamp() - v_started;
end $$;

-- A batch of reads: no lock, and the transaction is made read-only.
create function rpc.read(
  p_route text, p_payers text[], p_methods text[], p_params text[],
  out results text[], out ran interval
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_started timestamptz := clock_timestamp();
  v_payer text;
begin
  if p_route <> all (p_payers) then
    raise exception 'the route is not a payer of the batch';
  end if;
  v_payer := set_config('transaction_read_only', 'on', true);
  for i in 1 .. cardinality(p_payers) loop
    if p_payers[i] <> v_payer then
      v_payer := set_config('payerbase.payer', p_payers[i], true);
    end if;
    results[i] := rpc.look(v_payer, p_methods[i], p_params[i]::jsonb);
  end loop;
  ran := clock_timestamp() - v_started;
end $$;

-- Forgets what was answered a day ago, a thousand at a time.
create function rpc.sweep_idempotency(p_payer text) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_until timestamptz := rpc.now() - interval '24 hours';
  v_keys bytea[];
  v_count integer;
begin
  v_keys := array(
    select key_sha256
      from tenant.idempotency
      where payer = p_payer and created_at <= v_until
      limit 1000);
  delete from tenant.idempotency
    where payer = p_payer and key_sha256 = any (v_keys);
  get diagnostics v_count = row_count;
  return json_build_object('ok', v_count);
end $$;

grant execute on function rpc.turn(text, text[], text[], text[], text[], integer) to payerbase_app;
grant execute on function rpc.read(text, text[], text[], text[]) to payerbase_app;
