//! Links: short URLs that count who follows them.
//!
//! The methods are `createLink`, `getLink`, `updateLink`, `recordClick`, `getLinkStats`, `deleteLink` and `listLinks`;
//! `rpc.sql` says what they do. `followLink` is what the public route calls for whoever comes. Limits: URLs of 2,048 bytes,
//! slugs of 64 characters, statistics over 366 days.

pub mod routes;
pub mod types;
pub mod visitor;

use rand::RngExt as _;
use rand::distr::Alphanumeric;
use url::Url;

use crate::auth::Scope;
use crate::page::Page;
use crate::problem::{Code, Problem};
use crate::turn::{Entry, Method, Path, Seed, Site, Spec, Wake};
use types::{
    CreateLink, DeleteLink, FollowLink, GetLink, GetLinkStats, Link, LinkStats, ListLinks, RecordClick, RecordedClick,
    Slug, Target, UpdateLink,
};
use visitor::Agent;

/// The methods of links.
pub const METHODS: &[Entry] = &[
    Entry::of::<CreateLink>(),
    Entry::of::<GetLink>(),
    Entry::of::<UpdateLink>(),
    Entry::of::<RecordClick>(),
    Entry::of::<GetLinkStats>(),
    Entry::of::<DeleteLink>(),
    Entry::of::<ListLinks>(),
];

/// Characters of a slug that nobody chose: 2 * 10^14 of them.
const DRAWN_CHARS: usize = 8;
/// The longest URL, in bytes.
const URL_BYTES_MAX: usize = 2_048;

const fn write(name: &'static str, problems: &'static [Code]) -> Spec {
    Spec { name, path: Path::Write, scope: Some(Scope::LinksWrite), problems }
}

const fn read(name: &'static str, path: Path, problems: &'static [Code]) -> Spec {
    Spec { name, path, scope: Some(Scope::LinksRead), problems }
}

fn draw_slug() -> Option<Slug> {
    let drawn: String = rand::rng().sample_iter(Alphanumeric).take(DRAWN_CHARS).map(char::from).collect();
    Slug::try_from(drawn).ok()
}

/// The URL as it is kept: normalised, so that nothing about where it leads is hidden in how it is written.
fn check_url(text: &str, site: &Site) -> Result<String, Problem> {
    let refused = |why: &str| Problem::new(Code::UrlNotAllowed).field("/url", why);
    if text.len() > URL_BYTES_MAX {
        return Err(refused("must be at most 2048 bytes"));
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(refused("must not contain spaces or control characters"));
    }
    let url = Url::parse(text).map_err(|_no_url| refused("must be an absolute URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused("must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("must not contain a user or a password"));
    }
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    if site.is_host(host) {
        return Err(refused("must not lead to a short link again"));
    }
    let url = String::from(url);
    if url.len() > URL_BYTES_MAX {
        return Err(refused("must be at most 2048 bytes once it is percent-encoded"));
    }
    Ok(url)
}

impl Link {
    fn with_short_url(&mut self, site: &Site) {
        self.short_url = site.short_url(self.slug.as_str());
    }
}

impl Method for CreateLink {
    type Output = Link;
    const SPEC: Spec = write("createLink", &[Code::SlugTaken, Code::UrlNotAllowed]);
    const REFS: &'static [(&'static str, &'static str)] = &[("title", "\"a\"")];

    fn prepare(&mut self, seed: &Seed<'_>) -> Result<(), Problem> {
        if self.expires_at.is_some() && self.ttl_ms.is_some() {
            return Err(Problem::new(Code::InvalidValue).field("/ttlMs", "must not be given with `expiresAt`"));
        }
        self.url = check_url(&self.url, seed.site)?;
        self.is_slug_drawn = self.slug.is_none();
        if self.is_slug_drawn {
            self.slug = draw_slug();
        }
        Ok(())
    }

    fn reserves(&self) -> Option<&str> {
        self.slug.as_ref().map(Slug::as_str)
    }

    fn is_taken(&mut self) -> bool {
        if self.is_slug_drawn {
            self.slug = draw_slug();
        }
        !self.is_slug_drawn
    }

    fn done(&self, link: &mut Link, site: &Site) -> Option<Wake> {
        link.with_short_url(site);
        None
    }
}

impl Method for GetLink {
    type Output = Link;
    const SPEC: Spec = read("getLink", Path::Read, &[Code::NotFound]);

    fn done(&self, link: &mut Link, site: &Site) -> Option<Wake> {
        link.with_short_url(site);
        None
    }
}

impl Method for UpdateLink {
    type Output = Link;
    const SPEC: Spec = write("updateLink", &[Code::NotFound, Code::UrlNotAllowed]);
    const REFS: &'static [(&'static str, &'static str)] = &[("title", "\"a\"")];

    fn prepare(&mut self, seed: &Seed<'_>) -> Result<(), Problem> {
        self.url = self.url.take().map(|url| check_url(&url, seed.site)).transpose()?;
        Ok(())
    }

    fn done(&self, link: &mut Link, site: &Site) -> Option<Wake> {
        link.with_short_url(site);
        None
    }
}

impl Method for RecordClick {
    type Output = RecordedClick;
    const SPEC: Spec = write("recordClick", &[Code::NotFound, Code::LinkGone]);

    fn prepare(&mut self, _: &Seed<'_>) -> Result<(), Problem> {
        self.referrer = self.referrer.take().and_then(|page| visitor::referrer_host(&page.0)).map(types::Text);
        if let Some(user_agent) = self.user_agent.take() {
            let agent = Agent::of(Some(&user_agent.0));
            (self.browser, self.bot) = (agent.browser, agent.is_bot);
        }
        Ok(())
    }
}

/// Not in [`METHODS`]: no payer calls it.
impl Method for FollowLink {
    type Output = Target;
    const SPEC: Spec =
        Spec { name: "followLink", path: Path::Write, scope: None, problems: &[Code::NotFound, Code::LinkGone] };
}

impl Method for GetLinkStats {
    type Output = LinkStats;
    const SPEC: Spec = read("getLinkStats", Path::SlowRead, &[Code::NotFound]);
}

impl Method for DeleteLink {
    type Output = ();
    const SPEC: Spec = write("deleteLink", &[Code::NotFound]);
}

impl Method for ListLinks {
    type Output = Page<Link>;
    const SPEC: Spec = read("listLinks", Path::SlowRead, &[]);

    fn done(&self, page: &mut Page<Link>, site: &Site) -> Option<Wake> {
        for link in &mut page.items {
            link.with_short_url(site);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_a_web_page_elsewhere() {
        let site = Site::new("https://pay.example/base/".parse().unwrap());
        for (good, kept) in [
            ("https://shop.example", "https://shop.example/"),
            ("HTTP://Shop.Example:80/a?b#c", "http://shop.example/a?b#c"),
            ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"),
            ("https://b\u{fc}cher.example/\u{e4}", "https://xn--bcher-kva.example/%C3%A4"),
            ("http:\\\\shop.example\\a", "http://shop.example/a"),
        ] {
            assert_eq!(check_url(good, &site).unwrap(), kept, "{good}");
        }
        for bad in [
            "",
            "shop.example",
            "//shop.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "ftp://shop.example",
            "https://",
            "https://user@shop.example",
            "https://user:secret@shop.example",
            "https://pay.example/l/abc",
            "https://PAY.example./l/abc",
            "http://pay.example:8080/",
            "https://p\u{ff41}y.example/",
            "https://shop.example/a b",
            "https://shop.example/\n",
            " https://shop.example",
            &format!("https://shop.example/{}", "x".repeat(3_000)),
            &format!("https://shop.example/{}", "\u{e4}".repeat(1_000)),
        ] {
            assert_eq!(check_url(bad, &site).unwrap_err().code(), Code::UrlNotAllowed, "{bad}");
        }
    }
}
