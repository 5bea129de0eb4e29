//! The setting `PAYERBASE_EMBEDDINGS`.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use secrecy::SecretString;
use url::{Host, Url};

use crate::name::Name;
use crate::vector::DIMENSIONS_MAX;

/// The embedding model.
#[derive(Clone, Debug, Default)]
pub enum Setting {
    /// No model.
    #[default]
    Off,
    /// The sentence-transformers model in a folder, run by this process.
    Local(PathBuf),
    /// An endpoint.
    Remote(Endpoint),
}

/// Without the path of an endpoint, which may be a secret.
impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Local(folder) => write!(f, "local:{}", folder.display()),
            Self::Remote(endpoint) => {
                write!(f, "{} at {}", endpoint.model.as_str(), endpoint.url.origin().ascii_serialization())
            }
        }
    }
}

/// An endpoint that implements the OpenAI embeddings API.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// URL of requests, which ends with `/embeddings`.
    pub url: Url,
    /// Name of the model in requests.
    pub model: Name,
    /// Number of dimensions in requests, 1 to 4,096. `None`: the model's own.
    pub dimensions: Option<usize>,
    /// Maximum length of a text to send, in bytes, 100 to 100,000. Longer texts are sent in parts.
    pub part_bytes_max: usize,
    /// API key.
    pub key: Option<SecretString>,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        if let Some(folder) = text.strip_prefix("local:").filter(|folder| !folder.is_empty()) {
            return Ok(Self::Local(PathBuf::from(folder)));
        }
        Endpoint::parse(text).map(Self::Remote)
    }
}

/// Default of [`Endpoint::part_bytes_max`]: fewer tokens, in any script, than the 8,192 that such models read.
const PART_BYTES_DEFAULT: usize = 6_000;
const PART_BYTES: RangeInclusive<usize> = 100..=100_000;

impl Endpoint {
    fn parse(text: &str) -> Result<Self, String> {
        let expected = || "expected `off`, `local:<folder>` or `https://host/v1?model=<model>`".to_owned();
        let mut url = Url::parse(text).map_err(|_no_url| expected())?;
        if !matches!(url.scheme(), "https" | "http") || url.host().is_none() || url.fragment().is_some() {
            return Err(expected());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not contain a user or a password: the key goes into PAYERBASE_EMBEDDINGS_KEY".to_owned());
        }
        let (mut model, mut dimensions, mut part_bytes_max) = (None, None, PART_BYTES_DEFAULT);
        for (name, value) in url.query_pairs() {
            match name.as_ref() {
                "model" => model = Name::try_from(value.into_owned()).ok(),
                "dimensions" => {
                    let number = value.parse().ok().filter(|number| (1..=DIMENSIONS_MAX).contains(number));
                    dimensions = Some(number.ok_or_else(|| format!("`dimensions` must be 1 to {DIMENSIONS_MAX}"))?);
                }
                "maxBytes" => {
                    let number = value.parse().ok().filter(|number| PART_BYTES.contains(number));
                    let (min, max) = PART_BYTES.into_inner();
                    part_bytes_max = number.ok_or_else(|| format!("`maxBytes` must be {min} to {max}"))?;
                }
                _ => return Err("the query may only have `model`, `dimensions` and `maxBytes`".to_owned()),
            }
        }
        let model = model.ok_or("must name the model: `https://host/v1?model=<model>`")?;
        url.set_query(None);
        let path = url.path().trim_end_matches('/');
        if !path.ends_with("/embeddings") {
            let path = format!("{path}/embeddings");
            url.set_path(&path);
        }
        Ok(Self { url, model, dimensions, part_bytes_max, key: None })
    }

    /// Whether the key may be sent: only over TLS or to this machine, where others cannot read it.
    #[must_use]
    pub fn is_confidential(&self) -> bool {
        let is_here = match self.url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        self.url.scheme() == "https" || is_here
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_off_a_folder_or_an_endpoint() {
        assert!(matches!("off".parse(), Ok(Setting::Off)));
        assert!(matches!("local:/models/a b".parse(), Ok(Setting::Local(folder)) if folder.ends_with("a b")));
        for (text, url) in [
            ("https://api.example/v1?model=m", "https://api.example/v1/embeddings"),
            ("https://api.example/v1/?model=m&dimensions=256&maxBytes=1500", "https://api.example/v1/embeddings"),
            ("http://localhost:11434/v1/embeddings?model=m", "http://localhost:11434/v1/embeddings"),
        ] {
            let Ok(Setting::Remote(endpoint)) = text.parse() else { panic!("{text}") };
            assert_eq!((endpoint.url.as_str(), endpoint.model.as_str()), (url, "m"));
        }
        for bad in [
            "",
            "on",
            "local:",
            "/models/a",
            "ftp://api.example/v1?model=m",
            "https://api.example/v1",
            "https://api.example/v1?model=",
            "https://user:secret@api.example/v1?model=m",
            "https://api.example/v1?model=m&dimensions=0",
            "https://api.example/v1?model=m&dimensions=4097",
            "https://api.example/v1?model=m&maxBytes=99",
            "https://api.example/v1?model=m&key=secret",
        ] {
            assert!(bad.parse::<Setting>().is_err(), "{bad}");
        }
    }
}
