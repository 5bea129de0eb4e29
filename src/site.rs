//! The public address of this server.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use actix_web::http::header::{HOST, HeaderMap, ORIGIN};
use percent_encoding::percent_decode_str;
use url::{Host, Position, Url};

/// The public base URL of this server.
#[derive(Clone, Debug)]
pub struct Site {
    initial: Url,
    /// The URL that `payerbase dev` was told later.
    told: Arc<OnceLock<Url>>,
}

impl Site {
    /// A server with this base URL.
    #[must_use]
    pub fn new(url: Url) -> Self {
        Self { initial: url, told: Arc::default() }
    }

    /// Tells this server its base URL, once: behind a mapped port, only others know it.
    ///
    /// # Errors
    /// The base URL that it was told before, if that is another one.
    pub fn tell(&self, url: Url) -> Result<(), &Url> {
        let told = self.told.get_or_init(|| url.clone());
        if *told == url { Ok(()) } else { Err(told) }
    }

    fn base(&self) -> &Url {
        self.told.get().unwrap_or(&self.initial)
    }

    /// Scheme, host and port, as a content security policy names them.
    #[must_use]
    pub fn origin(&self) -> String {
        self.base().origin().ascii_serialization()
    }

    /// The base URL.
    #[must_use]
    pub fn url(&self) -> &str {
        self.base().as_str()
    }

    /// Host and port; without the port if it is the default one of the scheme.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.base()[Position::BeforeHost..Position::AfterPort]
    }

    /// The short URL of a slug.
    #[must_use]
    pub fn short_url(&self, slug: &str) -> String {
        format!("{}/l/{slug}", self.url().trim_end_matches('/'))
    }

    /// Whether a URL is a short URL of this server, in any spelling.
    #[must_use]
    pub fn is_short_url(&self, url: &Url) -> bool {
        let links = format!("{}/l/", plain_path(self.base()).trim_end_matches('/'));
        is_same_port(self.base(), url) && is_same_host(self.base(), url) && plain_path(url).starts_with(&links)
    }
}

/// Reads the base URL of a server.
#[must_use]
pub fn base_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.filter(|url| url.query().is_none() && url.fragment().is_none())
        .filter(|url| url.username().is_empty() && url.password().is_none())
}

/// Whether a request is none of a web page of another machine. A browser names the origin of a page, but not in a GET of a page to
/// its own name; if that name leads to this machine (DNS rebinding), it is in `Host`.
#[must_use]
pub fn is_of_no_foreign_page(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    match headers.get(ORIGIN) {
        Some(origin) => origin.to_str().is_ok_and(is_of_this_machine),
        None => headers.get("sec-fetch-site").is_none_or(|site| site != "cross-site") && is_private(host),
    }
}

/// Whether an origin is that of a page of this machine.
fn is_of_this_machine(origin: &str) -> bool {
    Url::parse(origin).is_ok_and(|url| url.host().map(canonical).as_deref() == Some(LOOPBACK))
}

/// Whether nobody can register a host: it is an address, or a name of this machine or of a private network.
fn is_private(host: &str) -> bool {
    const PRIVATE: [&str; 5] = ["localhost", "local", "internal", "svc", "test"];
    let url = Url::parse(&format!("http://{host}"));
    url.is_ok_and(|url| match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name.rsplit_once('.').is_none_or(|(_, last)| PRIVATE.contains(&last))
        }
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        None => false,
    })
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
    fn a_site_is_told_its_url_once() {
        let url = |text: &str| text.parse::<Url>().unwrap();
        let site = Site::new(url("http://127.0.0.1:4402"));
        let clone = site.clone();
        site.tell(url("http://localhost:49153")).unwrap();
        assert_eq!(clone.short_url("a"), "http://localhost:49153/l/a");
        assert_eq!(clone.authority(), "localhost:49153");
        assert!(clone.tell(url("http://localhost:49153/")).is_ok());
        assert_eq!(clone.tell(url("http://localhost:1")).unwrap_err().port(), Some(49153));
    }

    #[test]
    fn only_pages_of_this_machine_are_of_this_machine() {
        for origin in ["http://localhost:5173", "https://app.localhost", "http://127.0.0.1", "http://[::1]:3000"] {
            assert!(is_of_this_machine(origin), "{origin}");
        }
        for origin in ["null", "", "https://evil.example", "http://localhost.evil.example", "http://192.0.2.1:4402"] {
            assert!(!is_of_this_machine(origin), "{origin}");
        }
    }

    #[test]
    fn a_page_whose_own_name_leads_here_is_of_another_machine() {
        for host in ["127.0.0.1:4402", "[::1]:4402", "localhost", "payerbase:4402", "host.docker.internal", "a.b.svc"] {
            assert!(is_private(host), "{host}");
        }
        for host in ["evil.example:4402", "evil.example.", "localhost.evil.example", ""] {
            assert!(!is_private(host), "{host}");
        }
    }

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
