//! Transactions: all calls run or none, and each call has the same result as a single call.

use payerbase::turn::Batching;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::world::{Operation, Things, operations, owner, without_generated};
use crate::support::{Answer, Caller, TestApp};

async fn transact(caller: &Caller, calls: Value) -> Answer {
    caller.post("/v1/transaction", json!({"calls": calls})).await
}

/// An operation as a call of a transaction.
fn as_call(operation: &Operation, caller: &Caller, things: &Things, example: Option<&Value>) -> Value {
    let mut params = example.map_or_else(|| json!({}), |example| things.body(caller, example));
    for (name, value) in things.members(operation) {
        params[name] = value.into();
    }
    // Calls of a transaction cannot wait.
    params.as_object_mut().unwrap().remove("waitMs");
    json!({"method": operation.name, "params": params})
}

#[tokio::test]
async fn every_method_gives_the_same_result_in_a_transaction() {
    let app = TestApp::spawn().await;
    let mut seen = 0;
    for operation in operations() {
        let method = payerbase::methods().iter().find(|method| method.spec.name == operation.name);
        if method.is_none_or(|method| method.spec.batching == Batching::Apart || method.spec.tops_up) {
            continue;
        }
        for example in operation.examples.iter().map(Some).chain(operation.examples.is_empty().then_some(None)) {
            for has_things in [true, false] {
                let (alone, mut ours) = owner(&app).await;
                let (together, mut theirs) = owner(&app).await;
                if !has_things {
                    (ours, theirs) = (Things::missing(), Things::missing());
                }
                let single = ours.call(&alone, &operation, example).await;
                let call = as_call(&operation, &together, &theirs, example);
                let answer = transact(&together, json!([call])).await;
                let what = format!("{call}: {answer:?}");
                assert_eq!(single.status.is_success(), answer.status.is_success(), "{what}");
                let single_body: Value = serde_json::from_str(&ours.renamed(&single.text, &theirs)).unwrap_or_default();
                let mut body = answer.json();
                let result = match single.status.is_success() {
                    true => body["results"][0].take(),
                    false => {
                        assert_eq!(single.status, answer.status, "{what}");
                        assert_eq!((&body["index"], &body["method"]), (&json!(0), &json!(operation.name)));
                        body.as_object_mut().unwrap().retain(|name, _| name != "index" && name != "method");
                        body
                    }
                };
                assert_eq!(without_generated(&single_body), without_generated(&result), "{what}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 60, "{seen}");
}

#[tokio::test]
async fn a_failed_call_rolls_back_all_calls_and_gives_its_index() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let calls = json!([
        {"method": "increment", "params": {"name": "orders"}},
        {"method": "pushJob", "params": {"queue": "mail", "payload": 1}},
        {"method": "acquireLock", "params": {"name": "l", "ttlMs": 10_000}},
        {"method": "createLink", "params": {"url": "https://shop.example/"}},
        {"method": "decrement", "params": {"name": "credits", "amount": 5, "min": 0, "onBound": "reject"}}
    ]);
    let problem = transact(&caller, calls).await.problem(409, "counter-out-of-bounds");
    assert_eq!((&problem["index"], &problem["method"], &problem["value"]), (&json!(4), &json!("decrement"), &json!(0)));
    for name in ["orders", "credits"] {
        caller.get(&format!("/v1/counters/{name}")).await.problem(404, "not-found");
    }
    assert_eq!(caller.get("/v1/queues/mail").await.ok()["total"], 0);
    assert_eq!(caller.get("/v1/locks/l").await.ok()["locked"], false);
    assert_eq!(caller.get("/v1/links").await.ok()["items"], json!([]));
}

#[tokio::test]
async fn a_call_can_reference_results_of_earlier_calls() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let calls = json!([
        {"method": "increment", "params": {"name": "ids", "amount": 41}, "as": "id"},
        {"method": "increment", "params": {"name": "ids", "amount": {"$ref": "id.applied"}}},
        {"method": "pushJob", "as": "job", "params": {"queue": "q", "payload": {
            "order": [{"$ref": "1.value"}, {"deep": {"$ref": "id"}}], "text": {"$literal": {"$ref": "not one"}}}}},
        {"method": "popJob", "params": {"queue": "q"}, "as": "popped"},
        {"method": "completeJob", "params": {"id": {"$ref": "popped.id"}, "lease": {"$ref": "popped.lease"}, "result": {"$ref": "job.payload.order.0"}}}
    ]);
    let results = transact(&caller, calls).await.ok()["results"].clone();
    assert_eq!(results[1]["value"], 82);
    assert_eq!(results[2]["payload"]["order"][0], 82);
    assert_eq!(results[2]["payload"]["order"][1]["deep"]["value"], 41);
    assert_eq!(results[2]["payload"]["text"], json!({"$ref": "not one"}));
    assert_eq!((&results[4]["status"], &results[4]["result"]), (&json!("completed"), &json!(82)));
}

#[tokio::test]
async fn an_invalid_reference_fails_the_whole_transaction() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let first = json!({"method": "increment", "params": {"name": "a", "amount": 7}, "as": "first"});
    for (second, code, pointer) in [
        // References to an unknown name, the call itself, a call out of range, "", a missing member, and a non-string.
        (
            json!({"method": "increment", "params": {"name": "b", "amount": {"$ref": "second.value"}}}),
            "invalid-value",
            "/calls/1/params/amount",
        ),
        (
            json!({"method": "increment", "params": {"name": "b", "amount": {"$ref": "1.value"}}}),
            "invalid-value",
            "/calls/1/params/amount",
        ),
        (
            json!({"method": "increment", "params": {"name": "b", "amount": {"$ref": "9.value"}}}),
            "invalid-value",
            "/calls/1/params/amount",
        ),
        (
            json!({"method": "increment", "params": {"name": "b", "amount": {"$ref": ""}}}),
            "invalid-value",
            "/calls/1/params/amount",
        ),
        (
            json!({"method": "increment", "params": {"name": "b", "amount": {"$ref": "first.nothing"}}}),
            "invalid-value",
            "/calls/1/params/amount",
        ),
        (
            json!({"method": "increment", "params": {"name": "b", "amount": {"$ref": 0}}}),
            "invalid-value",
            "/calls/1/params/amount",
        ),
        (
            json!({"method": "increment", "params": {"name": "b", "amount": {"$ref": format!("first{}", ".a".repeat(600))}}}),
            "invalid-value",
            "/calls/1/params/amount",
        ),
        (
            json!({"method": "pushJob", "params": {"queue": "q", "payload": {"a".repeat(1_020): {"$ref": "first"}}}}),
            "invalid-value",
            "/calls/1/params",
        ),
        // A number where a name is expected.
        (
            json!({"method": "storeMemory", "params": {"id": {"$ref": "first.value"}, "content": "c"}}),
            "invalid-value",
            "/calls/1/params",
        ),
        // An existing value of the wrong type.
        (
            json!({"method": "increment", "params": {"name": "b", "amount": {"$ref": "first.name"}}}),
            "invalid-value",
            "/calls/1/params",
        ),
        (
            json!({"method": "increment", "params": {"name": "b", "amount": {"$ref": "first"}}}),
            "invalid-value",
            "/calls/1/params",
        ),
        (
            json!({"method": "completeJob", "params": {"id": {"$ref": "first.name"}}}),
            "invalid-value",
            "/calls/1/params",
        ),
        (
            json!({"method": "increment", "params": {"name": "b", "onBound": {"$ref": "first.name"}}}),
            "invalid-value",
            "/calls/1/params/onBound",
        ),
        (
            json!({"method": "pushJob", "params": {"queue": {"$ref": "first.name"}, "payload": 1}}),
            "invalid-value",
            "/calls/1/params/queue",
        ),
        (
            json!({"method": "increment", "params": {"name": "b", "amount": {"x": {"$ref": "first.value"}}}}),
            "invalid-value",
            "/calls/1/params/amount/x",
        ),
    ] {
        let problem = transact(&caller, json!([first, second])).await.problem(422, code);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{second}: {problem}");
        assert_eq!(problem["index"], 1, "{second}");
    }
    let long = json!([
        {"method": "pushJob", "params": {"queue": "q", "payload": "x".repeat(300)}, "as": "first"},
        {"method": "increment", "params": {"name": {"$ref": "first.payload"}}}]);
    transact(&caller, long).await.problem(422, "invalid-value");
    let control = json!([
        {"method": "pushJob", "params": {"queue": "q", "payload": "a\nb"}, "as": "first"},
        {"method": "increment", "params": {"name": {"$ref": "first.payload"}}}]);
    transact(&caller, control).await.problem(422, "invalid-value");
    assert_eq!(caller.get("/v1/counters").await.ok()["items"], json!([]));
    assert_eq!(caller.get("/v1/queues").await.ok()["items"], json!([]));
}

#[tokio::test]
async fn an_invalid_transaction_is_refused_before_any_call_runs() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let one = json!({"method": "increment", "params": {"name": "a"}});
    let none: Vec<Value> = Vec::new();
    for (calls, pointer) in [
        (json!(none), "/calls"),
        (json!(vec![one.clone(); 51]), "/calls"),
        (json!([one, {"method": "explode"}]), "/calls/1/method"),
        (json!([one, {"method": "transact", "params": {"calls": []}}]), "/calls/1/method"),
        (json!([one, {"method": "listCounters"}]), "/calls/1/method"),
        (json!([one, {"method": "followLink", "params": {"slug": "abc"}}]), "/calls/1/method"),
        (json!([one, {"method": "sweepLocks"}]), "/calls/1/method"),
        (json!([one, {"method": "popJob", "params": {"queue": "q", "waitMs": 1}}]), "/calls/1/params/waitMs"),
        (json!([one, {"method": "increment", "params": {"name": ""}}]), "/calls/1/params/name"),
        (
            json!([one, {"method": "pushJobs", "params": {"queue": "q", "jobs": [{"payload": 1, "delayMs": 1, "runAt": "2030-01-01T00:00:00Z"}]}}]),
            "/calls/1/params/jobs/0/runAt",
        ),
        (json!([{"method": "increment", "params": {"name": "a"}, "as": "0"}]), "/calls/0/as"),
        (
            json!([{"method": "increment", "params": {"name": "a"}, "as": "x"}, {"method": "increment", "params": {"name": "a"}, "as": "x"}]),
            "/calls/1/as",
        ),
    ] {
        let problem = transact(&caller, calls).await.problem(422, "invalid-value");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    for calls in [
        json!([one, {"method": "increment"}]),
        json!([one, {"method": "increment", "params": {"name": "a", "amuont": 1}}]),
        json!([one, {"method": "increment", "params": []}]),
        json!({"0": one}),
    ] {
        transact(&caller, calls).await.problem(400, "invalid-json");
    }
    caller.get("/v1/counters/a").await.problem(404, "not-found");
    transact(&caller, json!(vec![one.clone(); 50])).await.ok();
    assert_eq!(caller.value("a").await, 50);
}

#[tokio::test]
async fn a_guard_lets_writes_run_only_while_the_lock_is_held() {
    let app = TestApp::spawn().await;
    let mut caller = app.caller().await;
    let guarded = |fence: i64| json!([{"method": "increment", "params": {"name": "a"}, "guard": {"lock": "my lock", "fence": fence}}]);
    let problem = transact(&caller, guarded(1)).await.problem(409, "stale-fence");
    assert_eq!((&problem["index"], &problem["lock"]), (&json!(0), &json!("my lock")), "the lock was never acquired");
    let lease = caller.post("/v1/locks/my%20lock/acquire", json!({"ttlMs": 60_000})).await.ok();
    let fence = lease["fence"].as_i64().unwrap();
    transact(&caller, guarded(fence)).await.ok();
    for stale in [fence - 1, fence + 1] {
        transact(&caller, guarded(stale)).await.problem(409, "stale-fence");
    }
    caller.headers.insert("payerbase-guard", format!("my%20lock; fence={fence}").parse().unwrap());
    caller.increment("a", json!({})).await.ok();
    transact(&caller, json!([{"method": "increment", "params": {"name": "a"}}])).await.ok();
    caller.get("/v1/counters/a").await.problem(400, "invalid-header");
    for bad in [
        "my lock",
        "my%20lock; fence=x",
        "my%20lock; fence=-1",
        "my%2xlock; fence=1",
        "; fence=1",
        "a; fence=",
        "a; fence=99999999999999999999",
    ] {
        caller.headers.insert("payerbase-guard", bad.parse().unwrap());
        let problem = caller.increment("a", json!({})).await.problem(400, "invalid-header");
        assert_eq!(problem["header"], "payerbase-guard");
    }
    caller.headers.remove("payerbase-guard");
    caller.headers.insert("payerbase-gaurd", "my%20lock; fence=1".parse().unwrap());
    for answer in [caller.increment("a", json!({})).await, caller.get("/v1/counters/a").await] {
        assert_eq!(answer.problem(400, "invalid-header")["header"], "payerbase-gaurd", "a typing error is no guard");
    }
    caller.headers.remove("payerbase-gaurd");
    caller.post("/v1/locks/my%20lock/release", json!({"token": lease["token"]})).await.ok();
    transact(&caller, guarded(fence)).await.problem(409, "stale-fence");
    assert_eq!(caller.value("a").await, 3);
}

/// The limits of a member also apply to a value that a reference inserts. A violation rolls back the whole transaction.
#[tokio::test]
async fn limits_also_apply_to_values_that_references_insert() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let push = |payload: Value| json!({"method": "pushJob", "params": {"queue": "q", "payload": payload}});
    let link = |title: Value| {
        let slug = format!("s{:016x}", rand::random::<u64>());
        json!({"method": "createLink", "params": {"url": "https://a.example", "slug": slug, "title": title}})
    };
    let acquire = |metadata: Value| json!({"method": "acquireLock", "params": {"name": "l", "ttlMs": 60_000, "metadata": metadata}});
    let payload = json!({"$ref": "0.payload"});
    let deep = (0..60).fold(json!(1), |inner, _| json!([inner]));
    for (first, second, code, limit) in [
        (push(json!("x".repeat(600))), link(payload.clone()), "invalid-value", 0),
        (push(json!("a\nb")), link(payload.clone()), "invalid-value", 0),
        (push(json!("x".repeat(9_000))), acquire(payload.clone()), "invalid-value", 0),
        (push(deep), push(json!([[[[[payload.clone()]]]]])), "invalid-value", 0),
        (push(json!("x".repeat(200_000))), push(json!([payload, payload])), "payload-too-large", 1),
        (push(json!("x".repeat(200_000))), push(json!(vec![payload; 99])), "payload-too-large", 2),
    ] {
        let status = if code == "invalid-value" { 422 } else { 413 };
        let problem = transact(&caller, json!([first, second])).await.problem(status, code);
        assert_eq!(problem["index"], 1, "{problem}");
        // The size limit counts all referenced values before they are inserted.
        let limits = [json!(null), json!(262_144), json!(1_048_576)];
        assert_eq!(problem["limitBytes"], limits[limit], "{problem}");
    }
    assert_eq!(caller.get("/v1/queues/q").await.ok()["total"], 0);
    assert_eq!(caller.get("/v1/links").await.ok()["items"], json!([]));
    assert_eq!(caller.get("/v1/locks").await.ok()["items"], json!([]));
}

#[tokio::test]
async fn a_reference_to_a_lease_that_the_result_does_not_show_is_refused() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let job = caller.post("/v1/queues/q/jobs", json!({"payload": 1})).await.ok();
    let lease = caller.post("/v1/queues/q/pop", json!({})).await.ok()["lease"].take();
    let complete = json!({"id": job["id"], "lease": {"$ref": "0.lease"}});
    let calls = json!([
        {"method": "getJob", "params": {"id": job["id"]}},
        {"method": "completeJob", "params": complete},
    ]);
    let problem = transact(&caller, calls).await.problem(422, "invalid-value");
    assert_eq!(problem["errors"][0]["pointer"], "/calls/1/params/lease");
    let path = format!("/v1/jobs/{}/complete", job["id"].as_str().unwrap());
    caller.post(&path, json!({"lease": lease})).await.ok();
}

#[tokio::test]
async fn a_transaction_with_too_much_work_is_refused() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let jobs =
        |count| json!({"method": "pushJobs", "params": {"queue": "q", "jobs": vec![json!({"payload": 1}); count]}});
    let problem = transact(&caller, json!(vec![jobs(100); 6])).await.problem(422, "invalid-value");
    assert_eq!(problem["errors"][0]["pointer"], "/calls/5");
    let reference = json!({"$ref": "0.value"});
    let increment = json!({"method": "increment", "params": {"name": "a"}});
    let push = json!({"method": "pushJob", "params": {"queue": "q", "payload": vec![reference; 101]}});
    let problem = transact(&caller, json!([increment, push])).await.problem(422, "invalid-value");
    assert_eq!(problem["errors"][0]["pointer"], "/calls/1");
    assert_eq!(caller.get("/v1/queues/q").await.ok()["total"], 0);
    // In the text for the word index, one of these characters becomes eighteen.
    let grows = json!({"content": "\u{fdfa}".repeat(8_000)});
    let problem = transact(&caller, json!(vec![json!({"method": "storeMemory", "params": grows}); 5]))
        .await
        .problem(422, "invalid-value");
    assert_eq!(problem["errors"][0]["pointer"], "/calls");
    let problem =
        caller.post("/v1/memories/batch", json!({"memories": [grows, grows]})).await.problem(422, "invalid-value");
    assert_eq!(problem["errors"][0]["pointer"], "/memories");
    transact(&caller, json!(vec![jobs(100); 5])).await.ok();
}

#[tokio::test]
async fn a_reference_can_be_nested_and_can_insert_any_json_value() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let odd = json!({"a\"b": ["\u{1F980}", {"": null}], "$ref ": 1.5, "~/": "0.payload"});
    let calls = json!([
        {"as": "first", "method": "pushJob", "params": {"queue": "q", "payload": odd}},
        {"method": "pushJob", "params": {"queue": "q", "payload": {
            "z": {"$ref": "first.payload"}, "a": [1, {"$ref": "0.payload.$ref "}, {"$literal": {"$ref": "0.id"}}],
            "m": {"$ref": "0.id"},
        }}},
    ]);
    let results = transact(&caller, calls).await.ok()["results"].take();
    let expected = json!({"z": odd, "a": [1, 1.5, {"$ref": "0.id"}], "m": results[0]["id"]});
    assert_eq!(results[1]["payload"], expected);
}

#[tokio::test]
async fn a_duplicate_member_in_the_params_is_refused() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let body = r#"{"calls": [{"method": "increment", "params": {"name": "a", "amount": 1, "amount": 7}}]}"#;
    let body = Some(("application/json", body.as_bytes().to_vec()));
    let problem = caller.send(reqwest::Method::POST, "/v1/transaction", body).await.problem(400, "invalid-json");
    assert_eq!(problem["errors"][0], json!({"pointer": "/calls/0/params", "detail": "duplicate field `amount`"}));
}

/// A reference writes what the result shows, to the letter, except for the token of a lock.
#[tokio::test]
async fn a_reference_to_a_result_is_equal_to_the_result() {
    let app = TestApp::spawn().await;
    let mut seen = 0;
    for operation in operations() {
        let method = payerbase::methods().iter().find(|method| method.spec.name == operation.name);
        // Without a payment, there is none to get.
        let needs_payment = ["topUp", "getPayment"].contains(&operation.name.as_str());
        if needs_payment || method.is_none_or(|method| method.spec.batching == Batching::Apart) {
            continue;
        }
        for example in operation.examples.iter().map(Some).chain(operation.examples.is_empty().then_some(None)) {
            let (caller, things) = owner(&app).await;
            let push = |reference: &str| json!({"method": "pushJob", "params": {"queue": "q", "payload": {"$ref": reference}}});
            let calls = json!([as_call(&operation, &caller, &things, example), push("0"), push("1.payload")]);
            let mut results = transact(&caller, calls).await.ok()["results"].take();
            if let Some(result) = results[0].as_object_mut() {
                result.remove("token");
            }
            for copy in [1, 2] {
                assert_eq!(results[copy]["payload"], results[0], "{} {example:?}", operation.name);
            }
            seen += 1;
        }
    }
    assert!(seen >= 30, "{seen}");
}

#[tokio::test]
async fn a_reference_to_the_token_of_a_lock_is_refused() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let acquire = json!({"method": "acquireLock", "params": {"name": "l", "ttlMs": 60_000}, "as": "lock"});
    for reference in ["lock.token", "0.token", "0.token.x"] {
        let push = json!({"method": "pushJob", "params": {"queue": "q", "payload": {"$ref": reference}}});
        let problem = transact(&caller, json!([acquire, push])).await.problem(422, "invalid-value");
        assert!(problem["errors"][0]["detail"].as_str().unwrap().contains("a secret"), "{problem}");
    }
    let link = json!({"method": "createLink", "params": {"url": "https://shop.example/"}});
    let push = json!({"method": "pushJob", "params": {"queue": "q", "payload": {"$ref": "0.shortUrl"}}});
    let results = transact(&caller, json!([link, push])).await.ok()["results"].take();
    assert!(results[0]["shortUrl"].as_str().unwrap().starts_with("http"));
    assert_eq!(results[1]["payload"], results[0]["shortUrl"]);
}

#[tokio::test]
async fn fifty_large_patches_of_metadata_fit_into_one_transaction() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let metadata: Value = (0..1_000).map(|n| (format!("member{n}"), json!(n % 10))).collect();
    caller
        .send_json(
            Method::PUT,
            "/v1/memories/m",
            json!({"content": "a", "embedding": null, "metadata": {"member0": 7}}),
        )
        .await
        .ok();
    let patch = json!({"method": "updateMemory", "params": {"id": "m", "metadata": metadata}});
    let results = caller.post("/v1/transaction", json!({"calls": vec![patch; 50]})).await.ok();
    assert_eq!(results["results"][49]["metadata"], metadata);
}

#[tokio::test]
async fn the_values_of_all_references_have_a_limit_in_sum() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let call = |count: usize| {
        let push = json!({"method": "pushJob", "params": {"queue": "q", "payload": "x".repeat(100_000)}, "as": "p"});
        let refers = json!({"method": "pushJob", "params": {"queue": "q", "payload": {"$ref": "p.payload"}}});
        let small = json!({"method": "getJob", "params": {"id": {"$ref": "p.id"}}});
        let calls: Vec<Value> = [push].into_iter().chain(vec![refers; count]).chain(vec![small; 49 - count]).collect();
        json!({"calls": calls})
    };
    caller.post("/v1/transaction", call(10)).await.ok();
    let problem = caller.post("/v1/transaction", call(11)).await.problem(413, "payload-too-large");
    assert_eq!((&problem["limitBytes"], &problem["index"]), (&json!(1 << 20), &json!(11)));
}
