//! The model in the server: its speed, and the relevance of its search results.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use payerbase::pip::fetch_model;
use reqwest::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::stage::Stage;

/// A Python program that embeds the same texts with sentence-transformers and prints texts per second.
const THEIRS: &str = "
import json, sys, time
from sentence_transformers import SentenceTransformer
texts = json.load(open(sys.argv[2]))
model = SentenceTransformer(sys.argv[1], device='cpu')
model.encode(texts[:64])
started = time.time()
model.encode(texts)
print(len(texts) / (time.time() - started))
";

/// A server with the model, and the folder of the model.
async fn stage() -> (Stage, PathBuf) {
    let model = tokio::task::spawn_blocking(|| fetch_model().expect("the model")).await.expect("fetched");
    let setting = format!("local:{}", model.display());
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    (Stage::set(1, &[("PAYERBASE_EMBEDDINGS", &setting)]).await, model)
}

async fn call(stage: &Stage, client: &Client, payer: usize, path: &str, body: &Value) -> Value {
    let request = client.post(format!("{}{path}", stage.url())).bearer_auth(stage.tokens.of(payer)).json(body);
    request.send().await.expect("sent").error_for_status().expect("a success").json().await.expect("JSON")
}

/// `storeMemories` without vectors, by two payers at the same time.
pub async fn speed() {
    let (stage, model) = stage().await;
    let texts = texts();
    let client = Client::new();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let python = std::env::var("BENCH_PYTHON").ok();
    let chars: usize = texts.iter().map(String::len).sum();
    println!("{} texts of {} characters on average", texts.len(), chars / texts.len());
    for _ in 0..crate::number("BENCH_ROUNDS", 3) {
        let started = Instant::now();
        let (first, second) = texts.split_at(texts.len() / 2);
        tokio::join!(store(&stage, &client, 0, first), store(&stage, &client, 1, second));
        ours.push(rate(texts.len(), started));
        if let Some(python) = &python {
            theirs.push(sentence_transformers(python, &model, stage.dir(), &texts));
        }
    }
    let median = |mut rates: Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied().unwrap_or(f64::NAN)
    };
    let (ours, theirs) = (median(ours), median(theirs));
    println!("\n| all-MiniLM-L6-v2 | texts/s |\n|---|---|");
    println!("| `storeMemories`, vectors made by the server | {ours:.0} |\n| sentence-transformers | {theirs:.0} |");
    println!(
        "\n| ratio | measured | aim |\n|---|---|---|\n| sentence-transformers / server | {:.2} | <= 1.3 |",
        theirs / ours
    );
    stage.clear().await;
}

fn rate(count: usize, since: Instant) -> f64 {
    f64::from(u32::try_from(count).expect("few")) / since.elapsed().as_secs_f64()
}

async fn store(stage: &Stage, client: &Client, payer: usize, texts: &[String]) {
    for batch in texts.chunks(100) {
        let memories: Vec<Value> = batch.iter().map(|text| json!({"content": text})).collect();
        call(stage, client, payer, "/v1/memories/batch", &json!({"memories": memories})).await;
    }
}

fn sentence_transformers(python: &str, model: &Path, dir: &Path, texts: &[String]) -> f64 {
    let file = dir.join("texts.json");
    fs::write(&file, json!(texts).to_string()).expect("written");
    let output = Command::new(python).args(["-c", THEIRS]).arg(model).arg(file).output().expect("BENCH_PYTHON");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    printed.trim().parse().unwrap_or_else(|_| panic!("{printed}{}", String::from_utf8_lossy(&output.stderr)))
}

/// The sentences and the paragraphs of this repository's documentation, 20 to 999 bytes each.
fn texts() -> Vec<String> {
    let mut texts = BTreeSet::new();
    let mut folders = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs"), env!("CARGO_MANIFEST_DIR").into()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.ends_with("docs/adr") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(path).expect("a page");
                let paragraphs = text.split("\n\n").filter(|paragraph| !paragraph.contains('|'));
                for paragraph in paragraphs {
                    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
                    texts.insert(words(paragraph));
                    texts.extend(paragraph.split(". ").map(words));
                }
            }
        }
    }
    texts.retain(|text| (20..1_000).contains(&text.len()));
    texts.into_iter().collect()
}

#[derive(Deserialize)]
struct Passage {
    id: String,
    text: String,
}

#[derive(Deserialize)]
struct Question {
    question: String,
    relevant: BTreeMap<String, i32>,
}

/// nDCG@10 and recall@10 over the questions of `bench/relevance`, for each search mode.
pub async fn relevance() {
    let passages: Vec<Passage> = serde_json::from_str(include_str!("relevance/passages.json")).expect("passages");
    let questions: Vec<Question> = serde_json::from_str(include_str!("relevance/questions.json")).expect("questions");
    let (stage, _) = stage().await;
    let client = Client::new();
    for batch in passages.chunks(100) {
        let memories: Vec<Value> =
            batch.iter().map(|passage| json!({"id": passage.id, "content": passage.text})).collect();
        call(&stage, &client, 0, "/v1/memories/batch", &json!({"memories": memories})).await;
    }
    println!(
        "{} passages, {} questions\n\n| mode | nDCG@10 | recall@10 of answers |\n|---|---|---|",
        passages.len(),
        questions.len()
    );
    for mode in ["text", "vector", "hybrid"] {
        let (mut gains, mut recalls) = (0.0, 0.0);
        for Question { question, relevant } in &questions {
            let found =
                call(&stage, &client, 0, "/v1/memories/search", &json!({"query": question, "mode": mode})).await;
            let results = found.get("results").and_then(Value::as_array).expect("results");
            let ids = results.iter().filter_map(|result| result.get("id").and_then(Value::as_str));
            let grades: Vec<i32> = ids.map(|id| relevant.get(id).copied().unwrap_or_default()).collect();
            let mut ideal: Vec<i32> = relevant.values().copied().collect();
            ideal.sort_unstable_by(|one, other| other.cmp(one));
            gains += gain(&grades) / gain(&ideal);
            let answers = |grades: &[i32]| grades.iter().filter(|grade| **grade == 2).count();
            recalls += f64::from(u32::try_from(answers(&grades)).expect("few"))
                / f64::from(u32::try_from(answers(&ideal)).expect("few"));
        }
        let count = f64::from(u32::try_from(questions.len()).expect("few"));
        println!("| {mode} | {:.3} | {:.3} |", gains / count, recalls / count);
    }
    stage.clear().await;
}

/// The discounted cumulative gain of the first ten results (Jarvelin and Kekalainen, 2002). The gain of a grade is
/// 2^grade - 1.
fn gain(grades: &[i32]) -> f64 {
    let discounts = (2_u32..).map(|place| f64::from(place).log2());
    grades.iter().take(10).zip(discounts).map(|(grade, discount)| (2_f64.powi(*grade) - 1.0) / discount).sum()
}
