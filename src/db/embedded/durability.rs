//! How safe commits are.

/// What a commit survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The end of any process, and a power failure.
    PowerFailure,
    /// The end of any process. Nothing waits for the disk: for tests.
    EndOfProcess,
}

impl Durability {
    /// The settings of PostgreSQL, as `name=value`.
    pub(super) fn settings(self) -> &'static [&'static str] {
        match self {
            Self::PowerFailure => &[],
            Self::EndOfProcess => &["fsync=off", "full_page_writes=off"],
        }
    }
}
