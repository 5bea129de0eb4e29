//! How this server authenticates at a facilitator.

use chrono::{DateTime, Utc};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::cdp::{CdpKey, NONCE_BYTES, NoToken};

/// How this server authenticates at a facilitator.
#[derive(Debug, Default)]
pub enum Authentication {
    /// Not at all.
    #[default]
    None,
    /// The same headers with each request.
    Headers(HeaderMap),
    /// A token for each request, signed with a key of the Coinbase Developer Platform.
    Cdp(CdpKey),
}

/// A header can't be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeader {
    /// The name.
    #[error("`{0}` is not the name of a header")]
    Name(String),
    /// The value. It is not shown.
    #[error("the value of the header `{0}` has a character that headers can't have")]
    Value(HeaderName),
}

impl Authentication {
    /// Headers by their names. Their values are secrets.
    ///
    /// # Errors
    /// [`InvalidHeader`]
    pub fn headers<'a>(headers: impl IntoIterator<Item = (&'a str, &'a SecretString)>) -> Result<Self, InvalidHeader> {
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            let name: HeaderName = name.parse().map_err(|_invalid| InvalidHeader::Name(name.to_owned()))?;
            all.append(&name, secret(value.expose_secret()).ok_or_else(|| InvalidHeader::Value(name.clone()))?);
        }
        Ok(Self::Headers(all))
    }

    /// The headers of a request at this time. The nonce must be random.
    pub(super) fn headers_of(
        &self,
        method: &str,
        url: &Url,
        now: DateTime<Utc>,
        nonce: [u8; NONCE_BYTES],
    ) -> Result<HeaderMap, NoToken> {
        match self {
            Self::None => Ok(HeaderMap::new()),
            Self::Headers(headers) => Ok(headers.clone()),
            Self::Cdp(key) => {
                let token = key.token(method, url, now, nonce)?;
                let value = secret(&format!("Bearer {token}")).ok_or(NoToken)?;
                Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
            }
        }
    }
}

/// A value that is not shown.
fn secret(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_secret() {
        let key = SecretString::from("hidden");
        let authentication = Authentication::headers([("X-Api-Key", &key), ("authorization", &key)]).unwrap();
        let shown = format!("{authentication:?}");
        assert!(shown.contains("x-api-key") && !shown.contains("hidden"), "{shown}");
        let url = "https://a.example/settle".parse().unwrap();
        let headers = authentication.headers_of("POST", &url, DateTime::UNIX_EPOCH, [0; NONCE_BYTES]).unwrap();
        assert_eq!(headers["x-api-key"], "hidden");
        assert_eq!(headers.len(), 2);
    }

    #[test]
    fn what_headers_cannot_have_is_refused() {
        let key = SecretString::from("hidden");
        for name in ["", "a b", "a:", "\u{e9}"] {
            let refused = Authentication::headers([(name, &key)]).unwrap_err();
            assert_eq!(refused, InvalidHeader::Name(name.to_owned()));
        }
        for value in ["hidden\n", "hid\r\nden: 1", "hidden\0"] {
            let refused = Authentication::headers([("a", &SecretString::from(value))]).unwrap_err();
            assert!(!refused.to_string().contains("hid"), "{refused}");
        }
    }
}
