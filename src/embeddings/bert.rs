//! BERT (Devlin et al., 2018) as sentence-transformers uses it, on the CPU.
//!
//! The tokens of all texts of a batch are rows of one matrix, so that no work is spent on padding. Only attention runs
//! text by text.

use candle_core::{DType, Device, Error, Result, Tensor};
use candle_nn::{Embedding, LayerNorm, Linear, Module as _, VarBuilder, ops};
use serde::Deserialize;
use serde_json::{Map, Value};

/// `config.json`: the architecture and sizes of the model.
#[derive(Deserialize)]
struct Config {
    model_type: String,
    hidden_act: Activation,
    hidden_size: usize,
    intermediate_size: usize,
    layer_norm_eps: f64,
    max_position_embeddings: usize,
    num_attention_heads: usize,
    num_hidden_layers: usize,
    type_vocab_size: usize,
    vocab_size: usize,
    #[serde(default = "absolute")]
    position_embedding_type: String,
}

fn absolute() -> String {
    "absolute".to_owned()
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Activation {
    Gelu,
    #[serde(alias = "gelu_pytorch_tanh")]
    GeluNew,
    Relu,
}

/// `1_Pooling/config.json`: how the vectors of tokens become the vector of a text.
#[derive(Deserialize)]
struct PoolingConfig(Map<String, Value>);

impl PoolingConfig {
    /// The mode, if exactly one is on.
    fn mode(&self) -> Option<&str> {
        let mut modes = self
            .0
            .iter()
            .filter(|(_, value)| **value == true)
            .filter_map(|(name, _)| name.strip_prefix("pooling_mode_"));
        modes.next().filter(|_| modes.next().is_none())
    }
}

#[derive(Clone, Copy)]
enum Pooling {
    First,
    Mean,
}

struct Layer {
    /// The weights of query, key and value as one matrix.
    attention: Linear,
    output: Linear,
    after_attention: LayerNorm,
    up: Linear,
    down: Linear,
    after: LayerNorm,
}

/// A BERT model.
pub(super) struct Bert {
    words: Embedding,
    positions: Embedding,
    kind: Tensor,
    norm: LayerNorm,
    layers: Vec<Layer>,
    config: Config,
    pooling: Pooling,
}

impl Bert {
    pub fn read(config: &[u8], pooling: &[u8], weights: Vec<u8>) -> std::result::Result<Self, String> {
        let config: Config = serde_json::from_slice(config).map_err(|error| format!("config.json: {error}"))?;
        if config.model_type != "bert" || config.position_embedding_type != "absolute" {
            let (kind, positions) = (config.model_type, config.position_embedding_type);
            return Err(format!(
                "config.json: expected a model of type bert with absolute positions, found {kind} with {positions}"
            ));
        }
        if config.num_attention_heads == 0 || !config.hidden_size.is_multiple_of(config.num_attention_heads) {
            return Err("config.json: hidden_size must be a multiple of num_attention_heads".to_owned());
        }
        let pooling: PoolingConfig =
            serde_json::from_slice(pooling).map_err(|error| format!("1_Pooling/config.json: {error}"))?;
        let pooling = match pooling.mode() {
            Some("cls_token") => Pooling::First,
            Some("mean_tokens") => Pooling::Mean,
            _ => {
                return Err(
                    "1_Pooling/config.json: expected pooling_mode_mean_tokens or pooling_mode_cls_token".to_owned()
                );
            }
        };
        Self::build(config, pooling, weights).map_err(|error| format!("model.safetensors: {error}"))
    }

    fn build(config: Config, pooling: Pooling, weights: Vec<u8>) -> Result<Self> {
        let weights = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu)?;
        let weights = match weights.contains_tensor("bert.embeddings.word_embeddings.weight") {
            true => weights.pp("bert"),
            false => weights,
        };
        let (hidden, inner, eps) = (config.hidden_size, config.intermediate_size, config.layer_norm_eps);
        let embeddings = weights.pp("embeddings");
        let kinds = embeddings.get((config.type_vocab_size, hidden), "token_type_embeddings.weight")?;
        let layers = (0..config.num_hidden_layers).map(|number| {
            let weights = weights.pp(format!("encoder.layer.{number}"));
            let own = weights.pp("attention.self");
            let [query, key, value] = ["query", "key", "value"].map(|name| own.pp(name));
            let three = |name: &str, shape: &[usize]| -> Result<Tensor> {
                let parts = [query.get(shape, name)?, key.get(shape, name)?, value.get(shape, name)?];
                Tensor::cat(&parts, 0)
            };
            Ok(Layer {
                attention: Linear::new(three("weight", &[hidden, hidden])?, Some(three("bias", &[hidden])?)),
                output: candle_nn::linear(hidden, hidden, weights.pp("attention.output.dense"))?,
                after_attention: candle_nn::layer_norm(hidden, eps, weights.pp("attention.output.LayerNorm"))?,
                up: candle_nn::linear(hidden, inner, weights.pp("intermediate.dense"))?,
                down: candle_nn::linear(inner, hidden, weights.pp("output.dense"))?,
                after: candle_nn::layer_norm(hidden, eps, weights.pp("output.LayerNorm"))?,
            })
        });
        Ok(Self {
            words: candle_nn::embedding(config.vocab_size, hidden, embeddings.pp("word_embeddings"))?,
            positions: candle_nn::embedding(
                config.max_position_embeddings,
                hidden,
                embeddings.pp("position_embeddings"),
            )?,
            kind: kinds.narrow(0, 0, 1)?,
            norm: candle_nn::layer_norm(hidden, eps, embeddings.pp("LayerNorm"))?,
            layers: layers.collect::<Result<_>>()?,
            config,
            pooling,
        })
    }

    /// Maximum number of tokens of a text, including the tokens before and after it.
    pub fn positions(&self) -> usize {
        self.config.max_position_embeddings
    }

    /// The vectors of texts. A text is its tokens, with the tokens before and after it.
    pub fn embed(&self, texts: &[Vec<u32>]) -> Result<Vec<Vec<f32>>> {
        let tokens = texts.concat();
        let places: Vec<u32> = texts.iter().flat_map(|text| (0..).take(text.len())).collect();
        let words = self.words.forward(&Tensor::new(tokens, &Device::Cpu)?)?;
        let positions = self.positions.forward(&Tensor::new(places, &Device::Cpu)?)?;
        let mut rows = self.norm.forward(&(words + positions)?.broadcast_add(&self.kind)?)?;
        for layer in &self.layers {
            let attended = layer.output.forward(&self.attend(layer, &rows, texts)?)?;
            rows = layer.after_attention.forward(&(attended + rows)?)?;
            let inner = layer.up.forward(&rows)?;
            let inner = match self.config.hidden_act {
                Activation::Gelu => inner.gelu_erf()?,
                Activation::GeluNew => inner.gelu()?,
                Activation::Relu => inner.relu()?,
            };
            rows = layer.after.forward(&(layer.down.forward(&inner)? + rows)?)?;
        }
        each(texts, |at, count| {
            let text = rows.narrow(0, at, count)?;
            match self.pooling {
                Pooling::First => text.get(0)?.to_vec1(),
                Pooling::Mean => text.mean(0)?.to_vec1(),
            }
        })
    }

    /// Attention within each text.
    fn attend(&self, layer: &Layer, rows: &Tensor, texts: &[Vec<u32>]) -> Result<Tensor> {
        let heads = self.config.num_attention_heads;
        let size = self.config.hidden_size / heads;
        let scale = f64::from(u32::try_from(size).map_err(Error::wrap)?).sqrt().recip();
        let all = layer.attention.forward(rows)?;
        let attended = each(texts, |at, count| {
            // Shape: [query, key, value] x head x token x size.
            let parts =
                all.narrow(0, at, count)?.reshape((count, 3, heads, size))?.permute((1, 2, 0, 3))?.contiguous()?;
            let (query, key, value) = ((parts.get(0)? * scale)?, parts.get(1)?, parts.get(2)?);
            let weights = ops::softmax_last_dim(&query.matmul(&key.t()?)?)?;
            weights.matmul(&value)?.transpose(0, 1)?.reshape((count, heads * size))
        })?;
        Tensor::cat(&attended, 0)
    }
}

/// Calls `what` for each text, with the index of its first row and the number of its rows.
fn each<T>(texts: &[Vec<u32>], mut what: impl FnMut(usize, usize) -> Result<T>) -> Result<Vec<T>> {
    let mut at = 0;
    let results = texts.iter().map(|text| {
        let result = what(at, text.len());
        at += text.len();
        result
    });
    results.collect()
}
