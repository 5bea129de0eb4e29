//! The data of the database before the benchmark and before each cell. SQL inserts it, because that is fast.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use payerbase::auth::Token;
use secrecy::ExposeSecret as _;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};

use crate::load::Load;

/// Number of payers: `0x00..00` to `0x00..270f`.
pub const PAYERS: usize = 10_000;
/// Number of queues with a thousand jobs.
pub const SMALL_QUEUES: usize = 100;

/// The tokens of the payers.
pub struct Tokens(Vec<String>);

impl Tokens {
    /// The tokens of all payers.
    pub fn all(&self) -> &[String] {
        &self.0
    }

    /// The token of one payer.
    pub fn of(&self, payer: usize) -> &str {
        self.0.get(payer).expect("a token")
    }

    /// The token of the first payer, as a list.
    pub fn one(&self) -> &[String] {
        self.0.get(..1).expect("a token")
    }
}

/// Creates a token, a counter, a lock and a link for each payer, and the table of the floor.
pub async fn make(admin: &mut PgConnection, dir: &Path) -> Tokens {
    let (mut ids, mut hashes, mut payers, mut texts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for place in 0..PAYERS {
        let (token, text) = Token::generate();
        ids.push(token.id.as_str().to_owned());
        hashes.push(token.secret.as_bytes().to_vec());
        payers.push(format!("0x{place:040x}"));
        texts.push(text.expose_secret().to_owned());
    }
    sqlx::query(
        "select count(auth.create_token(id, hash, payer, '{*}', 'bench', 864000))
         from unnest($1::text[], $2::bytea[], $3::text[]) as t (id, hash, payer)",
    )
    .bind(ids)
    .bind(hashes)
    .bind(&payers)
    .execute(&mut *admin)
    .await
    .expect("tokens");
    run(
        admin,
        "create table public.payers as select '0x' || lpad(to_hex(place), 40, '0') as payer, place from generate_series(0, 9999) as place;
         create table public.floor (payer text, name text, value bigint, updated_at timestamptz, primary key (payer, name)) with (fillfactor = 70);
         insert into tenant.counters select payer, 'visits', 0, null, null, now(), now() from payers;
         insert into slug.slugs select 'bench' || place, payer, now() from payers;
         insert into tenant.links (payer, slug, id, url, clicks, bot_clicks, rolled_until, created_at, updated_at)
           select payer, 'bench' || place, gen_random_uuid(), 'https://example.com/', 0, 0, now(), now(), now() from payers;
         insert into tenant.locks (payer, name, fence, acquired_at, expires_at) select payer, 'job', 1, now(), now() from payers",
    )
    .await;
    let mut lines = String::new();
    for token in &texts {
        writeln!(lines, "{token}").expect("written");
    }
    fs::write(dir.join("all.txt"), &lines).expect("written");
    fs::write(dir.join("one.txt"), lines.lines().next().expect("a token")).expect("written");
    Tokens(texts)
}

/// Resets the data, so that each round of a load begins with the same state.
pub async fn prepare(admin: &mut PgConnection, load: Load) {
    // The last requests of the previous load may still be running.
    tokio::time::sleep(Duration::from_millis(500)).await;
    match load {
        Load::Locks => run(admin, "update tenant.locks set token_sha256 = null, expires_at = now()").await,
        Load::Work => fill(admin, "payers", "'q' || place", 20).await,
        Load::WorkHot => fill(admin, "payers where place = 0", "'q0'", 200_000).await,
        Load::PopThousand => {
            fill(admin, "payers, generate_series(1, 100) as small where place = 0", "'small' || small", 1_000).await
        }
        Load::PopMillion => fill(admin, "payers where place = 0", "'large'", 1_000_000).await,
        Load::Push | Load::PushHot | Load::PushBatch | Load::Cycle => empty(admin).await,
        Load::Floor
        | Load::Constant
        | Load::IncrementSpread
        | Load::IncrementHot
        | Load::Get
        | Load::Redirect
        | Load::RedirectHot
        | Load::Search
        | Load::Store
        | Load::Query
        | Load::Insert
        | Load::GetThousand
        | Load::IncrementThousand
        | Load::Transact => return,
    }
    run(admin, "vacuum analyze tenant.jobs, tenant.queues, tenant.locks").await;
}

async fn empty(admin: &mut PgConnection) {
    run(admin, "truncate tenant.jobs, tenant.queues").await;
}

/// Replaces all jobs by pending ones, `count` in each queue.
async fn fill(admin: &mut PgConnection, payers: &str, queue: &str, count: usize) {
    empty(admin).await;
    run(
        admin,
        &format!(
            "insert into tenant.jobs (payer, id, queue, state, rank, place, payload, attempts, max_attempts, backoff_ms, run_at, errors, created_at, updated_at)
               select payer, gen_random_uuid(), {queue}, 'pending', -1, job, '{{\"order\":1}}', 0, 3, 1000, now(), '[]', now(), now()
                 from generate_series(1, {count}) as job, {payers};
             insert into tenant.queues
               select payer, queue, max(place), '{{-1}}', array[min(place)], false, now() + interval '1 hour' from tenant.jobs group by payer, queue"
        ),
    )
    .await;
}

/// Size of the table of jobs in MiB, size of its indexes in MiB, and number of its dead rows.
pub async fn bloat(admin: &mut PgConnection) -> (i64, i64, i64) {
    sqlx::query_as(
        "select pg_table_size(relid) / 1048576, pg_indexes_size(relid) / 1048576, n_dead_tup
         from pg_stat_user_tables where relid = 'tenant.jobs'::regclass",
    )
    .fetch_one(admin)
    .await
    .expect("statistics")
}

pub async fn run(admin: &mut PgConnection, statements: &str) {
    admin.execute(AssertSqlSafe(statements.to_owned())).await.expect("it runs");
}
