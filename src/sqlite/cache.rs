//! The pages of databases in the memory of the server.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::limits::PAGE_BYTES;
use super::wire::Head;
use crate::payer::Payer;

/// Memory of all pages, in bytes.
const CACHE_BYTES_MAX: u64 = 64 << 20;
/// Memory of a database beside its pages, in bytes.
const ENTRY_BYTES: usize = 256;
/// Time after which an unused database leaves the cache.
const UNUSED_MAX: Duration = Duration::from_mins(10);

/// How many versions before the newest known one may still be read from the cache.
const EARLIER_MAX: usize = 8;

/// A page that calls share.
pub(super) type SharedPage = Arc<[u8; PAGE_BYTES]>;

/// The databases that were used lately.
pub(super) struct Cache {
    images: moka::sync::Cache<Payer, Arc<Image>>,
}

/// The newest known version of a database, and some of its pages.
#[derive(Default)]
pub(super) struct Image {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The newest version that this server knows.
    head: Option<Head>,
    /// The ids of the versions before it, up to the latest.
    earlier: VecDeque<Uuid>,
    /// Pages of the newest version, each with the version that wrote it.
    pages: HashMap<u32, (i64, SharedPage)>,
}

/// A page in the cache.
pub(super) enum Found {
    Page(SharedPage),
    /// It was written by a later version than the one that is read.
    Later,
    Missing,
}

impl State {
    /// A version that follows on the known one.
    fn follow(&mut self, head: Head) {
        self.pages.retain(|number, _page| *number <= head.page_count);
        self.earlier.extend(self.head.replace(head).map(|earlier| earlier.id));
        if self.earlier.len() > EARLIER_MAX {
            self.earlier.pop_front();
        }
    }
}

impl Cache {
    pub fn new() -> Self {
        let weight = |_payer: &Payer, image: &Arc<Image>| {
            let bytes = image.state().pages.len() * PAGE_BYTES + ENTRY_BYTES;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let images = moka::sync::Cache::builder();
        Self { images: images.max_capacity(CACHE_BYTES_MAX).weigher(weight).time_to_idle(UNUSED_MAX).build() }
    }

    /// The image of a payer's database; empty if it is not in the cache.
    pub fn image(&self, payer: &Payer) -> Arc<Image> {
        self.images.get(payer).unwrap_or_else(|| self.images.get_with(payer.clone(), Arc::default))
    }

    /// Counts the pages of a database again.
    pub fn weigh(&self, payer: &Payer, image: &Arc<Image>) {
        self.images.insert(payer.clone(), Arc::clone(image));
    }
}

impl Image {
    /// The newest known version.
    pub fn head(&self) -> Option<Head> {
        self.state().head
    }

    /// A page for a call that reads `head`. A page that no version since has written is valid for the versions before the
    /// known one. It is not for others: a late answer of PostgreSQL may have set the known version back, and after a failover
    /// another version may have the same number.
    pub fn page(&self, number: u32, head: &Head) -> Found {
        let state = self.state();
        let is_known = state.head == Some(*head) || state.earlier.contains(&head.id);
        match state.pages.get(&number).filter(|_| is_known) {
            Some((version, _page)) if *version > head.version => Found::Later,
            Some((_version, page)) => Found::Page(Arc::clone(page)),
            None => Found::Missing,
        }
    }

    /// Keeps pages of `head`, unless another version is known meanwhile.
    pub fn keep(&self, head: &Head, pages: impl IntoIterator<Item = (u32, i64, SharedPage)>) {
        let mut state = self.state();
        if state.head == Some(*head) {
            state.pages.extend(pages.into_iter().map(|(number, version, page)| (number, (version, page))));
        }
    }

    /// Learns of a version.
    ///   since    the version that was known
    ///   changed  the pages that were written after it; `None` if it is not known as one before the new version
    pub fn learn(&self, head: Head, since: Option<Head>, changed: Option<&[u32]>) {
        let mut state = self.state();
        if state.head == Some(head) {
            return;
        }
        match changed.filter(|_| state.head == since) {
            Some(changed) => {
                changed.iter().for_each(|number| drop(state.pages.remove(number)));
                state.follow(head);
            }
            None => *state = State { head: Some(head), ..State::default() },
        }
    }

    /// Learns of a version that this server has written.
    pub fn written(&self, base: &Head, head: Head, pages: impl IntoIterator<Item = (u32, SharedPage)>) {
        let mut state = self.state();
        if state.head != Some(*base) {
            return;
        }
        state.pages.extend(pages.into_iter().map(|(number, page)| (number, (head.version, page))));
        state.follow(head);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn head(version: i64) -> Head {
        Head { version, id: Uuid::from_u128(version.unsigned_abs().into()), page_count: 9 }
    }

    fn page(byte: u8) -> SharedPage {
        Arc::new([byte; PAGE_BYTES])
    }

    fn found(image: &Image, number: u32, version: i64) -> Option<u8> {
        match image.page(number, &head(version)) {
            Found::Page(page) => Some(page[0]),
            Found::Later => Some(u8::MAX),
            Found::Missing => None,
        }
    }

    #[test]
    fn a_page_is_valid_until_a_version_writes_it() {
        let image = Image::default();
        image.learn(head(3), None, None);
        image.keep(&head(3), [(1, 3, page(1)), (2, 2, page(2))]);
        image.learn(head(4), Some(head(3)), Some(&[1]));
        assert_eq!([found(&image, 1, 4), found(&image, 2, 4)], [None, Some(2)]);
        image.written(&head(4), head(5), [(2, page(5))]);
        assert_eq!(found(&image, 2, 5), Some(5));
        assert_eq!(found(&image, 2, 4), Some(u8::MAX), "an earlier version does not see it");
    }

    #[test]
    fn a_page_of_an_earlier_version_is_not_kept() {
        let image = Image::default();
        image.learn(head(3), None, None);
        image.learn(head(4), Some(head(3)), Some(&[1]));
        image.keep(&head(3), [(1, 3, page(1))]);
        assert_eq!(found(&image, 1, 4), None);
        image.written(&head(3), head(4), [(1, page(1))]);
        assert_eq!(found(&image, 1, 4), None);
    }

    #[test]
    fn a_page_is_not_for_versions_after_the_known_one() {
        let image = Image::default();
        image.learn(head(4), None, None);
        // An answer that was read before version 4 was written, and came after it.
        image.learn(head(3), None, None);
        image.keep(&head(3), [(1, 3, page(1))]);
        assert_eq!([found(&image, 1, 3), found(&image, 1, 4)], [Some(1), None]);
    }

    #[test]
    fn a_page_is_not_for_another_version_of_the_same_number() {
        let image = Image::default();
        image.learn(head(3), None, None);
        // A failover has lost version 3 of another call, and version 4 follows on the new one.
        image.learn(head(4), Some(head(3)), Some(&[]));
        image.keep(&head(4), [(1, 2, page(1))]);
        let lost = Head { id: Uuid::from_u128(99), ..head(3) };
        assert!(matches!(image.page(1, &lost), Found::Missing));
        assert_eq!(found(&image, 1, 3), Some(1));
    }

    #[test]
    fn an_unexpected_version_forgets_everything() {
        let image = Image::default();
        image.learn(head(3), None, None);
        image.keep(&head(3), [(1, 3, page(1))]);
        // A version was lost, or a backup was restored: the new version does not follow on the known one.
        image.learn(head(4), Some(head(3)), None);
        assert_eq!(found(&image, 1, 4), None);
    }
}
