//! The method of the export.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::kinds::{Group, KINDS, Place};
use crate::auth::Scope;
use crate::call::{Context, Entry, Method, Spec};
use crate::me::types::Event;
use crate::number::Integers;
use crate::page::{Cursor, CursorOf, Limit, NextCursor};
use crate::pay::Tier;
use crate::problem::Problem;
use crate::site::Site;
use crate::waiting::Wake;

/// All methods of the export.
pub const METHODS: &[Entry] = &[Entry::of::<ExportPayer>()];

/// Exports all that the payer has, one page per call.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
#[into_params(parameter_in = Query)]
pub struct ExportPayer {
    /// Maximum number of lines in the page, 1 to 1,000, without the last one. Default: 100.
    #[serde(default)]
    #[param(value_type = Option<Limit>)]
    pub limit: Limit,
    /// `cursor` of the last line of the previous page. Default: the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<Cursor>)]
    pub cursor: Option<CursorOf<Place>>,
    /// The kinds that this server knows, in order.
    #[serde(skip_deserializing)]
    #[param(ignore)]
    pub kinds: &'static [&'static str],
    /// The events that this server knows.
    #[serde(skip_deserializing)]
    #[param(ignore)]
    pub events: &'static [Event],
}

/// A page of an export.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportPage {
    groups: Vec<Group>,
    next_cursor: Option<NextCursor>,
}

/// The last line of a page.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum LastLine<'a> {
    Next { cursor: &'a NextCursor },
    End,
}

/// Lines of JSON, each an object with a `type`.
// Some generated clients read no text of this media type, but all of them read bytes.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary, example = "{\"type\":\"counter\",\"name\":\"visits\",\"value\":3}\n{\"type\":\"end\"}\n")]
pub struct Lines(#[expect(dead_code, reason = "it describes the answer")] String);

impl ExportPage {
    /// The page as lines of JSON.
    ///
    /// # Errors
    /// Those of values that cannot be JSON: a bug in payerbase.
    pub fn lines(&self, integers: Integers) -> serde_json::Result<Vec<u8>> {
        let mut text = self.lines_without_cursor(integers)?;
        if let Some(cursor) = &self.next_cursor {
            last_line(&mut text, &LastLine::Next { cursor })?;
        }
        Ok(text)
    }

    /// The page as lines, without the line that names the next page: for a text of all pages.
    pub(super) fn lines_without_cursor(&self, integers: Integers) -> serde_json::Result<Vec<u8>> {
        let mut text = Vec::new();
        self.groups.iter().try_for_each(|group| group.write(&mut text, integers))?;
        if self.next_cursor.is_none() {
            last_line(&mut text, &LastLine::End)?;
        }
        Ok(text)
    }

    pub(super) fn next_cursor(&self) -> Option<&NextCursor> {
        self.next_cursor.as_ref()
    }

    /// Adds the short URLs, which the database does not know.
    pub(super) fn set_short_urls(&mut self, site: &Site) {
        self.groups.iter_mut().for_each(|group| group.set_short_urls(site));
    }
}

fn last_line(text: &mut Vec<u8>, line: &LastLine<'_>) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *text, line)?;
    text.push(b'\n');
    Ok(())
}

impl Method for ExportPayer {
    type Output = ExportPage;
    const SPEC: Spec = Spec::slow_read("exportPayer").tier(Tier::Free).scope(Scope::AccountExport);

    fn prepare(&mut self, _: &Context<'_>) -> Result<(), Problem> {
        (self.kinds, self.events) = (KINDS, Event::ALL);
        Ok(())
    }

    fn after_commit(&self, page: &mut ExportPage, site: &Site) -> Option<Wake> {
        page.set_short_urls(site);
        None
    }
}
