//! Steps of a migration that run while servers of the previous version serve, outside of a transaction. Each can be
//! repeated: an interrupted `migrate` is run again.

use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;

use super::error::Error;
use super::step::Step;
use crate::db::execute;

/// Indexes that are built on large tables, by name. `create index concurrently` does not block writes, and cannot run in
/// a transaction or in a numbered migration: if it is interrupted, an invalid index is left, which must be dropped first.
const INDEXES: [(&str, &str); 1] = [(
    "tenant.memories_by_hashed_key",
    "create index concurrently memories_by_hashed_key on tenant.memories
       using gin (tenant.hashed_keys(payer, namespace, words, tags, metadata))
       with (fastupdate = on, gin_pending_list_limit = 256)",
)];

/// What only functions of earlier versions use. Dropped after the new functions are installed.
const RETIRED: [&str; 2] = [
    "drop index concurrently if exists tenant.memories_by_key",
    "drop function if exists tenant.memory_keys(text, text, tsvector, text[], jsonb), \
     tenant.metadata_key(text, text, jsonb), tenant.memory_key(text, text, text)",
];

/// Only functions of this version are left. A turn takes the payer's lock of this version, which is enough; and the sweeper
/// makes the words again that earlier functions have made. One statement, so that both happen or none.
const END_OF_OLD_TURNS: &str = "do $$
declare
  v_payer text;
  v_payers text[];
begin
  set local role payerbase_sweeper;
  v_payers := array(select distinct payer from tenant.memory_spaces);
  set local role payerbase_rpc;
  foreach v_payer in array v_payers loop
    perform set_config('payerbase.payer', v_payer, true);
    insert into tenant.memory_rewording (payer, next_id)
      values (v_payer, '')
      on conflict (payer) do update
        set next_id = '';
  end loop;
  set local role payerbase_owner;
  create or replace function tenant.has_old_turns() returns boolean
    language sql immutable parallel safe as 'select false';
end $$";

/// The timeout of other steps.
const LOCK_TIMEOUT: &str = "set lock_timeout = '5s'";
/// How often the end of old transactions is looked for.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long `migrate` waits for transactions of servers. None of them runs longer than a few seconds, but that of a back-up
/// may run for hours.
const OLD_TRANSACTIONS_MAX: Duration = Duration::from_mins(1);

/// The indexes that are missing, or that an interrupted migration left without all rows.
pub(super) async fn missing_indexes(admin: &mut PgConnection) -> Result<Vec<Step>, Error> {
    let mut missing = Vec::new();
    for (name, _create) in INDEXES {
        if is_valid(admin, name).await? != Some(true) {
            missing.push(Step::Index { name: name.to_owned() });
        }
    }
    Ok(missing)
}

async fn is_valid(admin: &mut PgConnection, name: &str) -> Result<Option<bool>, Error> {
    let valid = sqlx::query_scalar("select indisvalid from pg_index where indexrelid = to_regclass($1)").bind(name);
    Ok(valid.fetch_optional(admin).await?)
}

/// Builds an index. A table is locked for a moment only, but the build waits for transactions that run: without a timeout.
pub(super) async fn build_index(admin: &mut PgConnection, name: &str) -> Result<(), Error> {
    for (_name, create) in INDEXES.into_iter().filter(|(index, _create)| *index == name) {
        execute(admin, "set lock_timeout = 0").await?;
        if is_valid(admin, name).await? == Some(false) {
            execute(admin, &format!("drop index concurrently {name}")).await?;
        }
        execute(admin, create).await?;
        execute(admin, LOCK_TIMEOUT).await?;
    }
    Ok(())
}

/// The step that ends the use of what only functions of earlier versions use, unless there is nothing of it.
pub(super) async fn old_functions(admin: &mut PgConnection) -> Result<Option<Step>, Error> {
    let are_used = "select coalesce((select prosrc like '%true%' from pg_proc where oid = to_regproc('tenant.has_old_turns')), true)
        or to_regclass('tenant.memories_by_key') is not null or to_regproc('tenant.memory_keys') is not null";
    let are_used: bool = sqlx::query_scalar(are_used).fetch_one(admin).await?;
    Ok(are_used.then_some(Step::OldFunctions))
}

/// Ends the switch of the payers' locks, and drops what only functions of earlier versions use.
pub(super) async fn end_old_functions(admin: &mut PgConnection) -> Result<(), Error> {
    if sqlx::query_scalar::<_, bool>("select tenant.has_old_turns()").fetch_one(&mut *admin).await? {
        if !old_transactions_end(admin).await? {
            tracing::warn!("old transactions are still running; run `payerbase migrate` again when they have ended");
            return Ok(());
        }
        execute(admin, END_OF_OLD_TURNS).await?;
    }
    execute(admin, "set lock_timeout = 0").await?;
    for retired in RETIRED {
        execute(admin, retired).await?;
    }
    execute(admin, LOCK_TIMEOUT).await?;
    Ok(())
}

/// Waits until all transactions have ended that run now: they may use functions that were replaced meanwhile.
async fn old_transactions_end(admin: &mut PgConnection) -> Result<bool, Error> {
    let running = "select array(select virtualxid from pg_locks join pg_stat_activity using (pid)
        where locktype = 'virtualxid' and datname = current_database() and pid <> pg_backend_pid())";
    let running: Vec<String> = sqlx::query_scalar(running).fetch_one(&mut *admin).await?;
    let until = Instant::now() + OLD_TRANSACTIONS_MAX;
    loop {
        let left = "select exists (select from pg_locks where virtualxid = any ($1) and granted)";
        if !sqlx::query_scalar(left).bind(&running).fetch_one(&mut *admin).await? {
            return Ok(true);
        }
        if Instant::now() >= until {
            return Ok(false);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
