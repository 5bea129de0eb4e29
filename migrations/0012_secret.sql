-- A secret of this database, and what payers share keyed with it: the advisory locks of payers, and the keys of the index
-- over the memories of all payers. Without the secret, nobody can choose a name or a word whose number equals another
-- payer's. The index itself is built by `payerbase migrate` (src/db/migrate/online.rs), while servers write.
set local role payerbase_owner;

-- A number for a payer and a purpose: 64 bits of a SHA-256 over the secret. The secret is a constant of the body, so the
-- function is immutable, may be used in an index, and is in every back-up.
do $$
declare
  v_secret text := encode(sha256(convert_to(
    concat(gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid()), 'UTF8')), 'hex');
begin
  execute format(
    'create function tenant.secret_number(p_purpose text, p_payer text) returns bigint
     language sql immutable parallel safe
     return hashtextextended(encode(sha256(decode(%L || p_purpose || '' '' || p_payer, ''escape'')), ''hex'') collate "C", 0)',
    v_secret);
end $$;

-- The advisory lock that orders the turns of a payer.
create function tenant.payer_lock(p_payer text) returns bigint
language sql immutable parallel safe
as $$
  select tenant.secret_number('lock', p_payer)
$$;
-- Whether a turn of an earlier version may still run. Those take the lock hashtextextended(payer, 0). `payerbase migrate`
-- replaces this function when none of them is left.
create function tenant.has_old_turns() returns boolean
language sql immutable parallel safe
as $$
  select true
$$;

-- A key of a memory: its namespace (n), a word (w), a tag (t), or a scalar of its metadata (m). The seed is a secret of the
-- payer, so that keys of two payers are equal only by chance, one in 2^64.
create function tenant.hashed_key(p_payer text, p_kind text, p_what text) returns bigint
language sql immutable parallel safe
as $$
  select hashtextextended(p_kind || p_what, tenant.secret_number('memory', p_payer))
$$;
-- A member of the metadata as text. 1 and 1.0 are one number.
create function tenant.metadata_text(p_name text, p_value jsonb) returns text
language sql immutable parallel safe
as $$
  select p_name || ' ' || case jsonb_typeof(p_value) when 'number' then trim_scale(p_value::numeric)::text else p_value::text end
$$;
-- All keys of a memory, as tenant.hashed_key makes them. The secret number of the payer is computed once.
create function tenant.hashed_keys(p_payer text, p_namespace text, p_words tsvector, p_tags text[], p_metadata jsonb)
returns bigint[]
language sql immutable parallel safe
as $$
  select array(
    select hashtextextended(key, secret.number)
      from (select tenant.secret_number('memory', p_payer) as number offset 0) as secret
      cross join (
        select 'n' || p_namespace as key
        union all
        select 'w' || word
          from unnest(tsvector_to_array(p_words)) as word
        union all
        select 't' || tag
          from unnest(p_tags) as tag
        union all
        select 'm' || tenant.metadata_text(member.key, element)
          from jsonb_each(p_metadata) as member
          cross join lateral jsonb_path_query(member.value, '$[*]') as element
          where jsonb_typeof(element) not in ('object', 'array')
      ) as keys)
$$;

grant execute on function
  tenant.secret_number(text, text), tenant.payer_lock(text), tenant.has_old_turns(), tenant.hashed_key(text, text, text),
  tenant.metadata_text(text, jsonb), tenant.hashed_keys(text, text, tsvector, text[], jsonb)
  to payerbase_rpc;
grant execute on function
  tenant.secret_number(text, text), tenant.metadata_text(text, jsonb),
  tenant.hashed_keys(text, text, tsvector, text[], jsonb)
  to payerbase_search;
reset role;
