//! Counters, by examples. `counters_model.rs` has the random calls.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::support::TestApp;

const MAX: i64 = i64::MAX;
const MIN: i64 = i64::MIN;

#[tokio::test]
async fn the_first_call_creates_the_counter_and_needs_no_body() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let made = caller.send(Method::POST, "/v1/counters/visits/increment", None).await.ok();
    let expected = json!({"name": "visits", "value": 1, "min": null, "max": null, "createdAt": made["createdAt"],
        "updatedAt": made["updatedAt"], "previousValue": 0, "applied": 1, "capped": false});
    assert_eq!(made, expected);
    assert_eq!(made["createdAt"], made["updatedAt"]);
    let created_at = made["createdAt"].as_str().unwrap();
    assert!(created_at.ends_with('Z') && created_at.len() == "2026-11-23T16:47:00.123456Z".len(), "{created_at}");

    let more = caller.increment("visits", json!({"amount": 41})).await.ok();
    assert_eq!(
        (&more["value"], &more["previousValue"], &more["createdAt"]),
        (&json!(42), &json!(1), &made["createdAt"])
    );
    assert_eq!(caller.value("visits").await, 42);
    let less = caller.post("/v1/counters/visits/decrement", json!({"amount": 2})).await.ok();
    assert_eq!((&less["value"], &less["applied"]), (&json!(40), &json!(2)));
}

#[tokio::test]
async fn bounds_hold_from_the_first_call_on() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let made = caller.increment("a", json!({"amount": 10, "max": 8})).await.ok();
    assert_eq!((&made["value"], &made["applied"], &made["capped"]), (&json!(8), &json!(8), &json!(true)));
    let kept = caller.increment("a", json!({})).await.ok();
    assert_eq!((&kept["value"], &kept["applied"], &kept["max"]), (&json!(8), &json!(0), &json!(8)));
    let cleared = caller.increment("a", json!({"max": null})).await.ok();
    assert_eq!((&cleared["value"], &cleared["max"]), (&json!(9), &json!(null)));
    caller.post("/v1/counters/b/decrement", json!({"amount": 3, "min": -2})).await.ok();
    assert_eq!(caller.value("b").await, -2);
}

#[tokio::test]
async fn a_rejected_call_neither_changes_nor_creates_a_counter() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let reject = json!({"amount": 10, "max": 8, "onBound": "reject"});
    let problem = caller.increment("a", reject.clone()).await.problem(409, "counter-out-of-bounds");
    assert_eq!((&problem["value"], &problem["min"], &problem["max"]), (&json!(0), &json!(null), &json!(8)));
    caller.get("/v1/counters/a").await.problem(404, "not-found");

    caller.increment("a", json!({"amount": 5})).await.ok();
    caller.increment("a", reject).await.problem(409, "counter-out-of-bounds");
    let counter = caller.get("/v1/counters/a").await.ok();
    assert_eq!((&counter["value"], &counter["max"]), (&json!(5), &json!(null)), "the bounds are unchanged too");
}

#[tokio::test]
async fn a_value_outside_of_new_bounds_may_only_move_towards_them() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    caller.increment("a", json!({"amount": 100})).await.ok();
    let away = caller.increment("a", json!({"amount": 5, "max": 10})).await.ok();
    assert_eq!((&away["value"], &away["applied"], &away["capped"]), (&json!(100), &json!(0), &json!(true)));
    caller.increment("a", json!({"onBound": "reject"})).await.problem(409, "counter-out-of-bounds");
    let towards = caller.increment("a", json!({"amount": -30, "onBound": "reject"})).await.ok();
    assert_eq!((&towards["value"], &towards["capped"]), (&json!(70), &json!(false)));
}

#[tokio::test]
async fn reset_obeys_the_bounds_and_keeps_them() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    caller.increment("a", json!({"amount": 5, "min": 1, "max": 8})).await.ok();
    for value in [0, 9] {
        let problem = caller.post("/v1/counters/a/reset", json!({"value": value})).await.problem(422, "invalid-value");
        assert_eq!(problem["errors"][0]["pointer"], "/value");
    }
    let reset = caller.post("/v1/counters/a/reset", json!({"value": 8})).await.ok();
    assert_eq!((&reset["value"], &reset["previousValue"], &reset["min"]), (&json!(8), &json!(5), &json!(1)));
    let made = caller.send(Method::POST, "/v1/counters/new/reset", None).await.ok();
    assert_eq!((&made["value"], &made["previousValue"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn a_sum_beyond_64_bits_is_refused_unless_a_bound_caps_it() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    caller.increment("top", json!({"amount": MAX})).await.ok();
    caller.increment("top", json!({})).await.problem(409, "counter-overflow");
    assert_eq!(caller.value("top").await, MAX);
    caller.post("/v1/counters/bottom/reset", json!({"value": MIN})).await.ok();
    caller.post("/v1/counters/bottom/decrement", json!({})).await.problem(409, "counter-overflow");
    assert_eq!(caller.value("bottom").await, MIN);

    let up = caller.post("/v1/counters/bottom/decrement", json!({"amount": MIN})).await.ok();
    assert_eq!((&up["value"], &up["applied"]), (&json!(0), &json!(MIN)), "the negated minimum alone exceeds 64 bits");
    caller.post("/v1/counters/zero/decrement", json!({"amount": MIN})).await.problem(409, "counter-overflow");
    caller.get("/v1/counters/zero").await.problem(404, "not-found");
    let capped = caller.increment("top", json!({"amount": MAX, "max": MAX})).await.ok();
    assert_eq!((&capped["value"], &capped["applied"]), (&json!(MAX), &json!(0)));
    let whole = caller.increment("bounds", json!({"min": MIN, "max": MAX})).await.ok();
    assert_eq!((&whole["min"], &whole["max"]), (&json!(MIN), &json!(MAX)));
}

#[tokio::test]
async fn concurrent_increments_add_up() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let calls = (0..500).map(|_| caller.increment("a", json!({})));
    let mut seen: Vec<i64> = join_all(calls).await.into_iter().map(|a| a.ok()["value"].as_i64().unwrap()).collect();
    seen.sort_unstable();
    assert_eq!(seen, (1..=500).collect::<Vec<_>>(), "every value was returned once");
    assert_eq!(caller.value("a").await, 500);
}

#[tokio::test]
async fn bounds_hold_under_concurrency() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let calls = (0..100).map(|_| caller.increment("a", json!({"max": 30, "onBound": "reject"})));
    let answers = join_all(calls).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 30);
    assert_eq!(caller.value("a").await, 30);
}

#[tokio::test]
async fn deleting_a_counter_also_deletes_its_bounds() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    caller.increment("a", json!({"max": 1})).await.ok();
    let gone = caller.delete("/v1/counters/a").await;
    assert_eq!((gone.status.as_u16(), gone.text.as_str()), (204, ""));
    caller.delete("/v1/counters/a").await.problem(404, "not-found");
    assert_eq!(caller.increment("a", json!({"amount": 7})).await.ok()["value"], 7);
}

#[tokio::test]
async fn counters_are_listed_by_name_in_pages() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let mut names: Vec<String> = (0..25).map(|n| format!("p-{n:02}")).collect();
    names.extend(["P".to_owned(), "p".to_owned(), "p-\u{10ffff}z".to_owned(), "q".to_owned(), "ä".to_owned()]);
    for name in &names {
        caller.increment(&encoded(name), json!({})).await.ok();
    }
    names.sort_unstable();
    assert_eq!(listed(&caller, "limit=7").await, names);
    assert_eq!(listed(&caller, "").await, names);
    names.retain(|name| name.starts_with("p-"));
    assert_eq!(listed(&caller, "limit=10&prefix=p-").await, names);
    assert_eq!(listed(&caller, "prefix=none").await, Vec::<String>::new());
    let stranger = app.caller().await;
    assert_eq!(listed(&stranger, "").await, Vec::<String>::new());
}

async fn listed(caller: &crate::support::Caller, query: &str) -> Vec<String> {
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = caller.get(&format!("/v1/counters?{query}{cursor}")).await.ok();
        names.extend(page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["nextCursor"].as_str() else { return names };
        cursor = format!("&cursor={next}");
    }
}

fn encoded(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[tokio::test]
async fn url_encodings_of_a_name_refer_to_the_same_counter() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    caller.increment("caf%C3%A9", json!({})).await.ok();
    assert_eq!(caller.value("%63af%c3%a9").await, 1);
    for name in ["a/b", "a b", "%", "+", "?", "#", "ünï/🎉", "\u{202e}", &"x".repeat(256)] {
        assert_eq!(caller.increment(&encoded(name), json!({})).await.ok()["name"], *name);
        assert_eq!(caller.value(&encoded(name)).await, 1);
    }
}
