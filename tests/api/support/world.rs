//! Every operation of the OpenAPI document, and a payer with one resource of each kind to call it with.

use payerbase::app::document;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Answer, Caller, TestApp};

/// An operation of the document.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The `operationId`.
    pub name: String,
    pub verb: Method,
    pub path: String,
    /// The scope that it needs. `None` for `transact`, whose calls have scopes, and for operations without a scope.
    pub scope: Option<String>,
    /// The examples of its request body. Empty for an operation without a body.
    pub examples: Vec<Value>,
}

/// Every operation under `/v1` that needs a token.
pub fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(&document().v3_1.json).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (verb, operation) in item.as_object().unwrap() {
            // A file has no examples.
            let takes_file = operation["requestBody"]["content"].get("application/vnd.sqlite3").is_some();
            if path.starts_with("/v1/") && !path.starts_with("/v1/auth/") && !takes_file {
                let examples = &operation["requestBody"]["content"]["application/json"]["examples"];
                let examples: Vec<Value> =
                    examples.as_object().into_iter().flatten().map(|(_, example)| example["value"].clone()).collect();
                let name = operation["operationId"].as_str().unwrap().to_owned();
                let has_body = operation.get("requestBody").is_some();
                assert_eq!(has_body, !examples.is_empty(), "{name} has examples exactly if it has a body");
                operations.push(Operation {
                    name,
                    verb: verb.to_uppercase().parse().unwrap(),
                    path: path.clone(),
                    scope: operation["x-scope"].as_str().map(str::to_owned),
                    examples,
                });
            }
        }
    }
    assert!(operations.len() >= 41, "the document lists the operations");
    operations
}

/// Names and ids for paths and bodies, of resources that exist or do not.
#[derive(Clone, Debug)]
pub struct Things {
    /// Name of a counter, a queue, a memory and a held lock.
    pub name: String,
    pub slug: String,
    /// Id of a pending job.
    pub pending: String,
    /// Id of a running job.
    pub running: String,
    pub lease: String,
    pub token: String,
    /// Id of a token that was made with another one.
    pub token_id: String,
    /// Id of a grant.
    pub grant_id: String,
}

impl Things {
    /// Names and ids of resources that do not exist.
    pub fn missing() -> Self {
        Self {
            name: "absent".to_owned(),
            slug: format!("s{:016x}", rand::random::<u64>()),
            pending: uuid(),
            running: uuid(),
            lease: uuid(),
            token: format!("{:032x}", rand::random::<u128>()),
            token_id: format!("{:016x}", rand::random::<u64>()),
            grant_id: format!("{:016x}", rand::random::<u64>()),
        }
    }

    /// Creates the resources for a payer.
    pub async fn of(caller: &Caller) -> Self {
        let mut things = Self { name: "theirs".to_owned(), ..Self::missing() };
        for counter in ["theirs", "credits"] {
            caller.increment(counter, json!({"amount": 70, "min": 0, "max": 999})).await.ok();
        }
        let lock = json!({"ttlMs": 600_000, "token": things.token, "metadata": "theirs"});
        caller.post("/v1/locks/theirs/acquire", lock).await.ok();
        let push = async |payload: &str, priority: i64| -> String {
            let job = json!({"payload": payload, "priority": priority});
            caller.post("/v1/queues/theirs/jobs", job).await.ok()["id"].as_str().unwrap().to_owned()
        };
        things.running = push("theirs to do", 1).await;
        things.pending = push("theirs to come", 0).await;
        let leased = caller.post("/v1/queues/theirs/pop", json!({"leaseMs": 600_000})).await.ok();
        assert_eq!(leased["id"], things.running);
        things.lease = leased["lease"].as_str().unwrap().to_owned();
        let tables = [
            "create table customers (id integer primary key, name text not null, city text)",
            "create table orders (id integer primary key, customer integer, cents integer)",
            "insert into customers values (1, 'theirs', 'Berlin')",
        ];
        let statements = tables.map(|sql| json!({ "sql": sql }));
        caller.post("/v1/sql/batch", json!({ "statements": statements })).await.ok();
        let memory = json!({"content": "Ada prefers theirs", "embedding": [0.12, -0.5, 0.33], "tags": ["theirs"]});
        caller.send_json(Method::PUT, "/v1/memories/theirs", memory).await.ok();
        let link = json!({"url": "https://theirs.example/", "slug": things.slug, "title": "theirs"});
        caller.post("/v1/links", link).await.ok();
        let token = caller.post("/v1/tokens", json!({"name": "theirs"})).await.ok();
        things.token_id = token["id"].as_str().unwrap().to_owned();
        let grantee = format!("0x{:040x}", rand::random::<u128>());
        let grant = json!({"name": "theirs", "grantee": grantee, "scopes": ["counters:read"]});
        let grant = caller.post("/v1/grants", grant).await.ok();
        things.grant_id = grant["id"].as_str().unwrap().to_owned();
        things
    }

    /// The path parameters of an operation, with their values.
    pub fn members(&self, operation: &Operation) -> Vec<(&'static str, String)> {
        let name = match operation.name.as_str() {
            // The named lock is held, and this operation needs a free one.
            "acquireLock" => format!("{}-free", self.name),
            _ => self.name.clone(),
        };
        let id = match operation.name.as_str() {
            "storeMemory" | "recallMemory" | "updateMemory" | "forgetMemory" => &self.name,
            "completeJob" | "failJob" | "extendJob" => &self.running,
            "rotateToken" | "revokeToken" => &self.token_id,
            "revokeGrant" => &self.grant_id,
            _ => &self.pending,
        };
        let all = [
            ("name", name),
            ("queue", self.name.clone()),
            ("slug", self.slug.clone()),
            ("id", id.clone()),
            ("amount", "1000".to_owned()),
        ];
        all.into_iter().filter(|(member, _)| operation.path.contains(&format!("{{{member}}}"))).collect()
    }

    /// An example of a body, with the token and the lease of these resources.
    pub fn body(&self, caller: &Caller, example: &Value) -> Value {
        let mut body = example.clone();
        for (member, value) in [("token", &*self.token), ("lease", &*self.lease), ("payer", caller.payer.as_str())] {
            if let Some(place) = body.get_mut(member) {
                *place = value.into();
            }
        }
        body
    }

    /// Calls an operation on these resources, with one of its examples.
    pub async fn call(&self, caller: &Caller, operation: &Operation, example: Option<&Value>) -> Answer {
        let members = self.members(operation).into_iter();
        let path =
            members.fold(operation.path.clone(), |path, (name, value)| path.replace(&format!("{{{name}}}"), &value));
        let body = example.map(|example| ("application/json", self.body(caller, example).to_string().into_bytes()));
        caller.send(operation.verb.clone(), &path, body).await
    }

    /// `text` with the names and ids of `others` in place of these.
    pub fn renamed(&self, text: &str, others: &Self) -> String {
        let (mine, theirs) = (self.all(), others.all());
        mine.iter().zip(theirs).fold(text.to_owned(), |text, (mine, theirs)| text.replace(*mine, theirs))
    }

    fn all(&self) -> [&str; 8] {
        [&self.name, &self.slug, &self.pending, &self.running, &self.lease, &self.token, &self.token_id, &self.grant_id]
    }
}

fn uuid() -> String {
    let hex = format!("{:032x}", rand::random::<u128>());
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

/// A payer with one resource of each kind.
pub async fn owner(app: &TestApp) -> (Caller, Things) {
    let caller = app.caller().await;
    let things = Things::of(&caller).await;
    (caller, things)
}

/// A body without times and other values that differ between calls.
pub fn without_varying(body: &Value) -> Value {
    const VARYING: &[&str] = &[
        "createdAt",
        "updatedAt",
        "acquiredAt",
        "expiresAt",
        "finishedAt",
        "runAt",
        "leaseExpiresAt",
        "lastClickAt",
        "clickedAt",
        "oldestPendingAt",
        "at",
        "instance",
        "tokenId",
        "byTokenId",
        "createdBy",
        "tokenExpiresAt",
        "payment",
    ];
    match body {
        Value::Object(members) => {
            let kept = members.iter().map(|(name, value)| match VARYING.contains(&name.as_str()) && !value.is_null() {
                true => (name.clone(), json!("..")),
                false => (name.clone(), without_varying(value)),
            });
            Value::Object(kept.collect())
        }
        Value::Array(items) => items.iter().map(without_varying).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => body.clone(),
    }
}

/// Like [`without_varying`], and also without the values that a call generates for a new resource.
pub fn without_generated(body: &Value) -> Value {
    let mut body = without_varying(body);
    for name in ["id", "slug", "shortUrl", "token", "lease", "payer"] {
        if let Some(value) = body.get_mut(name) {
            *value = json!("..");
        }
    }
    for list in ["items", "jobs", "memories", "results"] {
        let items = body.get_mut(list).and_then(Value::as_array_mut);
        items.into_iter().flatten().for_each(|item| *item = without_generated(item));
    }
    body
}
