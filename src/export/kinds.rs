//! The kinds of lines of an export, and its cursors.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike as _, NaiveDate};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::auth::TokenId;
use crate::counters::types::Counter;
use crate::credit::types::{CreditInAsset, LedgerEntry, Payment};
use crate::links::types::{Click, Link};
use crate::locks::types::Lock;
use crate::me::types::AuditEntry;
use crate::memories::types::Memory;
use crate::number::Integers;
use crate::queues::types::JobWithErrors;
use crate::site::Site;
use crate::slug::Slug;
use crate::time::Time;
use crate::tokens::types::{Grant, ListedToken};

/// Declares the kinds in the order of an export: their names, the types of their lines, and the form of their cursors.
macro_rules! kinds {
    ($($kind:ident $name:literal $line:ty, $is_cursor:expr;)*) => {
        /// Lines of one kind.
        #[derive(Debug, Serialize, Deserialize)]
        pub(super) enum Group {
            $(#[serde(rename = $name)] $kind(Vec<$line>),)*
        }

        /// The names of all kinds.
        pub(super) const KINDS: &[&str] = &[$($name),*];

        impl Group {
            /// Adds the lines to a text.
            pub fn write(&self, text: &mut Vec<u8>, integers: Integers) -> serde_json::Result<()> {
                match self {
                    $(Self::$kind(items) => items.iter().try_for_each(|item| line(text, $name, item, integers)),)*
                }
            }
        }

        /// Whether a text is a cursor of a kind. An empty one is its begin.
        fn is_cursor(kind: &str, cursor: &str) -> bool {
            let is_cursor: fn(&str) -> bool = match kind {
                $($name => $is_cursor,)*
                _ => return false,
            };
            cursor.is_empty() || is_cursor(cursor)
        }
    };
}

kinds! {
    Counters "counter" Counter, |_name| true;
    Links "link" Link, is_uuid;
    Clicks "click" ExportedClick, is_click;
    ClickTotals "clickTotal" ClickTotal, is_click_total;
    Locks "lock" Lock, |_name| true;
    Jobs "job" JobWithErrors, is_uuid;
    Memories "memory" Memory, |_id| true;
    SqlDatabases "sqlDatabase" SqlDatabase, |_none| false;
    Credit "credit" CreditInAsset, |_none| false;
    LedgerEntries "ledgerEntry" LedgerEntry, is_uuid;
    Payments "payment" Payment, is_uuid;
    Tokens "token" ListedToken, |id| id.parse::<TokenId>().is_ok();
    Grants "grant" Grant, |id| id.parse::<TokenId>().is_ok();
    AuditEntries "auditEntry" AuditEntry, is_uuid;
}

impl Group {
    /// Adds the short URLs, which the database does not know.
    pub fn set_short_urls(&mut self, site: &Site) {
        if let Self::Links(links) = self {
            links.iter_mut().for_each(|link| link.short_url = site.short_url(link.slug.as_str()));
        }
    }
}

/// A single click of a link.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ExportedClick {
    slug: Slug,
    #[serde(flatten)]
    click: Click,
}

/// Clicks of a link on a whole day: all of them, or those from one referrer, country or browser.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClickTotal {
    slug: Slug,
    date: NaiveDate,
    by: String,
    value: Option<String>,
    clicks: u64,
    bot_clicks: u64,
}

/// That there is a database of SQL, and how to get it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SqlDatabase {
    bytes: u64,
    updated_at: Time,
    operation: String,
}

/// Writes a line: an object that begins with its type.
fn line<T: Serialize>(text: &mut Vec<u8>, kind: &str, item: &T, integers: Integers) -> serde_json::Result<()> {
    let item = integers.to_json(item)?;
    text.extend_from_slice(format!("{{\"type\":\"{kind}\",").as_bytes());
    text.extend_from_slice(item.trim_start_matches('{').as_bytes());
    text.push(b'\n');
    Ok(())
}

fn is_uuid(text: &str) -> bool {
    text.parse::<Uuid>().is_ok_and(|uuid| uuid.to_string() == text)
}

/// slug/microseconds/id
fn is_click(text: &str) -> bool {
    // The year 9999.
    const MICROS_MAX: u64 = 253_402_300_799_999_999;
    let parts: Vec<&str> = text.split('/').collect();
    let is_time = |text: &str| text.parse().is_ok_and(|micros: u64| micros <= MICROS_MAX && micros.to_string() == text);
    matches!(parts.as_slice(), [_slug, micros, id] if is_time(micros) && is_uuid(id))
}

/// slug/kind/day/value
fn is_click_total(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(4, '/').collect();
    let is_day = |text: &str| {
        text.parse().is_ok_and(|day: NaiveDate| (1..=9_999).contains(&day.year()) && day.to_string() == text)
    };
    matches!(parts.as_slice(), [_slug, _kind, day, _value] if is_day(day))
}

/// A place in an export: a kind, and a cursor of this kind.
#[derive(Clone, Debug)]
pub struct Place(String);

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, cursor) = text.split_once('/').ok_or("no kind")?;
        if is_cursor(kind, cursor) { Ok(Self(text.to_owned())) } else { Err("no place") }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_what_sql_can_read() {
        let id = Uuid::nil();
        for place in [
            "counter/".to_owned(),
            "counter/a/b".to_owned(),
            format!("link/{id}"),
            format!("click/spring/1700000000000000/{id}"),
            "clickTotal/spring/referrer/2026-01-01/a/b".to_owned(),
            "clickTotal/spring/day/2026-01-01/".to_owned(),
            "sqlDatabase/".to_owned(),
            "auditEntry/".to_owned(),
        ] {
            assert!(place.parse::<Place>().is_ok(), "{place}");
        }
        for place in [
            "counter".to_owned(),
            "other/".to_owned(),
            "link/a".to_owned(),
            format!("click/spring/-1/{id}"),
            format!("click/spring/253402300800000000/{id}"),
            format!("click/spring/1700000000000000/{id}/"),
            "click/spring/1700000000000000/a".to_owned(),
            "clickTotal/spring/referrer/2026-13-01/a".to_owned(),
            "clickTotal/spring/referrer/+12026-01-01/a".to_owned(),
            "clickTotal/spring/referrer/2026-01-01".to_owned(),
            "link/urn:uuid:00000000-0000-0000-0000-000000000000".to_owned(),
            format!("click/spring/+1/{id}"),
            "clickTotal/spring/day/0000-01-01/".to_owned(),
            "clickTotal/spring/day/2026- 1- 1/".to_owned(),
            "clickTotal/spring/day/+2026-1-01/".to_owned(),
            "credit/a".to_owned(),
            "token/a".to_owned(),
        ] {
            assert!(place.parse::<Place>().is_err(), "{place}");
        }
    }
}
