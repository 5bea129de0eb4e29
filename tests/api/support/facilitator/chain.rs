//! The stub chain: blocks, transactions that wait for one, and what a test can do to it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use super::super::evm::{self, Authorization};
use super::super::wallet::machine_time;
use super::ledger::{Ledger, Log, Revert, Transaction};

/// Number of the first block. A query from block 0 is as long as on a real chain.
const FIRST_BLOCK: u64 = 20_000_000;
/// How long a test waits for the chain or the facilitator.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The clock of the chain and its facilitators.
enum Clock {
    /// Seconds after the time of the machine.
    Offset(i64),
    /// Seconds since 1970.
    Stopped(u64),
}

/// A transaction that waits for a block.
#[derive(Clone)]
pub struct Sent {
    /// Its hash. On Stacks without `0x`.
    pub hash: String,
    /// Address of the sender. It pays the fee, and need not be the payer.
    pub sender: String,
    pub transaction: Transaction,
    /// Whether it waits for [`StubChain::mine`] even while blocks are made automatically.
    is_held: bool,
}

/// A transaction in a block.
#[derive(Clone)]
pub struct Mined {
    pub sent: Sent,
    pub block: u64,
    /// Its place in the block.
    pub place: u64,
    pub result: Result<Vec<Log>, Revert>,
}

/// When a transaction gets its block.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mining {
    /// At once, unless a test makes the blocks.
    Automatic,
    /// When a test makes a block.
    Held,
}

/// All that the chain stores.
pub struct State {
    pub ledger: Ledger,
    /// Time of each block, from [`FIRST_BLOCK`].
    times: Vec<u64>,
    mined: Vec<Mined>,
    /// Places in `mined`, by hash.
    places: HashMap<String, usize>,
    waiting: Vec<Sent>,
    clock: Clock,
    is_automatic: bool,
    is_out: bool,
    sent_count: u64,
    /// Addresses in lower case that have delegated to a contract.
    delegated: Vec<String>,
}

impl State {
    /// Whether an account has delegated to a contract. The address is in lower case.
    pub fn has_delegated(&self, address: &str) -> bool {
        self.delegated.iter().any(|delegated| delegated == address)
    }

    /// Number of the last block.
    pub fn head(&self) -> u64 {
        FIRST_BLOCK + u64::try_from(self.times.len() - 1).unwrap()
    }

    /// Time of a block. `None` if it does not exist.
    pub fn time_of(&self, block: u64) -> Option<u64> {
        self.times.get(usize::try_from(block.checked_sub(FIRST_BLOCK)?).unwrap()).copied()
    }

    /// All transactions in blocks, in order.
    pub fn mined(&self) -> &[Mined] {
        &self.mined
    }

    pub fn transaction(&self, hash: &str) -> Option<&Mined> {
        self.places.get(hash).map(|place| &self.mined[*place])
    }

    /// All transactions that wait for a block, in order.
    pub fn waiting(&self) -> &[Sent] {
        &self.waiting
    }

    fn now(&self) -> u64 {
        match self.clock {
            Clock::Offset(seconds) => machine_time().checked_add_signed(seconds).unwrap(),
            Clock::Stopped(time) => time,
        }
    }

    /// Makes a block of the transactions that `is_next` chooses.
    fn make_block(&mut self, is_next: impl Fn(&Sent) -> bool) {
        let time = self.now();
        self.times.push(time);
        let (next, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting).into_iter().partition(is_next);
        self.waiting = waiting;
        for (place, sent) in (0..).zip(next) {
            let result = self.ledger.execute(&sent.transaction, time);
            self.places.insert(sent.hash.clone(), self.mined.len());
            self.mined.push(Mined { sent, block: self.head(), place, result });
        }
    }
}

/// A stub of an EVM chain and of both networks of Stacks, in memory. Stub facilitators settle on it.
pub struct StubChain {
    /// Id of the EVM chain.
    pub chain_id: u64,
    state: Mutex<State>,
    /// Counts transactions and blocks, for those who wait for one.
    changes: watch::Sender<u64>,
}

impl StubChain {
    /// An empty chain. It knows USDC of Base and of Base Sepolia.
    pub fn new(chain_id: u64) -> Arc<Self> {
        let state = State {
            ledger: Ledger::new(chain_id),
            times: vec![machine_time()],
            mined: Vec::new(),
            places: HashMap::new(),
            waiting: Vec::new(),
            clock: Clock::Offset(0),
            is_automatic: true,
            is_out: false,
            sent_count: 0,
            delegated: Vec::new(),
        };
        Arc::new(Self { chain_id, state: Mutex::new(state), changes: watch::Sender::new(0) })
    }

    /// The CAIP-2 id of the EVM chain.
    pub fn network(&self) -> String {
        format!("eip155:{}", self.chain_id)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Reads the chain. While blocks are made automatically, the last one has the time of the clock.
    pub fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        let mut state = self.state();
        if state.is_automatic && state.time_of(state.head()) != Some(state.now()) {
            state.make_block(|_waiting| false);
        }
        read(&state)
    }

    /// Gives an account an amount of an asset.
    pub fn mint(&self, address: &str, asset: &str, amount: u128) {
        self.state().ledger.mint(address, asset, amount);
    }

    /// What an account has of an asset.
    pub fn balance_of(&self, address: &str, asset: &str) -> u128 {
        self.state().ledger.balance(address, asset)
    }

    /// The payer cancels an authorization. The asset, the payer and the nonce begin with `0x`.
    pub fn cancel_authorization(&self, asset: &str, payer: &str, nonce: &str) -> String {
        let [asset, payer] = [asset, payer].map(|address| evm::bytes(address).unwrap());
        let cancel = Transaction::Cancel { asset, payer, nonce: evm::bytes(nonce).unwrap() };
        self.send(cancel, &evm::prefixed(payer), Mining::Automatic)
    }

    /// A stranger sends the authorization of a payment, as a front-runner does. Returns the hash of the transaction.
    pub fn settle_by_stranger(&self, payment: &Value) -> String {
        let payload = &payment["payload"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let transfer = Transaction::Transfer {
            asset: evm::bytes(&text(&payment["accepted"]["asset"])).unwrap(),
            authorization: Authorization::read(&payload["authorization"]).unwrap(),
            signature: evm::bytes(&text(&payload["signature"])).unwrap(),
        };
        self.send(transfer, &evm::prefixed([0x57; 20]), Mining::Automatic)
    }

    /// Turns automatic blocks on or off. Without them, transactions wait for [`Self::mine`].
    pub fn set_automine(&self, is_automatic: bool) {
        self.state().is_automatic = is_automatic;
        if is_automatic {
            self.mine();
        }
    }

    /// Makes a block of all transactions that wait for one.
    pub fn mine(&self) {
        self.make_block(|_waiting| true);
    }

    /// Lets an account delegate to a contract (EIP-7702).
    pub fn delegate(&self, address: &str) {
        self.state().delegated.push(address.to_lowercase());
    }

    /// Lets JSON-RPC and the API of Stacks answer 503, or no longer.
    pub fn set_rpc_outage(&self, is_out: bool) {
        self.state().is_out = is_out;
    }

    /// Whether [`Self::set_rpc_outage`] is on.
    pub fn is_out(&self) -> bool {
        self.state().is_out
    }

    /// Sets the clock of the chain and its facilitators to seconds after the time of the machine.
    pub fn set_clock_offset(&self, seconds: i64) {
        self.state().clock = Clock::Offset(seconds);
    }

    /// Stops the clock of the chain and its facilitators at seconds since 1970.
    pub fn stop_clock(&self, time: u64) {
        self.state().clock = Clock::Stopped(time);
    }

    /// The time of the clock, in seconds since 1970.
    pub fn now(&self) -> u64 {
        self.state().now()
    }

    /// Whether a transaction would do something now.
    pub fn check(&self, transaction: &Transaction) -> Result<(), Revert> {
        let state = self.state();
        state.ledger.check(transaction, state.now())
    }

    /// Sends a transaction to the chain. Returns its hash.
    pub fn send(&self, transaction: Transaction, sender: &str, mining: Mining) -> String {
        let hash = {
            let mut state = self.state();
            state.sent_count += 1;
            evm::prefixed(evm::keccak(&[b"stub transaction", &state.sent_count.to_be_bytes()]))
        };
        self.send_as(hash, transaction, sender, mining)
    }

    /// Sends a transaction that has a hash already. A second one with this hash is not sent.
    pub fn send_as(&self, hash: String, transaction: Transaction, sender: &str, mining: Mining) -> String {
        let is_mined = {
            let mut state = self.state();
            let is_held = mining == Mining::Held;
            if !state.places.contains_key(&hash) && state.waiting.iter().all(|sent| sent.hash != hash) {
                let sender = sender.to_owned();
                state.waiting.push(Sent { hash: hash.clone(), sender, transaction, is_held });
            }
            state.is_automatic && !is_held
        };
        self.changes.send_modify(|count| *count += 1);
        if is_mined {
            self.make_block(|sent| !sent.is_held);
        }
        hash
    }

    /// Makes a block of one transaction, if it waits for one, after a time.
    pub fn mine_after(self: &Arc<Self>, hash: String, delay: Duration) {
        let chain = Arc::clone(self);
        std::thread::spawn(move || {
            std::thread::sleep(delay);
            chain.make_block(|sent| sent.hash == hash);
        });
    }

    fn make_block(&self, is_next: impl Fn(&Sent) -> bool) {
        self.state().make_block(is_next);
        self.changes.send_modify(|count| *count += 1);
    }

    /// Waits until a transaction is in a block.
    pub async fn executed(&self, hash: &str) -> Result<(), Revert> {
        let mut changes = self.changes.subscribe();
        loop {
            if let Some(mined) = self.state().transaction(hash) {
                return mined.result.clone().map(drop);
            }
            changes.changed().await.unwrap();
        }
    }

    /// How many transactions of a sender moved money.
    pub fn settled_by(&self, sender: &str) -> usize {
        let is_settled = |mined: &&Mined| mined.sent.sender == sender && mined.result.is_ok();
        self.state().mined().iter().filter(is_settled).count()
    }

    /// Waits until so many transactions of a sender have moved money.
    pub async fn until_settled_by(&self, sender: &str, count: usize) {
        self.until(|| self.settled_by(sender) >= count).await;
    }

    /// Waits until so many transactions wait for a block.
    pub async fn until_waiting(&self, count: usize) {
        self.until(|| self.state().waiting.len() >= count).await;
    }

    async fn until(&self, is_reached: impl Fn() -> bool) {
        let mut changes = self.changes.subscribe();
        let reached = async {
            while !is_reached() {
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.expect("transactions on the stub chain");
    }
}
