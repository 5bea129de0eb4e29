//! A server that is paid, and those who pay.

use std::sync::Arc;
use std::time::Duration;

use payerbase::app::Settings;
use payerbase::auth::Scope;
use payerbase::chain::Chain;
use payerbase::facilitator::{self, Authentication, Facilitator};
use payerbase::pay::{AssetPrices, accounts, faults};
use payerbase::payments::{PaidNetwork, PaymentSettings};
use payerbase::wallet::Network;
use payerbase::x402::{Asset, Domain};
use serde_json::Value;

use super::wallet::from_header;
use super::{Answer, Caller, PayingWallet, StubFacilitator, Terms, TestApp, TestDatabase};

pub const USDC: &str = "0x036CbD53842c5426634e7929541eC2318f3dCF7e";
/// The recipient on EVM chains.
pub const PAY_TO: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
const BASE: Network = Network::Evm { chain_id: 84_532 };
const STACKS_PAY_TO: &str = "ST1PQHQKV0RJXZFY1DGX8MNSNYVE3VGZJSRTPGZGM";
/// The price of a write, and the least payment.
pub const WRITE: i64 = 200;
pub const MINIMUM: i64 = 1_000;

/// A server that is paid through a stub facilitator.
pub struct Shop {
    pub app: TestApp,
    pub stub: StubFacilitator,
}

fn network(asset: Asset, pay_to: &str, facilitator: &str, chain: &str) -> PaidNetwork {
    let settings = facilitator::Settings { url: facilitator.parse().unwrap(), authentication: Authentication::None };
    PaidNetwork {
        chain: Chain::new(asset.network(), chain.parse().unwrap(), 0).unwrap(),
        prices: AssetPrices { asset, read: 100, write: WRITE, ai: 5_000 },
        pay_to: pay_to.parse().unwrap(),
        minimum: MINIMUM,
        facilitator: Facilitator::new(settings).unwrap(),
    }
}

/// USDC on Base Sepolia.
pub fn base(facilitator: &str, rpc: &str) -> PaidNetwork {
    let domain = Domain { name: "USDC".to_owned(), version: "2".to_owned() };
    network(Asset::new(BASE, USDC, Some(domain)).unwrap(), PAY_TO, facilitator, rpc)
}

/// STX on the test network of Stacks.
pub fn stacks(facilitator: &str, api: &str) -> PaidNetwork {
    network(Asset::new(Network::StacksTest, "STX", None).unwrap(), STACKS_PAY_TO, facilitator, api)
}

/// A server that is paid on these networks.
pub fn paid_app(database: TestDatabase, networks: Vec<PaidNetwork>) -> TestApp {
    set_paid_app(database, networks, |_unchanged| {})
}

/// The same, with other settings.
pub fn set_paid_app(database: TestDatabase, networks: Vec<PaidNetwork>, change: impl FnOnce(&mut Settings)) -> TestApp {
    let payments = PaymentSettings { networks: networks.into(), has_bazaar: false };
    TestApp::set(database, |settings| {
        settings.calls.prices = Arc::new(payments.prices());
        settings.payments = payments;
        change(settings);
    })
}

/// What has come from networks, as the ledger says. Its sums are right.
pub async fn came(app: &TestApp) -> u128 {
    let mut admin = app.database.admin().await;
    assert_eq!(faults(&mut admin).await.unwrap(), []);
    let accounts = accounts(&mut admin).await.unwrap();
    assert_eq!(accounts.iter().map(|account| account.amount.parse::<i128>().unwrap()).sum::<i128>(), 0);
    let of_networks = accounts.iter().filter(|account| account.name == "network");
    of_networks.map(|account| u128::try_from(-account.amount.parse::<i128>().unwrap()).unwrap()).sum()
}

impl Shop {
    pub async fn open() -> Self {
        let stub = StubFacilitator::start();
        let app = paid_app(TestDatabase::own().await, vec![base(&stub.url, &stub.rpc_url())]);
        Self { app, stub }
    }

    /// Another server on the same database.
    pub fn another(&self) -> TestApp {
        paid_app(self.app.database.clone(), vec![base(&self.stub.url, &self.stub.rpc_url())])
    }

    /// Another server on the same database, with the same public URL.
    pub fn replica(&self) -> TestApp {
        let networks = vec![base(&self.stub.url, &self.stub.rpc_url())];
        set_paid_app(self.app.database.clone(), networks, |settings| {
            settings.public_url = Some(self.app.url.parse().unwrap());
        })
    }

    /// A wallet with money.
    pub fn wallet(&self) -> PayingWallet {
        let wallet = PayingWallet::from_seed(rand::random());
        self.stub.chain.mint(&wallet.address(), USDC, 10_000_000);
        wallet
    }

    /// A client without a token.
    pub async fn stranger(&self) -> Caller {
        Caller { token: None, ..self.app.caller().await }
    }

    /// A client with a token of a wallet.
    pub async fn signed_in(&self, wallet: &PayingWallet) -> Caller {
        let payer = wallet.address().parse().unwrap();
        let token = self.app.token(&payer, &[Scope::Everything], Duration::from_secs(600)).await;
        Caller { payer, token: Some(token), ..self.app.caller().await }
    }

    /// The money on the chain is the credit that came.
    pub async fn assert_ledger_is_sound(&self) {
        assert_eq!(came(&self.app).await, self.stub.chain.balance_of(PAY_TO, USDC));
    }
}

/// The offers of an answer.
pub fn required(answer: &Answer) -> Value {
    from_header(answer.headers["payment-required"].to_str().unwrap())
}

pub fn receipt(answer: &Answer) -> Value {
    from_header(answer.headers["payment-response"].to_str().unwrap())
}

/// A request that is paid.
pub async fn pay(caller: &Caller, wallet: &PayingWallet, terms: &Terms, path: &str, body: Value) -> (String, Answer) {
    let unpaid = caller.post(path, body.clone()).await;
    let required = required(&unpaid);
    let header = wallet.pay(&required, &required["accepts"][0], terms);
    let answer = with(caller, &header).post(path, body).await;
    (header, answer)
}

/// The caller, with a payment.
pub fn with(caller: &Caller, header: &str) -> Caller {
    let mut caller = caller.clone();
    caller.headers.insert("payment-signature", header.parse().unwrap());
    caller
}
