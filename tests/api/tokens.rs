//! Tokens that are made with tokens, and the log of an account.

use std::time::Duration;

use futures_util::future::join_all;
use payerbase::auth::Scope;
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::support::{Answer, Caller, TestApp, TestDatabase};

const HOUR: Duration = Duration::from_secs(3_600);

/// A caller with a token that another one made.
fn with_token(caller: &Caller, made: &Value) -> Caller {
    Caller { token: Some(made["token"].as_str().unwrap().into()), ..caller.clone() }
}

/// The id of the caller's own token.
fn own_id(caller: &Caller) -> &str {
    &caller.token.as_ref().unwrap().expose_secret()[8..24]
}

async fn create(caller: &Caller, wish: Value) -> Value {
    let answer = caller.post("/v1/tokens", wish).await;
    assert_eq!((answer.status.as_u16(), &answer.headers["cache-control"]), (201, &"no-store".parse().unwrap()));
    answer.json()
}

async fn rotate(caller: &Caller, id: &str, body: Value) -> Answer {
    caller.post(&format!("/v1/tokens/{id}/rotate"), body).await
}

/// Waits until the token is refused, and returns the code of the problem.
async fn refused(app: &TestApp, caller: &Caller) -> String {
    app.until(async || caller.get("/v1/me").await.status == 401).await;
    caller.get("/v1/me").await.json()["code"].as_str().unwrap().to_owned()
}

async fn tokens(caller: &Caller) -> Vec<Value> {
    caller.get("/v1/tokens").await.ok()["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_token_makes_a_narrower_one() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let wish = json!({"name": "dashboard", "scopes": ["counters:read"], "lifetimeMs": 60_000});
    let made = create(&caller, wish).await;
    assert_eq!((&made["name"], &made["scopes"]), (&json!("dashboard"), &json!(["counters:read"])));
    assert_eq!((&made["createdBy"], &made["revokedAt"]), (&json!(own_id(&caller)), &Value::Null));
    let dashboard = with_token(&caller, &made);
    assert_eq!(own_id(&dashboard), made["id"]);
    let me = dashboard.get("/v1/me").await.ok();
    assert_eq!((&me["payer"], &me["tokenName"]), (&json!(caller.payer), &json!("dashboard")));
    assert_eq!((&me["tokenExpiresAt"], &me["scopes"]), (&made["expiresAt"], &json!(["counters:read"])));
    dashboard.get("/v1/counters").await.ok();
    dashboard.increment("a", json!({})).await.problem(403, "missing-scope");
    let same = with_token(&caller, &create(&caller, json!({})).await).get("/v1/me").await.ok();
    assert_eq!(same["scopes"], json!(["*"]), "without a wish, the scopes are the maker's");
    let mut listed = tokens(&caller).await;
    assert_eq!(listed.len(), 3);
    listed[1]["token"] = made["token"].clone();
    assert_eq!(listed[1], made, "newest first, without the secret");
}

#[tokio::test]
async fn a_token_makes_no_wider_one() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let scopes = [Scope::TokensWrite, Scope::CountersRead];
    let narrow = Caller { token: Some(app.token(&caller.payer, &scopes, HOUR).await), ..caller.clone() };
    let problem =
        narrow.post("/v1/tokens", json!({"scopes": ["*", "counter:read"]})).await.problem(422, "invalid-value");
    let detail = problem["errors"][0]["detail"].as_str().unwrap();
    assert!(detail.starts_with("must be a scope: *, counters:read") && detail.ends_with("account:export"), "{detail}");
    for (scopes, missing) in [(json!(["*"]), "*"), (json!(["counters:read", "counters:write"]), "counters:write")] {
        let wish = json!({"scopes": scopes});
        let problem = narrow.post("/v1/tokens", wish.clone()).await.problem(403, "missing-scope");
        assert_eq!(problem["scope"], missing);
        let in_transaction = json!({"calls": [{"method": "createToken", "params": wish}]});
        narrow.post("/v1/transaction", in_transaction).await.problem(403, "missing-scope");
    }
    let longer = json!({"lifetimeMs": 3_660_000});
    let problem = narrow.post("/v1/tokens", longer).await.problem(422, "invalid-value");
    assert_eq!(problem["errors"][0]["pointer"], "/lifetimeMs");
    let shorter = Caller { token: Some(app.token(&caller.payer, &scopes, HOUR / 2).await), ..caller.clone() };
    let made = create(&shorter, json!({})).await;
    let me = shorter.get("/v1/me").await.ok();
    assert_eq!(made["expiresAt"], me["tokenExpiresAt"], "without a wish, it ends with its maker");
    // Nor does it get the secret of a token that it has not made.
    let wide = app.token(&caller.payer, &[Scope::Everything], HOUR / 2).await;
    let same = app.token(&caller.payer, &scopes, HOUR / 2).await;
    for other in [own_id(&caller), &wide.expose_secret()[8..24], &same.expose_secret()[8..24]] {
        let problem = rotate(&narrow, other, json!({})).await.problem(422, "invalid-value");
        assert_eq!(problem["errors"][0]["pointer"], "/id");
    }
    let reader = with_token(&caller, &create(&caller, json!({"scopes": ["tokens:read"]})).await);
    reader.get("/v1/tokens").await.ok();
    for path in [format!("/v1/tokens/{}/rotate", own_id(&caller)), "/v1/tokens".to_owned()] {
        reader.post(&path, json!({})).await.problem(403, "missing-scope");
    }
    reader.delete(&format!("/v1/tokens/{}", own_id(&caller))).await.problem(403, "missing-scope");
}

#[tokio::test]
async fn a_token_is_revoked_with_all_that_were_made_with_it() {
    let database = TestDatabase::own().await;
    let apps = [TestApp::on(database.clone()), TestApp::on(database)];
    let caller = apps[0].caller().await;
    let elsewhere = |caller: &Caller| Caller { url: apps[1].url.clone(), ..caller.clone() };
    let first = with_token(&caller, &create(&caller, json!({})).await);
    let second = with_token(&caller, &create(&first, json!({})).await);
    let third = with_token(&caller, &rotate(&second, own_id(&second), json!({})).await.json());
    let other = with_token(&caller, &create(&caller, json!({})).await);
    for token in [&first, &second, &third, &other] {
        elsewhere(token).get("/v1/me").await.ok();
    }
    let path = format!("/v1/tokens/{}", own_id(&first));
    assert_eq!(caller.delete(&path).await.status, 204);
    assert_eq!(caller.delete(&path).await.status, 204, "a second time changes nothing");
    for token in [&first, &second, &third] {
        assert_eq!(refused(&apps[0], token).await, "token-revoked");
        assert_eq!(refused(&apps[1], &elsewhere(token)).await, "token-revoked");
    }
    other.get("/v1/me").await.ok();
    let revoked = tokens(&caller).await.iter().filter(|token| !token["revokedAt"].is_null()).count();
    assert_eq!(revoked, 3);
    caller.delete("/v1/tokens/0000000000000000").await.problem(404, "not-found");
    caller.delete("/v1/tokens/short").await.problem(422, "invalid-value");
}

#[tokio::test]
async fn a_token_replaces_and_revokes_itself_without_a_scope() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let old = with_token(&caller, &create(&caller, json!({"name": "shop", "scopes": ["counters:read"]})).await);
    old.get("/v1/me").await.ok();
    let made = rotate(&old, own_id(&old), json!({"overlapMs": 0})).await;
    assert_eq!(made.status, 201);
    let made = made.json();
    assert_eq!((&made["name"], &made["scopes"]), (&json!("shop"), &json!(["counters:read"])));
    assert_eq!(refused(&app, &old).await, "token-expired");
    let new = with_token(&caller, &made);
    new.get("/v1/counters").await.ok();
    assert_eq!(new.delete(&format!("/v1/tokens/{}", own_id(&new))).await.status, 204);
    assert_eq!(refused(&app, &new).await, "token-revoked");
    rotate(&caller, own_id(&new), json!({})).await.problem(404, "not-found");
    for overlap in [-1, 86_400_001] {
        rotate(&caller, own_id(&caller), json!({"overlapMs": overlap})).await.problem(422, "invalid-value");
    }
}

#[tokio::test]
async fn an_old_token_is_valid_during_the_overlap() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let old = with_token(&caller, &create(&caller, json!({"lifetimeMs": 3_600_000})).await);
    let made = rotate(&caller, own_id(&old), json!({"overlapMs": 600_000})).await.json();
    // The cache knows the new time of expiry within five seconds.
    let expires_at = async || old.get("/v1/me").await.ok()["tokenExpiresAt"].as_str().unwrap().to_owned();
    app.until(async || expires_at().await.as_str() < made["expiresAt"].as_str().unwrap()).await;
    with_token(&caller, &made).increment("a", json!({})).await.ok();
    old.increment("a", json!({})).await.ok();
}

/// The answer is the only copy of the secret, so it cannot be repeated.
#[tokio::test]
async fn making_a_token_takes_no_idempotency_key() {
    let app = TestApp::spawn().await;
    let mut caller = app.caller().await;
    caller.headers.insert("idempotency-key", "make-a-token-once".parse().unwrap());
    let problem = caller.post("/v1/tokens", json!({})).await.problem(400, "invalid-header");
    assert_eq!(problem["header"], "idempotency-key");
    rotate(&caller, own_id(&caller), json!({})).await.problem(400, "invalid-header");
    let calls = json!({"calls": [{"method": "increment", "params": {"name": "a"}}, {"method": "createToken"}]});
    let problem = caller.post("/v1/transaction", calls.clone()).await.problem(400, "invalid-header");
    assert_eq!((&problem["index"], &problem["method"]), (&json!(1), &json!("createToken")));
    assert_eq!(tokens(&caller).await.len(), 1);
    caller.headers.clear();
    let results = caller.post("/v1/transaction", calls).await.ok();
    with_token(&caller, &results["results"][1]).increment("a", json!({})).await.ok();
}

#[tokio::test]
async fn a_revoked_token_that_is_still_cached_makes_none() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let maker = with_token(&caller, &create(&caller, json!({})).await);
    let path = format!("/v1/tokens/{}", own_id(&maker));
    for _ in 0..5 {
        let makings = join_all((0..8).map(|_| maker.post("/v1/tokens", json!({}))));
        let (made, revoked) = tokio::join!(makings, caller.delete(&path));
        assert_eq!(revoked.status, 204);
        for answer in made.into_iter().filter(|answer| answer.status != 201) {
            answer.problem(401, "token-revoked");
        }
    }
    let maker = json!(own_id(&maker));
    let valid = tokens(&caller).await.into_iter().filter(|token| token["createdBy"] == maker);
    assert_eq!(valid.filter(|token| token["revokedAt"].is_null()).count(), 0);
}

#[tokio::test]
async fn a_payer_has_a_limited_number_of_tokens() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let fill = "insert into auth.tokens (payer, id, secret_sha256, scopes, created_at, expires_at, parent)
        select $1, lpad(n::text, 16, '0'), sha256('a'), '{*}', now(), now() + interval '1 hour', $2
          from generate_series(1, 1000) as n";
    let mut admin = app.database.admin().await;
    sqlx::query(fill).bind(caller.payer.as_str()).bind(own_id(&caller)).execute(&mut admin).await.unwrap();
    let problem = caller.post("/v1/tokens", json!({})).await.problem(403, "quota-exceeded");
    assert_eq!(problem["limit"], 1_000);
    rotate(&caller, own_id(&caller), json!({})).await.problem(403, "quota-exceeded");
    caller.delete("/v1/tokens/0000000000000007").await.ok();
    create(&caller, json!({})).await;
    let pages = async |path: &str| caller.get(path).await.ok();
    let (mut path, mut count) = ("/v1/tokens?limit=300".to_owned(), 0);
    loop {
        let page = pages(&path).await;
        count += page["items"].as_array().unwrap().len();
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("/v1/tokens?limit=300&cursor={cursor}");
    }
    assert_eq!(count, 1_002);
    // The id of a token that does not exist.
    caller.get("/v1/tokens?cursor=enp6enp6enp6enp6enp6eg").await.problem(422, "invalid-value");
}

#[tokio::test]
async fn the_log_says_what_happened_to_tokens() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let made = create(&caller, json!({"scopes": ["counters:read"], "lifetimeMs": 60_000})).await;
    let new = rotate(&caller, made["id"].as_str().unwrap(), json!({})).await.json();
    caller.delete(&format!("/v1/tokens/{}", new["id"].as_str().unwrap())).await.ok();
    let mut admin = app.database.admin().await;
    let page = caller.get("/v1/audit").await;
    for secret in [&caller.token.as_ref().unwrap().expose_secret()[25..68], &made["token"].as_str().unwrap()[25..68]] {
        assert!(!page.text.contains(secret), "no secrets");
    }
    let entries = page.ok()["items"].as_array().unwrap().clone();
    let [created, rotated, revoked] = ["token-created", "token-rotated", "token-revoked"].map(Value::from);
    let seen: Vec<_> = entries.iter().map(|entry| [&entry["event"], &entry["tokenId"], &entry["byTokenId"]]).collect();
    let own = json!(own_id(&caller));
    assert_eq!(
        seen,
        [
            [&revoked, &new["id"], &own],
            [&rotated, &made["id"], &own],
            [&created, &made["id"], &own],
            [&created, &own, &Value::Null],
        ]
    );
    assert_eq!(entries[2]["scopes"], json!(["counters:read"]));
    // The operator revokes.
    sqlx::query("select auth.revoke_token($1)").bind(own_id(&caller)).execute(&mut admin).await.unwrap();
    let other = Caller { token: Some(app.token(&caller.payer, &[Scope::AuditRead], HOUR).await), ..caller.clone() };
    let last = other.get("/v1/audit?limit=2").await.ok();
    assert_eq!((&last["items"][1]["event"], &last["items"][1]["byTokenId"]), (&revoked, &Value::Null));
    let rest = other.get(&format!("/v1/audit?cursor={}", last["nextCursor"].as_str().unwrap())).await.ok();
    assert_eq!(rest["items"].as_array().unwrap().len(), 4);
    other.send(Method::DELETE, "/v1/audit", None).await.problem(405, "method-not-allowed");
}

/// Otherwise the maker of the maker could not revoke what they made.
#[tokio::test]
async fn a_token_stays_as_long_as_one_that_it_made_is_valid() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let old = create(&caller, json!({})).await;
    let new = with_token(&caller, &rotate(&caller, old["id"].as_str().unwrap(), json!({"overlapMs": 0})).await.json());
    let mut admin = app.database.admin().await;
    let ended = "update auth.tokens set expires_at = now() - interval '40 days' where id = $1";
    sqlx::query(ended).bind(old["id"].as_str()).execute(&mut admin).await.unwrap();
    create(&caller, json!({})).await;
    new.get("/v1/me").await.ok();
    caller.delete(&format!("/v1/tokens/{}", own_id(&caller))).await.ok();
    assert_eq!(refused(&app, &new).await, "token-revoked");
    // A month after it was revoked, it is deleted.
    let ended = "update auth.tokens set revoked_at = now() - interval '40 days' where id = $1";
    sqlx::query(ended).bind(own_id(&new)).execute(&mut admin).await.unwrap();
    app.token(&caller.payer, &[Scope::CountersRead], HOUR).await;
    let kept: i64 = sqlx::query_scalar("select count(*) from auth.tokens where id = $1")
        .bind(own_id(&new))
        .fetch_one(&mut admin)
        .await
        .unwrap();
    assert_eq!(kept, 0);
}

#[tokio::test]
async fn old_entries_and_tokens_are_deleted() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let mut admin = app.database.admin().await;
    let old_token = "insert into auth.tokens (payer, id, secret_sha256, scopes, created_at, expires_at)
        select $1, age || '000000000000000', sha256('a'), '{*}', now() - make_interval(days => 400),
            now() - make_interval(days => age) from unnest(array[2, 3, 4]) as n, lateral (select n * 10 as age) a";
    let old_entry = "insert into auth.audit (payer, id, at, event, token)
        select $1, auth.uuid_at(now() - make_interval(days => age), gen_random_uuid()), now(), 'token-created', 'old'
          from unnest(array[365, 367, 400]) as age";
    for insert in [old_token, old_entry] {
        sqlx::query(insert).bind(caller.payer.as_str()).execute(&mut admin).await.unwrap();
    }
    create(&caller, json!({})).await;
    let kept: Vec<String> =
        sqlx::query_scalar("select id from auth.tokens where payer = $1 and id like '%0000' order by 1")
            .bind(caller.payer.as_str())
            .fetch_all(&mut admin)
            .await
            .unwrap();
    assert_eq!(kept, ["20000000000000000"]);
    let entries: i64 = sqlx::query_scalar("select count(*) from auth.audit where payer = $1 and token = 'old'")
        .bind(caller.payer.as_str())
        .fetch_one(&mut admin)
        .await
        .unwrap();
    assert_eq!(entries, 1);
}
