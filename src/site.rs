//! The public address of this server.

use url::Url;

/// The public base URL of this server.
#[derive(Clone, Debug)]
pub struct Site {
    url: Url,
}

impl Site {
    /// A server with this base URL.
    #[must_use]
    pub fn new(url: Url) -> Self {
        Self { url }
    }

    /// The short URL of a slug.
    #[must_use]
    pub fn short_url(&self, slug: &str) -> String {
        format!("{}/l/{slug}", self.url.as_str().trim_end_matches('/'))
    }

    /// Whether `host` is the host of this server.
    #[must_use]
    pub fn is_host(&self, host: &str) -> bool {
        self.url.host_str().is_some_and(|own| own.trim_end_matches('.') == host)
    }
}
