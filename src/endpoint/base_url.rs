//! The URL of an endpoint.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// The URL of an endpoint. Its operations are below it. Its path and its query may be a secret: they are not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// The text is not the URL of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a URL `https://host/path` or `http://host/path`, without a user, a password and a fragment")]
pub struct NotABaseUrl;

impl BaseUrl {
    /// The URL, as it was given.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// The URL of an operation: `path` is added to the path. The query remains.
    #[must_use]
    pub fn join(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        let path = format!("{}/{path}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url
    }

    /// Whether nobody else can read the requests or change the answers: over TLS, or on this machine.
    #[must_use]
    pub fn is_confidential(&self) -> bool {
        let is_here = match self.0.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        self.0.scheme() == "https" || is_here
    }
}

impl FromStr for BaseUrl {
    type Err = NotABaseUrl;

    fn from_str(text: &str) -> Result<Self, NotABaseUrl> {
        let url = Url::parse(text).map_err(|_no_url| NotABaseUrl)?;
        let is_http = matches!(url.scheme(), "https" | "http") && url.host().is_some();
        let has_more = !url.username().is_empty() || url.password().is_some() || url.fragment().is_some();
        if is_http && !has_more { Ok(Self(url)) } else { Err(NotABaseUrl) }
    }
}

/// The scheme and the host.
impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.origin().ascii_serialization())
    }
}

/// The scheme and the host.
impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_below_the_url() {
        for (base, settle) in [
            ("https://a.example", "https://a.example/settle"),
            ("https://a.example/", "https://a.example/settle"),
            ("https://a.example/v2/x402", "https://a.example/v2/x402/settle"),
            ("http://a.example:8080/v2/x402//?key=b", "http://a.example:8080/v2/x402/settle?key=b"),
        ] {
            assert_eq!(base.parse::<BaseUrl>().unwrap().join("settle").as_str(), settle);
        }
    }

    #[test]
    fn a_text_that_is_no_url_of_an_endpoint_is_refused() {
        for text in ["", "a.example", "ftp://a.example", "https://u:p@a.example", "https://u@a.example", "https://a#b"]
        {
            assert_eq!(text.parse::<BaseUrl>(), Err(NotABaseUrl), "{text}");
        }
    }

    #[test]
    fn only_the_host_is_shown() {
        let url: BaseUrl = "https://a.example:444/secret?secret".parse().unwrap();
        assert_eq!(format!("{url} {url:?}"), "https://a.example:444 https://a.example:444");
    }

    #[test]
    fn an_endpoint_is_confidential_over_tls_or_here() {
        let is_confidential = |text: &str| text.parse::<BaseUrl>().unwrap().is_confidential();
        for text in ["https://a.example", "http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1"] {
            assert!(is_confidential(text), "{text}");
        }
        assert!(!is_confidential("http://a.example") && !is_confidential("http://10.0.0.1"));
    }
}
