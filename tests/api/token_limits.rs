//! Tokens that are limited to some methods, and to names that begin with a prefix.

use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::support::{Caller, TestApp, TestDatabase};

/// A caller with a token that another one made.
async fn limited(caller: &Caller, wish: Value) -> Caller {
    let made = caller.post("/v1/tokens", wish).await;
    assert_eq!(made.status.as_u16(), 201, "{made:?}");
    Caller { token: Some(made.json()["token"].as_str().unwrap().into()), ..caller.clone() }
}

async fn refused(caller: &Caller, verb: Method, path: &str, body: Value) {
    let answer = match verb {
        Method::GET => caller.get(path).await,
        Method::DELETE => caller.delete(path).await,
        verb => caller.send_json(verb, path, body).await,
    };
    let problem = answer.problem(403, "token-limited");
    assert!(problem["detail"].as_str().unwrap().starts_with("Nothing was changed: "), "{path}: {problem}");
}

async fn transact(caller: &Caller, calls: Value) -> crate::support::Answer {
    caller.post("/v1/transaction", json!({"calls": calls})).await
}

#[tokio::test]
async fn a_token_calls_only_its_methods() {
    let app = TestApp::spawn().await;
    let owner = app.caller().await;
    let agent = limited(&owner, json!({"methods": ["pushJob", "increment"]})).await;
    assert_eq!(agent.post("/v1/queues/mails/jobs", json!({"payload": 1})).await.status, 201);
    agent.increment("a", json!({})).await.ok();
    refused(&agent, Method::POST, "/v1/counters/a/decrement", json!({})).await;
    refused(&agent, Method::GET, "/v1/counters/a", json!({})).await;
    refused(&agent, Method::POST, "/v1/queues/mails/pop", json!({})).await;
    refused(&agent, Method::POST, "/v1/tokens", json!({})).await;
    refused(&agent, Method::GET, "/v1/tokens", json!({})).await;
    // Nor in a transaction, of which nothing happens.
    let increment = json!({"method": "increment", "params": {"name": "a"}});
    let decrement = json!({"method": "decrement", "params": {"name": "a"}});
    let problem = transact(&agent, json!([increment, decrement])).await.problem(403, "token-limited");
    assert_eq!((&problem["index"], &problem["method"]), (&json!(1), &json!("decrement")));
    transact(&agent, json!([increment])).await.ok();
    assert_eq!(owner.value("a").await, 2);
    // Who it is, and its own end.
    let me = agent.get("/v1/me").await.ok();
    assert_eq!(me["tokenLimits"], json!({"methods": ["pushJob", "increment"], "prefix": null}));
    let id = me["tokenId"].as_str().unwrap();
    assert_eq!(agent.delete(&format!("/v1/tokens/{id}")).await.status, 204);
}

#[tokio::test]
async fn a_token_uses_only_names_with_its_prefix() {
    let app = TestApp::spawn().await;
    let owner = app.caller().await;
    for name in ["jobs_1", "job", "Jobs-1", "xjobs-1"] {
        owner.increment(name, json!({})).await.ok();
        owner.post(&format!("/v1/queues/{name}/jobs"), json!({"payload": "secret"})).await;
    }
    let agent = limited(&owner, json!({"prefix": "jobs-"})).await;
    agent.increment("jobs-1", json!({})).await.ok();
    agent.increment("jobs-", json!({})).await.ok();
    for name in ["jobs_1", "job", "Jobs-1", "xjobs-1", "jobs%2D", "%00jobs-"] {
        let answer = agent.increment(name, json!({})).await;
        // `%2D` is the hyphen.
        match name {
            "jobs%2D" => drop(answer.ok()),
            "%00jobs-" => assert!(answer.status.is_client_error(), "{answer:?}"),
            _ => drop(answer.problem(403, "token-limited")),
        }
    }
    for (verb, path, body) in [
        (Method::GET, "/v1/counters/job", json!({})),
        (Method::DELETE, "/v1/counters/job", json!({})),
        (Method::GET, "/v1/counters", json!({})),
        (Method::GET, "/v1/counters?prefix=job", json!({})),
        (Method::POST, "/v1/locks/job/acquire", json!({"ttlMs": 60_000})),
        (Method::GET, "/v1/locks", json!({})),
        (Method::POST, "/v1/queues/job/jobs", json!({"payload": 1})),
        (Method::POST, "/v1/queues/job/jobs/batch", json!({"jobs": [{"payload": 1}]})),
        (Method::POST, "/v1/queues/job/pop", json!({"leaseMs": 60_000})),
        (Method::POST, "/v1/queues/job/pop/batch", json!({"count": 1})),
        (Method::GET, "/v1/queues/job", json!({})),
        (Method::GET, "/v1/queues/job/jobs", json!({})),
        (Method::DELETE, "/v1/queues/job/jobs", json!({})),
        (Method::GET, "/v1/queues", json!({})),
        (Method::POST, "/v1/links", json!({"url": "https://example.com"})),
        (Method::GET, "/v1/links", json!({})),
        (Method::GET, "/v1/audit", json!({})),
        (Method::GET, "/v1/credit", json!({})),
        (Method::GET, "/v1/tokens", json!({})),
    ] {
        refused(&agent, verb, path, body).await;
    }
    agent.get("/v1/counters?prefix=jobs-").await.ok();
    // A worker takes jobs of its queue and ends them; it cannot look at others by their ids.
    let job = owner.post("/v1/queues/jobs-mail/jobs", json!({"payload": 1})).await.json();
    let popped = agent.post("/v1/queues/jobs-mail/pop", json!({})).await.ok();
    refused(&agent, Method::GET, &format!("/v1/jobs/{}", job["id"].as_str().unwrap()), json!({})).await;
    refused(&agent, Method::DELETE, &format!("/v1/jobs/{}", job["id"].as_str().unwrap()), json!({})).await;
    let (id, lease) = (popped["id"].as_str().unwrap(), &popped["lease"]);
    agent.post(&format!("/v1/jobs/{id}/complete"), json!({"lease": lease})).await.ok();
    assert_eq!(owner.value("jobs-").await, 2);
    assert_eq!((owner.value("job").await, owner.value("jobs_1").await), (1, 1));
}

#[tokio::test]
async fn a_token_with_a_prefix_ends_only_attempts_whose_lease_it_has() {
    let app = TestApp::spawn().await;
    let owner = app.caller().await;
    owner.post("/v1/queues/secret/jobs", json!({"payload": 1})).await;
    let popped = owner.post("/v1/queues/secret/pop", json!({})).await.ok();
    let (id, lease) = (popped["id"].as_str().unwrap(), &popped["lease"]);
    let agent = limited(&owner, json!({"prefix": "jobs-"})).await;
    for end in ["complete", "fail"] {
        for body in [json!({}), json!({"lease": null})] {
            refused(&agent, Method::POST, &format!("/v1/jobs/{id}/{end}"), body).await;
        }
    }
    let complete = json!({"method": "completeJob", "params": {"id": id}});
    refused(&agent, Method::POST, "/v1/transaction", json!({"calls": [complete]})).await;
    assert_eq!(owner.get(&format!("/v1/jobs/{id}")).await.ok()["status"], "running");
    agent.post(&format!("/v1/jobs/{id}/complete"), json!({"lease": lease})).await.ok();
}

#[tokio::test]
async fn the_ids_and_namespaces_of_memories_are_names() {
    let app = TestApp::spawn().await;
    let owner = app.caller().await;
    let store = async |caller: &Caller, id: &str, namespace: &str| {
        let body = json!({"content": "tea", "namespace": namespace, "embedding": null});
        caller.send_json(Method::PUT, &format!("/v1/memories/{id}"), body).await
    };
    store(&owner, "secret", "private").await;
    let agent = limited(&owner, json!({"prefix": "bot-"})).await;
    assert_eq!(store(&agent, "bot-1", "bot-notes").await.status, 201);
    store(&agent, "bot-1", "private").await.problem(403, "token-limited");
    store(&agent, "secret", "bot-notes").await.problem(403, "token-limited");
    let batch = |id: &str| {
        let memory = |id: &str| json!({"id": id, "namespace": "bot-notes", "content": "tea", "embedding": null});
        json!({"memories": [memory("bot-2"), memory(id)]})
    };
    refused(&agent, Method::POST, "/v1/memories/batch", batch("other")).await;
    agent.post("/v1/memories/batch", batch("bot-3")).await.ok();
    for (verb, path, body) in [
        (Method::GET, "/v1/memories/secret", json!({})),
        (Method::DELETE, "/v1/memories/secret", json!({})),
        (Method::PATCH, "/v1/memories/secret", json!({"tags": []})),
        (Method::PATCH, "/v1/memories/bot-1", json!({"namespace": "private"})),
        (Method::PATCH, "/v1/memories/bot-1", json!({"namespace": null})),
        (Method::PUT, "/v1/memories/bot-4", json!({"content": "a", "embedding": null})),
        (Method::POST, "/v1/memories/search", json!({"query": "tea", "mode": "text"})),
        (Method::POST, "/v1/memories/search", json!({"query": "tea", "mode": "text", "namespace": "private"})),
        (Method::GET, "/v1/memories", json!({})),
        (Method::GET, "/v1/memories?namespace=private", json!({})),
    ] {
        refused(&agent, verb, path, body).await;
    }
    let search = json!({"query": "tea", "mode": "text", "namespace": "bot-notes"});
    assert_eq!(agent.post("/v1/memories/search", search).await.ok()["results"].as_array().unwrap().len(), 3);
    agent.get("/v1/memories/bot-1").await.ok();
    agent.send_json(Method::PATCH, "/v1/memories/bot-1", json!({"namespace": "bot-other"})).await.ok();
}

#[tokio::test]
async fn no_transaction_reference_or_guard_leads_out_of_a_prefix() {
    let app = TestApp::spawn().await;
    let owner = app.caller().await;
    owner.increment("victim", json!({})).await.ok();
    // The value that stands for a reference while a call is parsed begins with `a`.
    let agent = limited(&owner, json!({"prefix": "a"})).await;
    let increment = |name: Value| json!({"method": "increment", "params": {"name": name}});
    transact(&agent, json!([increment(json!("ab")), increment(json!("a"))])).await.ok();
    transact(&agent, json!([increment(json!("victim"))])).await.problem(403, "token-limited");
    let push = json!({"method": "pushJob", "params": {"queue": "a", "payload": "victim"}, "as": "job"});
    for calls in [
        json!([push, increment(json!({"$ref": "job.payload"}))]),
        json!([push, {"method": "deleteCounter", "params": {"name": {"$ref": "0.payload"}}}]),
        json!([push, {"method": "updateMemory", "params": {"id": {"$ref": "0.payload"}, "tags": []}}]),
    ] {
        transact(&agent, calls).await.problem(403, "token-limited");
    }
    let lock = owner.post("/v1/locks/secret/acquire", json!({"ttlMs": 60_000})).await.ok();
    let fence = lock["fence"].as_i64().unwrap();
    let mut guarded = agent.clone();
    guarded.headers.insert("payerbase-guard", format!("secret; fence={fence}").parse().unwrap());
    guarded.increment("a", json!({})).await.problem(403, "token-limited");
    let guarded =
        json!([{"method": "increment", "params": {"name": "a"}, "guard": {"lock": "secret", "fence": fence}}]);
    transact(&agent, guarded).await.problem(403, "token-limited");
    let id = &agent.token.as_ref().unwrap().expose_secret()[8..24];
    let own = json!([{"method": "revokeToken", "params": {"id": id}, "guard": {"lock": "secret", "fence": fence}}]);
    transact(&agent, own).await.problem(403, "token-limited");
    assert_eq!((owner.value("victim").await, owner.value("a").await), (1, 1));
}

#[tokio::test]
async fn limits_only_become_narrower_and_stay() {
    let app = TestApp::on(TestDatabase::own().await);
    let owner = app.caller().await;
    let limits =
        json!({"scopes": ["*"], "methods": ["pushJob", "popJob", "createToken", "listTokens"], "prefix": "jobs-"});
    let agent = limited(&owner, limits).await;
    for (wish, pointer) in [
        (json!({"methods": ["pushJob", "increment"]}), "/methods/1"),
        (json!({"methods": ["pushJobs "]}), "/methods/0"),
        (json!({"methods": []}), "/methods"),
        (json!({"methods": vec!["pushJob"; 101]}), "/methods"),
        (json!({"prefix": "jobs"}), "/prefix"),
        (json!({"prefix": "other-"}), "/prefix"),
        (json!({"prefix": ""}), "/prefix"),
        (json!({"scopes": ["queues:read"], "methods": ["pushJob"]}), "/methods/0"),
    ] {
        let problem = agent.post("/v1/tokens", wish.clone()).await.problem(422, "invalid-value");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{wish}");
    }
    let same = limited(&agent, json!({})).await;
    let narrower = limited(&agent, json!({"methods": ["pushJob"], "prefix": "jobs-mail"})).await;
    let of = async |caller: &Caller| caller.get("/v1/me").await.ok()["tokenLimits"].clone();
    assert_eq!(of(&same).await, of(&agent).await);
    assert_eq!(of(&narrower).await, json!({"methods": ["pushJob"], "prefix": "jobs-mail"}));
    refused(&narrower, Method::POST, "/v1/queues/jobs-/jobs", json!({"payload": 1})).await;
    // A token that replaces itself has the same limits; lists show them.
    let id = &narrower.token.as_ref().unwrap().expose_secret()[8..24];
    let made = narrower.post(&format!("/v1/tokens/{id}/rotate"), json!({})).await.json();
    assert_eq!((&made["methods"], &made["prefix"]), (&json!(["pushJob"]), &json!("jobs-mail")));
    let replaced = Caller { token: Some(made["token"].as_str().unwrap().into()), ..narrower.clone() };
    assert_eq!(of(&replaced).await, of(&narrower).await);
    let listed = owner.get("/v1/tokens?limit=1").await.ok()["items"][0].clone();
    assert_eq!((&listed["id"], &listed["prefix"]), (&made["id"], &json!("jobs-mail")));
    // Servers that know no limits do not know the token.
    let mut admin = app.database.admin().await;
    let count = |function: &str| format!("select count(*) from auth.{function}(array['{id}'])");
    let (old, new) = (count("tokens_by_id"), count("tokens_with_limits"));
    let count = async |admin: &mut sqlx::PgConnection, sql: String| -> i64 {
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(admin).await.unwrap()
    };
    assert_eq!((count(&mut admin, old).await, count(&mut admin, new).await), (0, 1));
}

#[tokio::test]
async fn a_token_with_a_prefix_ends_only_what_it_made() {
    let app = TestApp::spawn().await;
    let owner = app.caller().await;
    let maker = limited(&owner, json!({"prefix": "jobs-"})).await;
    let id = |caller: &Caller| caller.token.as_ref().unwrap().expose_secret()[8..24].to_owned();
    let (made, other) = (limited(&maker, json!({})).await, limited(&owner, json!({})).await);
    let grantee = app.caller().await;
    let wish = json!({"grantee": grantee.payer.as_str(), "scopes": ["counters:read"]});
    let grant = async |caller: &Caller| caller.post("/v1/grants", wish.clone()).await.json()["id"].clone();
    let (granted, of_owner) = (grant(&maker).await, grant(&owner).await);
    maker.delete(&format!("/v1/tokens/{}", id(&other))).await.problem(404, "not-found");
    maker.delete(&format!("/v1/tokens/{}", id(&owner))).await.problem(404, "not-found");
    maker.delete(&format!("/v1/grants/{}", of_owner.as_str().unwrap())).await.problem(404, "not-found");
    let rotated = maker.post(&format!("/v1/tokens/{}/rotate", id(&other)), json!({})).await;
    rotated.problem(422, "invalid-value");
    assert_eq!(maker.delete(&format!("/v1/grants/{}", granted.as_str().unwrap())).await.status, 204);
    assert_eq!(maker.delete(&format!("/v1/tokens/{}", id(&made))).await.status, 204);
}
