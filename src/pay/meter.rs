//! The meter: what reads cost is added up here, and taken from the credit of their payers within a second.
//!
//! A payer can be at most [`UNPAID_READS_MAX`] reads ahead on each server. The meter forgets what it has sent to the
//! database, whatever the outcome: a read may be forgiven, and is never paid twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rand::seq::SliceRandom as _;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::sync::{Notify, oneshot};

use super::limits::UNPAID_READS_MAX;
use super::prices::{Price, Prices};
use crate::db::{CONNECT_TIMEOUT, Database, POOL_SILENCE_MAX, in_time};
use crate::payer::Payer;
use crate::problem::{Code, Problem};
use crate::telemetry::because;

/// How often the price of reads is taken from the credit.
const INTERVAL: Duration = Duration::from_millis(900);
/// Pause before the credit of a payer is tried again whose lock was held.
const PAUSE: Duration = Duration::from_millis(5);
/// Payers of one statement. It holds their locks.
const BATCH_MAX: usize = 100;
/// How long the balance of a payer without calls is remembered.
const KEPT: Duration = Duration::from_secs(60);
/// How long a payer counts as too poor without another look.
const POOR_FOR: Duration = Duration::from_millis(200);
/// How long a read waits for the balance of its payer.
const PATIENCE: Duration = Duration::from_secs(3);
/// From this number of unpaid reads on, their price is taken at once.
const MANY_READS: usize = UNPAID_READS_MAX / 2;

/// What the meter knows of a payer.
struct Account {
    /// The last known balance in each asset. `None`: it was not read yet.
    balances: Option<Box<[i64]>>,
    /// What reads cost that run, in each asset.
    held: Box<[i64]>,
    /// What reads have cost since, in each asset.
    owed: Box<[i64]>,
    /// The number of reads that run.
    running: usize,
    /// The number of reads that have cost it.
    reads: usize,
    used: Instant,
    /// Until when a read is refused without a look at the balance: it was too small a moment ago.
    poor_until: Option<Instant>,
    /// Reads that wait for the balance.
    waiting: Vec<oneshot::Sender<Result<(), Problem>>>,
}

/// Whether a read may run.
enum Admission {
    /// It pays in the asset at this place.
    Paid(usize),
    TooPoor,
    /// The balance must be read first.
    Unknown,
}

impl Account {
    fn new(assets: usize) -> Self {
        let none = || vec![0; assets].into();
        let (held, owed, used) = (none(), none(), Instant::now());
        Self { balances: None, held, owed, running: 0, reads: 0, used, poor_until: None, waiting: Vec::new() }
    }

    /// Holds the price of a read, if the payer has enough credit.
    fn admit(&mut self, price: &Price) -> Admission {
        self.used = Instant::now();
        let Some(balances) = self.balances.as_ref().filter(|_| self.running + self.reads < UNPAID_READS_MAX) else {
            return Admission::Unknown;
        };
        let spent = self.held.iter_mut().zip(&self.owed);
        let amounts = balances.iter().zip(spent).zip(&price.amounts);
        for (place, ((balance, (held, owed)), amount)) in amounts.enumerate() {
            if held.saturating_add(*owed).saturating_add(*amount) <= *balance {
                *held += amount;
                self.running += 1;
                return Admission::Paid(place);
            }
        }
        Admission::TooPoor
    }

    fn owes(&self) -> bool {
        self.owed.iter().any(|owed| *owed > 0)
    }

    /// Whether it must be remembered.
    fn is_used(&self) -> bool {
        self.owes() || self.is_urgent() || self.running > 0 || self.used.elapsed() < KEPT
    }

    /// Whether the meter has to talk to the database about this payer now.
    fn is_urgent(&self) -> bool {
        self.reads >= MANY_READS || !self.waiting.is_empty()
    }
}

type Accounts = HashMap<Payer, Account>;

struct Shared {
    prices: Arc<Prices>,
    accounts: Mutex<Accounts>,
    urgent: Notify,
}

impl Shared {
    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the price of reads.
pub struct Meter {
    shared: Arc<Shared>,
    database: Database,
}

/// The price of a read that runs. A read that is not charged costs nothing.
pub struct Metered {
    shared: Arc<Shared>,
    payer: Payer,
    place: usize,
    amount: i64,
    is_charged: bool,
}

impl Metered {
    /// The asset, as the database names it, and the amount of a price that was admitted.
    pub fn paid_with(&self, price: &Price) -> Option<(String, i64)> {
        price.assets.get(self.place).map(|asset| (asset.clone(), self.amount))
    }

    /// The read has succeeded: its price is owed.
    pub fn charge(mut self) {
        self.is_charged = true;
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        let mut accounts = self.shared.accounts();
        // It is there as long as it holds a price.
        let Some(account) = accounts.get_mut(&self.payer) else { return };
        if let Some(held) = account.held.get_mut(self.place) {
            *held -= self.amount;
        }
        account.running -= 1;
        if let Some(owed) = account.owed.get_mut(self.place).filter(|_| self.is_charged) {
            *owed += self.amount;
            account.reads += 1;
            if account.reads == MANY_READS {
                self.shared.urgent.notify_one();
            }
        }
    }
}

impl Meter {
    /// Starts its task, which ends when the meter is dropped.
    #[must_use]
    pub fn start(database: Database, prices: Arc<Prices>) -> Self {
        let shared = Arc::new(Shared { prices, accounts: Mutex::default(), urgent: Notify::new() });
        if !shared.prices.is_free() {
            tokio::spawn(collect(Collector { database: database.clone(), connection: None }, Arc::downgrade(&shared)));
        }
        Self { shared, database }
    }

    /// Adds up the price of a read.
    ///
    /// # Errors
    /// `payment-required` if the payer has too little credit; `database-unavailable`.
    pub async fn admit(&self, payer: &Payer, price: &Price) -> Result<Metered, Problem> {
        let mut is_fresh = false;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let balance = {
                let mut accounts = self.shared.accounts();
                let account = accounts.entry(payer.clone()).or_insert_with(|| Account::new(price.amounts.len()));
                match account.admit(price) {
                    Admission::Paid(place) => {
                        let amount = price.amounts.get(place).copied().unwrap_or_default();
                        let (shared, payer) = (Arc::clone(&self.shared), payer.clone());
                        return Ok(Metered { shared, payer, place, amount, is_charged: false });
                    }
                    Admission::TooPoor if is_fresh => {
                        account.poor_until = Some(Instant::now() + POOR_FOR);
                        return Err(Problem::new(Code::PaymentRequired));
                    }
                    Admission::TooPoor if account.poor_until.is_some_and(|until| until > Instant::now()) => {
                        return Err(Problem::new(Code::PaymentRequired));
                    }
                    // It may have paid since.
                    Admission::TooPoor | Admission::Unknown => {
                        let (reply, balance) = oneshot::channel();
                        account.waiting.push(reply);
                        balance
                    }
                }
            };
            self.shared.urgent.notify_one();
            match tokio::time::timeout_at(deadline.into(), balance).await {
                Ok(Ok(read)) => read?,
                Ok(Err(_gone)) => return Err(Problem::new(Code::DatabaseUnavailable)),
                Err(_elapsed) => {
                    because("the credit of the payer could not be read in time");
                    return Err(Problem::new(Code::PayerBusy));
                }
            }
            if is_fresh {
                // Too many of its reads run: the balance is known.
                tokio::time::sleep(PAUSE).await;
            }
            is_fresh = true;
        }
    }

    /// The payer has more credit than the meter knows.
    pub fn forget(&self, payer: &Payer) {
        if let Some(account) = self.shared.accounts().get_mut(payer) {
            (account.balances, account.poor_until) = (None, None);
        }
    }

    /// Takes what all reads have cost so far: the server stops.
    pub async fn close(&self) {
        let mut collector = Collector { database: self.database.clone(), connection: None };
        while let Some(has_busy) = collector.round(&self.shared, Account::owes).await {
            if has_busy {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn collect(mut collector: Collector, shared: Weak<Shared>) {
    let mut next = Instant::now() + INTERVAL;
    loop {
        {
            let Some(shared) = shared.upgrade() else { return };
            let _urgent = tokio::time::timeout(INTERVAL.min(next - Instant::now()), shared.urgent.notified()).await;
            if Instant::now() >= next {
                next = Instant::now() + INTERVAL;
                let due = shared.accounts().values().filter(|account| account.owes()).count();
                for _batch in 0..due.div_ceil(BATCH_MAX) {
                    let _tried = collector.round(&shared, |account| account.owes() || account.is_urgent()).await;
                }
                shared.accounts().retain(|_, account| account.is_used());
            }
            // Other payers have their turn, too.
            while Instant::now() < next && collector.round(&shared, Account::is_urgent).await == Some(true) {
                tokio::time::sleep(PAUSE).await;
            }
        }
        tokio::task::yield_now().await;
    }
}

/// What a statement takes from a payer.
struct Taken {
    payer: Payer,
    owed: Box<[i64]>,
    reads: usize,
    waiting: Vec<oneshot::Sender<Result<(), Problem>>>,
}

/// Takes the price of reads, on a connection of its own.
struct Collector {
    database: Database,
    connection: Option<PgConnection>,
}

impl Collector {
    /// Takes what some of the payers owe. `None` if there was none; otherwise whether the lock of one was held.
    async fn round(&mut self, shared: &Shared, is_wanted: impl Fn(&Account) -> bool) -> Option<bool> {
        let taken: Vec<Taken> = {
            let mut accounts = shared.accounts();
            let mut wanted: Vec<_> = accounts.iter_mut().filter(|(_, account)| is_wanted(account)).collect();
            if wanted.len() > BATCH_MAX {
                // In another order each time, so that nobody is always the last.
                wanted.shuffle(&mut rand::rng());
            }
            wanted
                .into_iter()
                .take(BATCH_MAX)
                .map(|(payer, account)| Taken {
                    payer: payer.clone(),
                    owed: std::mem::replace(&mut account.owed, vec![0; shared.prices.assets().len()].into()),
                    reads: std::mem::take(&mut account.reads),
                    waiting: std::mem::take(&mut account.waiting),
                })
                .collect()
        };
        if taken.is_empty() {
            return None;
        }
        let sent = in_time(POOL_SILENCE_MAX, self.send(&shared.prices.assets(), &taken)).await;
        let balances = match sent {
            Ok(balances) => balances,
            Err(error) => {
                self.connection = None;
                self.fail(taken, &error).await;
                return Some(true);
            }
        };
        let count = taken.len();
        let mut has_busy = false;
        for (at, taken) in taken.into_iter().enumerate() {
            let of_payer: Option<Box<[i64]>> = balances.iter().skip(at).step_by(count).copied().collect();
            has_busy |= of_payer.is_none();
            taken.settle(shared, of_payer);
        }
        Some(has_busy)
    }

    async fn take_connection(&mut self) -> sqlx::Result<PgConnection> {
        if let Some(mut connection) = self.connection.take()
            && let Ok(Ok(())) = tokio::time::timeout(CONNECT_TIMEOUT, connection.ping()).await
        {
            return Ok(connection);
        }
        self.database.connect().await
    }

    /// The balances, per asset one for each payer. `None` if the payer's lock was held.
    async fn send(&mut self, assets: &[String], taken: &[Taken]) -> sqlx::Result<Vec<Option<i64>>> {
        let mut connection = self.take_connection().await?;
        let payers: Vec<&str> = taken.iter().map(|taken| taken.payer.as_str()).collect();
        let owes: Vec<bool> = taken.iter().map(|taken| taken.owed.iter().any(|owed| *owed > 0)).collect();
        let of_asset = |place: usize| taken.iter().filter_map(move |taken| taken.owed.get(place).copied());
        let amounts: Vec<i64> = (0..assets.len()).flat_map(of_asset).collect();
        let rows = sqlx::query_scalar("select rpc.debit_reads($1, $2, $3, $4, $5)")
            .bind(payers.first().copied())
            .bind(&payers)
            .bind(owes)
            .bind(assets)
            .bind(amounts)
            .fetch_all(&mut connection)
            .await?;
        self.connection = Some(connection);
        rows.into_iter().next().ok_or(sqlx::Error::RowNotFound)
    }

    /// The outcome is not known: what was sent is forgiven.
    async fn fail(&self, taken: Vec<Taken>, error: &sqlx::Error) {
        let cause = self.database.why(error).await;
        match self.database.away() {
            Some(_) => tracing::debug!(cause, payers = taken.len(), "the price of reads was not taken"),
            None => tracing::warn!(cause, payers = taken.len(), "the price of reads was not taken"),
        }
        for waiting in taken.into_iter().flat_map(|taken| taken.waiting) {
            let _gone = waiting.send(Err(Problem::new(Code::DatabaseUnavailable)));
        }
    }
}

impl Taken {
    /// Notes the balances. Without them, the payer owes the amount again.
    fn settle(self, shared: &Shared, balances: Option<Box<[i64]>>) {
        let mut accounts = shared.accounts();
        let account = accounts.entry(self.payer).or_insert_with(|| Account::new(self.owed.len()));
        match balances {
            Some(balances) => {
                account.balances = Some(balances);
                for waiting in self.waiting {
                    let _gone = waiting.send(Ok(()));
                }
            }
            None => {
                for (owed, amount) in account.owed.iter_mut().zip(&self.owed) {
                    *owed += amount;
                }
                account.reads += self.reads;
                account.waiting.extend(self.waiting);
            }
        }
    }
}
