//! SQL: steps, rows that are written once, accounts, a count beside a counter, and a table that is written as a whole.

use std::collections::HashMap;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::counters::Steps;
use super::payer::{Call, History, Outcome, Payer};
use crate::sql_files::{export, read_file};

const ACCOUNTS: i64 = 4;
const ACCOUNT_START: i64 = 100;
/// Rows of the large table: more pages than a turn carries itself.
const LARGE_ROWS: i64 = 40;

const SCHEMA: &str = "
    create table steps (value integer);
    insert into steps values (0);
    create table inserted (id integer);
    create table accounts (number integer primary key, amount integer check (amount >= 0));
    create table counts (value integer);
    insert into counts values (0);
    create table large (id integer primary key, generation integer, filler text);
";
const TRANSFER: &str = "update accounts
    set amount = amount + case number when ?1 then -?3 else ?3 end
    where number in (?1, ?2) and (select amount from accounts where number = ?1) >= ?3";
/// What is true of each version: the first column has all money, the others are 0.
const AUDIT: &str = "select sum(amount), min(amount) < 0, (select count(distinct generation) - 1 from large),
    (select value from counts) - (select coalesce(sum(value), 0) from pb_counters where name = 'counted')
    from accounts";

#[derive(Default)]
pub struct Sql {
    steps: Steps,
    inserted: History<Inserted>,
}

/// A row that a client has inserted.
struct Inserted {
    id: i64,
    outcome: Outcome,
}

/// Creates the tables.
pub async fn prepare(payer: &Payer, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let migration = json!({"migrations": [{"id": "1", "sql": SCHEMA}]});
    let numbers =
        |count: i64| format!("with recursive n(i) as (select 1 union all select i + 1 from n where i < {count})");
    let accounts = format!("{} insert into accounts select i, {ACCOUNT_START} from n", numbers(ACCOUNTS));
    let large = format!("{} insert into large select i, 0, hex(zeroblob(1500)) from n", numbers(LARGE_ROWS));
    let rows = json!({"statements": [{"sql": accounts}, {"sql": large}]});
    for (path, body) in [("/v1/sql/migrate", migration), ("/v1/sql/batch", rows)] {
        let call = payer.post_once(&mut random, path, &body).await;
        assert!(call.is_done(), "{call:?}");
    }
}

/// Makes one of the calls.
pub async fn call(payer: &Payer, random: &mut StdRng) {
    match random.random_range(0..100) {
        0..25 => step(payer, random).await,
        25..40 => read_step(payer, random).await,
        40..60 => insert(payer, random).await,
        60..72 => transfer(payer, random).await,
        72..80 => count(payer, random).await,
        80..86 => write_large(payer, random).await,
        _ => audit(payer, random).await,
    }
}

/// Writes, half of the time under a key.
async fn write(payer: &Payer, random: &mut StdRng, path: &str, body: &Value) -> Call {
    match random.random_bool(0.5) {
        true => payer.post_once(random, path, body).await,
        false => payer.post(random, path, body).await,
    }
}

fn first(answer: &Value) -> Option<i64> {
    answer["rows"][0][0].as_i64()
}

async fn step(payer: &Payer, random: &mut StdRng) {
    let step = json!({"sql": "update steps set value = value + 1 returning value"});
    payer.sql.steps.add(&write(payer, random, "/v1/sql/execute", &step).await, 1, first);
}

async fn read_step(payer: &Payer, random: &mut StdRng) {
    let call = payer.post(random, "/v1/sql/query", &json!({"sql": "select value from steps"})).await;
    if let Some(answer) = call.done() {
        payer.sql.steps.add_read(call.start, call.end, first(&answer).unwrap());
    }
}

async fn insert(payer: &Payer, random: &mut StdRng) {
    let id = i64::from(random.random::<u32>()) << 20 | i64::from(random.random_range(0..1 << 20));
    let insert = json!({"sql": "insert into inserted (id) values (?)", "params": [id]});
    let outcome = write(payer, random, "/v1/sql/execute", &insert).await.outcome;
    payer.sql.inserted.add(Inserted { id, outcome });
}

async fn transfer(payer: &Payer, random: &mut StdRng) {
    let (from, amount) = (random.random_range(1..=ACCOUNTS), random.random_range(1..60));
    let to = (from + random.random_range(0..ACCOUNTS - 1)) % ACCOUNTS + 1;
    write(payer, random, "/v1/sql/execute", &json!({"sql": TRANSFER, "params": [from, to, amount]})).await;
}

/// Counts in SQL and in a counter, in one transaction.
async fn count(payer: &Payer, random: &mut StdRng) {
    let mut calls = vec![
        json!({"method": "executeSql", "params": {"sql": "update counts set value = value + 1"}}),
        json!({"method": "increment", "params": {"name": "counted"}}),
    ];
    calls.rotate_left(random.random_range(0..2));
    write(payer, random, "/v1/transaction", &json!({ "calls": calls })).await;
}

/// Writes a table that has more pages than a turn carries: they are put aside before it.
async fn write_large(payer: &Payer, random: &mut StdRng) {
    let write_all = json!({"sql": "update large set generation = generation + 1"});
    write(payer, random, "/v1/sql/execute", &write_all).await;
}

async fn audit(payer: &Payer, random: &mut StdRng) {
    let Some(answer) = payer.post(random, "/v1/sql/query", &json!({ "sql": AUDIT })).await.done() else { return };
    check_audit(payer, &answer["rows"]);
}

fn check_audit(payer: &Payer, rows: &Value) {
    if *rows != json!([[ACCOUNTS * ACCOUNT_START, 0, 0, 0]]) {
        payer.is_wrong(format!("money, debts, generations, counts: {rows}"));
    }
}

/// What is impossible in the answers and in the file.
pub async fn check(payer: &Payer, random: &mut StdRng, wrong: &mut Vec<String>) {
    audit(payer, random).await;
    read_step(payer, random).await;
    payer.sql.steps.check("steps of SQL", wrong);
    let file = export(&payer.caller(random).await).await;
    let found = match read_file(&file, "select id, count(*) from inserted group by id") {
        Ok(found) => found,
        Err(error) => return wrong.push(format!("the file of SQL is damaged: {error}")),
    };
    let pair = |row: &Value| (row[0].as_i64().unwrap(), row[1].as_u64().unwrap());
    let mut found: HashMap<i64, u64> = found.as_array().unwrap().iter().map(pair).collect();
    for Inserted { id, outcome } in payer.sql.inserted.take() {
        let is_possible = match (&outcome, found.remove(&id)) {
            (Outcome::Done(_), count) => count == Some(1),
            (Outcome::Refused(..), count) => count.is_none(),
            (Outcome::Unknown, count) => count.is_none_or(|count| count == 1),
        };
        if !is_possible {
            wrong.push(format!("a row was inserted as {outcome:?}, and is not there as often"));
        }
    }
    if !found.is_empty() {
        wrong.push(format!("{} rows were never inserted", found.len()));
    }
}
