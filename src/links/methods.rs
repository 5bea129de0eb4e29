//! The methods of links, as callers send them.

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
use crate::problem::{Code, Problem};
use crate::site::Site;
use crate::slug::Slug;
use crate::time::Time;
use crate::waiting::Wake;

/// All methods of links.
pub const METHODS: &[Entry] = &[
    Entry::of::<CreateLink>(),
    Entry::of::<GetLink>(),
    Entry::of::<UpdateLink>(),
    Entry::of::<RecordClick>(),
    Entry::of::<GetLinkStats>(),
    Entry::of::<DeleteLink>(),
    Entry::of::<ListLinks>(),
];

/// Methods that no payer calls.
pub const INTERNAL: &[Entry] = &[Entry::of::<FollowLink>()];

const fn write(name: &'static str) -> Spec {
    Spec::write(name).scope(Scope::LinksWrite)
}

impl Link {
    fn set_short_url(&mut self, site: &Site) {
        self.short_url = site.short_url(self.slug.as_str());
    }
}

/// Makes a short link.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateLink {
    /// Its place in lists.
    #[serde(skip_deserializing, default = "Uuid::now_v7")]
    #[schema(ignore)]
    pub id: Uuid,
    /// Where it leads: `http` or `https`, at most 2,048 bytes, without user and password.
    #[schema(max_length = 2048, example = "https://shop.example/sale")]
    pub url: String,
    /// The end of its short URL; else 8 random characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<Slug>,
    /// Whether the caller chose no slug.
    #[serde(skip)]
    #[schema(ignore)]
    pub is_slug_generated: bool,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Title>,
    /// When it ends; at once if that is past. Not together with `ttlMs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// How long it lives, in milliseconds: up to 10 years.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 1000, maximum = 315360000000i64)]
    pub ttl_ms: Option<LinkTtlMs>,
    /// How many people may follow it. Bots use none of it up, and are led on while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 9007199254740991i64)]
    pub max_clicks: Option<MaxClicks>,
}

impl Method for CreateLink {
    type Output = Link;
    const SPEC: Spec =
        write("createLink").problems(&[Code::SlugTaken, Code::UrlNotAllowed]).refs(&[("title", "\"a\"")]);

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
        let slug = self.slug.as_mut().map(|slug| NeededSlug { slug, is_generated });
        Needs { slug, ..Needs::default() }
    }

    fn after_commit(&self, link: &mut Link, site: &Site) -> Option<Wake> {
        link.set_short_url(site);
        None
    }
}

/// Reads a link.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetLink {
    /// The link.
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

/// Changes a link: a JSON merge patch (RFC 7396).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateLink {
    /// The link.
    #[schema(ignore)]
    pub slug: Slug,
    /// Where it shall lead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2048, example = "https://shop.example/summer")]
    pub url: Option<String>,
    /// What people call it; `null` clears it.
    #[serde(default, deserialize_with = "patched", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Title>)]
    pub title: Option<Option<Title>>,
    /// When it ends; `null`: never.
    #[serde(default, deserialize_with = "patched", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Time>)]
    pub expires_at: Option<Option<Time>>,
    /// How many people may follow it; `null`: any number.
    #[serde(default, deserialize_with = "patched", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 9007199254740991i64)]
    pub max_clicks: Option<Option<MaxClicks>>,
}

impl Method for UpdateLink {
    type Output = Link;
    const SPEC: Spec = write("updateLink").problems(&[Code::NotFound, Code::UrlNotAllowed]).refs(&[("title", "\"a\"")]);

    fn prepare(&mut self, context: &Context<'_>) -> Result<(), Problem> {
        self.url = self.url.take().map(|url| check_url(&url, context.site)).transpose()?;
        Ok(())
    }

    fn after_commit(&self, link: &mut Link, site: &Site) -> Option<Wake> {
        link.set_short_url(site);
        None
    }
}

/// Records a click that happened elsewhere.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordClick {
    /// The link.
    #[schema(ignore)]
    pub slug: Slug,
    /// What tells it from others at the same time.
    #[serde(skip_deserializing, default = "Uuid::now_v7")]
    #[schema(ignore)]
    pub id: Uuid,
    /// The page where the link stood: only its host is kept. At most 2,048 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2048, example = "https://news.example/today")]
    pub referrer: Option<Text>,
    /// What the visitor's browser calls itself. At most 2,048 bytes. Without it, the click is a person's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2048, example = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0")]
    pub user_agent: Option<Text>,
    /// The visitor's country: two letters (ISO 3166-1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Country>,
    /// From the user agent.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    pub browser: Option<String>,
    /// From the user agent.
    #[serde(skip_deserializing)]
    #[schema(ignore)]
    pub bot: bool,
}

impl Method for RecordClick {
    type Output = RecordedClick;
    const SPEC: Spec = write("recordClick").problems(&[Code::NotFound, Code::LinkGone]);

    fn prepare(&mut self, _: &Context<'_>) -> Result<(), Problem> {
        self.referrer = self.referrer.take().and_then(|page| visitor::referrer_host(&page.0)).map(Text);
        if let Some(user_agent) = self.user_agent.take() {
            let agent = Agent::of(Some(&user_agent.0));
            (self.browser, self.bot) = (agent.browser, agent.is_bot);
        }
        Ok(())
    }
}

/// Follows a link: what the public route calls.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FollowLink {
    /// The link.
    pub slug: Slug,
    /// What tells the click from others at the same time.
    pub id: Uuid,
    /// The host of the page where the link stood.
    pub referrer: Option<String>,
    /// Two letters.
    pub country: Option<String>,
    /// The family of the browser.
    pub browser: Option<String>,
    /// Whether it is nobody.
    pub bot: bool,
}

method!(FollowLink => Target, Spec::write("followLink").problems(&[Code::NotFound, Code::LinkGone]));

/// Reads who followed a link.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct GetLinkStats {
    /// The link.
    #[param(ignore)]
    pub slug: Slug,
    /// Over how many days, today included.
    #[serde(default = "Bounded::of::<30>")]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 366, default = 30)]
    pub days: Bounded<1, 366>,
}

method!(
    GetLinkStats => LinkStats,
    Spec::slow_read("getLinkStats").scope(Scope::LinksRead).problems(&[Code::NotFound])
);

/// Deletes a link, statistics and all.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteLink {
    /// The link.
    pub slug: Slug,
}

method!(DeleteLink => (), write("deleteLink").problems(&[Code::NotFound]));

/// Reads a page of links, the newest first.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListLinks {
    /// How many at most.
    #[serde(default)]
    #[param(value_type = Option<Limit>)]
    pub limit: Limit,
    /// `nextCursor` of the page before.
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
