//! Values and results of links.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::number::Bounded;
use crate::slug::Slug;
use crate::time::Time;

/// The longest title, in bytes.
const TITLE_BYTES_MAX: usize = 512;
/// The longest text about a visitor, in bytes.
const TEXT_BYTES_MAX: usize = 2_048;

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
