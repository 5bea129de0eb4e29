-- Methods of locks. Owned by payerbase_rpc. Writes run in a turn (src/turn/turn.sql), which holds the payer's lock.

create function rpc.lock_token_sha256(p_params jsonb) returns bytea
language sql immutable
as $$
  select sha256(convert_to(p_params->>'token', 'UTF8'))
$$;

-- A lease as JSON, without the token: the database stores only its SHA-256, so the server adds it.
--   p_is_coded  whether the token is made with the key of the database; NULL: by a server before version 0.2
create function rpc.lease(
  p_name text, p_fence bigint, p_acquired_at timestamptz, p_expires_at timestamptz, p_is_coded boolean
) returns json
language sql immutable
as $$
  select json_build_object('ok', json_build_object(
    'name', p_name, 'fence', p_fence, 'acquiredAt', p_acquired_at, 'expiresAt', p_expires_at,
    'isCoded', p_is_coded))
$$;

-- The lease, or lock-held with the expiry of the current lease.
create function rpc.acquire_lock(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_name text := p_params->>'name';
  v_token_sha256 bytea := rpc.lock_token_sha256(p_params);
  v_is_coded boolean := p_params->>'isCoded';
  v_until timestamptz := v_now + make_interval(secs => (p_params->>'ttlMs')::integer / 1000.0);
  v_metadata jsonb := nullif(p_params->'metadata', 'null');
  v_lock record;
  v_fence bigint;
  v_problem json;
begin
  -- Only a value from a $ref can be larger, or a request of an older server.
  if octet_length(v_metadata::text) > {{lease_metadata_stored_max}} then
    return rpc.invalid_value(
      '/metadata',
      'must be at most {{lease_metadata_stored_max}} bytes of JSON with spaces and all digits of its numbers');
  end if;
  select fence, token_sha256, acquired_at, expires_at into v_lock
    from tenant.locks
    where payer = p_payer and name = v_name;
  if found then
    if v_lock.token_sha256 is not null and v_lock.expires_at > v_now then
      if v_lock.token_sha256 = v_token_sha256 then
        -- The holder retries, since it lost the first answer.
        return rpc.lease(v_name, v_lock.fence, v_lock.acquired_at, v_lock.expires_at, v_is_coded);
      end if;
      return rpc.problem('lock-held', json_build_object(
        'expiresAt', v_lock.expires_at,
        'expiresInMs', ceil(extract(epoch from v_lock.expires_at - v_now) * 1000)::bigint));
    end if;
    v_fence := v_lock.fence + 1;
    update tenant.locks
      set fence = v_fence, token_sha256 = v_token_sha256, acquired_at = v_now, expires_at = v_until,
        metadata = v_metadata
      where payer = p_payer and name = v_name;
  else
    v_problem := rpc.quota_problem(p_payer, 'locks');
    if v_problem is not null then
      return v_problem;
    end if;
    select last + 1 into v_fence
      from tenant.fences
      where payer = p_payer;
    v_fence := coalesce(v_fence, 1);
    insert into tenant.locks (payer, name, fence, token_sha256, acquired_at, expires_at, metadata)
      values (p_payer, v_name, v_fence, v_token_sha256, v_now, v_until, v_metadata);
  end if;
  return rpc.lease(v_name, v_fence, v_now, v_until, v_is_coded);
end $$;

-- The problem of a token that does not hold the lock; NULL if it does.
--   p_held  SHA-256 of the holder's token; NULL if the lock is free
create function rpc.lock_problem(p_held bytea, p_expires_at timestamptz, p_token_sha256 bytea, p_now timestamptz)
returns json
language plpgsql immutable
as $$
begin
  if p_held is null then
    return rpc.problem('lock-not-held');
  elsif p_expires_at > p_now then
    return case when p_held <> p_token_sha256 then rpc.problem('lock-wrong-token') end;
  elsif p_held = p_token_sha256 then
    return rpc.problem('lock-expired', json_build_object('expiredAt', p_expires_at));
  end if;
  return rpc.problem('lock-not-held');
end $$;

create function rpc.release_lock(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_name text := p_params->>'name';
  v_lock record;
  v_problem json;
begin
  select token_sha256, expires_at into v_lock
    from tenant.locks
    where payer = p_payer and name = v_name;
  v_problem := rpc.lock_problem(v_lock.token_sha256, v_lock.expires_at, rpc.lock_token_sha256(p_params), v_now);
  if v_problem is not null then
    return v_problem;
  end if;
  update tenant.locks
    set token_sha256 = null, expires_at = v_now, metadata = null
    where payer = p_payer and name = v_name;
  return '{"ok":null}';
end $$;

create function rpc.extend_lock(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_name text := p_params->>'name';
  v_until timestamptz := v_now + make_interval(secs => (p_params->>'ttlMs')::integer / 1000.0);
  v_lock record;
  v_problem json;
begin
  select fence, token_sha256, acquired_at, expires_at into v_lock
    from tenant.locks
    where payer = p_payer and name = v_name;
  v_problem := rpc.lock_problem(v_lock.token_sha256, v_lock.expires_at, rpc.lock_token_sha256(p_params), v_now);
  if v_problem is not null then
    return v_problem;
  end if;
  v_until := greatest(v_until, v_lock.expires_at);
  update tenant.locks
    set expires_at = v_until
    where payer = p_payer and name = v_name;
  return rpc.lease(v_name, v_lock.fence, v_lock.acquired_at, v_until, null);
end $$;

-- The problem of a write whose guard does not hold; NULL if the write may run.
--   p_guard  {"lock": .., "fence": ..}; NULL or {}: no guard
create function rpc.check_guard(p_payer text, p_guard jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_name text := p_guard->>'lock';
  v_fence bigint;
begin
  if v_name is null then
    return null;
  end if;
  select fence into v_fence
    from tenant.locks
    where payer = p_payer and name = v_name and token_sha256 is not null and expires_at > v_now;
  if v_fence = (p_guard->>'fence')::bigint then
    return null;
  end if;
  return rpc.problem('stale-fence', json_build_object('lock', v_name, 'fence', p_guard->'fence'));
end $$;

-- The state of a lock as JSON.
--   p_lock  its row while it is held, otherwise NULL
create function rpc.lock_json(p_name text, p_lock tenant.locks) returns json
language sql stable
as $$
  select json_build_object(
    'name', p_name, 'locked', p_lock.fence is not null, 'fence', p_lock.fence, 'acquiredAt', p_lock.acquired_at,
    'expiresAt', p_lock.expires_at, 'metadata', p_lock.metadata)
$$;

create function rpc.check_lock(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_name text := p_params->>'name';
  v_lock tenant.locks;
begin
  select * into v_lock
    from tenant.locks
    where payer = p_payer and name = v_name and token_sha256 is not null and expires_at > v_now;
  return json_build_object('ok', rpc.lock_json(v_name, v_lock));
end $$;

-- A page of the held locks, sorted by name.
create function rpc.list_locks(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := rpc.now();
  v_after text := coalesce(p_params->>'cursor', '');
  v_limit integer := (p_params->>'limit')::integer;
  v_lock tenant.locks;
  v_items json[] := '{}';
  v_next text;
begin
  for v_lock in
    select *
      from tenant.locks
      where payer = p_payer and name > v_after and token_sha256 is not null and expires_at > v_now
      order by name
      limit v_limit + 1
  loop
    if cardinality(v_items) = v_limit then
      v_next := v_after;
      exit;
    end if;
    v_items := v_items || rpc.lock_json(v_lock.name, v_lock);
    v_after := v_lock.name;
  end loop;
  return json_build_object('ok', json_build_object('items', array_to_json(v_items), 'nextCursor', v_next));
end $$;

-- Deletes locks, and keeps their highest fence. Returns their number.
create function rpc.drop_locks(p_payer text, p_names text[]) returns integer
language plpgsql
as $$
#variable_conflict use_column
declare
  v_fence bigint;
begin
  select max(fence) into v_fence
    from tenant.locks
    where payer = p_payer and name = any (p_names);
  if v_fence is null then
    return 0;
  end if;
  insert into tenant.fences (payer, last)
    values (p_payer, v_fence)
    on conflict (payer) do update set last = greatest(fences.last, excluded.last);
  delete from tenant.locks
    where payer = p_payer and name = any (p_names);
  return cardinality(p_names);
end $$;

-- Deletes up to 1,000 locks that have been free for an hour. Returns the number of locks deleted.
create function rpc.sweep_locks(p_payer text, p_params jsonb) returns json
language plpgsql
as $$
declare
  v_until timestamptz := rpc.now() - {{lock_kept}};
  v_names text[];
begin
  v_names := array(
    select name
      from tenant.locks
      where payer = p_payer and expires_at <= v_until
      limit {{locks_swept}});
  return json_build_object('ok', rpc.drop_locks(p_payer, v_names));
end $$;
