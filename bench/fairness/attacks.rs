//! The loads: legal requests that cost as much as possible, and connections that waste memory.

use std::sync::Arc;

use reqwest::Method;

/// A load.
pub struct Attack {
    pub name: &'static str,
    /// Connections in all.
    pub connections: usize,
    /// Requests before the load.
    pub before: Vec<Sent>,
    pub kind: Kind,
}

/// What a connection does.
#[derive(Clone)]
pub enum Kind {
    /// Sends requests, one after the other.
    Requests(Arc<Vec<Sent>>),
    /// Sends most of a body of this length and waits.
    SlowBody { path: &'static str, length: usize },
    /// Reads no answer.
    SlowReader { path: &'static str },
}

/// A request. `{id}` stands for the id in the last answer before the load.
#[derive(Clone)]
pub struct Sent {
    pub verb: Method,
    pub path: String,
    pub body: String,
}

impl Kind {
    /// With this id.
    pub fn with(&self, id: &str) -> Self {
        let Self::Requests(requests) = self else { return self.clone() };
        let with = |sent: &Sent| Sent {
            path: sent.path.replace("{id}", id),
            body: sent.body.replace("{id}", id),
            verb: sent.verb.clone(),
        };
        Self::Requests(Arc::new(requests.iter().map(with).collect()))
    }
}

fn post(path: &str, body: impl Into<String>) -> Sent {
    Sent { verb: Method::POST, path: path.to_owned(), body: body.into() }
}

fn put(path: &str, body: impl Into<String>) -> Sent {
    Sent { verb: Method::PUT, path: path.to_owned(), body: body.into() }
}

fn attack(name: &'static str, connections: usize, before: Vec<Sent>, requests: Vec<Sent>) -> Attack {
    Attack { name, connections, before, kind: Kind::Requests(Arc::new(requests)) }
}

/// An array of `count` objects with one member.
fn objects(count: usize) -> String {
    format!("[{}]", vec![r#"{"":0}"#; count].join(","))
}

/// An object with `count` members, whose names have two characters.
fn members(count: usize) -> String {
    const CHARS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let pairs = CHARS.iter().flat_map(|first| CHARS.iter().map(move |second| (first, second)));
    let members: Vec<String> = pairs
        .take(count)
        .enumerate()
        .map(|(n, (first, second))| format!(r#""{}{}":{}"#, char::from(*first), char::from(*second), n % 10))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// Metadata of 16 KiB with 3,400 numbers.
fn numbers() -> String {
    let numbers: Vec<String> = (0..3_400).map(|n| n.to_string()).collect();
    format!(r#"{{"a":[{}]}}"#, numbers.join(","))
}

/// A transaction of calls.
fn transact(calls: impl IntoIterator<Item = String>) -> Sent {
    post("/v1/transaction", format!(r#"{{"calls":[{}]}}"#, calls.into_iter().collect::<Vec<_>>().join(",")))
}

fn repeat(call: &str, count: usize) -> impl Iterator<Item = String> {
    std::iter::repeat_n(call.to_owned(), count)
}

/// A batch of memories with metadata.
fn memories(prefix: &str, count: usize) -> Sent {
    let numbers = numbers();
    let memory = |n| format!(r#"{{"id":"{prefix}{n}","content":"x","embedding":null,"metadata":{numbers}}}"#);
    let memories: Vec<String> = (0..count).map(memory).collect();
    post("/v1/memories/batch", format!(r#"{{"memories":[{}]}}"#, memories.join(",")))
}

/// Pushes a job with a payload of this number of objects, unless there is one with this key.
fn job(queue: &str, key: &str, objects_count: usize) -> Sent {
    post(
        &format!("/v1/queues/{queue}/jobs"),
        format!(r#"{{"payload":{},"dedupKey":"{key}","maxAttempts":1000}}"#, objects(objects_count)),
    )
}

fn patches() -> Vec<Attack> {
    let empty = || vec![put("/v1/memories/p", r#"{"content":"x","embedding":null}"#)];
    let patch = |count| Sent {
        verb: Method::PATCH,
        path: "/v1/memories/p".to_owned(),
        body: format!(r#"{{"metadata":{}}}"#, members(count)),
    };
    let metadata = format!(r#"{{"content":"x","embedding":null,"metadata":{}}}"#, members(2_000));
    let light_metadata = (0..64).map(|n| put(&format!("/v1/memories/light{n}"), metadata.clone())).collect();
    vec![
        attack("patch_2300_keys, one connection", 1, empty(), vec![patch(2_300)]),
        attack("patch_2300_keys", 8, empty(), vec![patch(2_300)]),
        attack("light_merges", 64, empty(), vec![patch(1_000)]),
        attack("light_metadata", 64, vec![], light_metadata),
        attack("metadata_arrays", 3, vec![], vec![memories("a", 100), memories("b", 25)]),
    ]
}

fn transactions() -> Vec<Attack> {
    let pushed = format!(r#"{{"method":"pushJob","as":"p","params":{{"queue":"t","payload":{}}}}}"#, objects(9_000));
    let refers = r#"{"method":"pushJob","params":{"queue":"t","payload":{"$ref":"p.payload"}}}"#;
    let read = r#"{"method":"getJob","params":{"id":"{id}"}}"#;
    let push = |n| format!(r#"{{"method":"pushJob","params":{{"queue":"g","payload":{n},"group":"g{n}"}}}}"#);
    let store = |n| {
        let content = format!("{n} is a word of a text. ").repeat(90);
        format!(r#"{{"method":"storeMemory","params":{{"id":"s{n}","embedding":null,"content":"{content}"}}}}"#)
    };
    let pops = repeat(r#"{"method":"popJob","params":{"queue":"g"}}"#, 46);
    let purges = repeat(r#"{"method":"purgeQueue","params":{"queue":"g"}}"#, 4);
    vec![
        attack("tx_refs_small_objects", 4, vec![], vec![transact(std::iter::once(pushed).chain(repeat(refers, 12)))]),
        attack("tx_50_reads", 8, vec![job("r", "big", 15_000)], vec![transact(repeat(read, 50))]),
        attack("light_but_many", 96, vec![], vec![transact((0..15).map(push))]),
        attack("tx_50_pops_purges", 8, vec![], vec![transact((0..15).map(push)), transact(pops.chain(purges))]),
        attack("tx_stores_weight_500", 8, vec![], vec![transact((0..50).map(store))]),
    ]
}

fn jobs() -> Vec<Attack> {
    let many: Vec<Sent> = (0..30).map(|n| job("pops", &format!("k{n}"), 28_000)).collect();
    let pop = post("/v1/queues/pops/pop", r#"{"leaseMs":1000}"#);
    // A push with the key of an unfinished job returns that job, as `getJob` does.
    let again = post("/v1/queues/heavy/jobs", r#"{"payload":null,"dedupKey":"big"}"#);
    let list = Sent { verb: Method::GET, path: "/v1/queues/pops/jobs?limit=1000".to_owned(), body: String::new() };
    vec![
        attack("bodies_small_objects_1mib", 8, vec![], vec![job("b", "k", 149_000)]),
        attack("pops_of_196_kb", 64, many.clone(), vec![pop]),
        attack("jobs_of_196_kb_again", 64, vec![job("heavy", "big", 28_000)], vec![again]),
        attack("lists_of_4_mib", 16, many, vec![list]),
    ]
}

fn memories_of(kib: usize) -> String {
    format!(r#"{{"memories":[{{"id":"a","content":"x","metadata":{{"a":{}}}}}]}}"#, objects((kib << 10) / 7))
}

/// All loads.
pub fn all() -> Vec<Attack> {
    let mut all = patches();
    all.extend(transactions());
    all.extend(jobs());
    let get = |path: &str| Sent { verb: Method::GET, path: path.to_owned(), body: String::new() };
    all.push(attack("reads_heavy", 64, vec![job("heavy", "big", 28_000)], vec![get("/v1/jobs/{id}")]));
    all.push(attack("recalls", 64, vec![put("/v1/memories/large", large_memory())], vec![get("/v1/memories/large")]));
    all.push(attack("batch_8mib_small_objects", 2, vec![], vec![post("/v1/memories/batch", memories_of(8_100))]));
    let conditions: Vec<String> = (0..250).map(|n| format!(r#"{{"a":{{"$contains":{}}}}}"#, 100_000 + n)).collect();
    let filter = format!(r#"{{"query":"x","mode":"text","filter":{{"$or":[{}]}}}}"#, conditions.join(","));
    let stored = (0..12).map(|n| memories(&format!("f{n}x"), 25)).collect();
    all.push(attack("searches_of_250_conditions", 8, stored, vec![post("/v1/memories/search", filter)]));
    all.push(Attack {
        name: "slow_bodies",
        connections: 100,
        before: vec![],
        kind: Kind::SlowBody { path: "/v1/memories/batch", length: 8 << 20 },
    });
    let many = (0..30).map(|n| job("pops", &format!("k{n}"), 28_000)).collect();
    all.push(Attack {
        name: "slow_readers",
        connections: 120,
        before: many,
        kind: Kind::SlowReader { path: "/v1/queues/pops/jobs?limit=1000" },
    });
    all
}

/// A memory of 100,000 characters with much metadata.
fn large_memory() -> String {
    let content = "Much text about little. ".repeat(4_000);
    format!(r#"{{"content":"{content}","embedding":null,"metadata":{}}}"#, members(2_000))
}
