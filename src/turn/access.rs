//! What a call may do, and where it runs.

/// Whether a call writes. A write holds its payer's lock, a read takes no lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Under the payer's lock.
    Write,
    /// Without a lock, in a read-only transaction.
    Read,
}

/// Where a call runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batching {
    /// In a lane, together with other calls: for fast calls.
    Batched,
    /// On a connection of the pool, alone: for slow reads and for long work of the sweeper.
    Apart,
}

/// The sender of a call. Each kind has a share of its own in the lane of the payer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The payer.
    Payer,
    /// A caller who acts for the payer.
    Grantee,
    /// A visitor of a link. Visitors have no token.
    Visitor,
    /// The sweeper.
    Sweeper,
}

impl Origin {
    pub(super) const ALL: [Self; 4] = [Self::Payer, Self::Grantee, Self::Visitor, Self::Sweeper];
}

/// Which calls of an inbox a task runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// Light calls, in batches.
    Light,
    /// Heavy calls, one at a time.
    Heavy,
}
