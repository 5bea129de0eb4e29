//! The loads and their results.

/// A kind of load. "Spread" loads have 10,000 payers, "hot" loads have one payer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// pgbench: one upsert of a random payer's row, in one statement.
    Floor,
    /// A route with a constant answer.
    Constant,
    IncrementSpread,
    IncrementHot,
    Get,
    /// A visit of a link, which records a click.
    Redirect,
    RedirectHot,
    /// `acquireLock` and `releaseLock`, alternating.
    Locks,
    Push,
    PushHot,
    /// `pushJobs` with a hundred jobs.
    PushBatch,
    /// `popJob` and `completeJob`, alternating.
    Work,
    WorkHot,
    /// `pushJob`, `popJob` and `completeJob`, alternating, for minutes.
    Cycle,
    /// `popJob` from queues of 1,000 pending jobs.
    PopThousand,
    /// `popJob` from a queue of 1,000,000 pending jobs.
    PopMillion,
    /// `transact` with five increments.
    Transact,
    /// `searchMemories` by vector, for one payer.
    Search,
    /// `storeMemory` with a vector, for many payers.
    Store,
    /// `querySql` of one row.
    Query,
    /// `executeSql`, which inserts one row.
    Insert,
    /// `getCounter` and `increment` of the payers with databases.
    GetThousand,
    IncrementThousand,
}

impl Load {
    pub const ALL: [Self; 16] = [
        Self::Floor,
        Self::Constant,
        Self::IncrementSpread,
        Self::IncrementHot,
        Self::Get,
        Self::Redirect,
        Self::RedirectHot,
        Self::Locks,
        Self::Push,
        Self::PushHot,
        Self::PushBatch,
        Self::Work,
        Self::WorkHot,
        Self::PopThousand,
        Self::PopMillion,
        Self::Transact,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor: pgbench, one-statement upsert",
            Self::Constant => "constant route",
            Self::IncrementSpread => "increment, 10,000 payers",
            Self::IncrementHot => "increment, one payer",
            Self::Get => "getCounter, 10,000 payers",
            Self::Redirect => "redirect, 10,000 links",
            Self::RedirectHot => "redirect, one link",
            Self::Locks => "acquireLock and releaseLock, 10,000 payers",
            Self::Push => "pushJob, 10,000 payers",
            Self::PushHot => "pushJob, one queue",
            Self::PushBatch => "pushJobs of 100, 10,000 payers",
            Self::Work => "popJob and completeJob, 10,000 payers",
            Self::WorkHot => "popJob and completeJob, one queue",
            Self::Cycle => "pushJob, popJob and completeJob, 10,000 payers",
            Self::PopThousand => "popJob, one payer, queues of 1,000",
            Self::PopMillion => "popJob, one payer, a queue of 1,000,000",
            Self::Transact => "transact of 5 increments, 10,000 payers",
            Self::Search => "searchMemories by vector",
            Self::Store => "storeMemory with a vector",
            Self::Query => "querySql of one row, 1,000 payers",
            Self::Insert => "executeSql, inserts one row, 1,000 payers",
            Self::GetThousand => "getCounter, 1,000 payers",
            Self::IncrementThousand => "increment, 1,000 payers",
        }
    }

    /// The numbers of connections of its cells.
    pub fn connections(self) -> &'static [usize] {
        match self {
            Self::Floor => &[1, 16, 32, 64, 256],
            Self::Constant | Self::IncrementSpread | Self::IncrementHot | Self::Get => &[1, 16, 64, 256],
            Self::Redirect | Self::Locks | Self::Push | Self::Work | Self::Transact => &[1, 64],
            Self::RedirectHot
            | Self::PushHot
            | Self::PushBatch
            | Self::WorkHot
            | Self::Cycle
            | Self::PopThousand
            | Self::PopMillion
            | Self::Search
            | Self::Store
            | Self::Query
            | Self::Insert
            | Self::GetThousand
            | Self::IncrementThousand => &[64],
        }
    }
}

/// The results of one round.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub per_second: f64,
    pub p50_ms: f64,
    /// NaN for a script that does not print it.
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub cpu: Cpu,
}

/// CPU use, in cores.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    pub server: f64,
    pub postgres: f64,
    /// The rest of the machine, mostly the load generator.
    pub other: f64,
}

/// A load with a number of connections.
pub struct Cell {
    pub load: Load,
    pub connections: usize,
    pub samples: Vec<Sample>,
}

impl Cell {
    pub fn new(load: Load, connections: usize) -> Self {
        Self { load, connections, samples: Vec::new() }
    }

    /// The median of each measure over the rounds.
    pub fn median(&self) -> Sample {
        let of = |measure: fn(&Sample) -> f64| {
            let mut values: Vec<f64> = self.samples.iter().map(measure).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
        };
        Sample {
            per_second: of(|sample| sample.per_second),
            p50_ms: of(|sample| sample.p50_ms),
            p95_ms: of(|sample| sample.p95_ms),
            p99_ms: of(|sample| sample.p99_ms),
            cpu: Cpu {
                server: of(|sample| sample.cpu.server),
                postgres: of(|sample| sample.cpu.postgres),
                other: of(|sample| sample.cpu.other),
            },
        }
    }
}
