-- pgvector, in the schema where functions with a pinned search_path look for it.
create extension if not exists vector with schema public;
do $$
begin
  if (select extnamespace from pg_extension where extname = 'vector') <> 'public'::regnamespace then
    raise exception 'the extension vector is installed outside of schema public'
      using hint = 'alter extension vector set schema public';
  end if;
  if string_to_array((select extversion from pg_extension where extname = 'vector'), '.')::integer[] < '{0,8}' then
    raise exception 'the extension vector is older than 0.8' using hint = 'alter extension vector update';
  end if;
end $$;

create domain tenant.metadata as jsonb check (jsonb_typeof(value) = 'object' and octet_length(value::text) <= 32768);
alter domain tenant.metadata owner to payerbase_owner;

-- Memories.
create table tenant.memories (
  -- What has a fixed width stands first, and what a search looks at before the rest: rows are taken apart from the left.
  -- The number of the vector in its space: a new one with every write of a vector, under the payer's lock.
  place bigint not null,
  importance double precision not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  -- 0: no vector.
  dimensions integer not null,
  -- Whether the server made the vector, of the content.
  is_made boolean not null,
  expires_at timestamptz,
  payer text collate "C" not null,
  id tenant.name not null,
  -- What made the vector; '' where the caller gave it and did not say. Vectors can be compared where model and dimensions
  -- are the same: that is a space.
  model text collate "C" not null,
  embedding public.vector,
  namespace tenant.name not null,
  tags text[] collate "C" not null,
  metadata tenant.metadata not null,
  content text not null,
  -- The lexemes of the content: stems with their positions, and the words as they stand, without.
  words tsvector not null
)
-- An exact search reads every vector of the payer: they stay in the row as long as that fits into a page.
with (fillfactor = 100, toast_tuple_target = 8160, autovacuum_vacuum_insert_scale_factor = 0.05);
alter table tenant.memories alter column embedding set storage main;
alter table tenant.memories owner to payerbase_owner;
alter table tenant.memories enable row level security;
alter table tenant.memories force row level security;
create policy memories_of_the_payer on tenant.memories to payerbase_rpc
  using (payer = tenant.current_payer())
  with check (payer = tenant.current_payer());
grant select, insert, update, delete on tenant.memories to payerbase_rpc;
create policy memories_to_sweep on tenant.memories for select to payerbase_sweeper using (true);
grant select (payer, expires_at) on tenant.memories to payerbase_sweeper;

-- What a memory can be found by, each as one number that no other payer's memories have (but by a chance of one in 2^64):
-- words, tags, and the scalars of its metadata and of the arrays in it. For the one index that is over all payers.
--   kind  n: namespace, t: tag, w: word; metadata_key: the name of the metadata and its value
create function tenant.memory_key(p_payer text, p_kind text, p_what text) returns bigint
language sql immutable parallel safe
as $$
  select hashtextextended(p_kind || p_payer || ' ' || p_what, 0)
$$;
-- 1 and 1.0 are one number.
create function tenant.metadata_key(p_payer text, p_name text, p_value jsonb) returns bigint
language sql immutable parallel safe
as $$
  select hashtextextended('m' || p_payer || ' ' || p_name || ' ' || case jsonb_typeof(p_value) when 'number' then trim_scale(p_value::numeric)::text else p_value::text end, 0)
$$;
create function tenant.memory_keys(p_payer text, p_namespace text, p_words tsvector, p_tags text[], p_metadata jsonb) returns bigint[]
language sql immutable parallel safe
as $$
  select array(
    select tenant.memory_key(p_payer, 'n', p_namespace)
    union all
    select tenant.memory_key(p_payer, 'w', word)
      from unnest(tsvector_to_array(p_words)) as word
    union all
    select tenant.memory_key(p_payer, 't', tag)
      from unnest(p_tags) as tag
    union all
    select tenant.metadata_key(p_payer, member.key, element)
      from jsonb_each(p_metadata) as member
      cross join lateral jsonb_path_query(member.value, '$[*]') as element
      where jsonb_typeof(element) not in ('object', 'array'))
$$;
alter function tenant.memory_key(text, text, text) owner to payerbase_owner;
alter function tenant.metadata_key(text, text, jsonb) owner to payerbase_owner;
alter function tenant.memory_keys(text, text, tsvector, text[], jsonb) owner to payerbase_owner;
grant execute on function
  tenant.memory_key(text, text, text), tenant.metadata_key(text, text, jsonb), tenant.memory_keys(text, text, tsvector, text[], jsonb)
  to payerbase_rpc, payerbase_search;

-- How many vectors a space may have that has no graph, and is searched exactly unless the caller wants it otherwise.
create function tenant.exact_max() returns bigint
language sql immutable
as $$
  select 50000::bigint
$$;
alter function tenant.exact_max() owner to payerbase_owner;
grant execute on function tenant.exact_max() to payerbase_rpc, payerbase_sweeper;
revoke execute on all functions in schema tenant from public;

-- Row-level security keeps a GIN index from being used, for its operators are not leakproof. So it is read by one role
-- that sees what is in it for all payers, and ids, and nothing else (src/memories/find.sql).
create policy memories_to_search on tenant.memories for select to payerbase_search using (true);
grant select (payer, id, namespace, words, tags, metadata) on tenant.memories to payerbase_search;
grant execute on function tenant.current_payer(), tenant.no_payer() to payerbase_search;
-- New entries are collected in a list, so that a store does not pay for each of its words; whoever makes it longer than
-- this, in KiB, merges it.
create index memories_by_key on tenant.memories using gin (tenant.memory_keys(payer, namespace, words, tags, metadata))
  with (fastupdate = on, gin_pending_list_limit = 256);
-- Search and lists within a namespace.
create index memories_by_namespace on tenant.memories (payer, namespace, id);
-- What has ended.
create index memories_expiring on tenant.memories (payer, expires_at) where expires_at is not null;
-- The vectors of a space in the order in which they go into its graph.
create index memories_by_space on tenant.memories (payer, model, dimensions, place) where dimensions > 0;
-- The last one, as with jobs.
alter table tenant.memories add primary key (payer, id);

-- The spaces of a payer. Those without a vector are counted as the space of '' with 0 dimensions.
create table tenant.memory_spaces (
  payer text collate "C" not null,
  model text collate "C" not null,
  dimensions integer not null,
  -- How many memories are in it, ended ones that have not been swept included.
  memories bigint not null,
  -- The last number that was given to a vector.
  last_place bigint not null,
  -- The vectors up to this number are in the graph; 0 without one.
  grown_until bigint not null,
  primary key (payer, model, dimensions)
)
-- Every store updates its space in place.
with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
alter table tenant.memory_spaces owner to payerbase_owner;
alter table tenant.memory_spaces enable row level security;
alter table tenant.memory_spaces force row level security;
create policy memory_spaces_of_the_payer on tenant.memory_spaces to payerbase_rpc
  using (payer = tenant.current_payer())
  with check (payer = tenant.current_payer());
grant select, insert, update, delete on tenant.memory_spaces to payerbase_rpc;
create policy memory_spaces_to_sweep on tenant.memory_spaces for select to payerbase_sweeper using (true);
grant select on tenant.memory_spaces to payerbase_sweeper;

-- The vectors of large spaces once more, for approximate search: HNSW finds neighbours along a graph. Only large spaces
-- pay for it, and the sweeper puts the vectors in, so no store waits for it. A graph holds the vectors of all payers of
-- its partition; the more of them are others', the more steps a search takes.
--   width  how many dimensions the vector was padded to with zeros, which changes no cosine: an index has one number
create table tenant.memory_graph (
  payer text collate "C" not null,
  id text collate "C" not null,
  width integer not null,
  model text collate "C" not null,
  dimensions integer not null,
  embedding public.halfvec not null,
  primary key (payer, id)
)
partition by hash (payer);
alter table tenant.memory_graph owner to payerbase_owner;
alter table tenant.memory_graph enable row level security;
alter table tenant.memory_graph force row level security;
create policy memory_graph_of_the_payer on tenant.memory_graph to payerbase_rpc
  using (payer = tenant.current_payer())
  with check (payer = tenant.current_payer());
grant select, insert, update, delete on tenant.memory_graph to payerbase_rpc;
do $$
declare
  v_table text;
begin
  for i in 0 .. 15 loop
    v_table := format('tenant.memory_graph_%s', i);
    execute format('create table %s partition of tenant.memory_graph for values with (modulus 16, remainder %s) with (toast_tuple_target = 8160)', v_table, i);
    execute format('alter table %s alter column embedding set storage main', v_table);
    execute format('alter table %s owner to payerbase_owner', v_table);
    -- Whoever reads a partition by its own name meets the fence there too.
    execute format('alter table %s enable row level security', v_table);
    execute format('alter table %s force row level security', v_table);
    execute format('create policy memory_graph_of_the_payer on %s to payerbase_rpc using (payer = tenant.current_payer()) with check (payer = tenant.current_payer())', v_table);
  end loop;
end $$;
create index memory_graph_384 on tenant.memory_graph using hnsw ((embedding::public.halfvec(384)) public.halfvec_cosine_ops)
  with (ef_construction = 128) where width = 384;
create index memory_graph_768 on tenant.memory_graph using hnsw ((embedding::public.halfvec(768)) public.halfvec_cosine_ops)
  with (ef_construction = 128) where width = 768;
create index memory_graph_1536 on tenant.memory_graph using hnsw ((embedding::public.halfvec(1536)) public.halfvec_cosine_ops)
  with (ef_construction = 128) where width = 1536;
create index memory_graph_3072 on tenant.memory_graph using hnsw ((embedding::public.halfvec(3072)) public.halfvec_cosine_ops)
  with (ef_construction = 128) where width = 3072;

-- What a search looks for, taken apart once (rpc.search_memories).
create type tenant.memory_query as (
  at timestamptz,
  namespace_min text,
  namespace_max text,
  filter jsonpath,
  tags_all text[],
  tags_any text[],
  -- What a memory that fits must have in the index: all of these. Those of tags and metadata, and that of the namespace.
  keys bigint[],
  namespace_keys bigint[],
  model text,
  dimensions integer,
  embedding public.vector,
  -- How many of the best to find.
  depth integer
);
alter type tenant.memory_query owner to payerbase_owner;
