//! Callers without a token, or with made-up ones, and callers that hang up: they take nothing away from others.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use payerbase::auth::Token;
use reqwest::header::HeaderValue;
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::Executor as _;

use crate::support::{Caller, TestApp, TestDatabase};

/// How long a caller waits before it hangs up.
const HANG_UP: Duration = Duration::from_millis(200);

/// A caller with a well-formed token that nobody made.
fn made_up(caller: &Caller) -> Caller {
    let (_, token): (_, SecretString) = Token::generate();
    Caller { token: Some(token), ..caller.clone() }
}

/// A caller that hangs up soon.
fn impatient(caller: &Caller) -> Caller {
    Caller { client: reqwest::Client::builder().timeout(HANG_UP).build().unwrap(), ..caller.clone() }
}

/// The sessions of the server.
async fn sessions(app: &TestApp) -> BTreeSet<i32> {
    let pids = "select pid from pg_stat_activity where usename = 'payerbase_app' and datname = current_database()";
    let pids: Vec<i32> = sqlx::query_scalar(pids).fetch_all(&mut app.database.admin().await).await.unwrap();
    pids.into_iter().collect()
}

#[tokio::test]
async fn made_up_tokens_do_not_delay_readiness_or_known_tokens() {
    let app = TestApp::on(TestDatabase::own().await);
    let caller = app.caller().await;
    caller.increment("a", json!({})).await.ok();
    let mut admin = app.database.admin().await;
    // Look-ups wait for as long as this lock is held.
    admin.execute("begin; lock table auth.tokens in access exclusive mode").await.unwrap();
    let strangers: Vec<_> = (0..64)
        .map(|_| {
            let stranger = made_up(&caller);
            tokio::spawn(async move { stranger.get("/v1/me").await.status })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(caller.get("/readyz").await.status, 200);
    caller.increment("a", json!({})).await.ok();
    admin.execute("rollback").await.unwrap();
    for stranger in strangers {
        assert_eq!(stranger.await.unwrap(), 401);
    }
}

#[tokio::test]
async fn many_made_up_tokens_and_links_are_answered_beside_new_ones() {
    let app = TestApp::on(TestDatabase::own().await);
    let caller = app.caller().await;
    let link = caller.post("/v1/links", json!({"url": "https://shop.example/"})).await.ok();
    let strangers = join_all((0..64).map(|stranger| {
        let caller = &caller;
        async move {
            for number in 0..5 {
                assert_eq!(made_up(caller).get("/v1/me").await.status, 401);
                assert_eq!(caller.get(&format!("/l/made-up-{stranger}-{number}")).await.status, 404);
            }
        }
    }));
    let new = async {
        for _ in 0..10 {
            app.caller().await.increment("a", json!({})).await.ok();
            caller.post("/v1/links", json!({"url": "https://shop.example/"})).await.ok();
            let visit = caller.get(&format!("/l/{}", link["slug"].as_str().unwrap())).await;
            assert_eq!(visit.status, 302);
        }
    };
    tokio::join!(strangers, new);
}

#[tokio::test]
async fn a_caller_that_hangs_up_breaks_no_connection() {
    let app = TestApp::on(TestDatabase::own().await);
    let caller = app.caller().await;
    caller.post("/v1/links", json!({"url": "https://shop.example/"})).await.ok();
    caller.get("/v1/links").await.ok();
    // Opens the connections of all pools.
    join_all((0..64).map(|_| async { made_up(&caller).get("/v1/me").await })).await;
    let before = sessions(&app).await;
    let mut admin = app.database.admin().await;
    let lock = "begin; lock table auth.tokens, slug.slugs, tenant.links in access exclusive mode";
    admin.execute(lock).await.unwrap();
    let (stranger, owner) = (impatient(&made_up(&caller)), impatient(&caller));
    join_all((0..16).map(|number| {
        let (stranger, owner) = (&stranger, &owner);
        async move {
            let body = json!({"url": "https://shop.example/"}).to_string().into_bytes();
            let hung_up = [
                stranger.try_send(reqwest::Method::GET, "/v1/me", None).await,
                stranger.try_send(reqwest::Method::GET, &format!("/l/made-up-{number}"), None).await,
                owner.try_send(reqwest::Method::GET, "/v1/links", None).await,
                owner.try_send(reqwest::Method::POST, "/v1/links", Some(("application/json", body))).await,
            ];
            assert!(hung_up.iter().all(Result::is_err));
        }
    }))
    .await;
    admin.execute("rollback").await.unwrap();
    // Answered after everything before it in each pool.
    caller.get("/v1/links").await.ok();
    caller.post("/v1/links", json!({"url": "https://shop.example/"})).await.ok();
    made_up(&caller).get("/v1/me").await.problem(401, "token-invalid");
    let after = sessions(&app).await;
    assert!(before.is_subset(&after), "{before:?} {after:?}");
}

/// The slugs of a payer.
async fn slugs(app: &TestApp, caller: &Caller) -> i64 {
    let count = sqlx::query_scalar("select count(*) from slug.slugs where payer = $1").bind(caller.payer.as_str());
    count.fetch_one(&mut app.database.admin().await).await.unwrap()
}

#[tokio::test]
async fn a_refused_call_keeps_no_slug() {
    let app = TestApp::spawn().await;
    let (caller, other) = (app.caller().await, app.caller().await);
    let wish = json!({"url": "https://shop.example/", "slug": format!("wish-{}", &caller.payer.as_str()[2..20])});
    let mut guarded = caller.clone();
    guarded.headers.insert("payerbase-guard", HeaderValue::from_static("nolock; fence=1"));
    guarded.post("/v1/links", wish.clone()).await.problem(409, "stale-fence");
    guarded.post("/v1/links", json!({"url": "https://shop.example/"})).await.problem(409, "stale-fence");
    let create = json!({"method": "createLink", "params": {"url": "https://shop.example/"}});
    let fail = json!({"method": "increment", "params": {"name": "a", "max": 0, "onBound": "reject"}});
    let calls = json!({"calls": [create, create, {"method": "createLink", "params": wish}, fail]});
    caller.post("/v1/transaction", calls).await.problem(409, "counter-out-of-bounds");
    assert_eq!(slugs(&app, &caller).await, 0);
    assert_eq!(other.post("/v1/links", wish.clone()).await.status, 201);
    let calls = json!({"calls": [create, {"method": "createLink", "params": wish}]});
    caller.post("/v1/transaction", calls).await.problem(409, "slug-taken");
    assert_eq!(slugs(&app, &caller).await, 0);
}

#[tokio::test]
async fn a_repeated_call_keeps_no_second_slug() {
    let app = TestApp::spawn().await;
    let mut caller = app.caller().await;
    caller.headers.insert("idempotency-key", HeaderValue::from_static("the same key"));
    let create = || caller.post("/v1/links", json!({"url": "https://shop.example/"}));
    let links: Vec<Value> = join_all((0..16).map(|_| create())).await.into_iter().map(|link| link.ok()).collect();
    assert!(links.iter().all(|link| link == &links[0]), "{links:?}");
    assert_eq!(slugs(&app, &caller).await, 1);
}

#[tokio::test]
async fn a_slug_stays_with_the_call_that_made_its_link() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let mut guarded = caller.clone();
    guarded.headers.insert("payerbase-guard", HeaderValue::from_static("nolock; fence=1"));
    for round in 0..10 {
        let slug = format!("both-{round}-{}", &caller.payer.as_str()[2..20]);
        let wish = json!({"url": "https://shop.example/", "slug": slug});
        // The refused call gives back the slug only if no other call counts on it.
        let (made, refused) = tokio::join!(caller.post("/v1/links", wish.clone()), guarded.post("/v1/links", wish));
        assert_eq!(made.status, 201);
        refused.problem(409, "stale-fence");
        let owner = sqlx::query_scalar("select payer from slug.slugs where slug = $1").bind(slug);
        let owner: Option<String> = owner.fetch_optional(&mut app.database.admin().await).await.unwrap();
        assert_eq!(owner.as_deref(), Some(caller.payer.as_str()));
    }
}

#[tokio::test]
async fn slugs_that_callers_leave_behind_are_bounded() {
    let app = TestApp::on(TestDatabase::own().await);
    let (caller, other) = (app.caller().await, app.caller().await);
    let create = json!({"url": "https://shop.example/"});
    caller.post("/v1/links", create.clone()).await.ok();
    let mut admin = app.database.admin().await;
    let lock = sqlx::query("select pg_advisory_lock(tenant.payer_lock($1))").bind(caller.payer.as_str());
    lock.execute(&mut admin).await.unwrap();
    let owner = impatient(&caller);
    while slugs(&app, &caller).await < 1_000 {
        let body = create.to_string().into_bytes();
        let calls = (0..100)
            .map(|_| owner.try_send(reqwest::Method::POST, "/v1/links", Some(("application/json", body.clone()))));
        join_all(calls).await;
    }
    let problem = caller.post("/v1/links", create.clone()).await.problem(503, "overloaded");
    assert!(problem["detail"].as_str().unwrap().contains("have no link"), "{problem}");
    assert_eq!(slugs(&app, &caller).await, 1_001);
    other.post("/v1/links", create).await.ok();
}
