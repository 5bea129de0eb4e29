//! The plan of a statement of the source, as a role runs it in a turn of the payer `0xa`.

use std::sync::LazyLock;

use regex::Regex;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection, Row as _};

/// Words with single spaces, without the variables that PL/pgSQL selects into.
fn words(text: &str) -> String {
    static INTO: LazyLock<Regex> = LazyLock::new(|| Regex::new(r" into v_\w+(, v_\w+)*").unwrap());
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ").replace("( ", "(").replace(" )", ")");
    INTO.replace_all(&text, "").into_owned()
}

/// The generic plan of a statement, which must be one of the installed functions, word for word. `variables` are its
/// PL/pgSQL variables with their types; the first one is the payer. `set_up` are statements that run before, in the same
/// transaction, which is rolled back.
pub async fn plan(db: &mut PgConnection, role: &str, set_up: &str, statement: &str, variables: &[&str]) -> String {
    let statement = words(statement);
    let is_ours = payerbase::schema().functions().any(|(_, sql)| words(sql).contains(&statement));
    assert!(is_ours, "not a statement of the source: {statement}");
    let (names, types): (Vec<&str>, Vec<&str>) =
        variables.iter().map(|variable| variable.split_once(' ').unwrap()).unzip();
    let numbered = names.iter().enumerate().fold(statement, |statement, (n, name)| {
        let name = Regex::new(&format!(r"\b{}\b", regex::escape(name))).unwrap();
        let number = format!("${}", n + 1);
        name.replace_all(&statement, regex::NoExpand(&number)).into_owned()
    });
    let prepare = format!("prepare the_statement ({}) as {numbered}", types.join(", "));
    let begin = format!(
        "begin; set local plan_cache_mode = force_generic_plan; set local enable_seqscan = off; {set_up};
         set local role {role}; set local payerbase.payer = '0xa'"
    );
    db.execute(AssertSqlSafe(begin)).await.unwrap();
    db.execute(AssertSqlSafe(prepare)).await.unwrap();
    let others = ", null".repeat(variables.len() - 1);
    let explain = format!("explain (costs off) execute the_statement ('0xa'{others})");
    let rows = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(&mut *db).await.unwrap();
    db.execute("deallocate the_statement; rollback").await.unwrap();
    rows.iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>().join("\n")
}
