//! The scans of the sweeper: page by page, they reach the last row.

use sqlx::{AssertSqlSafe, Executor as _};

use crate::database::TestDatabase;

/// More rows than one scan covers. Only the last row is due.
#[tokio::test]
async fn a_scan_in_pages_reaches_the_last_row() {
    let mut db = TestDatabase::own().await.admin().await;
    for (find, fill, last) in [
        (
            "slugs",
            "insert into slug.slugs select 's' || lpad(n::text, 6, '0'), '0xa', case when n = 4100 then now() - interval '1 hour' else now() end
               from generate_series(1, 4100) n",
            ("0xa", "s004100"),
        ),
        (
            "graphs",
            "insert into tenant.memory_spaces select '0x' || lpad(n::text, 6, '0'), 'm', 3, case when n = 20100 then 1000000 else 1 end, 1, 0
               from generate_series(1, 20100) n",
            ("0x020100", "m\u{1}3"),
        ),
    ] {
        db.execute(fill).await.unwrap();
        let scan = format!("select payer, key, due from sweep.{find}($1, $2, 0)");
        let (mut after, mut due, mut steps) = ((String::new(), String::new()), Vec::new(), 0);
        loop {
            let rows: Vec<(String, String, bool)> = sqlx::query_as(AssertSqlSafe(scan.clone()))
                .bind(&after.0)
                .bind(&after.1)
                .fetch_all(&mut db)
                .await
                .unwrap();
            let Some((payer, key, _)) = rows.last() else { break };
            after = (payer.clone(), key.clone());
            due.extend(rows.into_iter().filter(|row| row.2).map(|(payer, key, _)| (payer, key)));
            steps += 1;
        }
        assert_eq!(due, [(last.0.to_owned(), last.1.to_owned())], "{find}");
        assert_eq!(steps, 3, "{find}");
    }
}
