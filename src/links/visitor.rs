//! Who follows a link, as far as it is counted: from where, with which browser, and whether it is anybody at all. No
//! address is kept.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use actix_web::HttpRequest;
use actix_web::http::Method as Verb;
use actix_web::http::header::{HeaderName, REFERER, USER_AGENT};
use ipnet::IpNet;
use maxminddb::{Reader, path};
use regex::bytes::{RegexSet, RegexSetBuilder};
use url::Url;

/// The longest user agent that is looked at, in bytes: what is longer is nobody's browser.
const USER_AGENT_BYTES_MAX: usize = 1_024;
/// Bytes that the patterns of bots may take once compiled, and their caches at work.
const BOTS_BYTES_MAX: usize = 32 << 20;
/// What says that a browser fetches for later, not for a person.
const PREFETCH: &[&str] = &["sec-purpose", "purpose", "x-purpose", "x-moz"];
/// What proxies say of whom they speak for.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

static BOTS: LazyLock<RegexSet> = LazyLock::new(|| {
    let patterns = include_str!("bots.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut bots = RegexSetBuilder::new(patterns);
    let bots = bots.unicode(false).size_limit(BOTS_BYTES_MAX).dfa_size_limit(BOTS_BYTES_MAX).build();
    bots.unwrap_or_else(|error| {
        tracing::error!(%error, "the patterns of bots cannot be read; no bot will be known");
        RegexSet::empty()
    })
});

/// What a user agent says about who uses it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    /// The family of the browser: `Chrome`, `Safari`, ..
    pub browser: Option<String>,
    /// Whether it is a bot or a link preview.
    pub is_bot: bool,
}

impl Agent {
    /// Reads a user agent. Nothing, and what is much too long, is a bot's.
    #[must_use]
    pub fn of(user_agent: Option<&str>) -> Self {
        let Some(user_agent) = user_agent.filter(|text| !text.is_empty() && text.len() <= USER_AGENT_BYTES_MAX) else {
            return Self { browser: None, is_bot: true };
        };
        let known = woothee::parser::Parser::new().parse(user_agent);
        let is_crawler = known.as_ref().is_some_and(|known| known.category == "crawler");
        let browser = known.filter(|known| known.name != "UNKNOWN" && known.category != "crawler");
        Self {
            browser: browser.map(|known| known.name.to_owned()),
            is_bot: is_crawler || BOTS.is_match(user_agent.as_bytes()),
        }
    }
}

/// The longest name of a host (RFC 1035).
const HOST_BYTES_MAX: usize = 253;

/// A referrer as it is counted: its host alone.
#[must_use]
pub fn referrer_host(referrer: &str) -> Option<String> {
    let url = Url::parse(referrer).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    url.host_str().filter(|host| host.len() <= HOST_BYTES_MAX).map(str::to_owned)
}

/// A country as it is counted: two letters (ISO 3166-1). What stands for none (`XX`, Tor's `T1`) is none.
#[must_use]
pub fn country(text: &str) -> Option<String> {
    let is_code = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    (is_code && !text.eq_ignore_ascii_case("xx")).then(|| text.to_ascii_uppercase())
}

/// Where to learn a visitor's country, and whom to believe.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// The proxies that are believed when they say for whom they speak.
    pub proxies: Vec<IpNet>,
    /// The header in which they name the country.
    pub country_header: Option<HeaderName>,
    /// A database of countries.
    pub countries: Option<Countries>,
}

/// A MaxMind database of countries.
#[derive(Clone)]
pub struct Countries(Arc<Reader<Vec<u8>>>);

impl std::fmt::Debug for Countries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.metadata().database_type)
    }
}

impl Countries {
    /// Reads a file into memory.
    ///
    /// # Errors
    /// When there is none, or it is something else.
    pub fn open(file: &std::path::Path) -> Result<Self, maxminddb::MaxMindDbError> {
        Reader::open_readfile(file).map(|reader| Self(Arc::new(reader)))
    }

    fn country_of(&self, address: IpAddr) -> Option<String> {
        let found: Option<&str> = self.0.lookup(address).ok()?.decode_path(&path!["country", "iso_code"]).ok()?;
        country(found?)
    }
}

impl Origins {
    fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(&address))
    }

    /// The address of the client: the peer's, or the last one of `X-Forwarded-For` that is none of the proxies'.
    fn client(&self, request: &HttpRequest) -> Option<IpAddr> {
        let peer = request.peer_addr()?.ip().to_canonical();
        if !self.is_proxy(peer) {
            return Some(peer);
        }
        let lines: Vec<&str> =
            request.headers().get_all(FORWARDED_FOR).filter_map(|value| value.to_str().ok()).collect();
        let mut client = peer;
        for entry in lines.iter().flat_map(|line| line.split(',')).rev() {
            // What cannot be read was not said by a proxy of ours; nothing before it can be believed.
            let Ok(address) = entry.trim().parse::<IpAddr>() else { break };
            client = address.to_canonical();
            if !self.is_proxy(client) {
                break;
            }
        }
        Some(client)
    }

    fn country_of(&self, request: &HttpRequest) -> Option<String> {
        let is_through_proxy = request.peer_addr().is_some_and(|peer| self.is_proxy(peer.ip().to_canonical()));
        let said = self.country_header.as_ref().filter(|_| is_through_proxy);
        let said = said.and_then(|header| country(request.headers().get(header)?.to_str().ok()?));
        said.or_else(|| self.countries.as_ref()?.country_of(self.client(request)?))
    }

    /// What is counted of whoever sent this request.
    #[must_use]
    pub fn visitor(&self, request: &HttpRequest) -> Visitor {
        let text = |header: &HeaderName| request.headers().get(header)?.to_str().ok();
        let is_prefetch = PREFETCH
            .iter()
            .any(|header| request.headers().get(*header).is_some_and(|value| value.as_bytes().starts_with(b"pre")));
        let agent = Agent::of(text(&USER_AGENT));
        Visitor {
            referrer: text(&REFERER).and_then(referrer_host),
            country: self.country_of(request),
            browser: agent.browser,
            bot: agent.is_bot || is_prefetch || request.method() == Verb::HEAD,
        }
    }
}

/// Somebody who follows a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// The host of the page where the link stood.
    pub referrer: Option<String>,
    /// Two letters.
    pub country: Option<String>,
    /// The family of the browser.
    pub browser: Option<String>,
    /// Nobody: a bot, a link preview, a browser that fetches in advance.
    pub bot: bool,
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0";

    #[test]
    fn people_and_bots_are_told_apart() {
        let chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";
        let safari = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1";
        for (agent, browser) in [(chrome, "Chrome"), (safari, "Safari"), (FIREFOX, "Firefox")] {
            assert_eq!(Agent::of(Some(agent)), Agent { browser: Some(browser.to_owned()), is_bot: false });
        }
        for bot in [
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Twitterbot/1.0",
            "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
            "WhatsApp/2.23.20.0",
            "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
            "TelegramBot (like TwitterBot)",
            "curl/8.5.0",
            "",
            &"x".repeat(2_000),
        ] {
            assert!(Agent::of(Some(bot)).is_bot, "{bot}");
        }
        assert!(Agent::of(None).is_bot);
    }

    #[test]
    fn a_referrer_is_its_host_and_a_country_two_letters() {
        assert_eq!(referrer_host("https://news.example/a?token=secret"), Some("news.example".to_owned()));
        let none = ["secret", "android-app://com.example", &format!("https://{}.example/", "a".repeat(300))];
        assert_eq!(none.map(referrer_host), [None, None, None]);
        assert_eq!(country("se"), Some("SE".to_owned()));
        for none in ["XX", "T1", "", "SWE", "s\u{e9}"] {
            assert_eq!(country(none), None, "{none}");
        }
    }

    fn origins() -> Origins {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/countries.mmdb");
        Origins {
            proxies: vec!["10.0.0.0/8".parse().unwrap()],
            country_header: Some(HeaderName::from_static("cf-ipcountry")),
            countries: Some(Countries::open(&file).unwrap()),
        }
    }

    fn from(peer: &str) -> TestRequest {
        TestRequest::get().peer_addr(format!("{peer}:1234").parse().unwrap()).insert_header((USER_AGENT, FIREFOX))
    }

    fn country_of(request: TestRequest) -> Option<String> {
        origins().visitor(&request.to_http_request()).country
    }

    #[test]
    fn only_proxies_of_ours_are_believed() {
        let swedish = ("x-forwarded-for", "203.0.113.7");
        assert_eq!(country_of(from("203.0.113.9")).as_deref(), Some("SE"));
        assert_eq!(country_of(from("[2001:db8::1]")).as_deref(), Some("NZ"));
        assert_eq!(country_of(from("192.0.2.1").insert_header(swedish)), None, "a stranger says it");
        assert_eq!(country_of(from("192.0.2.1").insert_header(("cf-ipcountry", "DE"))), None);
        assert_eq!(country_of(from("10.0.0.1").insert_header(swedish)).as_deref(), Some("SE"));
        assert_eq!(country_of(from("10.0.0.1").insert_header(("cf-ipcountry", "de"))).as_deref(), Some("DE"));
        let forged = ("x-forwarded-for", "203.0.113.7, 192.0.2.1, 10.1.1.1");
        assert_eq!(country_of(from("10.0.0.1").insert_header(forged)), None, "the last stranger counts");
        let broken = ("x-forwarded-for", "203.0.113.7, unknown");
        assert_eq!(country_of(from("10.0.0.1").insert_header(broken)), None);
    }

    #[test]
    fn what_is_fetched_in_advance_is_no_click() {
        let prefetch = from("192.0.2.1").insert_header(("sec-purpose", "prefetch;prerender")).to_http_request();
        assert!(origins().visitor(&prefetch).bot);
        let head = from("192.0.2.1").method(Verb::HEAD).to_http_request();
        assert!(origins().visitor(&head).bot);
        assert!(!origins().visitor(&from("192.0.2.1").to_http_request()).bot);
    }
}
