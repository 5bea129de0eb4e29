//! Values and results of links.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::number::Bounded;
use crate::slug::Slug;
use crate::time::Time;

/// Size limit of a title, in bytes.
const TITLE_BYTES_MAX: usize = 512;
/// Size limit of a text about a visitor, in bytes.
const TEXT_BYTES_MAX: usize = 2_048;

/// Title of a link, at most 512 bytes of UTF-8 without control characters.
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

/// Maximum number of clicks by people, 1 to 2^53 - 1.
pub type MaxClicks = Bounded<1, 9_007_199_254_740_991>;
/// Lifetime of a link, in milliseconds, 1,000 to 315,360,000,000 (10 years).
pub type LinkTtlMs = Bounded<1_000, 315_360_000_000>;

/// A short link.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// Slug, the last segment of the short URL.
    pub slug: Slug,
    /// Short URL, to give to people.
    #[serde(default)]
    #[schema(example = "http://127.0.0.1:4402/l/spring-sale")]
    pub short_url: String,
    /// Target URL, at most 2,048 bytes.
    #[schema(example = "https://shop.example/sale")]
    pub url: String,
    /// Title; `null` if none.
    #[schema(required, value_type = Option<Title>)]
    pub title: Option<String>,
    /// Number of clicks by people.
    #[schema(example = 7)]
    pub clicks: u64,
    /// Maximum number of clicks by people; `null` if unlimited.
    #[schema(required, example = json!(null))]
    pub max_clicks: Option<u64>,
    /// Time at which the link expires; `null` if it never expires.
    #[schema(required, example = json!(null))]
    pub expires_at: Option<Time>,
    /// Time of creation.
    pub created_at: Time,
    /// Time of the last change. Clicks are not changes.
    pub updated_at: Time,
}

/// A recorded click.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RecordedClick {
    /// Whether it counts as a click by a person. Bots are counted separately.
    #[schema(example = true)]
    pub recorded: bool,
    /// Number of clicks by people on the link, after this click.
    #[schema(example = 8)]
    pub clicks: u64,
}

/// Target of a link.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Target {
    /// Target URL.
    pub url: String,
}

/// Number of clicks from one referrer, country or browser.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ClicksOf {
    /// Host of the referrer, country code or browser family; `null` if unknown.
    #[schema(required, example = "news.example")]
    pub value: Option<String>,
    /// Number of clicks by people.
    #[schema(example = 5)]
    pub clicks: u64,
}

/// Number of clicks on one day.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClicksOn {
    /// Day, in UTC.
    #[schema(value_type = String, format = Date, example = "2026-11-23")]
    pub date: NaiveDate,
    /// Number of clicks by people.
    #[schema(example = 5)]
    pub clicks: u64,
    /// Number of clicks by bots.
    #[schema(example = 1)]
    pub bot_clicks: u64,
}

/// A single click.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Click {
    /// Time of the click.
    pub clicked_at: Time,
    /// Host of the page with the link; `null` if unknown.
    #[schema(required, example = "news.example")]
    pub referrer: Option<String>,
    /// Country of the visitor, two letters (ISO 3166-1); `null` if unknown.
    #[schema(required, example = "SE")]
    pub country: Option<String>,
    /// Browser family; `null` if unknown.
    #[schema(required, example = "Firefox")]
    pub browser: Option<String>,
    /// Whether it counts as a bot: a bot, a link preview, a `HEAD` request or a prefetching browser.
    #[schema(example = false)]
    pub bot: bool,
}

/// Click statistics of a link.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkStats {
    /// Slug, the last segment of the short URL.
    pub slug: Slug,
    /// Target URL, at most 2,048 bytes.
    #[schema(example = "https://shop.example/sale")]
    pub url: String,
    /// Title; `null` if none.
    #[schema(required, value_type = Option<Title>)]
    pub title: Option<String>,
    /// Number of clicks by people since creation.
    #[schema(example = 7)]
    pub clicks: u64,
    /// Number of clicks by bots since creation.
    #[schema(example = 2)]
    pub bot_clicks: u64,
    /// Time of creation.
    pub created_at: Time,
    /// Time of the last click by a person or a bot; `null` if none.
    #[schema(required)]
    pub last_click_at: Option<Time>,
    /// Number of clicks per host of the referrer within the requested days, without bots: the 50 hosts with the most clicks.
    pub referrers: Vec<ClicksOf>,
    /// Clicks by people within the requested days by country: the 50 countries with the most clicks.
    pub countries: Vec<ClicksOf>,
    /// Clicks by people within the requested days by browser family: the 50 browsers with the most clicks.
    pub browsers: Vec<ClicksOf>,
    /// Clicks on each of the requested days in UTC, today last.
    pub daily: Vec<ClicksOn>,
    /// The last 20 clicks that are still stored, by people and bots, latest first.
    pub recent_clicks: Vec<Click>,
}

/// A text of at most 2,048 bytes of UTF-8.
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

/// A country code, two letters (ISO 3166-1).
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
