//! Methods of links, with their parameters.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::target::check_url;
use super::types::{Country, Link, LinkStats, LinkTtlMs, MaxClicks, RecordedClick, Target, Text, Title};
use super::visitor::{self, Agent};
use crate::auth::Scope;
use crate::call::{Context, Entry, Method, NeededSlug, Needs, Spec, method};
use crate::json::patched;
use crate::number::Bounded;
use crate::page::{Cursor, CursorOf, Limit, Page};
use crate::pay::Tier;
use crate::problem::{Code, Problem};
use crate::quotas::Primitive;
use crate::site::Site;
use crate::slug::Slug;
use crate::time::Time;
use crate::waiting::Wake;

/// All methods of links.
pub const METHODS: &[Entry] = &[
    Entry::of::<CreateLink>(),
    Entry::of::<ListLinks>(),
    Entry::of::<RecordClick>(),
    Entry::of::<GetLinkStats>(),
    Entry::of::<GetLink>(),
    Entry::of::<UpdateLink>(),
    Entry::of::<DeleteLink>(),
];

/// Methods that no payer can call.
pub const INTERNAL: &[Entry] = &[Entry::of::<FollowLink>()];

const fn write(name: &'static str) -> Spec {
    Spec::write(name).scope(Scope::LinksWrite).primitive(Primitive::Links)
}

impl Link {
    fn set_short_url(&mut self, site: &Site) {
        self.short_url = site.short_url(self.slug.as_str());
    }
}

/// Creates a short link.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct CreateLink {
    /// Sort key of lists, by time of creation.
    #[serde(skip_deserializing, default = "Uuid::now_v7")]
    #[schema(ignore)]
    pub id: Uuid,
    /// Target URL: absolute, `http` or `https`, at most 2,048 bytes, without user and password, and no short URL
    /// of this server.
    #[schema(max_length = 2048, example = "https://shop.example/sale")]
    pub url: String,
    /// Last segment of the short URL, 3 to 64 of `A-Z a-z 0-9 _ -`. Default: 8 random letters and digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<Slug>,
    /// Whether the server chose the slug.
    #[serde(skip)]
    #[schema(ignore)]
    pub is_slug_generated: bool,
    /// Title for people, at most 512 bytes of UTF-8 without control characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Title>,
    /// Time at which the link expires. If the time is in the past, the link expires immediately. Without `expiresAt` and
    /// `ttlMs`, the link never expires. Cannot be combined with `ttlMs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Lifetime, in milliseconds, 1,000 to 315,360,000,000 (10 years). Default: no limit. Not together with
    /// `expiresAt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 1000, maximum = 315360000000i64)]
    pub ttl_ms: Option<LinkTtlMs>,
    /// Maximum number of clicks by people, 1 to 2^53 - 1. Default: no limit. Bots are redirected until the limit is
    /// reached, and do not count towards it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 9007199254740991i64)]
    pub max_clicks: Option<MaxClicks>,
}

impl Method for CreateLink {
    type Output = Link;
    const SPEC: Spec = write("createLink")
        .problems(&[Code::SlugTaken, Code::UrlNotAllowed, Code::QuotaExceeded])
        .refs(&[("title", "\"a\"")]);

    fn prepare(&mut self, context: &Context<'_>) -> Result<(), Problem> {
        if self.expires_at.is_some() && self.ttl_ms.is_some() {
            return Err(Problem::new(Code::InvalidValue).field("/ttlMs", "must not be given with `expiresAt`"));
        }
        self.url = check_url(&self.url, context.site)?;
        self.is_slug_generated = self.slug.is_none();
        self.slug.get_or_insert_with(Slug::generate);
        Ok(())
    }

    fn needs(&mut self) -> Needs<'_> {
        let is_generated = self.is_slug_generated;
        let slug = self.slug.as_mut().map(|slug| NeededSlug::New { slug, is_generated });
        Needs { slug, ..Needs::default() }
    }

    fn after_commit(&self, link: &mut Link, site: &Site) -> Option<Wake> {
        link.set_short_url(site);
        None
    }
}

/// Gets a link.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct GetLink {
    /// Slug of the link.
    pub slug: Slug,
}

impl Method for GetLink {
    type Output = Link;
    const SPEC: Spec = Spec::read("getLink").scope(Scope::LinksRead).problems(&[Code::NotFound]);

    fn after_commit(&self, link: &mut Link, site: &Site) -> Option<Wake> {
        link.set_short_url(site);
        None
    }
}

/// Changes a link with a JSON merge patch (RFC 7396).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct UpdateLink {
    /// Slug of the link.
    #[schema(ignore)]
    pub slug: Slug,
    /// New target URL, with the same rules as in `createLink`. `null` or absent keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2048, example = "https://shop.example/summer")]
    pub url: Option<String>,
    /// New title, at most 512 bytes of UTF-8 without control characters. `null` removes the title, absent keeps it.
    #[serde(default, deserialize_with = "patched", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Title>)]
    pub title: Option<Option<Title>>,
    /// New time at which the link expires. `null`: never. Absent keeps it.
    #[serde(default, deserialize_with = "patched", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Time>)]
    pub expires_at: Option<Option<Time>>,
    /// New maximum number of clicks by people, 1 to 2^53 - 1. Earlier clicks count towards it. `null`: no limit. Absent
    /// keeps it.
    #[serde(default, deserialize_with = "patched", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 9007199254740991i64)]
    pub max_clicks: Option<Option<MaxClicks>>,
}

impl Method for UpdateLink {
    type Output = Link;
    const SPEC: Spec = write("updateLink")
        .problems(&[Code::NotFound, Code::UrlNotAllowed, Code::QuotaExceeded])
        .refs(&[("title", "\"a\"")]);

    fn prepare(&mut self, context: &Context<'_>) -> Result<(), Problem> {
        self.url = self.url.take().map(|url| check_url(&url, context.site)).transpose()?;
        Ok(())
    }

    fn after_commit(&self, link: &mut Link, site: &Site) -> Option<Wake> {
        link.set_short_url(site);
        None
    }
}

/// Records a click that did not go through the short URL.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct RecordClick {
    /// Slug of the link.
    #[schema(ignore)]
    pub slug: Slug,
    /// Part of the key that separates clicks with the same time.
    #[serde(skip_deserializing, default = "Uuid::now_v7")]
    #[schema(ignore)]
    pub id: Uuid,
    /// URL of the page with the link, at most 2,048 bytes. Only the host of an `http` or `https` URL is stored.
    /// Default: unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2048, example = "https://news.example/today")]
    pub referrer: Option<Text>,
    /// Header `User-Agent` of the visitor, at most 2,048 bytes. Without it, the click counts as a person's. An empty
    /// one, or one over 1,024 bytes, counts as a bot's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2048, example = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0")]
    pub user_agent: Option<Text>,
    /// Country of the visitor, two letters (ISO 3166-1). Default: unknown. `XX` is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Country>,
    /// Browser family, from the user agent.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    pub browser: Option<String>,
    /// Whether the visitor is a bot, from the user agent.
    #[serde(skip_deserializing)]
    #[schema(ignore)]
    pub bot: bool,
}

impl Method for RecordClick {
    type Output = RecordedClick;
    const SPEC: Spec = write("recordClick").primitive(Primitive::Clicks).problems(&[Code::NotFound, Code::LinkGone]);

    fn prepare(&mut self, _: &Context<'_>) -> Result<(), Problem> {
        self.referrer = self.referrer.take().and_then(|page| visitor::referrer_host(&page.0)).map(Text);
        if let Some(user_agent) = self.user_agent.take() {
            let agent = Agent::of(Some(&user_agent.0));
            (self.browser, self.bot) = (agent.browser, agent.is_bot);
        }
        Ok(())
    }
}

/// Follows a link: the method of the public route.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FollowLink {
    /// Slug of the link.
    pub slug: Slug,
    /// Part of the key that separates clicks with the same time.
    pub id: Uuid,
    /// Host of the page with the link.
    pub referrer: Option<String>,
    /// Country, two letters (ISO 3166-1).
    pub country: Option<String>,
    /// Browser family.
    pub browser: Option<String>,
    /// Whether the visitor counts as a bot.
    pub bot: bool,
}

method!(FollowLink => Target, Spec::write("followLink").of_visitors().primitive(Primitive::Clicks).tier(Tier::Free).problems(&[Code::NotFound, Code::LinkGone]));

/// Gets the click statistics of a link.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
#[into_params(parameter_in = Query)]
pub struct GetLinkStats {
    /// Slug of the link.
    #[param(ignore)]
    pub slug: Slug,
    /// Number of days in UTC, including today, 1 to 366. Default: 30.
    #[serde(default = "Bounded::of::<30>")]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 366, default = 30)]
    pub days: Bounded<1, 366>,
}

method!(
    GetLinkStats => LinkStats,
    Spec::slow_read("getLinkStats").scope(Scope::LinksRead).problems(&[Code::NotFound])
);

/// Deletes a link with its statistics.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct DeleteLink {
    /// Slug of the link.
    pub slug: Slug,
}

impl Method for DeleteLink {
    type Output = ();
    const SPEC: Spec = write("deleteLink").problems(&[Code::NotFound]);

    fn needs(&mut self) -> Needs<'_> {
        Needs { slug: Some(NeededSlug::Renewed(&self.slug)), ..Needs::default() }
    }
}

/// Lists links, newest first.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
#[into_params(parameter_in = Query)]
pub struct ListLinks {
    /// Maximum number of links in the page, 1 to 1,000. Default: 100.
    #[serde(default)]
    #[param(value_type = Option<Limit>)]
    pub limit: Limit,
    /// `nextCursor` of the previous page. Default: the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Cursor>)]
    pub cursor: Option<CursorOf<Uuid>>,
}

impl Method for ListLinks {
    type Output = Page<Link>;
    const SPEC: Spec = Spec::slow_read("listLinks").scope(Scope::LinksRead);

    fn after_commit(&self, page: &mut Page<Link>, site: &Site) -> Option<Wake> {
        page.items.iter_mut().for_each(|link| link.set_short_url(site));
        None
    }
}
