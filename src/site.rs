//! The public address of this server.

use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use url::{Host, Position, Url};

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

    /// Scheme, host and port, as a content security policy names them.
    #[must_use]
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// The base URL.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Host and port; without the port if it is the default one of the scheme.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.url[Position::BeforeHost..Position::AfterPort]
    }

    /// The short URL of a slug.
    #[must_use]
    pub fn short_url(&self, slug: &str) -> String {
        format!("{}/l/{slug}", self.url.as_str().trim_end_matches('/'))
    }

    /// Whether a URL is a short URL of this server, in any spelling.
    #[must_use]
    pub fn is_short_url(&self, url: &Url) -> bool {
        let links = format!("{}/l/", plain_path(&self.url).trim_end_matches('/'));
        is_same_port(&self.url, url) && is_same_host(&self.url, url) && plain_path(url).starts_with(&links)
    }
}

/// The path as the server reads it: percent-decoded, without empty segments.
fn plain_path(url: &Url) -> String {
    let path = percent_decode_str(url.path()).decode_utf8_lossy().into_owned();
    let mut plain = String::new();
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        plain.extend(["/", segment]);
    }
    if path.ends_with('/') { plain + "/" } else { plain }
}

/// Whether the ports are the same. A proxy redirects from the default port of `http` to that of `https`.
fn is_same_port(a: &Url, b: &Url) -> bool {
    a.port_or_known_default() == b.port_or_known_default() || (a.port().is_none() && b.port().is_none())
}

fn is_same_host(a: &Url, b: &Url) -> bool {
    match (a.host().map(canonical), b.host().map(canonical)) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

/// The host: a machine has many names for itself.
fn canonical(host: Host<&str>) -> String {
    let address = match host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            return match name == "localhost" || name.ends_with(".localhost") {
                true => LOOPBACK.to_owned(),
                false => name,
            };
        }
        Host::Ipv4(address) => IpAddr::V4(address),
        Host::Ipv6(address) => IpAddr::V6(address).to_canonical(),
    };
    match address.is_loopback() || address.is_unspecified() {
        true => LOOPBACK.to_owned(),
        false => address.to_string(),
    }
}

const LOOPBACK: &str = "localhost";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_url_is_known_in_every_spelling() {
        for (site, own, others) in [
            (
                "https://pay.example/base/",
                &[
                    "https://pay.example/base/l/abc",
                    "https://PAY.example.:443/base/l/abc?x#y",
                    "http://pay.example/base/l/abc",
                    "https://p\u{ff41}y.example/base/x/../l/abc",
                    "https://pay.example//base//l//abc/",
                    "https://pay.example/%62ase/%6C/abc",
                ][..],
                &[
                    "https://pay.example/",
                    "https://pay.example/base",
                    "https://pay.example/base/links",
                    "https://pay.example/l/abc",
                    "https://pay.example/base/L/abc",
                    "http://pay.example:8080/base/l/abc",
                    "https://www.pay.example/base/l/abc",
                    "https://pay.example.evil.example/base/l/abc",
                ][..],
            ),
            (
                "http://127.0.0.1:4402",
                &[
                    "http://127.0.0.1:4402/l/abc",
                    "http://localhost:4402/l/abc",
                    "http://a.LOCALHOST.:4402/l/abc",
                    "http://127.1:4402/l/abc",
                    "http://2130706433:4402/l/abc",
                    "http://0.0.0.0:4402/l/abc",
                    "http://[::1]:4402/l/abc",
                    "http://[::]:4402/l/abc",
                    "http://[::ffff:127.0.0.1]:4402/l/abc",
                    "http://127.9.9.9:4402/l/abc",
                ][..],
                &["http://127.0.0.1:3000/l/abc", "http://127.0.0.1:4402/docs/", "http://192.0.2.1:4402/l/abc"][..],
            ),
        ] {
            let site = Site::new(site.parse().unwrap());
            assert!(own.iter().all(|url| site.is_short_url(&url.parse().unwrap())), "{own:?}");
            for url in others {
                assert!(!site.is_short_url(&url.parse().unwrap()), "{url}");
            }
        }
    }
}
