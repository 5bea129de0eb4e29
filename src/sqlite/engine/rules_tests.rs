//! Tests of the rules: each denial is what stops its statement, and each function and PRAGMA of the lists works.

use serde_json::json;

use super::rules::{Allowed, FUNCTIONS, PRAGMAS, RULES, action};
use super::tests::{Opened, not_allowed};
use super::*;

type Rule = (i32, Allowed);

/// Actions that no rule names, with SQLite's numbers.
const DROP_TEMP_INDEX: i32 = 12;
const DROP_TEMP_TABLE: i32 = 13;
const DROP_TEMP_TRIGGER: i32 = 14;
const DROP_TEMP_VIEW: i32 = 15;
const DROP_TRIGGER: i32 = 16;

/// Statements that one denial stops.
struct Denial {
    /// One of them is denied.
    statements: &'static [&'static str],
    /// The rule that would let it through.
    lifted: Rule,
    /// Rules that the statements before it need, or that it needs, too.
    also: &'static [Rule],
    /// The message of the second wall. `None`: there is none, so that the denial alone stops the statement.
    wall: Option<&'static str>,
}

const fn always(action: i32) -> Rule {
    (action, Allowed::Always)
}

const fn denial(statements: &'static [&'static str], lifted: i32, also: &'static [Rule]) -> Denial {
    Denial { statements, lifted: always(lifted), also, wall: None }
}

const fn behind(statements: &'static [&'static str], lifted: i32, wall: &'static str) -> Denial {
    Denial { statements, lifted: always(lifted), also: &[], wall: Some(wall) }
}

const fn reserved(statements: &'static [&'static str], lifted: i32) -> Denial {
    Denial { statements, lifted: (lifted, Allowed::InMain), also: &[], wall: None }
}

/// What a temporary table needs.
const TEMP_TABLE: &[Rule] = &[always(action::CREATE_TEMP_TABLE), always(action::INSERT)];
const TEMP_INDEX: &[Rule] =
    &[always(action::CREATE_TEMP_TABLE), always(action::INSERT), always(action::REINDEX), always(action::READ)];

const MAKE_TRIGGER: &str = "create trigger r after insert on t begin select 1; end";
const MAKE_TEMP_TRIGGER: &str = "create temp trigger r after insert on t begin select 1; end";
const MAKE_TEMP_TABLE: &str = "create temp table u (a)";
const MAKE_TEMP_INDEX: &str = "create index temp.j on u (a)";

/// Virtual tables cannot be dropped, because none can be made.
const DENIALS: &[Denial] = &[
    behind(&["begin"], action::TRANSACTION, "cannot start a transaction within a transaction"),
    // The end of the call finds no transaction.
    behind(&["commit"], action::TRANSACTION, "no transaction is active"),
    denial(&["savepoint s"], action::SAVEPOINT, &[]),
    behind(&["attach ':memory:' as b"], action::ATTACH, "too many attached databases - max 0"),
    behind(&["detach main"], action::DETACH, "cannot detach database main"),
    behind(&["create virtual table w using fts5(a)"], action::CREATE_VTABLE, "no such module: fts5"),
    behind(&["create virtual table w using json_each"], action::CREATE_VTABLE, "no such module: json_each"),
    denial(&[MAKE_TRIGGER], action::CREATE_TRIGGER, &[]),
    denial(&[MAKE_TRIGGER, "drop trigger r"], DROP_TRIGGER, &[always(action::CREATE_TRIGGER)]),
    denial(&[MAKE_TEMP_TABLE], action::CREATE_TEMP_TABLE, &[always(action::INSERT)]),
    denial(&[MAKE_TEMP_TABLE], action::INSERT, &[always(action::CREATE_TEMP_TABLE)]),
    denial(&[MAKE_TEMP_TABLE, "select a from u"], action::READ, TEMP_TABLE),
    denial(&[MAKE_TEMP_TABLE, "update u set a = 1"], action::UPDATE, TEMP_TABLE),
    denial(&[MAKE_TEMP_TABLE, "delete from u"], action::DELETE, TEMP_TABLE),
    denial(
        &[MAKE_TEMP_TABLE, "alter table u rename to z"],
        action::ALTER_TABLE,
        &[always(action::CREATE_TEMP_TABLE), always(action::INSERT), always(action::UPDATE), always(action::READ)],
    ),
    denial(
        &[MAKE_TEMP_TABLE, "drop table u"],
        DROP_TEMP_TABLE,
        &[always(action::CREATE_TEMP_TABLE), always(action::INSERT), always(action::DELETE)],
    ),
    denial(&[MAKE_TEMP_TABLE, MAKE_TEMP_INDEX], action::CREATE_TEMP_INDEX, TEMP_INDEX),
    denial(
        &[MAKE_TEMP_TABLE, MAKE_TEMP_INDEX, "reindex temp.j"],
        action::REINDEX,
        &[
            always(action::CREATE_TEMP_TABLE),
            always(action::CREATE_TEMP_INDEX),
            always(action::INSERT),
            always(action::READ),
        ],
    ),
    denial(
        &[MAKE_TEMP_TABLE, MAKE_TEMP_INDEX, "drop index temp.j"],
        DROP_TEMP_INDEX,
        &[
            always(action::CREATE_TEMP_TABLE),
            always(action::CREATE_TEMP_INDEX),
            always(action::INSERT),
            always(action::READ),
            always(action::REINDEX),
            always(action::DELETE),
        ],
    ),
    denial(&["create temp view u as select 1"], action::CREATE_TEMP_VIEW, &[always(action::INSERT)]),
    denial(
        &["create temp view u as select 1", "drop view u"],
        DROP_TEMP_VIEW,
        &[always(action::CREATE_TEMP_VIEW), always(action::INSERT), always(action::DELETE)],
    ),
    denial(&[MAKE_TEMP_TRIGGER], action::CREATE_TEMP_TRIGGER, &[always(action::INSERT)]),
    denial(
        &[MAKE_TEMP_TRIGGER, "drop trigger r"],
        DROP_TEMP_TRIGGER,
        &[always(action::CREATE_TEMP_TRIGGER), always(action::INSERT), always(action::DELETE)],
    ),
    denial(&["select sqlite_source_id()"], action::FUNCTION, &[]),
    denial(&["pragma user_version = 5"], action::PRAGMA, &[]),
    denial(&["select * from pragma_database_list"], action::PRAGMA, &[]),
    reserved(&["create table pb_x (a)"], action::CREATE_TABLE),
    reserved(&["create index pb_x on t (a)"], action::CREATE_INDEX),
    reserved(&["create view pb_x as select 1"], action::CREATE_VIEW),
];

fn leaked(rules: impl IntoIterator<Item = Rule>) -> &'static [Rule] {
    Vec::leak(rules.into_iter().collect())
}

/// A database with a table, an index and a view.
fn with_things() -> Opened {
    let mut one = Opened::new();
    for made in ["create table t (a, b)", "create index i on t (a)", "create view v as select a from t"] {
        one.write(made).unwrap();
    }
    one
}

fn run_all(one: &mut Opened, statements: &[&str]) -> Result<Vec<StatementResult>, Stopped> {
    let statements: Vec<_> = statements.iter().map(|sql| (*sql, json!(null))).collect();
    one.run(&statements, true)
}

#[test]
fn each_denial_is_what_stops_its_statement() {
    for Denial { statements, lifted, also, wall } in DENIALS {
        let mut one = with_things();
        let denied = leaked(RULES.iter().chain(*also).copied());
        one.database.set_rules(denied);
        let stopped = run_all(&mut one, statements).unwrap_err();
        assert!(not_allowed(&stopped), "{statements:?}: {stopped:?}");
        one = with_things();
        one.database.set_rules(leaked(denied.iter().copied().chain([*lifted])));
        match (run_all(&mut one, statements), wall) {
            (Ok(_through), None) => {}
            (Err(Stopped::Sql { message, .. }), Some(wall)) if message.contains(wall) => {}
            (ran, wall) => panic!("{statements:?} behind {wall:?}: {ran:?}"),
        }
    }
}

/// Of a new name of `ALTER TABLE`, no rule knows.
#[test]
fn a_new_name_that_is_reserved_is_found_before_the_commit() {
    let mut one = with_things();
    for name in ["pb_x", "\"PB_x\"", "[Pb_]"] {
        let stopped = one.write(&format!("alter table t rename to {name}")).unwrap_err();
        assert!(not_allowed(&stopped), "{name}: {stopped:?}");
    }
    let stopped = run_all(&mut one, &["alter table t rename to pb_x", "alter table pb_x rename to t"]).unwrap_err();
    assert!(not_allowed(&stopped), "{stopped:?}");
}

/// The names in a list of SQLite, which no rule of payers lets through.
fn names_of(list: &str) -> Vec<String> {
    let mut one = Opened::new();
    one.database.set_rules(leaked(RULES.iter().copied().chain([always(action::PRAGMA)])));
    let sql = format!("select distinct name from {list} where name > ? order by name limit 9");
    let mut names = Vec::new();
    loop {
        let last: String = names.last().cloned().unwrap_or_default();
        let rows = one.rows(&sql, json!([last]));
        let more = rows.as_array().unwrap().iter().map(|row| row[0].as_str().unwrap().to_owned());
        let count = names.len();
        names.extend(more);
        if names.len() == count {
            return names;
        }
    }
}

#[test]
fn only_the_listed_pragmas_are_allowed_and_only_with_an_argument() {
    let names = names_of("pragma_pragma_list");
    assert!(names.len() > 60, "{names:?}");
    assert!(PRAGMAS.iter().all(|pragma| names.iter().any(|name| name == pragma)), "{names:?}");
    let without_rule = leaked(RULES.iter().copied().filter(|(action, _)| *action != action::PRAGMA));
    let mut one = with_things();
    for name in &names {
        let is_listed = PRAGMAS.contains(&name.as_str());
        let argument = if name.starts_with("index_") && name != "index_list" { "i" } else { "t" };
        let forms = [
            format!("pragma {name}"),
            format!("pragma {name} = {argument}"),
            format!("pragma main.{name}({argument})"),
        ];
        for (place, sql) in forms.iter().enumerate() {
            let ran = one.write(sql);
            match is_listed && place > 0 {
                true => assert!(ran.is_ok(), "{sql}: {ran:?}"),
                false => assert!(not_allowed(&ran.unwrap_err()), "{sql}"),
            }
            one.database.set_rules(without_rule);
            assert!(not_allowed(&one.write(sql).unwrap_err()), "{sql}");
            one.database.set_rules(RULES);
        }
    }
}

#[test]
fn each_listed_function_is_callable_by_its_rule_alone() {
    assert_eq!(CALLS.len(), FUNCTIONS.len());
    let without_rule = leaked(RULES.iter().copied().filter(|(action, _)| *action != action::FUNCTION));
    for (sql, function) in CALLS.iter().zip(FUNCTIONS) {
        let mut one = with_things();
        one.database.set_rules(without_rule);
        let stopped = one.write(sql).unwrap_err();
        let (is_internal, reason) = (sql.starts_with("alter"), format!("The function {function} is not allowed."));
        let is_expected = matches!(&stopped, Stopped::NotAllowed(given) if is_internal || *given == reason);
        assert!(is_expected, "{sql}: {stopped:?}");
        one.database.set_rules(RULES);
        let ran = one.write(sql);
        assert!(ran.is_ok(), "{sql}: {ran:?}");
    }
}

#[test]
fn every_other_function_of_sqlite_is_denied() {
    let others = names_of("pragma_function_list");
    assert!(others.len() > 100, "{others:?}");
    let others: Vec<_> = others.iter().filter(|name| !FUNCTIONS.contains(&name.as_str())).collect();
    let known = ["match", "sqlite_compileoption_get", "sqlite_compileoption_used", "sqlite_log", "sqlite_source_id"];
    assert_eq!(others, known, "look at a new function before you list it");
    let mut one = Opened::new();
    for name in known {
        let calls = ["", "1", "1, 1"].map(|arguments| one.write(&format!("select {name}({arguments})")).unwrap_err());
        assert!(calls.iter().any(not_allowed), "{name}: {calls:?}");
        assert!(!calls.iter().any(|stopped| matches!(stopped, Stopped::Timeout | Stopped::Broken)), "{name}");
    }
}

/// Functions that SQLite calls for `ALTER TABLE` are none of a statement, although a rule allows them.
#[test]
fn internal_functions_are_not_callable() {
    let mut one = Opened::new();
    let internal = FUNCTIONS.iter().filter(|name| name.starts_with("sqlite_") && **name != "sqlite_version");
    for name in internal {
        for count in [2, 3, 7, 9] {
            let sql = format!("select {name}({})", vec!["1"; count].join(", "));
            let stopped = one.write(&sql).unwrap_err();
            assert!(matches!(stopped, Stopped::Sql { .. }), "{sql}: {stopped:?}");
        }
    }
}

/// A statement for each function of the list.
const CALLS: &[&str] = &[
    "select '[1]' -> 0",
    "select '[1]' ->> 0",
    "select abs(1)",
    "select acos(1)",
    "select acosh(1)",
    "select asin(1)",
    "select asinh(1)",
    "select atan(1)",
    "select atan2(1, 1)",
    "select atanh(1)",
    "select avg(1)",
    "select ceil(1)",
    "select ceiling(1)",
    "select changes()",
    "select char(97)",
    "select coalesce(1, 1)",
    "select concat(1)",
    "select concat_ws(',', 1)",
    "select cos(1)",
    "select cosh(1)",
    "select count(*)",
    "select cume_dist() over ()",
    "select current_date",
    "select current_time",
    "select current_timestamp",
    "select date()",
    "select datetime()",
    "select degrees(1)",
    "select dense_rank() over ()",
    "select exp(1)",
    "select first_value(1) over ()",
    "select floor(1)",
    "select format('%d', 1)",
    "select glob('a*', 'a')",
    "select group_concat('a')",
    "select hex(1)",
    "select if(1, 2)",
    "select ifnull(1, 1)",
    "select iif(1, 2)",
    "select instr(1, 1)",
    "select json('[1]')",
    "select json_array(1)",
    "select json_array_insert('[1]', '$[0]', 2)",
    "select json_array_length('[1]')",
    "select json_error_position('[1]')",
    "select json_extract('[1]', '$[0]')",
    "select json_group_array(1)",
    "select json_group_object('a', 1)",
    "select json_insert('[1]', '$[0]', 2)",
    "select json_object('a', 1)",
    "select json_patch('[1]', '[2]')",
    "select json_pretty('[1]')",
    "select json_quote(1)",
    "select json_remove('[1]', '$[0]')",
    "select json_replace('[1]', '$[0]', 2)",
    "select json_set('[1]', '$[0]', 2)",
    "select json_type('[1]')",
    "select json_valid('[1]')",
    "select jsonb('[1]')",
    "select jsonb_array(1)",
    "select jsonb_array_insert('[1]', '$[0]', 2)",
    "select jsonb_extract('[1]', '$[0]')",
    "select jsonb_group_array(1)",
    "select jsonb_group_object('a', 1)",
    "select jsonb_insert('[1]', '$[0]', 2)",
    "select jsonb_object('a', 1)",
    "select jsonb_patch('[1]', '[2]')",
    "select jsonb_remove('[1]', '$[0]')",
    "select jsonb_replace('[1]', '$[0]', 2)",
    "select jsonb_set('[1]', '$[0]', 2)",
    "select julianday()",
    "select lag(1) over ()",
    "select last_insert_rowid()",
    "select last_value(1) over ()",
    "select lead(1) over ()",
    "select length(1)",
    "select like('a%', 'a')",
    "select likelihood(1, 0.5)",
    "select likely(1)",
    "select ln(1)",
    "select log(1)",
    "select log10(1)",
    "select log2(1)",
    "select lower(1)",
    "select ltrim(1)",
    "select max(1, 2)",
    "select min(1, 2)",
    "select mod(1, 1)",
    "select nth_value(1, 1) over ()",
    "select ntile(1) over ()",
    "select nullif(1, 1)",
    "select octet_length(1)",
    "select percent_rank() over ()",
    "select pi()",
    "select pow(1, 1)",
    "select power(1, 1)",
    "select printf('%d', 1)",
    "select quote(1)",
    "select radians(1)",
    "select random()",
    "select randomblob(1)",
    "select rank() over ()",
    "select replace(1, 1, 1)",
    "select round(1)",
    "select row_number() over ()",
    "select rtrim(1)",
    "select sign(1)",
    "select sin(1)",
    "select sinh(1)",
    "alter table t add constraint c check (true)",
    "alter table t drop column b",
    "alter table t add constraint c check (true)",
    "alter table t alter column b drop not null",
    "alter table t add constraint c check (true)",
    "alter table t rename column b to z",
    "alter table t drop column b",
    "alter table t rename to z",
    "alter table t rename column b to z",
    "select sqlite_version()",
    "select sqrt(1)",
    "select strftime('%Y')",
    "select string_agg('a', ',')",
    "select substr(1, 1)",
    "select substring(1, 1)",
    "select subtype(1)",
    "select sum(1)",
    "select tan(1)",
    "select tanh(1)",
    "select time()",
    "select timediff('2000-01-02', '2000-01-01')",
    "select total(1)",
    "select total_changes()",
    "select trim(1)",
    "select trunc(1)",
    "select typeof(1)",
    "select unhex('00')",
    "select unicode(1)",
    "select unistr('a')",
    "select unistr_quote(1)",
    "select unixepoch()",
    "select unlikely(1)",
    "select upper(1)",
    "select zeroblob(1)",
];
