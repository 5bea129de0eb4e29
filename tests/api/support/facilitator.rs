//! A stub facilitator: it speaks the real protocol over HTTP on a loopback port, and settles on a stub chain in memory.
//!
//! It recovers the signers of payments itself, and answers with the codes of the reference facilitator (`@x402/core`
//! 2.27.0). A test switches faults on in it. The same port also serves the chain: JSON-RPC at `/rpc`, and the API of
//! Stacks at `/stacks`. A test that stops the facilitator while the chain goes on starts a second stub on the chain.

mod chain;
mod fault;
mod ledger;
mod routes;
mod rpc;
mod server;
mod settle;
mod stacks_api;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use super::evm;
use routes::Shared;
use server::Running;
use settle::Settler;

pub use chain::StubChain;
pub use fault::Fault;

/// How many facilitators were started. Each has its own signer.
static COUNT: AtomicU64 = AtomicU64::new(1);

/// A stub facilitator. It ends when it is dropped.
pub struct StubFacilitator {
    /// `http://127.0.0.1:<port>`.
    pub url: String,
    /// The chain on which it settles.
    pub chain: Arc<StubChain>,
    address: SocketAddr,
    shared: Arc<Shared>,
    /// `None` while it is stopped.
    running: Option<Running>,
}

impl StubFacilitator {
    /// Starts a facilitator on a new chain with the id of Base Sepolia.
    pub fn start() -> Self {
        Self::on(StubChain::new(84_532), None)
    }

    /// Starts a facilitator on a chain. With a header, its name and value, it answers 401 to requests without it.
    pub fn on(chain: Arc<StubChain>, header: Option<(&str, &str)>) -> Self {
        let signer = evm::prefixed(&evm::word(&COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes())[12..]);
        let shared = Arc::new(Shared {
            settler: Settler::new(Arc::clone(&chain), signer),
            header: header.map(|(name, value)| (name.to_owned(), value.to_owned())),
            faults: Default::default(),
            asked: watch::Sender::default(),
            verified: watch::Sender::default(),
            followed: watch::Sender::default(),
            released: watch::Sender::default(),
        });
        let running = Running::start(SocketAddr::from(([127, 0, 0, 1], 0)), &shared);
        let address = running.address;
        Self { url: format!("http://{address}"), chain, address, shared, running: Some(running) }
    }

    /// URL of the chain's JSON-RPC.
    pub fn rpc_url(&self) -> String {
        format!("{}/rpc", self.url)
    }

    /// URL of the chain's API of Stacks.
    pub fn stacks_url(&self) -> String {
        format!("{}/stacks", self.url)
    }

    /// Ends the server, its connections and its settlements at once. The chain goes on.
    pub async fn stop(&mut self) {
        self.running.take().expect("a running facilitator").kill().await;
        self.shared.settler.forget();
    }

    /// Starts the stopped server again, on the same port.
    pub fn restart(&mut self) {
        assert!(self.running.is_none(), "the facilitator is stopped");
        self.running = Some(Running::start(self.address, &self.shared));
    }

    /// Switches a fault on for the next settlements, after those faults that wait already.
    pub fn fail_next(&self, count: usize, fault: Fault) {
        self.shared.faults.lock().unwrap().push(count, &fault);
    }

    /// Switches a fault on until [`Self::heal`].
    pub fn fail(&self, fault: Fault) {
        self.shared.faults.lock().unwrap().set(fault);
    }

    /// Switches all faults off. Settlements that hang go on hanging.
    pub fn heal(&self) {
        self.shared.faults.lock().unwrap().clear();
    }

    /// Lets all settlements that hang go on.
    pub fn release(&self) {
        self.shared.released.send_modify(|count| *count += 1);
    }

    /// Bodies of the requests to `POST /settle`, in order. Those that get 401 or a fault are among them.
    pub fn asked(&self) -> Vec<String> {
        self.shared.asked.borrow().clone()
    }

    /// Waits until so many requests to `POST /settle` have come.
    pub async fn until_asked(&self, count: usize) {
        let mut asked = self.shared.asked.subscribe();
        let asked = asked.wait_for(|asked| asked.len() >= count);
        tokio::time::timeout(chain::PATIENCE, asked).await.expect("requests to the stub facilitator").unwrap();
    }

    /// How many payments it has settled: transactions that it sent and that moved money.
    pub fn settled(&self) -> usize {
        self.chain.settled_by(&self.shared.settler.signer)
    }

    /// Waits until it has settled so many payments.
    pub async fn until_settled(&self, count: usize) {
        self.chain.until_settled_by(&self.shared.settler.signer, count).await;
    }

    /// How many requests to `POST /verify` have come.
    pub fn verified(&self) -> usize {
        *self.shared.verified.borrow()
    }

    /// How many requests followed a redirect of [`Fault::Redirect`].
    pub fn followed(&self) -> usize {
        *self.shared.followed.borrow()
    }
}
