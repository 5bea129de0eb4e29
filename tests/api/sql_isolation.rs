//! Databases of different payers never meet: each payer has marks of its own, and no answer has the mark of another.

use futures_util::future::join_all;
use payerbase::payer::Payer;
use serde_json::{Value, json};

use crate::support::{Answer, Caller, TestApp};

/// Payers whose calls are interleaved.
const PAYERS: usize = 40;
const ROUNDS: usize = 3;

/// A payer, and a text that only its database has.
struct Marked {
    caller: Caller,
    mark: String,
    /// Rows that it inserts in each round: different payers have different numbers.
    rows: usize,
}

impl Marked {
    async fn new(app: &TestApp, number: usize) -> Self {
        // A statement that is stopped may take longer than the client of a test waits.
        let caller = Caller { client: reqwest::Client::new(), ..app.caller().await };
        Self { caller, mark: format!("m{:032x}", rand::random::<u128>()), rows: 1 + number % 5 }
    }

    async fn send(&self, call: &str, body: Value, seen: &mut Vec<String>) -> Answer {
        let answer = self.caller.post(&format!("/v1/sql/{call}"), body).await;
        seen.push(answer.text.clone());
        answer
    }

    async fn query(&self, sql: &str, seen: &mut Vec<String>) -> Value {
        self.send("query", json!({ "sql": sql }), seen).await.ok()["rows"].clone()
    }

    /// Tables that all payers have, and one whose name is the mark.
    async fn set_up(&self) -> Vec<String> {
        let (mark, mut seen) = (&self.mark, Vec::new());
        let statements = [
            json!({"sql": "create table t (id integer primary key autoincrement, mark text, number integer unique)"}),
            json!({"sql": format!("create table {mark} ({mark} text)")}),
            json!({"sql": format!("create index i on t (mark, number) where mark <> '{mark}'")}),
            json!({"sql": "create view v as select mark, count(*) as count from t group by mark"}),
        ];
        self.send("batch", json!({ "statements": statements }), &mut seen).await.ok();
        seen
    }

    /// Writes and reads, and compares the answers with what this payer alone has done.
    async fn round(&self, round: usize) -> Vec<String> {
        let (mark, rows, mut seen) = (&self.mark, self.rows, Vec::new());
        let before = round * rows;
        let all = before + rows;
        let values: Vec<String> = (before + 1..=all).map(|number| format!("(?1, {number})")).collect();
        let insert = format!("insert into t (mark, number) values {} returning id", values.join(", "));
        let inserted = self.send("execute", json!({"sql": insert, "params": [mark]}), &mut seen).await.ok();
        let ids: Vec<Value> = (before + 1..=all).map(|id| json!([id])).collect();
        assert_eq!((&inserted["rows"], &inserted["rowsAffected"]), (&json!(ids), &json!(rows)), "{mark}");
        assert_eq!(inserted["lastInsertRowid"], all, "{mark}");
        assert_eq!(self.query("select * from v", &mut seen).await, json!([[mark, all]]));
        assert_eq!(self.query("select name, seq from sqlite_sequence", &mut seen).await, json!([["t", all]]));
        // They are of the open connection, which may be new. They are never those of another payer.
        let counted = self.query("select last_insert_rowid(), changes(), total_changes()", &mut seen).await;
        let counted: Vec<i64> = counted[0].as_array().unwrap().iter().map(|count| count.as_i64().unwrap()).collect();
        assert!(usize::try_from(counted[1]).unwrap() <= rows, "{counted:?} of {rows}");
        assert!(usize::try_from(counted[2]).unwrap() <= all, "{counted:?} of {all}");
        assert!([0, all].contains(&usize::try_from(counted[0]).unwrap()), "{counted:?} of {all}");
        self.errors(&mut seen).await;
        for sql in [
            "select * from sqlite_schema".to_owned(),
            format!("explain select * from t where mark = '{mark}' order by number"),
            format!("explain query plan select * from {mark}, t where t.mark = {mark}"),
            "select * from pragma_table_xinfo('t'), pragma_index_list('t')".to_owned(),
            "select hex(randomblob(50000)), hex(zeroblob(50000))".to_owned(),
        ] {
            self.query(&sql, &mut seen).await;
        }
        seen
    }

    /// Errors whose texts have names and values.
    async fn errors(&self, seen: &mut Vec<String>) {
        let mark = &self.mark;
        let twice = json!({"sql": "insert into t (mark, number) values (?, 1)", "params": [mark]});
        let problem = self.send("execute", twice, seen).await.problem(422, "sql-error");
        assert_eq!(problem["detail"], "UNIQUE constraint failed: t.number");
        for sql in [
            format!("select {mark} from t"),
            format!("select json_extract('{{}}', '{mark}')"),
            format!("select load_{mark}()"),
            format!("insert into {mark} values (1, 2)"),
            "select absent from t".to_owned(),
        ] {
            let answer = self.send("execute", json!({ "sql": sql }), seen).await;
            answer.problem(422, "sql-error");
        }
    }
}

/// Fails if an answer of one payer has the mark of another one.
fn assert_apart(payers: &[Marked], seen: &[Vec<String>]) {
    for (payer, texts) in payers.iter().zip(seen) {
        let others = || payers.iter().filter(|other| other.mark != payer.mark);
        for text in texts {
            let found = others().find(|other| text.contains(&other.mark));
            assert!(found.is_none(), "{} reads {}: {text}", payer.mark, found.unwrap().mark);
        }
        assert!(texts.iter().any(|text| text.contains(&payer.mark)), "{} sees its own mark", payer.mark);
    }
}

async fn marked(app: &TestApp, count: usize) -> Vec<Marked> {
    join_all((0..count).map(|number| Marked::new(app, number))).await
}

#[tokio::test]
async fn payers_whose_calls_are_interleaved_see_their_own_data_alone() {
    let app = TestApp::spawn().await;
    let payers = marked(&app, PAYERS).await;
    join_all(payers.iter().map(Marked::set_up)).await;
    for round in 0..ROUNDS {
        let seen = join_all(payers.iter().map(|payer| payer.round(round))).await;
        assert_apart(&payers, &seen);
    }
}

/// How many stored pages of a payer have a text anywhere, also between their records.
async fn pages_with(app: &TestApp, payer: &Payer, text: &str) -> i64 {
    let count = "select count(*) from tenant.sql_pages where payer = $1 and position($2 in data::bytea) > 0";
    let count = sqlx::query_scalar(count).bind(payer.as_str()).bind(text.as_bytes());
    count.fetch_one(&mut app.database.admin().await).await.unwrap()
}

/// Statements that fill the memory with a payer's mark until they are stopped.
const STOPPED: [(&str, &str); 5] = [
    (
        "with recursive c(x, y) as (select 1, ?1 union all select x + 1, y || y from c) select max(y) from c",
        "sql-error",
    ),
    (
        "with recursive c(x, y) as (select 1, ?1 union all select x + 1, replace(hex(zeroblob(9000)), '00', ?1) from c)
         select json_group_array(y) over (order by x desc) from c",
        "sql-too-large",
    ),
    (
        "with recursive c(x, y) as (select 1, ?1 union all select x + 1, ?1 from c) select count(y) from c",
        "sql-timeout",
    ),
    ("select json_extract('{}', ?1)", "sql-error"),
    ("select ?1, abs(-9223372036854775808)", "sql-error"),
];

/// Reads what a new instance has, and makes pages whose unused parts come from its memory.
async fn look_around(next: &Marked) -> Vec<String> {
    let mut seen = Vec::new();
    for sql in [
        "select * from sqlite_schema",
        "select last_insert_rowid(), changes(), total_changes()",
        "select hex(zeroblob(100000))",
        "select group_concat(hex(zeroblob(9)))",
    ] {
        next.send("query", json!({ "sql": sql }), &mut seen).await;
    }
    let fill = "with recursive c(x) as (select 1 union all select x + 1 from c limit 60)
        insert into t select null, ?1, x, zeroblob(x * 90) from c";
    let statements = [
        json!({"sql": "create table t (id integer primary key, mark text, number integer, data)"}),
        json!({"sql": fill, "params": [next.mark]}),
        json!({"sql": "delete from t where number % 3 > 0"}),
        json!({"sql": "create index i on t (mark, number)"}),
        json!({"sql": "create table u (a)"}),
    ];
    next.send("batch", json!({ "statements": statements }), &mut seen).await.ok();
    assert_eq!(next.query("select mark, count(*) from t", &mut seen).await, json!([[next.mark, 20]]));
    seen
}

#[tokio::test]
async fn a_recycled_instance_shows_nothing_of_the_call_that_was_stopped() {
    let app = TestApp::spawn().await;
    for (sql, codes) in STOPPED {
        let payers = marked(&app, 5).await;
        let (stopped, next) = payers.split_first().unwrap();
        let mut seen = vec![stopped.set_up().await];
        let inserts = json!({"sql": "insert into t (mark) values (?1), (?1), (?1)", "params": [stopped.mark]});
        stopped.send("execute", inserts, &mut seen[0]).await.ok();
        assert_eq!(stopped.query("select * from v", &mut seen[0]).await, json!([[stopped.mark, 3]]));
        let call = json!({"sql": sql, "params": [stopped.mark]});
        let answer = stopped.send("query", call, &mut seen[0]).await;
        let code = answer.json()["code"].clone();
        assert!(code == codes || (codes == "sql-too-large" && code == "sql-timeout"), "{sql}: {}", answer.text);
        seen.extend(join_all(next.iter().map(look_around)).await);
        assert_apart(&payers, &seen);
        assert!(pages_with(&app, &stopped.caller.payer, &stopped.mark).await > 0, "the search finds a mark");
        for other in next {
            assert_eq!(pages_with(&app, &other.caller.payer, &stopped.mark).await, 0, "{sql}");
        }
        assert_eq!(stopped.query("select * from v", &mut seen[0]).await, json!([[stopped.mark, 3]]));
    }
}
