//! The export of all that a payer has.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use payerbase::pay::give;
use payerbase::wallet::Network;
use payerbase::x402::{Asset, Domain};
use serde_json::{Value, json};
use sqlx::Executor as _;

use crate::support::world::owner;
use crate::support::{Answer, Caller, TestApp};

/// The kinds of lines, in order.
const KINDS: &[&str] = &[
    "counter",
    "link",
    "click",
    "clickTotal",
    "lock",
    "job",
    "memory",
    "sqlDatabase",
    "credit",
    "ledgerEntry",
    "payment",
    "token",
    "grant",
    "auditEntry",
];

fn lines(answer: Answer) -> Vec<Value> {
    assert!(answer.status.is_success(), "{answer:?}");
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    assert!(answer.text.ends_with('\n'));
    answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// All lines of an export without the last ones, page by page, and the number of pages.
async fn export(caller: &Caller, limit: usize) -> (Vec<Value>, usize) {
    let (mut all, mut pages, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let mut page = lines(caller.get(&format!("/v1/me/export?limit={limit}{cursor}")).await);
        let last = page.pop().unwrap();
        assert!(page.len() <= limit, "{} lines", page.len());
        all.extend(page);
        pages += 1;
        match last["type"].as_str() {
            Some("next") => cursor = format!("&cursor={}", last["cursor"].as_str().unwrap()),
            _ => {
                assert_eq!(last, json!({"type": "end"}));
                return (all, pages);
            }
        }
    }
}

/// What no call makes quickly: clicks of earlier days, credit and a payment.
async fn add_the_rest(app: &TestApp, caller: &Caller, slug: &str) {
    let mut admin = app.database.admin().await;
    let rest = format!(
        "insert into tenant.clicks (payer, slug, clicked_at, id, referrer, country, browser, bot)
           select '{payer}', '{slug}', now() - interval '1 second' * (n / 3), gen_random_uuid(), 'news.example', 'SE', 'Firefox', n = 1
             from generate_series(1, 7) n;
         insert into tenant.click_totals (payer, slug, day, kind, value, clicks, bot_clicks)
           select '{payer}', '{slug}', date '2026-01-01' + n % 2, kind, case kind when 'day' then '' else '/a/' || n / 2 end, n, 0
             from generate_series(1, 4) n cross join unnest(array['day', 'referrer']) kind
             where kind <> 'day' or n < 3;
         insert into tenant.payments (payer, id, state, asset, amount, pay_to, nonce, max_timeout_s, payload, method,
             request_sha256, received_at, settled_at, tries, repeats)
           values ('{payer}', gen_random_uuid(), 'settled', 'eip155:84532/0x036CbD53842c5426634e7929541eC2318f3dCF7e', 1000,
             '{payer}', 'n', 60, 'secret of the payment', 'increment', 'a', now(), now(), 0, 0)",
        payer = caller.payer.as_str()
    );
    admin.execute(sqlx::AssertSqlSafe(rest)).await.unwrap();
    let domain = Domain { name: "USDC".to_owned(), version: "2".to_owned() };
    let id = "0x036CbD53842c5426634e7929541eC2318f3dCF7e";
    let usdc = Asset::new(Network::Evm { chain_id: 84_532 }, id, Some(domain)).unwrap();
    give(&mut admin, &caller.payer, &usdc, 5_000, "gift").await.unwrap();
}

#[tokio::test]
async fn an_export_has_every_kind_in_the_shapes_of_the_api() {
    let app = TestApp::spawn().await;
    let (caller, things) = owner(&app).await;
    let _other = owner(&app).await;
    add_the_rest(&app, &caller, &things.slug).await;
    let (lines, pages) = export(&caller, 1_000).await;
    assert_eq!(pages, 1, "a small payer has one page");
    let mut by_type: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    let mut order: Vec<&str> = Vec::new();
    for line in &lines {
        let kind = line["type"].as_str().unwrap();
        order.push(kind);
        let mut item = line.clone();
        item.as_object_mut().unwrap().remove("type");
        by_type.entry(kind).or_default().push(item);
    }
    order.dedup();
    assert_eq!(order, KINDS);
    let get = async |path: &str| caller.get(path).await.ok();
    let items = async |path: &str| get(path).await["items"].as_array().unwrap().clone();
    assert_eq!(by_type["counter"], items("/v1/counters").await);
    assert_eq!(by_type["link"], [get(&format!("/v1/links/{}", things.slug)).await]);
    assert_eq!(by_type["lock"], [get("/v1/locks/theirs").await]);
    let (running, pending) = (format!("/v1/jobs/{}", things.running), format!("/v1/jobs/{}", things.pending));
    assert_eq!(by_type["job"], [get(&running).await, get(&pending).await]);
    assert_eq!(by_type["memory"], [get("/v1/memories/theirs?includeEmbedding=true").await]);
    assert_eq!(by_type["credit"], items("/v1/credit").await);
    assert_eq!(by_type["ledgerEntry"], items("/v1/ledger").await);
    assert_eq!(by_type["payment"], items("/v1/payments").await);
    assert_eq!(by_type["token"], items("/v1/tokens").await);
    assert_eq!(by_type["grant"], items("/v1/grants").await);
    assert_eq!(by_type["auditEntry"], items("/v1/audit").await);
    let stats = get(&format!("/v1/links/{}/stats", things.slug)).await;
    let mut clicks = by_type["click"].clone();
    clicks.reverse();
    assert_eq!(clicks.len(), 7);
    for click in &mut clicks {
        assert_eq!(click.as_object_mut().unwrap().remove("slug").unwrap(), things.slug.as_str());
    }
    let recent = stats["recentClicks"].as_array().unwrap();
    assert!(
        clicks.iter().all(|click| recent.contains(click) || click["clickedAt"].as_str() < stats["createdAt"].as_str()),
        "{stats}"
    );
    let day = json!({
        "slug": things.slug, "date": "2026-01-02", "by": "day", "value": null, "clicks": 1, "botClicks": 0
    });
    assert!(by_type["clickTotal"].contains(&day), "{:?}", by_type["clickTotal"]);
    let database = &by_type["sqlDatabase"][0];
    assert_eq!((&database["bytes"], &database["operation"]), (&json!(12_288), &json!("exportSql")));
    // No secret of anybody.
    let text = serde_json::to_string(&lines).unwrap();
    let token = caller.token.as_ref().map(secrecy::ExposeSecret::expose_secret).unwrap();
    for secret in [things.token.as_str(), &things.lease, token, "secret of the payment"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn pages_of_any_size_are_the_same_export() {
    let app = TestApp::spawn().await;
    let (caller, things) = owner(&app).await;
    add_the_rest(&app, &caller, &things.slug).await;
    let (whole, _) = export(&caller, 1_000).await;
    for limit in [1, 2, 7] {
        let (lines, pages) = export(&caller, limit).await;
        assert_eq!(lines, whole, "{limit}");
        assert!(pages >= whole.len() / limit, "{pages}");
    }
    // Also if a part is deleted in the middle: the cursor does not need its row.
    let first = lines(caller.get("/v1/me/export?limit=1").await);
    assert_eq!(first[0]["name"], "credits");
    caller.delete("/v1/counters/credits").await.ok();
    let next = format!("/v1/me/export?limit=1&cursor={}", first[1]["cursor"].as_str().unwrap());
    assert_eq!(lines(caller.get(&next).await)[0]["name"], "theirs");
}

#[tokio::test]
async fn a_page_is_bounded_in_bytes() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    for _ in 0..12 {
        let payload = "x".repeat(250_000);
        caller.post("/v1/queues/large/jobs", json!({ "payload": payload })).await.ok();
    }
    let page = caller.get("/v1/me/export?limit=1000").await;
    assert!((1 << 20..(1 << 20) + 400_000).contains(&page.text.len()), "{}", page.text.len());
    assert_eq!(lines(page).pop().unwrap()["type"], "next");
    let (lines, pages) = export(&caller, 1_000).await;
    let jobs = lines.iter().filter(|line| line["type"] == "job").count();
    assert!(jobs == 12 && pages >= 3, "{jobs} {pages}");
    let (none, pages) = export(&app.caller().await, 1_000).await;
    assert_eq!((none.len(), pages), (2, 1), "a new payer has its token and its log");
}

#[tokio::test]
async fn wide_integers_are_strings_if_the_client_asks() {
    let app = TestApp::spawn().await;
    let mut caller = app.caller().await;
    caller.increment("wide", json!({"amount": i64::MAX})).await.ok();
    let page = caller.get("/v1/me/export").await;
    assert!(page.text.contains("\"value\":9223372036854775807"), "{page:?}");
    caller.headers.insert("payerbase-integers", "string".parse().unwrap());
    let page = caller.get("/v1/me/export").await;
    assert!(page.text.contains("\"value\":\"9223372036854775807\""), "{page:?}");
}

#[tokio::test]
async fn only_the_right_for_it_exports() {
    let app = TestApp::spawn().await;
    let (caller, _things) = owner(&app).await;
    let stranger = app.caller().await;
    let token = |answer: Value| Caller { token: Some(answer["token"].as_str().unwrap().into()), ..caller.clone() };
    let make = async |wish: Value| token(caller.post("/v1/tokens", wish).await.ok());
    for refused in [
        make(json!({"scopes": ["counters:read", "audit:read", "account:erase"]})).await,
        make(json!({"prefix": "theirs"})).await,
        make(json!({"methods": ["getCounter", "erasePayer"]})).await,
    ] {
        assert_eq!(refused.get("/v1/me/export").await.status, 403);
    }
    let grant = json!({"grantee": stranger.payer.as_str(), "scopes": ["counters:read"]});
    caller.post("/v1/grants", grant).await.ok();
    let mut agent = stranger.clone();
    agent.headers.insert("payerbase-act-for", caller.payer.as_str().parse().unwrap());
    agent.get("/v1/me/export").await.problem(403, "not-granted");
    let calls = json!({"calls": [{"method": "exportPayer", "params": {}}]});
    assert!(caller.post("/v1/transaction", calls).await.status.is_client_error());
    let allowed = make(json!({"scopes": ["account:export"], "methods": ["exportPayer"]})).await;
    assert!(lines(allowed.get("/v1/me/export").await).len() > 5);
}

#[tokio::test]
async fn a_cursor_that_no_page_has_is_refused() {
    let app = TestApp::spawn().await;
    let (caller, things) = owner(&app).await;
    for cursor in [
        "",
        "counter",
        "others/",
        "link/a",
        "job/1",
        "click/a/b",
        "click/a/-1/00000000-0000-0000-0000-000000000000",
        "click/a/9999999999999999999/00000000-0000-0000-0000-000000000000",
        "clickTotal/a/day/2026-02-30/",
        "credit/1",
        "sqlDatabase/1",
        "token/a",
        "auditEntry/a",
    ] {
        let cursor = BASE64_URL_SAFE_NO_PAD.encode(cursor);
        let answer = caller.get(&format!("/v1/me/export?cursor={cursor}")).await;
        let is_first_page = cursor.is_empty();
        assert_eq!(answer.status, if is_first_page { 200 } else { 422 }, "{cursor}: {answer:?}");
    }
    // The last one of a page was deleted meanwhile.
    for cursor in ["token/0000000000000000", "grant/0000000000000000", "payment/00000000-0000-0000-0000-000000000000"] {
        let answer = caller.get(&format!("/v1/me/export?cursor={}", BASE64_URL_SAFE_NO_PAD.encode(cursor))).await;
        answer.problem(422, "invalid-value");
    }
    let odd = format!("clickTotal/{}/referrer/9999-12-31/a/b//", things.slug);
    lines(caller.get(&format!("/v1/me/export?cursor={}", BASE64_URL_SAFE_NO_PAD.encode(odd))).await);
    lines(caller.get(&format!("/v1/me/export?cursor={}", BASE64_URL_SAFE_NO_PAD.encode("memory/\u{10ffff}"))).await);
}
