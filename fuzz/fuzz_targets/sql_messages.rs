//! Messages between a server and its workers of SQL: what is taken of a worker is what was asked for.
//!
//! The first byte says whether the call may write.

#![no_main]

use libfuzzer_sys::fuzz_target;
use payerbase::fuzzing::sqlite::{messages_again, taken_from_worker};

fuzz_target!(|data: &[u8]| {
    let Some((kind, bytes)) = data.split_first() else { return };
    let may_write = kind & 1 == 1;
    for taken in taken_from_worker(bytes, may_write) {
        assert_eq!(taken.results, 1, "one for each task");
        assert!(may_write || taken.pages.is_empty(), "a read writes nothing");
        assert!(taken.pages.is_sorted_by(|one, next| one < next), "{:?}", taken.pages);
        assert!(taken.page_count <= 4_096 && taken.pages.iter().all(|page| (1..=taken.page_count).contains(page)));
    }
    for [once, twice] in messages_again(bytes).into_iter().flatten() {
        assert_eq!(once, twice);
    }
});
