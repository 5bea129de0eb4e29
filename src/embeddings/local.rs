//! A sentence-transformers model in this process.
//!
//! The model has threads of its own, with a low priority. They take batches from a queue, which serves payers round
//! robin.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use rayon::ThreadPoolBuilder;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokenizers::Tokenizer;
use tokio::sync::oneshot;

use super::bert::Bert;
use super::embed_error::EmbedError;
use super::queue::{Part, Queue};
use crate::name::Name;
use crate::payer::Payer;
use crate::vector::Vector;

/// Niceness of the threads.
const NICENESS: i32 = 10;

/// An opened model with its threads.
pub(super) struct Local {
    name: Name,
    reader: Arc<Reader>,
    queue: Arc<Queue>,
}

/// Turns texts into tokens.
struct Reader {
    tokenizer: Tokenizer,
    /// The tokens before and after each part.
    begin: u32,
    end: u32,
    /// Maximum number of tokens of a part, `begin` and `end` included.
    part_tokens_max: usize,
}

/// `sentence_bert_config.json`.
#[derive(Deserialize)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
}

/// One entry of `modules.json`.
#[derive(Deserialize)]
struct Module {
    r#type: String,
}

impl Local {
    pub fn open(folder: &Path) -> Result<Self, String> {
        let read = |name: &str| fs::read(folder.join(name)).map_err(|error| format!("{name}: {error}"));
        let modules: Vec<Module> =
            serde_json::from_slice(&read("modules.json")?).map_err(|error| format!("modules.json: {error}"))?;
        let known = ["Transformer", "Pooling", "Normalize"];
        if let Some(other) = modules.iter().find(|module| !known.iter().any(|known| module.r#type.ends_with(known))) {
            return Err(format!("modules.json: modules of type {} are not supported", other.r#type));
        }
        let weights = read("model.safetensors")?;
        let sha256 = Sha256::digest(&weights);
        let bert = Bert::read(&read("config.json")?, &read("1_Pooling/config.json")?, weights)?;
        let max_seq_length = match read("sentence_bert_config.json") {
            Ok(config) => {
                serde_json::from_slice::<SentenceConfig>(&config)
                    .map_err(|error| format!("sentence_bert_config.json: {error}"))?
                    .max_seq_length
            }
            Err(_absent) => None,
        };
        let reader =
            Reader::read(&read("tokenizer.json")?, max_seq_length.unwrap_or(usize::MAX).min(bert.positions()))?;
        // A first text shows whether tokenizer, model and pooling fit together.
        bert.embed(&[reader.parts("text")?.swap_remove(0)])
            .map_err(|error| format!("the model does not run: {error}"))?;

        let folder = folder.canonicalize().map_err(|error| error.to_string())?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy().replace(char::is_control, "");
        let name: String = name.chars().take(32).collect();
        let digest: String = sha256.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let name = Name::try_from(format!("{name}:{digest}"))?;
        let queue = Arc::new(Queue::default());
        let bert = Arc::new(bert);
        for number in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            // One pool per thread: each thread multiplies its own matrices, and none waits for another.
            let pool = ThreadPoolBuilder::new().num_threads(1).thread_name(move |_| format!("embed-{number}")).build();
            let pool = pool.map_err(|error| error.to_string())?;
            let (bert, queue) = (Arc::clone(&bert), Arc::clone(&queue));
            pool.spawn(move || work(&bert, &queue));
        }
        Ok(Self { name, reader: Arc::new(reader), queue })
    }

    pub fn name(&self) -> &Name {
        &self.name
    }

    pub async fn embed(&self, payer: &Payer, texts: &[&str]) -> Result<Vec<Vector>, EmbedError> {
        let owned: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let reader = Arc::clone(&self.reader);
        // Tokenizing a long text blocks.
        let read = tokio::task::spawn_blocking(move || {
            owned.iter().map(|text| reader.parts(text)).collect::<Result<Vec<_>, _>>()
        });
        let read = read.await.map_err(|error| EmbedError::Failed(error.to_string()))?.map_err(EmbedError::Failed)?;
        let (mut parts, mut answers) = (Vec::new(), Vec::new());
        for text in read {
            let of_text = text.into_iter().map(|tokens| {
                let (reply, answer) = oneshot::channel();
                let weight = tokens.len();
                parts.push(Part { tokens, reply });
                (weight, answer)
            });
            answers.push(of_text.collect::<Vec<_>>());
        }
        self.queue.push(payer, parts)?;
        let mut vectors = Vec::with_capacity(answers.len());
        for text in answers {
            let mut of_parts = Vec::with_capacity(text.len());
            for (weight, answer) in text {
                let vector = answer.await.map_err(|_closed| EmbedError::Overloaded)?.map_err(EmbedError::Failed)?;
                of_parts.push((vector, u32::try_from(weight).unwrap_or(u32::MAX)));
            }
            let mean = Vector::mean(of_parts.iter().map(|(vector, weight)| (vector.as_slice(), f64::from(*weight))));
            vectors.push(mean.ok_or_else(|| EmbedError::Failed("the parts of a text have no mean".to_owned()))?);
        }
        Ok(vectors)
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.queue.close();
    }
}

fn work(bert: &Bert, queue: &Queue) {
    // Only Linux has a niceness per thread. If it cannot be set, the threads keep the normal priority.
    #[cfg(target_os = "linux")]
    let _as_before = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
    while let Some(parts) = queue.take() {
        let (tokens, replies): (Vec<_>, Vec<_>) = parts.into_iter().map(|part| (part.tokens, part.reply)).unzip();
        // A panic in a rayon thread would abort the process.
        let vectors = catch_unwind(AssertUnwindSafe(|| bert.embed(&tokens)));
        let vectors = match vectors {
            Ok(vectors) => vectors.map_err(|error| error.to_string()),
            Err(_panic) => Err("the model panicked".to_owned()),
        };
        for (place, reply) in replies.into_iter().enumerate() {
            let answer = match &vectors {
                Ok(vectors) => vectors.get(place).cloned().ok_or_else(|| "a vector is missing".to_owned()),
                Err(error) => Err(error.clone()),
            };
            // The call may have been dropped.
            let _gone = reply.send(answer);
        }
    }
}

impl Reader {
    fn read(tokenizer: &[u8], part_tokens_max: usize) -> Result<Self, String> {
        let invalid = |error: tokenizers::Error| format!("tokenizer.json: {error}");
        let mut tokenizer = Tokenizer::from_bytes(tokenizer).map_err(invalid)?;
        tokenizer.with_truncation(None).map_err(invalid)?;
        tokenizer.with_padding(None);
        let around = tokenizer.encode_fast("", true).map_err(invalid)?;
        let &[begin, end] = around.get_ids() else {
            return Err("tokenizer.json: expected one token before a text and one after it".to_owned());
        };
        if part_tokens_max < 8 {
            return Err("the model reads fewer than eight tokens".to_owned());
        }
        Ok(Self { tokenizer, begin, end, part_tokens_max })
    }

    /// The tokens of a text, in parts of about the same length.
    fn parts(&self, text: &str) -> Result<Vec<Vec<u32>>, String> {
        let encoding = self.tokenizer.encode_fast(text, false).map_err(|error| error.to_string())?;
        let tokens = encoding.get_ids();
        let part_max = self.part_tokens_max - 2;
        let count = tokens.len().div_ceil(part_max).max(1);
        let parts = tokens.chunks(tokens.len().div_ceil(count).max(1));
        let around = |part: &[u32]| [&[self.begin], part, &[self.end]].concat();
        let parts: Vec<Vec<u32>> = parts.map(around).collect();
        // A text without tokens still needs one part.
        Ok(if parts.is_empty() { vec![around(&[])] } else { parts })
    }
}
