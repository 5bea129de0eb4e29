//! Tests of SQLite in this process, on databases in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value as Json, json};

use super::stopped::Constraint;
use super::*;
use crate::sqlite::statement::{Params, Statement, Task};
use crate::sqlite::tables::{Rows, TABLES};

/// Enough for tests.
const LIMITS: Limits = Limits { time: Duration::from_secs(5), rows: 10, bytes: 1_000 };

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let engine = Engine::compile(64, 512 << 20).unwrap();
    std::thread::spawn(|| {
        loop {
            std::thread::sleep(Duration::from_millis(2));
            ENGINE.tick();
        }
    });
    engine
});

/// A database in memory.
#[derive(Clone, Default)]
struct Image(Arc<Mutex<BTreeMap<u32, Page>>>);

impl Pages for Image {
    fn page(&mut self, number: u32) -> Option<Page> {
        self.0.lock().unwrap().get(&number).cloned()
    }

    fn tables(&mut self, numbers: &[usize]) -> Result<Vec<(usize, Rows)>, Stopped> {
        let rows = |json: &str, number: usize| (number, TABLES[number].rows(json).unwrap());
        let counters = r#"[{"name": "a", "value": 1, "min": null}, {"name": "b", "value": 9007199254740993}]"#;
        Ok(numbers.iter().map(|number| rows(if *number == 0 { counters } else { "[]" }, *number)).collect())
    }

    fn is_cancelled(&self) -> bool {
        false
    }
}

pub(super) struct Opened {
    image: Image,
    pub(super) database: Database,
}

impl Opened {
    pub(super) fn new() -> Self {
        Self::of(Image::default())
    }

    fn of(image: Image) -> Self {
        let count = image.0.lock().unwrap().len();
        let database = ENGINE.open(count.try_into().unwrap(), Box::new(image.clone()), LIMITS.time).unwrap();
        Self { image, database }
    }

    pub(super) fn run(
        &mut self,
        statements: &[(&str, Json)],
        may_write: bool,
    ) -> Result<Vec<StatementResult>, Stopped> {
        let statement = |(sql, params): &(&str, Json)| Statement {
            sql: (*sql).to_owned(),
            params: Params::from_json(params.clone()).unwrap(),
            only_reads: !may_write,
        };
        let tasks: Vec<_> = statements.iter().map(statement).map(Task::Statement).collect();
        let work = Work { tasks: &tasks, may_write, limits: LIMITS };
        let done = self.database.run(&work, Box::new(self.image.clone())).map_err(|failed| failed.stopped)?;
        let mut pages = self.image.0.lock().unwrap();
        pages.extend(done.pages);
        pages.retain(|number, _| *number <= done.page_count);
        assert_eq!(pages.len(), usize::try_from(done.page_count).unwrap());
        let results = done.results.into_iter().map(|result| match result {
            TaskResult::Statement(result) => result,
            TaskResult::Migration(_) | TaskResult::Schema(_) | TaskResult::Import(_) => unreachable!("of a statement"),
        });
        Ok(results.collect())
    }

    pub(super) fn write(&mut self, sql: &str) -> Result<StatementResult, Stopped> {
        self.run(&[(sql, json!(null))], true).map(|mut results| results.remove(0))
    }

    pub(super) fn rows(&mut self, sql: &str, params: Json) -> Json {
        let results = self.run(&[(sql, params)], false).unwrap();
        serde_json::from_str(results[0].rows.get()).unwrap()
    }
}

pub(super) fn not_allowed(stopped: &Stopped) -> bool {
    matches!(stopped, Stopped::NotAllowed(_))
}

#[test]
fn what_is_written_is_read_by_another_instance() {
    let mut one = Opened::new();
    one.write("create table t (id integer primary key, name text not null unique)").unwrap();
    let written = one.write("insert into t (name) values ('a'), ('b') returning id, name").unwrap();
    assert_eq!((written.rows_affected, written.last_insert_rowid.get()), (2, "2"));
    assert_eq!(written.rows.get(), r#"[[1,"a"],[2,"b"]]"#);
    let mut other = Opened::of(one.image.clone());
    assert_eq!(other.rows("select name from t where id = ?", json!([2])), json!([["b"]]));
    assert_eq!(other.rows("pragma foreign_key_check('t')", json!([])), json!([]));
    let empty = other.run(&[("select id, name, 1 + 1 as sum from t where false", json!({}))], false).unwrap();
    let columns = serde_json::to_value(&empty[0].columns).unwrap();
    assert_eq!(
        columns,
        json!([{"name": "id", "type": "INTEGER"}, {"name": "name", "type": "TEXT"}, {"name": "sum", "type": null}])
    );
}

#[test]
fn an_error_leaves_nothing_and_the_instance_goes_on() {
    let mut one = Opened::new();
    one.write("create table t (id integer primary key, name text unique)").unwrap();
    let twice =
        [("insert into t (name) values ('a')", json!(null)), ("insert into t (name) values ('a')", json!(null))];
    let stopped = one.run(&twice, true).unwrap_err();
    assert_eq!(
        stopped,
        Stopped::Sql {
            message: "UNIQUE constraint failed: t.name".into(),
            offset: None,
            constraint: Some(Constraint::Unique)
        }
    );
    let stopped = one.write("insert or fail into t (name) values ('x'), ('y'), ('x')").unwrap_err();
    assert!(matches!(stopped, Stopped::Sql { .. }));
    assert_eq!(one.rows("select * from t", json!([])), json!([]));
    one.write("insert into t (name) values ('b')").unwrap();
    assert_eq!(one.rows("select * from t", json!([])), json!([[1, "b"]]));
    let stopped = one.run(&[("select absent from t", json!([]))], false).unwrap_err();
    assert_eq!(stopped, Stopped::Sql { message: "no such column: absent".into(), offset: Some(7), constraint: None });
}

#[test]
fn parameters_fit_by_place_or_by_name() {
    let mut one = Opened::new();
    assert_eq!(one.rows("select ?2, ?1", json!([1, "b"])), json!([["b", 1]]));
    assert_eq!(
        one.rows("select :a, @b, $c", json!({"a": 1, "@b": 2.5, "$c": {"$blob": "AAE="}})),
        json!([[1, 2.5, {"$blob": "AAE="}]])
    );
    for (sql, params) in [
        ("select ?", json!([])),
        ("select ?", json!([1, 2])),
        ("select ?", json!({"a": 1})),
        ("select :a", json!({})),
        ("select :a", json!({"a": 1, "b": 2})),
        ("select 1", json!([1])),
    ] {
        let stopped = one.run(&[(sql, params)], false).unwrap_err();
        assert!(matches!(stopped, Stopped::Parameters(_)), "{sql}: {stopped:?}");
    }
}

#[test]
fn reads_cannot_write_and_one_text_is_one_statement() {
    let mut one = Opened::new();
    one.write("create table t (a); -- a comment").unwrap();
    for sql in ["insert into t values (1)", "with c as (select 1) delete from t", "select 1; select 2", "drop table t"]
    {
        let stopped = one.run(&[(sql, json!(null))], false).unwrap_err();
        assert!(not_allowed(&stopped), "{sql}: {stopped:?}");
    }
    for sql in [";", "", "-- nothing"] {
        assert!(matches!(one.write(sql), Err(Stopped::Sql { .. })), "{sql}");
    }
    assert_eq!(one.rows("explain query plan select * from t", json!([])), json!([[2, 0, 216, "SCAN t"]]));
}

#[test]
fn foreign_keys_cascade_and_hold_at_the_commit() {
    let mut one = Opened::new();
    one.write("create table p (id integer primary key)").unwrap();
    one.write("create table c (p integer references p on delete cascade deferrable initially deferred)").unwrap();
    assert!(matches!(one.write("insert into c values (1)"), Err(Stopped::Sql { .. })));
    let order = [("insert into c values (1)", json!(null)), ("insert into p values (1)", json!(null))];
    one.run(&order, true).unwrap();
    one.write("delete from p").unwrap();
    assert_eq!(one.rows("select * from c", json!([])), json!([]));
}

#[test]
fn results_end_at_their_limits() {
    let mut one = Opened::new();
    let count = "with recursive c(x) as (select 1 union all select x + 1 from c limit 11) select x from c";
    let results = one.run(&[(count, json!([]))], false).unwrap();
    assert_eq!((results[0].row_count, results[0].truncated), (10, true));
    let results =
        one.run(&[("select hex(zeroblob(300)) union all select hex(zeroblob(300))", json!([]))], false).unwrap();
    assert_eq!((results[0].row_count, results[0].truncated), (1, true));
    one.write("create table t (a)").unwrap();
    let written = one.write(&format!("insert into t {count} returning a")).unwrap();
    assert_eq!((written.row_count, written.truncated, written.rows_affected), (10, true, 11));
}

/// SQLite needs little memory for such a row. The host must stop before it has built the JSON.
#[test]
fn wide_rows_and_long_names_are_not_built() {
    let mut one = Opened::new();
    let list = vec!["?1"; 20].join(", ");
    let text = "\u{1}".repeat(750_000);
    let stopped = one.run(&[(&format!("select {list}"), json!([text]))], false).unwrap_err();
    assert_eq!(stopped, Stopped::RowTooLarge);
    let name = "n".repeat(100);
    one.write(&format!("create table t ({name})")).unwrap();
    let stars = vec!["*"; 100].join(", ");
    assert_eq!(one.run(&[(&format!("select {stars} from t"), json!(null))], false).unwrap_err(), Stopped::TooLarge);
}

#[test]
fn endless_and_huge_statements_are_stopped() {
    let mut one = Opened::new();
    for (sql, expected) in [
        ("with recursive c(x) as (select 1 union all select x + 1 from c) select count(*) from c", Stopped::Timeout),
        (
            "select instr(replace(hex(zeroblob(490000)), '00', 'aa'), replace(hex(zeroblob(245000)), '00', 'aa') || 'b')",
            Stopped::Timeout,
        ),
        (
            "with recursive c(x, y) as (select 1, zeroblob(900000) union all select x + 1, randomblob(900000) from c)
             select json_group_array(hex(y)) over (order by x desc) from c",
            Stopped::TooLarge,
        ),
    ] {
        let tasks = [Task::Statement(Statement { sql: sql.into(), params: Params::None, only_reads: true })];
        let limits = Limits { time: Duration::from_millis(300), ..LIMITS };
        let work = Work { tasks: &tasks, may_write: false, limits };
        let failed = one.database.run(&work, Box::new(one.image.clone())).unwrap_err();
        assert!(failed.stopped == expected || failed.stopped == Stopped::Timeout, "{sql}: {:?}", failed.stopped);
        one = Opened::new();
    }
    assert!(matches!(one.write("select randomblob(1e9)"), Err(Stopped::Sql { .. })));
}

#[test]
fn a_database_has_a_size() {
    let mut one = Opened::new();
    one.write("create table t (a)").unwrap();
    let more = "with recursive c(x) as (select 1 union all select x + 1 from c limit 20) insert into t select zeroblob(900000) from c";
    assert_eq!(one.write(more).unwrap_err(), Stopped::Full);
    assert_eq!(one.rows("select count(*) from t", json!([])), json!([[0]]));
    one.write("insert into t values (1)").unwrap();
}

/// A statement that each rule allows, and no other rule does.
const RULED: [(usize, &str); 19] = [
    (0, "select 1"),
    (1, "with recursive c(x) as (select 1 union all select x + 1 from c limit 3) select count(*) from c"),
    (2, "select a from t"),
    (3, "alter table t rename column a to z"),
    (4, "insert into t values (1)"),
    (5, "update t set a = 1"),
    (6, "alter table t rename to z"),
    (7, "delete from t"),
    (8, "create table z (a)"),
    (9, "create index z on t (a)"),
    (10, "create view z as select 1"),
    (11, "drop table t"),
    (12, "drop index i"),
    (13, "drop view v"),
    (14, "alter table t add column z"),
    (15, "reindex t"),
    (16, "analyze t"),
    (17, "select abs(1)"),
    (18, "pragma table_info('t')"),
];

#[test]
fn each_rule_is_needed() {
    use super::rules::RULES;

    assert_eq!(RULED.len(), RULES.len());
    for (removed, sql) in RULED {
        let others = RULES.iter().enumerate().filter(|(place, _)| *place != removed).map(|(_, rule)| *rule);
        let others: &'static [_] = Vec::leak(others.collect());
        for (rules, is_allowed) in [(RULES, true), (others, false)] {
            let mut one = Opened::new();
            for made in ["create table t (a)", "create index i on t (a)", "create view v as select a from t"] {
                one.write(made).unwrap();
            }
            one.database.set_rules(rules);
            let ran = one.write(sql);
            assert_eq!(ran.is_ok(), is_allowed, "{sql} without {:?}: {ran:?}", RULES[removed]);
            assert!(ran.is_ok() || not_allowed(&ran.unwrap_err()), "{sql}");
        }
    }
}

#[test]
fn every_function_that_is_allowed_exists() {
    use super::rules::FUNCTIONS;

    let (mut one, mut absent) = (Opened::new(), Vec::<&str>::new());
    for function in FUNCTIONS.iter().filter(|name| !name.starts_with("->") && !name.starts_with("sqlite_")) {
        let mut errors = Vec::new();
        for arguments in ["", "1", "1, 1", "1, 1, 1"] {
            for over in ["", " over ()"] {
                let sql = format!("select {function}({arguments}){over}");
                errors.extend(one.run(&[(&sql, json!(null))], false).err());
            }
        }
        let is_unknown =
            |error: &Stopped| matches!(error, Stopped::Sql { message, .. } if message.contains("no such function"));
        absent.extend(errors.iter().any(is_unknown).then_some(*function));
        assert!(!errors.iter().any(not_allowed), "{function}: {errors:?}");
    }
    assert!(absent.is_empty(), "{absent:?}");
}

/// SQLite does not write a page that a call has added and freed, and may read it again.
#[test]
fn a_page_that_was_freed_is_used_again() {
    let mut one = Opened::new();
    let fill = |from: i64| {
        let many =
            format!("with recursive n(i) as (select {from} union all select i + 1 from n where i < {from} + 6000)");
        (format!("{many} insert into t select hex(randomblob(16)), zeroblob(900) from n"), json!(null))
    };
    let (first, second) = (fill(0), fill(10_000));
    let table = "create table t (k text primary key, d blob)";
    let statements = [(table, json!(null)), (&first.0, first.1), ("delete from t", json!(null)), (&second.0, second.1)];
    one.run(&statements, true).unwrap();
    assert_eq!(one.rows("select count(*) from t", json!(null)), json!([[6001]]));
    let mut other = Opened::of(one.image.clone());
    assert_eq!(other.database.integrity_check().unwrap(), ["ok"]);
}

/// `quick_check` goes on after a page that it cannot read.
#[test]
fn a_call_that_lacked_a_page_has_no_result() {
    let mut one = Opened::new();
    one.write("create table t (a)").unwrap();
    one.write("with recursive n(i) as (select 1 union all select i + 1 from n where i < 99) insert into t select zeroblob(900) from n").unwrap();
    let mut cold = Opened::of(one.image.clone());
    one.image.0.lock().unwrap().remove(&9);
    let stopped = cold.run(&[("pragma quick_check(1)", json!(null))], false).unwrap_err();
    assert!(matches!(stopped, Stopped::Moved), "{stopped:?}");
}

#[test]
fn damaged_files_are_refused_or_become_whole_databases() {
    let mut one = Opened::new();
    one.write("create table t (id integer primary key, name text unique, data blob)").unwrap();
    one.write("create table u (a, b, primary key (a, b)) without rowid").unwrap();
    one.write("create index i on t (length(name), id)").unwrap();
    one.write("create view v as select * from t join u on t.id = u.a").unwrap();
    let many = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 200)";
    one.write(&format!("{many} insert into t select i, 'name ' || i, zeroblob(i * 20) from n")).unwrap();
    one.write(&format!("{many} insert into u select i, i * i from n")).unwrap();
    let whole: Vec<u8> = one.image.0.lock().unwrap().values().flat_map(|page| page.iter().copied()).collect();
    let seed: u64 = rand::random();
    let mut random = rand::rngs::SmallRng::seed_from_u64(seed);
    let mut taken = 0;
    for number in 0..2_000 {
        let mut file = whole.clone();
        for _ in 0..random.random_range(1..4) {
            let head = random.random_bool(0.5);
            let place = random.random_range(0..if head { 200 } else { file.len() });
            file[place] = random.random();
        }
        if random.random_bool(0.1) {
            file.truncate(random.random_range(0..file.len()));
        }
        let imported = ENGINE.import(&file, LIMITS.time, [Box::new(Image::default()), Box::new(Image::default())]);
        let Ok(done) = imported else {
            let stopped = imported.err().unwrap();
            assert!(!matches!(stopped, Stopped::Broken), "{stopped:?} at {number} of seed {seed}");
            continue;
        };
        taken += 1;
        let image = Image(Arc::new(Mutex::new(done.pages)));
        let mut made = Opened::of(image);
        let check = made.database.integrity_check().unwrap();
        assert_eq!(check, ["ok"], "at {number} of seed {seed}");
    }
    assert!(taken > 0, "some are only damaged where it does not matter");
}
