//! Visitors of links: referrer, country and browser, and whether the visitor counts as a bot. Addresses are never
//! stored.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, LazyLock};

use actix_web::HttpRequest;
use actix_web::http::Method as Verb;
use actix_web::http::header::{HeaderName, HeaderValue, REFERER, USER_AGENT};
use ipnet::IpNet;
use maxminddb::{Reader, path};
use regex::bytes::{RegexSet, RegexSetBuilder};
use url::Url;

/// Size limit of a user agent, in bytes. No browser sends a longer one.
const USER_AGENT_BYTES_MAX: usize = 1_024;
/// Size limit of the compiled bot patterns, and of their cache, in bytes.
const BOTS_BYTES_MAX: usize = 32 << 20;
/// Headers that mark a prefetch: the browser fetches before the person clicks.
const PREFETCH: &[&str] = &["sec-purpose", "purpose", "x-purpose", "x-moz"];
/// Header in which proxies append the address of their client.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

static BOTS: LazyLock<RegexSet> = LazyLock::new(|| {
    let patterns = include_str!("bots.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut bots = RegexSetBuilder::new(patterns);
    let bots = bots.unicode(false).size_limit(BOTS_BYTES_MAX).dfa_size_limit(BOTS_BYTES_MAX).build();
    bots.unwrap_or_else(|error| {
        tracing::error!(%error, "the bot patterns are invalid; most bots will count as people");
        RegexSet::empty()
    })
});

/// Browser and kind of visitor, from a user agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    /// Browser family: `Chrome`, `Safari`, ..
    pub browser: Option<String>,
    /// Whether the visitor is a bot or a link preview.
    pub is_bot: bool,
}

impl Agent {
    /// Reads a user agent. A missing, empty or overlong one counts as a bot's.
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

/// Size limit of a host name, in bytes (RFC 1035).
const HOST_BYTES_MAX: usize = 253;

/// The host of a referrer. `None` if it is not an `http` or `https` URL, or if its host is too long.
#[must_use]
pub fn referrer_host(referrer: &str) -> Option<String> {
    let url = Url::parse(referrer).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    url.host_str().filter(|host| host.len() <= HOST_BYTES_MAX).map(str::to_owned)
}

/// A country code in upper case (ISO 3166-1). `None` if it is not two letters (Tor's `T1`), or if it is `XX`
/// (unknown).
#[must_use]
pub fn country(text: &str) -> Option<String> {
    let is_code = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    (is_code && !text.eq_ignore_ascii_case("xx")).then(|| text.to_ascii_uppercase())
}

/// Sources of a visitor's address and country.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// Trusted proxies: only their headers about the client are used.
    pub proxies: Vec<IpNet>,
    /// Header in which a trusted proxy sends the country.
    pub country_header: Option<HeaderName>,
    /// Country database, used if no trusted proxy sends the country.
    pub countries: Option<Countries>,
}

/// A country database in MaxMind format.
#[derive(Clone)]
pub struct Countries(Arc<Reader<Vec<u8>>>);

impl std::fmt::Debug for Countries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for Countries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.metadata().database_type)
    }
}

impl Countries {
    /// Reads a database file into memory.
    ///
    /// # Errors
    /// If the file cannot be read or is not a MaxMind database.
    pub fn open(file: &std::path::Path) -> Result<Self, maxminddb::MaxMindDbError> {
        Reader::open_readfile(file).map(|reader| Self(Arc::new(reader)))
    }

    fn country_of(&self, address: IpAddr) -> Option<String> {
        let found: Option<&str> = self.0.lookup(address).ok()?.decode_path(&path!["country", "iso_code"]).ok()?;
        country(found?)
    }
}

/// An address as proxies write it: alone, with a port, or in brackets.
fn address_of(entry: &str) -> Option<IpAddr> {
    let in_brackets = || entry.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let alone = entry.parse().ok().or_else(in_brackets);
    alone.or_else(|| entry.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

impl Origins {
    fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(&address))
    }

    /// The address of the client: the peer, or behind a trusted proxy the last address in `X-Forwarded-For` that is not
    /// a trusted proxy.
    #[must_use]
    pub fn client(&self, request: &HttpRequest) -> Option<IpAddr> {
        let peer = request.peer_addr()?.ip().to_canonical();
        if !self.is_proxy(peer) {
            return Some(peer);
        }
        let lines: Vec<&[u8]> = request.headers().get_all(FORWARDED_FOR).map(HeaderValue::as_bytes).collect();
        let mut client = peer;
        // The bytes of each entry alone: a client may have written others that are not ASCII.
        for entry in lines.iter().flat_map(|line| line.split(|byte| *byte == b',')).rev() {
            // A trusted proxy writes valid addresses, so a client wrote this entry, and may have forged the ones before
            // it.
            let entry = std::str::from_utf8(entry).ok();
            let Some(address) = entry.and_then(|entry| address_of(entry.trim())) else { break };
            client = address.to_canonical();
            if !self.is_proxy(client) {
                break;
            }
        }
        Some(client)
    }

    /// Whether a trusted proxy has sent the request.
    #[must_use]
    pub fn is_through_proxy(&self, request: &HttpRequest) -> bool {
        request.peer_addr().is_some_and(|peer| self.is_proxy(peer.ip().to_canonical()))
    }

    fn country_of(&self, request: &HttpRequest) -> Option<String> {
        let header = self.country_header.as_ref().filter(|_| self.is_through_proxy(request));
        let named = header.and_then(|header| country(request.headers().get(header)?.to_str().ok()?));
        named.or_else(|| self.countries.as_ref()?.country_of(self.client(request)?))
    }

    /// The visitor that sent this request.
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

/// A visitor of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// Host of the page with the link.
    pub referrer: Option<String>,
    /// Country, two letters (ISO 3166-1).
    pub country: Option<String>,
    /// Browser family.
    pub browser: Option<String>,
    /// Whether it counts as a bot: a bot, a link preview, a `HEAD` request or a prefetching browser.
    pub bot: bool,
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0";

    #[test]
    fn bots_are_recognised_by_their_user_agent() {
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
            "Microsoft Office Word 2014",
            "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17328; Pro)",
            "Microsoft Office Protocol Discovery",
            "Mozilla/4.0 (compatible; ms-office; MSOffice 16)",
            "Mozilla/5.0 (compatible; Bluesky Cardyb/1.1; +mailto:support@bsky.app)",
            "whatsapp/2.23.20.0 A",
            "Mozilla/5.0 (Windows NT 6.1; WOW64) skypeuripreview Preview/0.5",
            "node",
            "undici",
            "Java/1.8.0_392",
            "Java-http-client/17.0.9",
            "PostmanRuntime/7.36.0",
            "insomnia/8.5.1",
            "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.19041.1682",
            "Mozilla/5.0 (Linux; Ubuntu 22.04; en-US) PowerShell/7.4.0",
            "GuzzleHttp/7",
            "Deno/1.39.1",
            "Bun/1.0.21",
            "Dart/3.2 (dart:io)",
            "ktor-client",
            "Ktor client",
            "ureq/2.9.1",
            "ELB-HealthChecker/2.0",
            "kube-probe/1.29",
            "",
            &"x".repeat(2_000),
        ] {
            assert!(Agent::of(Some(bot)).is_bot, "{bot}");
        }
        assert!(Agent::of(None).is_bot);
    }

    #[test]
    fn people_are_no_bots() {
        let android = |device: &str, browser: &str| {
            format!(
                "Mozilla/5.0 (Linux; Android 15; {device}) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 \
                 Chrome/131.0.0.0 Mobile Safari/537.36{browser}"
            )
        };
        let iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148";
        for person in [
            &android("PKC110 Build/AP3A.240617.008; wv", " HeyTapBrowser/45.10"),
            &android("SM-S911B Build/AP3A.240617.008; wv", " [FB_IAB/FB4A;FBAV/489.0.0.0;]"),
            &android("Pixel 8; wv", " MetaIAB Facebook"),
            &android("Redmi Note 2 Build/LRX22G", " SogouMSE,SogouMobileBrowser/5.22.8"),
            &android("ViewSonic A8+ Build/JLS36C", ""),
            &android("HTC Butterfly s901s", ""),
            &android("Fever_Plus_J", ""),
            &android("Expanse", ""),
            &android("SM-F966N; wv", " Viber/27.4"),
            "DESAY TS1008/1.0 Release/07.12.2013 Mozilla/5.0 (Linux; U; Android 4.0.3) AppleWebKit/534.30 Mobile Safari/534.30",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Code/1.95.3 Chrome/128.0.0.0 Electron/32.2.1 Safari/537.36",
            "Nokia6280/2.0 (03.60) Profile/MIDP-2.0 Configuration/CLDC-1.1",
            "Opera/9.80 (Android; Opera Mini/36.2/191.256; U; en) Presto/2.12.423 Version/12.16",
            &format!("{iphone} Instagram 361.0.0.35.82 (iPhone15,2; iOS 18_1; de_DE)"),
            &format!("{iphone} LinkedInApp/9.30.3"),
        ] {
            assert!(!Agent::of(Some(person)).is_bot, "{person}");
        }
    }

    #[test]
    fn a_referrer_is_stored_as_host_and_a_country_as_two_letters() {
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
    fn only_headers_of_trusted_proxies_are_used() {
        let swedish = ("x-forwarded-for", "203.0.113.7");
        assert_eq!(country_of(from("203.0.113.9")).as_deref(), Some("SE"));
        assert_eq!(country_of(from("[2001:db8::1]")).as_deref(), Some("NZ"));
        assert_eq!(country_of(from("192.0.2.1").insert_header(swedish)), None, "the header of an untrusted peer");
        assert_eq!(country_of(from("192.0.2.1").insert_header(("cf-ipcountry", "DE"))), None);
        assert_eq!(country_of(from("10.0.0.1").insert_header(swedish)).as_deref(), Some("SE"));
        assert_eq!(country_of(from("10.0.0.1").insert_header(("cf-ipcountry", "de"))).as_deref(), Some("DE"));
        let forged = ("x-forwarded-for", "203.0.113.7, 192.0.2.1, 10.1.1.1");
        assert_eq!(country_of(from("10.0.0.1").insert_header(forged)), None, "the last untrusted address counts");
        for with_port in ["203.0.113.7:51234", "198.51.100.1, 203.0.113.7:4711, 10.0.0.9:80"] {
            let forwarded = from("10.0.0.1").insert_header(("x-forwarded-for", with_port));
            assert_eq!(country_of(forwarded).as_deref(), Some("SE"), "{with_port}");
        }
        for bracketed in ["[2001:db8::1]:443", "[2001:db8::1]", "2001:db8::1"] {
            let forwarded = from("10.0.0.1").insert_header(("x-forwarded-for", bracketed));
            assert_eq!(country_of(forwarded).as_deref(), Some("NZ"), "{bracketed}");
        }
        for broken in ["203.0.113.7:", "203.0.113.7:99999", "[203.0.113.7]", "[2001:db8::1", "203.0.113.7 x"] {
            assert_eq!(country_of(from("10.0.0.1").insert_header(("x-forwarded-for", broken))), None, "{broken}");
        }
        let bytes = HeaderValue::from_bytes(b"\xe9, 203.0.113.7").unwrap();
        assert_eq!(country_of(from("10.0.0.1").insert_header(("x-forwarded-for", bytes))).as_deref(), Some("SE"));
        let broken = ("x-forwarded-for", "203.0.113.7, unknown");
        assert_eq!(country_of(from("10.0.0.1").insert_header(broken)), None);
    }

    #[test]
    fn prefetches_and_head_requests_count_as_bots() {
        let prefetch = from("192.0.2.1").insert_header(("sec-purpose", "prefetch;prerender")).to_http_request();
        assert!(origins().visitor(&prefetch).bot);
        let head = from("192.0.2.1").method(Verb::HEAD).to_http_request();
        assert!(origins().visitor(&head).bot);
        assert!(!origins().visitor(&from("192.0.2.1").to_http_request()).bot);
    }
}
