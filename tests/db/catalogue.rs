//! Checks fences 2 to 4 of `docs/ARCHITECTURE.md` in `pg_catalog`, for every table and function.

use sqlx::{Executor as _, PgConnection};

use crate::database::TestDatabase;

/// Tables without `payer` as the first column of their keys, each with its reason. The list may only shrink.
const KEYED_OTHERWISE: &[(&str, &str)] = &[
    ("auth.tokens", "looked up before the payer is known"),
    ("slug.slugs", "the one namespace that payers share"),
    ("sweep.leader", "one row, without a payer"),
    ("tenant.memories tenant.memories_by_hashed_key", "each key is a hash of the payer and a value"),
    ("tenant.memory_graph", "an HNSW index has one column; it is read in partitions of payers, through the policy"),
];

async fn database() -> PgConnection {
    TestDatabase::shared().await.admin().await
}

/// Runs a query that returns violations of a rule. Fails if there are any, except for the exceptions.
async fn assert_none(database: &mut PgConnection, what: &str, query: &'static str) {
    let offenders: Vec<String> = sqlx::query_scalar(query).fetch_all(database).await.unwrap();
    let excepted = |offender: &String| KEYED_OTHERWISE.iter().any(|(table, _)| offender.starts_with(table));
    let offenders: Vec<String> = offenders.into_iter().filter(|offender| !excepted(offender)).collect();
    assert_eq!(offenders, Vec::<String>::new(), "{what}");
}

#[tokio::test]
async fn every_table_is_protected_by_row_level_security() {
    let mut db = database().await;
    assert_none(
        &mut db,
        "row-level security is enabled and forced",
        "
        select c.oid::regclass::text from pg_class c
        where c.relnamespace::regnamespace::text in ('tenant', 'auth', 'slug', 'sweep', 'search') and c.relkind in ('r', 'p')
          and not (c.relrowsecurity and c.relforcerowsecurity)",
    )
    .await;
    assert_none(
        &mut db,
        "tables are owned by payerbase_owner",
        "
        select c.oid::regclass::text from pg_class c
        where c.relnamespace::regnamespace::text in ('tenant', 'auth', 'slug', 'sweep', 'search') and c.relkind <> 'c'
          and c.relowner <> 'payerbase_owner'::regrole",
    )
    .await;
    assert_none(&mut db, "there are no tables outside of our schemas", "
        select c.oid::regclass::text from pg_class c
        where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and c.relname <> '_sqlx_migrations'
          and c.relnamespace::regnamespace::text not in ('tenant', 'auth', 'slug', 'sweep', 'search', 'pg_catalog', 'information_schema', 'pg_toast')").await;
    assert_none(&mut db, "no views, no materialised views, no sequences: they have no policy, or reveal row counts", "
        select c.oid::regclass::text from pg_class c
        where c.relnamespace::regnamespace::text in ('tenant', 'auth', 'slug', 'sweep', 'search', 'rpc') and c.relkind not in ('r', 'p', 'i', 'I', 't', 'c')").await;
    assert_none(&mut db, "every table has one policy, for one role, with USING and WITH CHECK", "
        select c.oid::regclass::text from pg_class c
        where c.relnamespace::regnamespace::text in ('tenant', 'auth', 'slug', 'sweep', 'search') and c.relkind in ('r', 'p')
          and (select count(*) from pg_policy p where p.polrelid = c.oid and p.polcmd = '*' and cardinality(p.polroles) = 1
            and p.polqual is not null and p.polwithcheck is not null and 0 <> all (p.polroles)) <> 1").await;
    assert_none(
        &mut db,
        "a tenant's policy compares the payer only, without a sub-select (which a cluster refuses)",
        "
        select p.polrelid::regclass::text from pg_policy p join pg_class c on c.oid = p.polrelid
        where c.relnamespace = 'tenant'::regnamespace
          and not (p.polcmd = 'r' and p.polroles in (array['payerbase_sweeper'::regrole::oid], array['payerbase_search'::regrole::oid],
            array['payerbase_backup'::regrole::oid]))
          and (pg_get_expr(p.polqual, p.polrelid) <> '(payer = tenant.current_payer())'
            or pg_get_expr(p.polwithcheck, p.polrelid) <> '(payer = tenant.current_payer())'
            or p.polroles <> array['payerbase_rpc'::regrole::oid])",
    )
    .await;
    assert_none(
        &mut db,
        "a dump by payerbase_backup has all rows of every table",
        "
        select c.oid::regclass::text from pg_class c
        where c.relnamespace::regnamespace::text in ('tenant', 'auth', 'slug', 'sweep', 'search') and c.relkind in ('r', 'p')
          and not (has_table_privilege('payerbase_backup', c.oid, 'select')
            and exists (select from pg_policy p where p.polrelid = c.oid and p.polcmd = 'r'
              and p.polroles = array['payerbase_backup'::regrole::oid] and pg_get_expr(p.polqual, p.polrelid) = 'true'))",
    )
    .await;
    let tables: i64 = sqlx::query_scalar(
        "select count(*) from pg_class where relnamespace = 'tenant'::regnamespace and relkind = 'r'",
    )
    .fetch_one(&mut db)
    .await
    .unwrap();
    assert!(tables >= 1, "the queries found tables");
}

#[tokio::test]
async fn every_key_starts_with_the_payer() {
    let mut db = database().await;
    assert_none(&mut db, "payer is the first column of every index, primary keys and unique keys too", "
        select i.indrelid::regclass::text || ' ' || i.indexrelid::regclass::text from pg_index i
        join pg_class c on c.oid = i.indrelid
        where c.relnamespace::regnamespace::text in ('tenant', 'auth', 'slug', 'sweep', 'search')
          and (select a.attname from pg_attribute a where a.attrelid = i.indrelid and a.attnum = i.indkey[0]) is distinct from 'payer'").await;
    assert_none(
        &mut db,
        "every table has a primary key and a payer that is never null, compared byte by byte",
        "
        select c.oid::regclass::text from pg_class c
        where c.relnamespace::regnamespace::text in ('tenant', 'auth', 'slug', 'sweep', 'search') and c.relkind in ('r', 'p')
          and (not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)
            or not exists (select from pg_attribute a join pg_collation l on l.oid = a.attcollation
              where a.attrelid = c.oid and a.attname = 'payer' and a.attnotnull and l.collname = 'C'))",
    )
    .await;
    assert_none(
        &mut db,
        "foreign keys ignore row-level security: each must hold the payer",
        "
        select k.conrelid::regclass::text || ' ' || k.conname from pg_constraint k
        where k.contype = 'f' and not exists (select from pg_attribute a
          where a.attrelid = k.conrelid and a.attnum = k.conkey[1] and a.attname = 'payer')",
    )
    .await;
    assert_none(
        &mut db,
        "no column is an identity or a serial: they break order on a cluster, and reveal row counts",
        "
        select a.attrelid::regclass::text || ' ' || a.attname from pg_attribute a join pg_class c on c.oid = a.attrelid
        where c.relnamespace::regnamespace::text in ('tenant', 'auth', 'slug', 'sweep', 'search') and c.relkind = 'r'
          and (a.attidentity <> '' or (a.atthasdef and not a.attisdropped))",
    )
    .await;
    assert_none(
        &mut db,
        "no triggers: a cluster has none",
        "
        select t.tgrelid::regclass::text || ' ' || t.tgname from pg_trigger t where not t.tgisinternal",
    )
    .await;
    assert_none(
        &mut db,
        "no CHECK constraints on tenant tables: each statement would read and plan them again",
        "
        select k.conrelid::regclass::text || ' ' || k.conname from pg_constraint k
        where k.contype = 'c' and k.connamespace = 'tenant'::regnamespace and k.conrelid <> 0",
    )
    .await;
}

#[tokio::test]
async fn roles_have_only_the_rights_that_they_need() {
    let mut db = database().await;
    assert_none(&mut db, "our roles have no powerful attributes", "
        select rolname::text from pg_roles
        where rolname like 'payerbase%' and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication)").await;
    // `payerbase_rpc` may not log in, so that a cluster refuses mis-routed turns.
    assert_none(&mut db, "only payerbase_app may log in", "
        select rolname::text from pg_roles where rolname like 'payerbase%' and rolcanlogin and rolname <> 'payerbase_app'").await;
    assert_none(&mut db, "our roles are not members of other roles", "
        select m.member::regrole::text from pg_auth_members m join pg_roles r on r.oid = m.member where r.rolname like 'payerbase%'").await;
    assert_none(&mut db, "the server has no right on any table", "
        select c.oid::regclass::text from pg_class c
        where c.relnamespace::regnamespace::text in ('tenant', 'auth', 'slug', 'sweep', 'search', 'public') and c.relkind in ('r', 'p', 'v')
          and has_table_privilege('payerbase_app', c.oid, 'select, insert, update, delete, truncate, references, trigger')").await;
    assert_none(
        &mut db,
        "only the roles of the policies have rights on tables",
        "
        select c.oid::regclass::text || ' ' || coalesce(nullif(a.grantee, 0)::regrole::text, 'public')
        from pg_class c, aclexplode(c.relacl) a
        where c.relnamespace::regnamespace::text in ('tenant', 'auth', 'slug', 'sweep', 'search') and a.grantee <> c.relowner
          and not exists (select from pg_policy p where p.polrelid = c.oid and a.grantee = any (p.polroles))",
    )
    .await;
    assert_none(
        &mut db,
        "no role may truncate tables or create triggers",
        "
        select c.oid::regclass::text || ' ' || a.privilege_type from pg_class c, aclexplode(c.relacl) a
        where c.relnamespace::regnamespace::text in ('tenant', 'auth', 'slug', 'sweep', 'search') and a.grantee <> c.relowner
          and a.privilege_type not in ('SELECT', 'INSERT', 'UPDATE', 'DELETE')",
    )
    .await;
    assert_none(
        &mut db,
        "the server may create no objects, not even temporary tables",
        "
        select current_database()::text
        where has_database_privilege('payerbase_app', current_database(), 'create')
          or has_database_privilege('payerbase_app', current_database(), 'temporary')
          or has_schema_privilege('payerbase_app', 'public', 'create')
          or has_schema_privilege('payerbase_app', 'tenant', 'create')
          or has_schema_privilege('payerbase_app', 'rpc', 'create')
          or has_schema_privilege('payerbase_app', 'auth', 'create')
          or has_schema_privilege('payerbase_app', 'slug', 'create')
          or has_schema_privilege('payerbase_app', 'sweep', 'create')
          or has_schema_privilege('payerbase_app', 'search', 'usage')",
    )
    .await;
}

/// Columns of tenant tables that the sweeper may read: times, keys, names, positions, sizes and amounts of money, but no
/// content of a payer.
const SEEN_BY_THE_SWEEPER: &[&str] = &[
    "amount",
    "asset",
    "balance",
    "bytes",
    "clicked_at",
    "created_at",
    "dimensions",
    "due_at",
    "expires_at",
    "from_account",
    "grown_until",
    "id",
    "key_sha256",
    "last_click_at",
    "last_place",
    "measured_at",
    "memories",
    "model",
    "name",
    "payer",
    "place",
    "posted",
    "posted_at",
    "primitive",
    "queue",
    "quota",
    "rank",
    "ranks",
    "received_at",
    "rolled_until",
    "rows",
    "run_at",
    "slug",
    "stage",
    "state",
    "to_account",
    "unit",
    "writes",
    "written_bytes",
];

#[tokio::test]
async fn the_sweeper_can_read_only_times_keys_and_names() {
    let mut db = database().await;
    let seen: Vec<String> = sqlx::query_scalar(
        "select distinct a.attname::text collate \"C\" from pg_attribute a join pg_class c on c.oid = a.attrelid
         where c.relnamespace = 'tenant'::regnamespace and c.relkind = 'r' and a.attnum > 0
           and has_column_privilege('payerbase_sweeper', c.oid, a.attnum, 'select') order by 1",
    )
    .fetch_all(&mut db)
    .await
    .unwrap();
    assert_eq!(seen, SEEN_BY_THE_SWEEPER);
    assert_none(
        &mut db,
        "rights on columns are for reads, and only the sweeper and search roles have them",
        "
        select c.oid::regclass::text || ' ' || a.attname from pg_attribute a join pg_class c on c.oid = a.attrelid,
          aclexplode(a.attacl) x
        where c.relnamespace = 'tenant'::regnamespace
          and (x.privilege_type <> 'SELECT' or x.grantee not in ('payerbase_sweeper'::regrole, 'payerbase_search'::regrole))",
    )
    .await;
}

#[tokio::test]
async fn statements_without_a_payer_fail() {
    let mut db = database().await;
    db.execute("begin; set local role payerbase_rpc").await.unwrap();
    for statement in [
        "select * from tenant.counters",
        "insert into tenant.counters (payer, name, value, created_at, updated_at) values ('0x', 'a', 1, now(), now())",
        "update tenant.counters set value = 1",
        "delete from tenant.counters",
    ] {
        for payer in ["reset payerbase.payer", "set local payerbase.payer = ''"] {
            db.execute("savepoint before").await.unwrap();
            db.execute(payer).await.unwrap();
            let outcome = db.execute(statement).await;
            let error = outcome.expect_err(statement).to_string();
            assert!(error.contains("no payer is set"), "{statement}: {error}");
            db.execute("rollback to before").await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_turn_cannot_reach_rows_of_another_payer() {
    let mut db = database().await;
    db.execute("begin; set local role payerbase_rpc; set local payerbase.payer = '0xb'").await.unwrap();
    db.execute(
        "insert into tenant.counters (payer, name, value, created_at, updated_at) values ('0xb', 'a', 1, now(), now())",
    )
    .await
    .unwrap();
    db.execute("set local payerbase.payer = '0xa'").await.unwrap();
    let seen: Vec<String> =
        sqlx::query_scalar("select payer from tenant.counters where payer = '0xb'").fetch_all(&mut db).await.unwrap();
    assert_eq!(seen, Vec::<String>::new());
    assert_eq!(
        db.execute("update tenant.counters set value = 2 where payer = '0xb'").await.unwrap().rows_affected(),
        0
    );
    assert_eq!(db.execute("delete from tenant.counters where payer = '0xb'").await.unwrap().rows_affected(), 0);
    let insert =
        "insert into tenant.counters (payer, name, value, created_at, updated_at) values ('0xb', 'x', 1, now(), now())";
    assert!(db.execute(insert).await.unwrap_err().to_string().contains("row-level security"));
}
