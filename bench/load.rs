//! What is measured, and what came of it.

/// One kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// pgbench: one upsert of a random payer, in one statement.
    Floor,
    /// A route that answers a constant.
    Constant,
    /// `increment` for 10,000 payers.
    IncrementSpread,
    /// `increment` for one payer.
    IncrementHot,
    /// `getCounter` for 10,000 payers.
    Get,
}

impl Load {
    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor: pgbench, one-statement upsert",
            Self::Constant => "constant route",
            Self::IncrementSpread => "increment, 10,000 payers",
            Self::IncrementHot => "increment, one payer",
            Self::Get => "getCounter, 10,000 payers",
        }
    }
}

/// CPU used, in cores.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    pub server: f64,
    pub postgres: f64,
    /// Everything else on the machine: the load generator, mostly.
    pub other: f64,
}

/// What one round measured.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub cpu: Cpu,
}

/// One load at one number of connections.
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
            p99_ms: of(|sample| sample.p99_ms),
            cpu: Cpu {
                server: of(|sample| sample.cpu.server),
                postgres: of(|sample| sample.cpu.postgres),
                other: of(|sample| sample.cpu.other),
            },
        }
    }
}
