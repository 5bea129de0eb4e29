//! The turn of a call that has run: PostgreSQL checks its version, and stores its pages.

use base64::prelude::BASE64_STANDARD;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::cache::SharedPage;
use super::engine::TaskResult;
use super::wire::Head;

/// Pages that travel with the call itself. More are put aside before the turn.
pub(super) const INLINE_PAGES_MAX: usize = 8;
/// How many pages that are put aside are as much work for the turn as a simple call.
const STAGED_PAGES_OF_CALL: usize = 16;
/// How many simple calls are as much work as a page that travels with the call.
const CALLS_OF_INLINE_PAGE: usize = 2;

/// A call that ran. It has changed nothing yet.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The result of each task.
    pub results: Vec<TaskResult>,
    /// The version that it read, if that must still be the newest in the turn.
    pub base: Option<Head>,
    /// Its pages; `None` for a call without writes.
    pub commit: Option<Commit>,
}

/// The next version of a database.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    pub(super) new: Head,
    pub(super) pages: Vec<(u32, SharedPage)>,
    /// Where its pages are, if there are many.
    pub(super) stage: Option<Uuid>,
}

/// The check or the commit, as SQL reads it.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Turn {
    /// The id of the version that must be the newest; that of no version is zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    page_count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<Uuid>,
    /// The number of pages there.
    #[serde(skip_serializing_if = "Option::is_none")]
    staged: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pages: Vec<TurnPage>,
    #[serde(skip)]
    weight: usize,
}

#[derive(Clone, Debug, Serialize)]
struct TurnPage {
    number: u32,
    #[serde(serialize_with = "base64")]
    data: SharedPage,
}

fn base64<S: Serializer>(page: &SharedPage, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&base64::display::Base64Display::new(&**page, &BASE64_STANDARD))
}

impl Ran {
    /// What the turn does.
    pub fn turn(&self) -> Turn {
        let mut turn = Turn { base: self.base.map(|base| base.id), weight: 1, ..Turn::default() };
        if let Some(commit) = &self.commit {
            turn.next = Some(commit.new.id);
            turn.page_count = Some(commit.new.page_count);
            turn.stage = commit.stage;
            turn.staged = commit.stage.map(|_stage| commit.pages.len());
            if commit.stage.is_none() {
                turn.weight += commit.pages.len() * CALLS_OF_INLINE_PAGE;
                let pages = commit.pages.iter();
                turn.pages = pages.map(|(number, data)| TurnPage { number: *number, data: data.clone() }).collect();
            } else {
                turn.weight += commit.pages.len() / STAGED_PAGES_OF_CALL;
            }
        }
        turn
    }
}

impl Commit {
    /// Whether its pages were put aside.
    pub fn is_staged(&self) -> bool {
        self.stage.is_some()
    }
}

impl Turn {
    /// Another call of the transaction does everything.
    pub fn nothing() -> Self {
        Self { weight: 1, ..Self::default() }
    }

    /// How much work it is, in simple calls.
    pub fn weight(&self) -> usize {
        self.weight.max(1)
    }
}
