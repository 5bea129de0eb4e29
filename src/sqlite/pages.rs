//! The pages that one call reads.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::cache::{Cache, Found, Image, SharedPage};
use super::limits::PAGE_BYTES;
use super::store::{Store, Whole};
use super::wire::{Head, SentPage};
use crate::payer::Payer;
use crate::problem::Problem;

/// After this many pages that were not in the cache, a call reads the whole database.
const MISSED_MAX: u32 = 8;
/// A database of up to this number of pages is read as a whole.
const SMALL_PAGES: u32 = 64;
/// Pages of an answer to a call that reads one page after the other.
const SENT_MAX: u32 = 64;
/// A call gets all pages with the answer to this question.
const QUESTIONS_MAX: u32 = 256;

/// The pages of one version of a database, for one call.
pub(super) struct CallPages<'a> {
    pub payer: &'a Payer,
    pub head: Head,
    pub image: &'a Arc<Image>,
    pub cache: &'a Cache,
    pub store: &'a Store,
    /// Pages that fit together, if the whole database was read, and their part of the memory for whole databases.
    own: HashMap<u32, SharedPage>,
    held: Option<OwnedSemaphorePermit>,
    missed: u32,
    questions: u32,
    /// The page after those that were sent last, and their number.
    sent_before: (u32, u32),
    /// The tables of primitives that the call has named, also in earlier tries, by their numbers.
    pub tables: BTreeMap<usize, &'static str>,
    /// Whether the call must run again because of them.
    pub have_tables_moved: bool,
}

/// The database has changed, so that the call must run again.
pub(super) struct Moved;

impl<'a> CallPages<'a> {
    pub fn new(payer: &'a Payer, head: Head, image: &'a Arc<Image>, cache: &'a Cache, store: &'a Store) -> Self {
        let (own, held, tables) = (HashMap::new(), None, BTreeMap::new());
        let (missed, questions, sent_before, have_tables_moved) = (0, 0, (0, 0), false);
        Self { payer, head, image, cache, store, own, held, missed, questions, sent_before, tables, have_tables_moved }
    }

    /// Frees a whole database while the call waits. Returns whether it had one: then it must read one again, because writes
    /// would disturb it.
    pub fn free(&mut self) -> bool {
        self.held = None;
        !std::mem::take(&mut self.own).is_empty()
    }

    /// Reads the whole database, and its version with it: no later version can disturb the call.
    pub async fn read_whole(&mut self) -> Result<(), Problem> {
        let whole = self.store.whole(self.payer, &self.head).await?;
        self.image.learn(whole.head, None, None);
        self.head = whole.head;
        self.take_whole(whole);
        Ok(())
    }

    fn take_whole(&mut self, Whole { pages, held, .. }: Whole) {
        self.keep(&self.head, &pages);
        self.own = pages.into_iter().map(|(number, _version, page)| (number, page)).collect();
        self.held = Some(held);
    }

    /// Reads the whole database, and takes a page of it.
    async fn read_from_whole(&mut self, number: u32) -> Result<Found, Problem> {
        let whole = self.store.whole(self.payer, &self.head).await?;
        if whole.head != self.head || !(1..=whole.head.page_count).contains(&number) {
            return Ok(Found::Later);
        }
        self.take_whole(whole);
        Ok(self.known(number))
    }

    /// The page, and others that the call may need next.
    pub async fn sent(&mut self, number: u32) -> Result<Result<Vec<SentPage>, Moved>, Problem> {
        self.questions += 1;
        let found = match self.known(number) {
            Found::Missing => self.read(number).await?,
            found @ (Found::Page(_) | Found::Later) => found,
        };
        let Found::Page(page) = found else { return Ok(Err(Moved)) };
        let mut sent = vec![SentPage::new(number, &*page)];
        let end = self.head.page_count.saturating_add(1);
        if self.questions.is_multiple_of(QUESTIONS_MAX) {
            let others = (1..end).filter(|other| *other != number);
            sent.extend(others.filter_map(|other| self.known_to_send(other)));
            return Ok(Ok(sent));
        }
        let count = if self.sent_before.0 == number { (self.sent_before.1 * 2).min(SENT_MAX) } else { 1 };
        let following = number.saturating_add(1)..end.min(number.saturating_add(count));
        sent.extend(following.map_while(|next| self.known_to_send(next)));
        let count = u32::try_from(sent.len()).unwrap_or(SENT_MAX);
        self.sent_before = (number.saturating_add(count), count);
        Ok(Ok(sent))
    }

    /// Whether the call has asked for too many pages for the fast worker.
    pub fn are_many(&self) -> bool {
        self.questions >= QUESTIONS_MAX
    }

    fn known_to_send(&self, number: u32) -> Option<SentPage> {
        match self.known(number) {
            Found::Page(page) => Some(SentPage::new(number, &*page)),
            Found::Later | Found::Missing => None,
        }
    }

    fn known(&self, number: u32) -> Found {
        if self.own.is_empty() {
            return self.image.page(number, &self.head);
        }
        match self.own.get(&number) {
            Some(page) => Found::Page(Arc::clone(page)),
            // SQLite does not write a page that it has added and freed in one transaction.
            None if number <= self.head.page_count => Found::Page(Arc::new([0; PAGE_BYTES])),
            None => Found::Later,
        }
    }

    /// Reads a page from PostgreSQL.
    async fn read(&mut self, number: u32) -> Result<Found, Problem> {
        self.missed += 1;
        if self.missed > MISSED_MAX || self.head.page_count <= SMALL_PAGES {
            return self.read_from_whole(number).await;
        }
        let pages = self.store.pages(self.payer, &self.head, &[number]).await?;
        self.keep(&self.head, &pages);
        match pages.into_iter().next() {
            Some((_number, version, page)) if version <= self.head.version => Ok(Found::Page(page)),
            Some(_later) => Ok(Found::Later),
            None => self.read_from_whole(number).await,
        }
    }

    fn keep(&self, head: &Head, pages: &[(u32, i64, SharedPage)]) {
        let valid = pages.iter().filter(|(_, version, _)| *version <= head.version);
        self.image.keep(head, valid.map(|(number, version, page)| (*number, *version, Arc::clone(page))));
        self.cache.weigh(self.payer, self.image);
    }
}
