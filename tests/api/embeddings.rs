//! Embeddings from an endpoint: a fake on loopback, which answers correctly or with errors.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use payerbase::embeddings::{Embeddings, Setting};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::idempotency::with_key;
use crate::support::{Caller, TestApp, TestDatabase};

/// A fake endpoint with four dimensions. A vector counts words of four topics.
struct Endpoint {
    url: String,
    requests: Arc<AtomicUsize>,
}

const TOPICS: [&str; 4] = ["tea", "build", "sea", ""];

fn vector(text: &str) -> Vec<f32> {
    TOPICS.iter().map(|topic| text.matches(topic).count() as f32).collect()
}

/// Checks a request and answers it. Words in the texts select an error.
async fn answer(request: HttpRequest, body: web::Json<Value>, requests: web::Data<AtomicUsize>) -> HttpResponse {
    let number = requests.fetch_add(1, Ordering::SeqCst);
    assert_eq!(request.headers().get("authorization").unwrap(), "Bearer the-key");
    assert_eq!((&body["model"], &body["encoding_format"]), (&json!("topics"), &json!("float")));
    let texts: Vec<&str> = body["input"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    assert!(!texts.is_empty() && texts.len() <= 64 && texts.iter().all(|text| text.len() <= 6_000 && !text.is_empty()));
    let says = |word: &str| texts.iter().any(|text| text.contains(word));
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        // In reverse: an endpoint may return the vectors in any order.
        .rev()
        .map(|(index, text)| json!({"object": "embedding", "index": index, "embedding": vector(text)}))
        .collect();
    if says("hangs") {
        tokio::time::sleep(Duration::from_secs(60)).await;
    } else if says("garbage") {
        return HttpResponse::Ok().body("<html>it works</html>");
    } else if says("refuses") {
        return HttpResponse::Unauthorized().json(json!({"error": "no"}));
    } else if says("redirects") {
        return HttpResponse::Found().insert_header(("location", "http://127.0.0.1:1/")).finish();
    } else if says("stumbles") && number.is_multiple_of(2) {
        return HttpResponse::TooManyRequests().finish();
    } else if says("fails") {
        return HttpResponse::InternalServerError().finish();
    } else if says("forgets") {
        return HttpResponse::Ok().json(json!({"data": []}));
    } else if says("shrinks") {
        let item = |index: usize| json!({"index": index, "embedding": vec![1; 4 - index % 2]});
        return HttpResponse::Ok().json(json!({"data": (0..texts.len()).map(item).collect::<Vec<_>>()}));
    } else if says("zeros") {
        return HttpResponse::Ok().json(json!({"data": [{"index": 0, "embedding": [0, 0, 0, 0]}]}));
    }
    HttpResponse::Ok().json(json!({"data": data, "model": "topics"}))
}

impl Endpoint {
    fn start() -> Self {
        let requests = Arc::new(AtomicUsize::new(0));
        let data = web::Data::from(Arc::clone(&requests));
        let (bound, address) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let run = async move {
                let json = web::JsonConfig::default().limit(8 << 20);
                let app = move || {
                    let route = web::post().to(answer);
                    App::new().app_data(data.clone()).app_data(json.clone()).route("/v1/embeddings", route)
                };
                let server = HttpServer::new(app).workers(1).disable_signals().bind(("127.0.0.1", 0)).unwrap();
                bound.send(server.addrs()[0]).unwrap();
                server.run().await.unwrap();
            };
            actix_web::rt::System::new().block_on(run);
        });
        Self { url: format!("http://{}/v1?model=topics", address.recv().unwrap()), requests }
    }

    async fn app(&self) -> TestApp {
        TestApp::embedding(TestDatabase::shared().await, open(&self.url))
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn open(url: &str) -> Embeddings {
    let Ok(Setting::Remote(mut endpoint)) = url.parse() else { panic!("{url}") };
    endpoint.key = Some(SecretString::from("the-key"));
    Embeddings::open(&Setting::Remote(endpoint)).unwrap().unwrap()
}

async fn topic(caller: &Caller, id: &str) -> Value {
    caller.get(&format!("/v1/memories/{id}?includeEmbedding=true")).await.ok()["embedding"].clone()
}

#[tokio::test]
async fn contents_and_queries_are_embedded_automatically() {
    let endpoint = Endpoint::start();
    let app = endpoint.app().await;
    let caller = app.caller().await;
    let stored = caller.remember("t", json!({"content": "tea"})).await.ok();
    assert_eq!((&stored["embeddingModel"], &stored["dimensions"]), (&json!("topics"), &json!(4)));
    let memories: Vec<Value> =
        (0..100).map(|n| json!({"id": format!("b{n:02}"), "content": format!("build {n}")})).collect();
    let before = endpoint.requests();
    caller.post("/v1/memories/batch", json!({"memories": memories})).await.ok();
    assert_eq!(endpoint.requests() - before, 2, "two batches of at most 64 texts");
    let answer = caller.search(json!({"query": "a tea"})).await.ok();
    assert_eq!((&answer["mode"], &answer["results"][0]["id"]), (&json!("hybrid"), &json!("t")));
    let answer = caller.search(json!({"query": "tea tea tea", "mode": "vector", "limit": 1})).await.ok();
    assert_eq!((&answer["mode"], &answer["results"][0]["id"]), (&json!("vector"), &json!("t")));
    let before = endpoint.requests();
    caller.search(json!({"query": "tea", "mode": "text"})).await.ok();
    caller.remember("own", json!({"content": "tea", "embedding": [1, 2]})).await.ok();
    let without = caller.remember("without", json!({"content": "tea", "embedding": null})).await.ok();
    assert_eq!(
        (endpoint.requests(), &without["hasEmbedding"]),
        (before, &json!(false)),
        "these calls need no embedding"
    );
}

#[tokio::test]
async fn a_patch_of_the_content_replaces_only_generated_vectors() {
    let endpoint = Endpoint::start();
    let app = endpoint.app().await;
    let caller = app.caller().await;
    caller.remember("made", json!({"content": "tea"})).await.ok();
    caller.remember("given", json!({"content": "tea", "embedding": [9, 8, 7, 6]})).await.ok();
    caller.remember("none", json!({"content": "tea", "embedding": null})).await.ok();
    for id in ["made", "given", "none"] {
        caller.patch_memory(id, json!({"content": "sea"})).await.ok();
    }
    assert_eq!(topic(&caller, "made").await, json!([0.0, 0.0, 1.0, 4.0]));
    assert_eq!(topic(&caller, "given").await, json!([9.0, 8.0, 7.0, 6.0]));
    assert_eq!(topic(&caller, "none").await, json!([0.0, 0.0, 1.0, 4.0]));
    caller.patch_memory("made", json!({"content": "tea", "embedding": [1, 1]})).await.ok();
    assert_eq!(topic(&caller, "made").await, json!([1.0, 1.0]));
    // The caller gave this vector, so the server does not replace it.
    let named = json!({"content": "tea", "embedding": [1, 2], "embeddingModel": "own"});
    caller.remember("named", named).await.ok();
    caller.patch_memory("named", json!({"content": "sea"})).await.ok();
    assert_eq!(topic(&caller, "named").await, json!([1.0, 2.0]));
    // Without a model, a change of the content removes the vector that the server made from the old content.
    let without = TestApp::on(app.database.clone());
    let later = Caller { url: without.url.clone(), ..caller.clone() };
    caller.remember("made", json!({"content": "tea"})).await.ok();
    for id in ["made", "named"] {
        later.patch_memory(id, json!({"importance": 1})).await.ok();
        assert_eq!(later.recall(id).await.ok()["hasEmbedding"], true);
        later.patch_memory(id, json!({"content": "sea"})).await.ok();
    }
    let made = later.recall("made").await.ok();
    assert_eq!((&made["hasEmbedding"], &made["embeddingModel"]), (&json!(false), &Value::Null));
    assert_eq!(topic(&later, "named").await, json!([1.0, 2.0]));
}

/// A retry with the same key gets the stored answer, even without a model, and its texts are not embedded again.
#[tokio::test]
async fn a_retried_write_is_not_embedded_again() {
    let endpoint = Endpoint::start();
    let app = endpoint.app().await;
    let nowhere = TestApp::embedding(app.database.clone(), open("http://127.0.0.1:1/v1?model=topics"));
    let caller = app.caller().await;
    let later = Caller { url: nowhere.url.clone(), ..caller.clone() };
    let transaction = json!({"calls": [{"method": "storeMemory", "params": {"id": "t", "content": "tea"}}]});
    for (path, body) in
        [("/v1/memories/batch", json!({"memories": [{"id": "m", "content": "tea"}]})), ("/v1/transaction", transaction)]
    {
        let (caller, later) = (with_key(&caller, path), with_key(&later, path));
        let first = caller.post(path, body.clone()).await.ok();
        let before = endpoint.requests();
        assert_eq!(caller.post(path, body.clone()).await.ok(), first);
        assert_eq!(later.post(path, body).await.ok(), first);
        assert_eq!(endpoint.requests(), before);
        let other = json!({"content": "sea"});
        later.remember("other", other).await.problem(422, "idempotency-mismatch");
    }
    assert_eq!(topic(&caller, "m").await, json!([1.0, 0.0, 0.0, 4.0]));
    later.remember("new", json!({"content": "tea"})).await.problem(502, "embedding-failed");
}

#[tokio::test]
async fn a_transaction_embeds_its_texts_before_it_runs() {
    let endpoint = Endpoint::start();
    let app = endpoint.app().await;
    let caller = app.caller().await;
    let store = |id: &str, content: &str| json!({"method": "storeMemory", "params": {"id": id, "content": content}});
    let calls = json!([
        store("a", "tea"), {"method": "increment", "params": {"name": "n"}}, store("b", "sea"),
        {"method": "storeMemory", "params": {"id": "own", "content": "sea", "embedding": [2, 1]}},
        {"method": "updateMemory", "params": {"id": "b", "importance": 1}},
        {"method": "storeMemories", "params": {"memories": [{"id": "c", "content": "build"}, {"id": "d", "content": "x", "embedding": [1]}]}}
    ]);
    caller.post("/v1/transaction", json!({"calls": calls})).await.ok();
    assert_eq!(endpoint.requests(), 1);
    for (id, topic_of) in [
        ("a", json!([1.0, 0.0, 0.0, 4.0])),
        ("b", json!([0.0, 0.0, 1.0, 4.0])),
        ("c", json!([0.0, 1.0, 0.0, 6.0])),
        ("d", json!([1.0])),
        ("own", json!([2.0, 1.0])),
    ] {
        assert_eq!(topic(&caller, id).await, topic_of, "{id}");
    }
    let calls = json!([{"method": "increment", "params": {"name": "n"}}, store("e", "garbage")]);
    let problem = caller.post("/v1/transaction", json!({"calls": calls})).await.problem(502, "embedding-failed");
    assert_eq!((&problem["index"], &problem["method"]), (&json!(1), &json!("storeMemory")));
    assert_eq!(caller.value("n").await, 1);
}

#[tokio::test]
async fn a_long_content_is_embedded_in_parts() {
    let endpoint = Endpoint::start();
    let app = endpoint.app().await;
    let caller = app.caller().await;
    // A model that truncated the text would see only tea.
    let content = format!("{}{}", "tea ".repeat(2_000), "sea ".repeat(6_000));
    caller.remember("long", json!({"content": content})).await.ok();
    let topic = topic(&caller, "long").await;
    let of = |place: usize| topic[place].as_f64().unwrap();
    assert!(of(2) > of(0) && of(0) > 0.0, "{topic}");
}

#[tokio::test]
async fn no_memory_is_stored_when_the_endpoint_fails() {
    let endpoint = Endpoint::start();
    let app = endpoint.app().await;
    let caller = app.caller().await;
    caller.remember("first", json!({"content": "tea"})).await.ok();
    let shrink = json!({"memories": [{"id": "m", "content": "it shrinks"}, {"content": "it shrinks"}]});
    caller.post("/v1/memories/batch", shrink).await.problem(502, "embedding-failed");
    caller.recall("m").await.problem(404, "not-found");
    for wrong in ["garbage", "refuses", "redirects", "fails", "forgets", "zeros"] {
        caller.remember("m", json!({"content": wrong})).await.problem(502, "embedding-failed");
        let both = json!({"memories": [{"id": "m", "content": "tea"}, {"content": wrong}]});
        caller.post("/v1/memories/batch", both).await.problem(502, "embedding-failed");
        caller.search(json!({"query": wrong})).await.problem(502, "embedding-failed");
        caller.patch_memory("first", json!({"content": wrong})).await.problem(502, "embedding-failed");
        caller.recall("m").await.problem(404, "not-found");
    }
    assert_eq!(caller.recall("first").await.ok()["content"], "tea");
    caller.remember("m", json!({"content": "it stumbles"})).await.ok();
    caller.search(json!({"query": "garbage", "mode": "text"})).await.ok();
}

#[tokio::test]
async fn a_hanging_or_unreachable_endpoint_fails_the_call() {
    let endpoint = Endpoint::start();
    let app = endpoint.app().await;
    let caller = app.caller().await;
    let hang = caller.remember("m", json!({"content": "it hangs"}));
    let meanwhile = caller.remember("other", json!({"content": "tea"}));
    let (hang, meanwhile) = tokio::join!(hang, meanwhile);
    meanwhile.ok();
    hang.problem(502, "embedding-failed");
    caller.recall("m").await.problem(404, "not-found");
    let nowhere = TestApp::embedding(TestDatabase::shared().await, open("http://127.0.0.1:1/v1?model=topics"));
    nowhere.caller().await.remember("m", json!({"content": "tea"})).await.problem(502, "embedding-failed");
}

/// Vectors of another model, or with other dimensions, are skipped and not compared.
#[tokio::test]
async fn a_search_falls_back_to_text_for_vectors_of_another_model() {
    let endpoint = Endpoint::start();
    let app = endpoint.app().await;
    let caller = app.caller().await;
    caller
        .remember("old", json!({"content": "tea", "embedding": [1, 0, 0, 0], "embeddingModel": "old-model"}))
        .await
        .ok();
    let answer = caller.search(json!({"query": "tea"})).await.ok();
    assert_eq!((&answer["mode"], &answer["results"][0]["id"]), (&json!("text"), &json!("old")));
    for mode in ["vector", "hybrid"] {
        let problem = caller.search(json!({"query": "tea", "mode": mode})).await.problem(422, "dimension-mismatch");
        assert_eq!(problem["stored"], json!([{"dimensions": 4, "embeddingModel": "old-model", "memories": 1}]));
    }
    caller.remember("new", json!({"content": "tea"})).await.ok();
    let answer = caller.search(json!({"query": "tea"})).await.ok();
    assert_eq!((&answer["mode"], &answer["searched"], &answer["skipped"]), (&json!("hybrid"), &json!(1), &json!(1)));
    assert_eq!(answer["results"].as_array().unwrap().len(), 2);
}
