//! What goes into the methods of links, and what comes out.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::json::patched;
use crate::number::Bounded;
use crate::page::{Cursor, CursorOf, Limit};
use crate::time::Time;

/// The longest title, in bytes.
const TITLE_BYTES_MAX: usize = 512;
/// The longest text about a visitor, in bytes.
const TEXT_BYTES_MAX: usize = 2_048;

/// The end of a short URL: 3 to 64 of `A-Z a-z 0-9 _ -`. Slugs belong to all payers together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 3, max_length = 64, pattern = "^[A-Za-z0-9_-]+$", example = "spring-sale")]
pub struct Slug(String);

impl Slug {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Slug {
    type Error = &'static str;

    fn try_from(slug: String) -> Result<Self, Self::Error> {
        let is_plain = slug.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        match is_plain && (3..=64).contains(&slug.len()) {
            true => Ok(Self(slug)),
            false => Err("must be 3 to 64 of A-Z a-z 0-9 _ -"),
        }
    }
}

/// What people call a link: at most 512 bytes of UTF-8 without control characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, max_length = 512, example = "Spring sale")]
pub struct Title(String);

impl TryFrom<String> for Title {
    type Error = String;

    fn try_from(title: String) -> Result<Self, Self::Error> {
        if title.len() > TITLE_BYTES_MAX || title.chars().any(char::is_control) {
            return Err(format!("must be at most {TITLE_BYTES_MAX} bytes of UTF-8 without control characters"));
        }
        Ok(Self(title))
    }
}

/// How many people may follow a link.
pub type MaxClicks = Bounded<1, 9_007_199_254_740_991>;
/// How long a link lives, in milliseconds: 1 second to 10 years.
pub type LinkTtlMs = Bounded<1_000, 315_360_000_000>;

/// A short link.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// The end of its short URL.
    pub slug: Slug,
    /// What to give to people.
    #[serde(default)]
    #[schema(example = "http://127.0.0.1:4402/l/spring-sale")]
    pub short_url: String,
    /// Where it leads.
    #[schema(example = "https://shop.example/sale")]
    pub url: String,
    /// What people call it.
    #[schema(required, value_type = Option<Title>)]
    pub title: Option<String>,
    /// How many people followed it.
    #[schema(example = 7)]
    pub clicks: u64,
    /// How many may.
    #[schema(required, example = json!(null))]
    pub max_clicks: Option<u64>,
    /// When it ends.
    #[schema(required, example = json!(null))]
    pub expires_at: Option<Time>,
    /// When it was made.
    pub created_at: Time,
    /// When it was last changed; a click is no change.
    pub updated_at: Time,
}

/// A click that was recorded.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RecordedClick {
    /// Whether it counts: bots are counted apart.
    #[schema(example = true)]
    pub recorded: bool,
    /// How many people followed the link.
    #[schema(example = 8)]
    pub clicks: u64,
}

/// Where a link leads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Target {
    /// There.
    pub url: String,
}

/// Clicks of one kind.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ClicksOf {
    /// The host, the country or the browser; `null` when it is not known.
    #[schema(required, example = "news.example")]
    pub value: Option<String>,
    /// How many.
    #[schema(example = 5)]
    pub clicks: u64,
}

/// Clicks of one day.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClicksOn {
    /// The day, in UTC.
    #[schema(value_type = String, format = Date, example = "2026-11-23")]
    pub date: NaiveDate,
    /// By people.
    #[schema(example = 5)]
    pub clicks: u64,
    /// By bots.
    #[schema(example = 1)]
    pub bot_clicks: u64,
}

/// One click.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Click {
    /// When.
    pub clicked_at: Time,
    /// The host of the page where the link stood.
    #[schema(required, example = "news.example")]
    pub referrer: Option<String>,
    /// Two letters (ISO 3166-1).
    #[schema(required, example = "SE")]
    pub country: Option<String>,
    /// The family of the browser.
    #[schema(required, example = "Firefox")]
    pub browser: Option<String>,
    /// Whether it was a bot, a link preview, or a browser that fetched in advance.
    #[schema(example = false)]
    pub bot: bool,
}

/// Who followed a link.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkStats {
    /// The end of its short URL.
    pub slug: Slug,
    /// Where it leads.
    #[schema(example = "https://shop.example/sale")]
    pub url: String,
    /// What people call it.
    #[schema(required, value_type = Option<Title>)]
    pub title: Option<String>,
    /// How many people followed it, ever.
    #[schema(example = 7)]
    pub clicks: u64,
    /// How many bots did, ever.
    #[schema(example = 2)]
    pub bot_clicks: u64,
    /// When it was made.
    pub created_at: Time,
    /// When it was last followed.
    #[schema(required)]
    pub last_click_at: Option<Time>,
    /// From where people came within the days: the 50 hosts with the most clicks.
    pub referrers: Vec<ClicksOf>,
    /// From which countries: the 50 with the most clicks.
    pub countries: Vec<ClicksOf>,
    /// With which browsers.
    pub browsers: Vec<ClicksOf>,
    /// Day by day, in UTC, today last.
    pub daily: Vec<ClicksOn>,
    /// The last 20 clicks, the latest first.
    pub recent_clicks: Vec<Click>,
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
    /// Whether the slug is ours to choose.
    #[serde(skip)]
    #[schema(ignore)]
    pub is_slug_drawn: bool,
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

/// Reads a link.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetLink {
    /// The link.
    pub slug: Slug,
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

/// A text of at most 2,048 bytes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, max_length = 2048)]
pub struct Text(pub String);

impl TryFrom<String> for Text {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.len() <= TEXT_BYTES_MAX {
            true => Ok(Self(text)),
            false => Err(format!("must be at most {TEXT_BYTES_MAX} bytes of UTF-8")),
        }
    }
}

/// A country: two letters (ISO 3166-1).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, pattern = "^[A-Za-z]{2}$", example = "SE")]
pub struct Country(String);

impl TryFrom<String> for Country {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        super::visitor::country(&text).map(Self).ok_or("must be the two letters of a country")
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

/// Deletes a link, statistics and all.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteLink {
    /// The link.
    pub slug: Slug,
}

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
