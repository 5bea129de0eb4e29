//! SQL against native SQLite: random statements run in both, and return and store the same.

mod expressions;
mod generator;
mod native;
mod outcome;
mod queries;
mod schema;
mod writes;

use std::io::Write as _;

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use self::generator::{Generator, Statement};
use self::native::Native;
use self::outcome::{Outcome, difference, outcome, same_values};
use self::schema::Schema;
use crate::support::{Caller, TestApp};

/// The number of statements, unless `PAYERBASE_TEST_SQL_STATEMENTS` has another one.
const STATEMENTS: usize = 20_000;
/// After so many statements everything that is stored is compared.
const CHECK_INTERVAL: usize = 100;
/// Maximum number of statements in a call.
const BATCH_MAX: usize = 20;
/// A table with more rows is emptied at the next check, so that joins stay small.
const TABLE_ROWS_MAX: usize = 60;
const SCHEMA: &str = "select type, name, tbl_name, sql from sqlite_schema order by type, name";

struct Run {
    caller: Caller,
    native: Native,
    generator: Generator,
    /// Number of statements that have run.
    ran: usize,
    refused: usize,
}

impl Run {
    /// Runs a call in both, and compares what it returns.
    async fn step(&mut self) {
        let size = if self.generator.chance(40) { 1 } else { 1 + self.generator.below(BATCH_MAX) };
        let statements: Vec<Statement> = (0..size).map(|_| self.generator.statement()).collect();
        self.compare(&statements).await;
        if statements.iter().any(|statement| statement.changes_schema) {
            self.drop_broken().await;
            self.generator.schema = Schema::read(&mut self.native);
        }
    }

    /// Drops most tables and views that refer to a table that is gone: their statements would only be refused.
    async fn drop_broken(&mut self) {
        let orphans = "select distinct m.name from sqlite_schema m join pragma_foreign_key_list(m.name) f
            where f.\"table\" not in (select name from sqlite_schema)";
        let mut drops: Vec<String> =
            self.native.rows(orphans).iter().map(|row| format!("drop table {}", row[0].as_str().unwrap())).collect();
        for view in Schema::read(&mut self.native).views {
            if self.native.query(&format!("select 1 from {view} limit 1")).is_err() {
                drops.push(format!("drop view {view}"));
            }
        }
        for sql in drops {
            if self.generator.chance(80) {
                self.compare(&[Statement::of_schema(sql)]).await;
            }
        }
    }

    async fn compare(&mut self, statements: &[Statement]) {
        let texts: Vec<&str> = statements.iter().map(|statement| statement.sql.as_str()).collect();
        let (ours, native) = match statements {
            [one] if one.reads => (self.call("query", json!({"sql": one.sql})).await, self.native.query(&one.sql)),
            [one] => (self.call("execute", json!({"sql": one.sql})).await, self.native.run(&texts)),
            _ => {
                let batch: Vec<Value> = texts.iter().map(|sql| json!({"sql": sql})).collect();
                (self.call("batch", json!({"statements": batch})).await, self.native.run(&texts))
            }
        };
        if let Some(difference) = difference(&texts, &ours, &native) {
            panic!("payerbase differs from native SQLite: {difference}");
        }
        // Of a refused call, what its last statement has returned is all that is compared.
        self.ran += ours.as_ref().map_or(1, Vec::len);
        self.refused += usize::from(ours.is_err());
    }

    async fn call(&self, operation: &str, body: Value) -> Outcome {
        outcome(&self.caller.post(&format!("/v1/sql/{operation}"), body.clone()).await, &body)
    }

    /// Compares the schema and all tables, and empties large ones.
    async fn compare_contents(&mut self) {
        self.compare(&[Statement::read(SCHEMA.into())]).await;
        for table in Schema::read(&mut self.native).tables {
            self.compare(&[Statement::read(all_rows(&table))]).await;
            let rows = self.native.rows(&all_rows(&table)).len();
            if rows > TABLE_ROWS_MAX {
                self.compare(&[Statement::write(format!("delete from {}", table.name))]).await;
            }
        }
    }

    /// Checks the exported image of the database: its structure, and its contents.
    async fn compare_image(&mut self) {
        let url = format!("{}/v1/sql/database", self.caller.url);
        let token = self.caller.token.as_ref().unwrap().expose_secret();
        let answer = self.caller.client.get(url).bearer_auth(token).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "application/vnd.sqlite3");
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&answer.bytes().await.unwrap()).unwrap();
        let checked = self.native.open_image(file.path().to_str().unwrap());
        assert_eq!(checked, [[json!("ok")]], "integrity_check of the image");
        assert_eq!(self.native.rows_of_image(SCHEMA), self.native.rows(SCHEMA), "the schema of the image");
        for table in Schema::read(&mut self.native).tables {
            let (image, native) = (self.native.rows_of_image(&all_rows(&table)), self.native.rows(&all_rows(&table)));
            assert!(same_values(&json!(image), &json!(native)), "{}: {image:?}\n\n{native:?}", table.name);
        }
    }
}

/// All rows of a table in a fixed order.
fn all_rows(table: &schema::Table) -> String {
    let places: Vec<String> = (1..=table.columns.len()).map(|place| place.to_string()).collect();
    format!("select * from {} order by {}", table.name, places.join(", "))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

#[tokio::test]
#[ignore = "needs the program of sqlite/native"]
async fn random_statements_agree_with_native_sqlite() {
    let seed = number("PAYERBASE_TEST_SEED").unwrap_or_else(rand::random);
    let statements = number("PAYERBASE_TEST_SQL_STATEMENTS").map_or(STATEMENTS, |count| count.try_into().unwrap());
    println!("PAYERBASE_TEST_SEED={seed} repeats this run");
    let app = TestApp::spawn().await;
    let generator = Generator::new(seed);
    let mut run = Run { caller: app.caller().await, native: Native::start(), generator, ran: 0, refused: 0 };
    let mut next_check = CHECK_INTERVAL;
    while run.ran < statements {
        run.step().await;
        if run.ran >= next_check {
            run.compare_contents().await;
            run.compare_image().await;
            next_check = run.ran + CHECK_INTERVAL;
        }
    }
    run.compare_contents().await;
    println!("{} statements have run, and {} calls were refused by both", run.ran, run.refused);
}
