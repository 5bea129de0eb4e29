//! Payments on a real chain with the reference facilitator: blocks that are late, payers that cancel, strangers that
//! are faster, servers that are killed, and many payments at once. What the recipient has received is credit.

use std::path::Path;
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use futures_util::future::join_all;
use payerbase::auth::Scope;
use rand::RngExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use crate::clients::{RealChain, run};
use crate::dev::{PROGRAM, command_of, database_url, folder};
use crate::support::shop::{MINIMUM, PAY_TO, WRITE, base, came, paid_app, pay, receipt, required, with};
use crate::support::wallet::from_header;
use crate::support::{Caller, PayingWallet, Terms, TestApp, TestDatabase};

const INCREMENT: &str = "/v1/counters/a/increment";
/// The key of the payer of the chain, its first account. It has money, and the chain can cancel what it has signed.
const PAYER_KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
/// The least payment, as the chain and the ledger count it.
const LEAST: u128 = 1_000;
const WALLETS: usize = 8;

/// How many payments the last test makes. A release is tested with 200:
/// `PAYERBASE_TEST_CHAIN_PAYMENTS=200 cargo test --test api real_chain -- --ignored`.
fn payments() -> usize {
    std::env::var("PAYERBASE_TEST_CHAIN_PAYMENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(40)
}

fn payer() -> PayingWallet {
    PayingWallet::from_key(&hex::decode(PAYER_KEY).unwrap().try_into().unwrap())
}

/// A client without a token.
async fn stranger(app: &TestApp) -> Caller {
    Caller { token: None, ..app.caller().await }
}

/// A payment for a request that has not been sent.
async fn signed(stranger: &Caller, wallet: &PayingWallet, path: &str) -> String {
    let offer = required(&stranger.post(path, json!({})).await);
    wallet.pay(&offer, &offer["accepts"][0], &Terms::default())
}

/// Waits until the facilitator has sent a transaction, which waits for a block.
async fn until_sent(app: &TestApp, chain: &RealChain) {
    let question = json!({"jsonrpc": "2.0", "id": 1, "method": "txpool_status", "params": []});
    app.until(async || {
        let answer = app.client.post(&chain.rpc).json(&question).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["result"]["pending"] == "0x1"
    })
    .await;
}

/// How many settlements the facilitator was asked for.
async fn asked(chain: &mut RealChain) -> u64 {
    chain.tell("requests").await["settle"].as_u64().unwrap()
}

async fn assert_is_one_transfer(chain: &mut RealChain, transaction: &Value) {
    let mined = chain.tell(&format!("receipt {}", transaction.as_str().unwrap())).await;
    assert_eq!((&mined["status"], mined["transfers"].as_array().unwrap().len()), (&json!("success"), 1), "{mined}");
}

/// What the recipient has received is credit.
async fn assert_ledger_is_sound(app: &TestApp, chain: &mut RealChain, received: u128) {
    assert_eq!((chain.received().await, came(app).await), (received, received));
}

#[tokio::test]
#[ignore = "needs Node, and the packages of tests/clients"]
async fn a_call_of_the_official_client_waits_for_the_block_of_its_payment() {
    let mut chain = RealChain::start().await;
    let app = chain.shop().await;
    chain.tell("automine off").await;
    let url = format!("{}{INCREMENT}", app.url);
    let arguments = [url.as_str(), "POST", "{}"];
    let mut paying = pin!(run(&app, "pay.mjs", include_str!("../clients/pay.mjs"), &arguments));
    tokio::select! {
        answer = &mut paying => panic!("an answer without a block: {answer}"),
        () = until_sent(&app, &chain) => {}
    }
    assert_ledger_is_sound(&app, &mut chain, 0).await;
    chain.tell("mine").await;
    let answer: Value = serde_json::from_str(&paying.await).unwrap();
    assert_eq!((&answer["status"], &answer["body"]["value"]), (&json!(200), &json!(1)), "{answer}");
    assert_is_one_transfer(&mut chain, &answer["paymentResponse"]["transaction"]).await;
    assert_eq!(asked(&mut chain).await, 1);
    assert_ledger_is_sound(&app, &mut chain, LEAST).await;
}

#[tokio::test]
#[ignore = "needs Node, and the packages of tests/clients"]
async fn a_payment_that_its_payer_cancels_on_the_chain_buys_nothing() {
    let mut chain = RealChain::start().await;
    let app = chain.shop().await;
    let (wallet, stranger) = (payer(), stranger(&app).await);
    for is_sent in [false, true] {
        let header = signed(&stranger, &wallet, INCREMENT).await;
        let payment = from_header(&header);
        let cancel = format!("cancel 0 {}", payment["payload"]["authorization"]["nonce"].as_str().unwrap());
        let buyer = with(&stranger, &header);
        let answer = if is_sent {
            chain.tell("automine off").await;
            let meanwhile = async {
                until_sent(&app, &chain).await;
                chain.tell(&cancel).await;
                chain.tell("automine on").await;
            };
            tokio::join!(buyer.post(INCREMENT, json!({})), meanwhile).0
        } else {
            assert_eq!(chain.tell(&cancel).await["status"], "success");
            buyer.post(INCREMENT, json!({})).await
        };
        assert_eq!(receipt(&answer)["success"], false);
        let problem = answer.problem(402, "payment-invalid");
        assert!(problem["detail"].as_str().unwrap().contains("the payer has canceled the payment"), "{problem}");
        // It stays so, and one that was canceled before it came is not sent to the facilitator.
        buyer.post(INCREMENT, json!({})).await.problem(402, "payment-invalid");
        assert_eq!(asked(&mut chain).await, u64::from(is_sent));
        assert_ledger_is_sound(&app, &mut chain, 0).await;
    }
    let (_, answer) = pay(&stranger, &wallet, &Terms::default(), INCREMENT, json!({})).await;
    assert_eq!(answer.ok()["value"], 1, "nothing was served before");
    assert_ledger_is_sound(&app, &mut chain, LEAST).await;
}

#[tokio::test]
#[ignore = "needs Node, and the packages of tests/clients"]
async fn a_payment_that_a_stranger_broadcasts_is_one_transfer_and_one_effect() {
    let mut chain = RealChain::start().await;
    let app = chain.shop().await;
    let (wallet, stranger) = (payer(), stranger(&app).await);
    // While the facilitator settles it, a stranger is faster.
    let header = signed(&stranger, &wallet, INCREMENT).await;
    let buyer = with(&stranger, &header);
    chain.tell("automine off").await;
    let meanwhile = async {
        until_sent(&app, &chain).await;
        let theirs = chain.tell(&format!("frontrun {header}")).await;
        chain.tell("automine on").await;
        theirs
    };
    let (answer, theirs) = tokio::join!(buyer.post(INCREMENT, json!({})), meanwhile);
    let receipt = receipt(&answer);
    assert_eq!((&receipt["success"], &receipt["transaction"]), (&json!(true), &theirs["hash"]), "{theirs}");
    assert_is_one_transfer(&mut chain, &theirs["hash"]).await;
    assert_eq!(answer.ok()["value"], 1);
    assert_eq!(buyer.post(INCREMENT, json!({})).await.ok()["value"], 1);
    assert_eq!(asked(&mut chain).await, 1);
    assert_ledger_is_sound(&app, &mut chain, LEAST).await;
    // Before it comes, it is a transfer like any other: nobody can act as its payer, and it is not credit.
    let header = signed(&stranger, &wallet, INCREMENT).await;
    assert_eq!(chain.tell(&format!("frontrun {header}")).await["status"], "success");
    with(&stranger, &header).post(INCREMENT, json!({})).await.problem(409, "payment-used");
    assert_eq!(asked(&mut chain).await, 1);
    assert_eq!((chain.received().await, came(&app).await), (2 * LEAST, LEAST));
    let (_, answer) = pay(&stranger, &wallet, &Terms::default(), INCREMENT, json!({})).await;
    assert_eq!(answer.ok()["value"], 2, "nothing was served for the transfer");
    assert_eq!((chain.received().await, came(&app).await), (3 * LEAST, 2 * LEAST));
}

/// A process of `payerbase serve` that is paid on a chain. It is killed when it is dropped.
struct Server {
    process: Child,
    url: String,
    /// It must stay open, because the server writes to it.
    _log: Lines<BufReader<ChildStderr>>,
}

impl Server {
    async fn start(chain: &RealChain, database: &TestDatabase) -> Self {
        let folder = folder();
        let file = folder.path().join("payments.json");
        let network = json!({
            "network": "eip155:84532", "asset": "USDC", "payTo": PAY_TO, "minimum": MINIMUM,
            "prices": {"read": 100, "write": WRITE, "ai": 5_000},
            "facilitator": {"url": chain.facilitator}, "rpcUrl": chain.rpc,
        });
        std::fs::write(&file, json!({"networks": [network]}).to_string()).unwrap();
        let mut command = Command::from(command_of(Path::new(PROGRAM), &["serve", "--port", "0"]));
        command.env("DATABASE_URL", database_url(&database.app)).env("PAYERBASE_PAYMENTS", &file);
        command.env("PAYERBASE_LOG", "error,payerbase::config=info").stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        loop {
            let line = log.next_line().await.unwrap().expect("the server starts");
            let Some((_, address)) = line.split_once(" address=") else { continue };
            let url = format!("http://{}", address.split(' ').next().unwrap());
            return Self { process, url, _log: log };
        }
    }
}

/// A server that will be killed, another one on its database, and a payment for the first one.
async fn two_servers(chain: &RealChain) -> (Server, TestApp, Caller, String) {
    let database = TestDatabase::own().await;
    let killed = Server::start(chain, &database).await;
    let app = paid_app(database, vec![base(&chain.facilitator, &chain.rpc)]);
    let stranger = Caller { url: killed.url.clone(), ..stranger(&app).await };
    let header = signed(&stranger, &payer(), INCREMENT).await;
    (killed, app, stranger, header)
}

/// Sends a payment to a server that is killed meanwhile.
async fn send_in_vain(buyer: &Caller, meanwhile: impl Future<Output = ()>) {
    let body = Some(("application/json", b"{}".to_vec()));
    let (lost, ()) = tokio::join!(buyer.try_send(Method::POST, INCREMENT, body), meanwhile);
    assert!(lost.is_err(), "{lost:?}");
}

/// The leases of a server that was killed end after two minutes. Here they end now.
async fn end_leases(app: &TestApp) {
    let end = "update tenant.payments set leased_until = now(), due_at = now() where lease is not null";
    let ended = sqlx::query(end).execute(&mut app.database.admin().await).await.unwrap();
    assert_eq!(ended.rows_affected(), 1);
}

#[tokio::test]
#[ignore = "needs Node, and the packages of tests/clients"]
async fn a_server_is_killed_between_the_transfer_and_the_answer() {
    let mut chain = RealChain::start().await;
    let (mut killed, app, stranger, header) = two_servers(&chain).await;
    chain.tell("automine off").await;
    let meanwhile = async {
        until_sent(&app, &chain).await;
        // Its threads stop. Its connections stay open, so the facilitator answers.
        let pid = killed.process.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-STOP", &pid]).status().unwrap().success());
        chain.tell("automine on").await;
        assert_eq!((chain.received().await, came(&app).await), (LEAST, 0));
        killed.process.kill().await.unwrap();
    };
    let buyer = with(&stranger, &header);
    send_in_vain(&buyer, meanwhile).await;
    assert_eq!(came(&app).await, 0, "while the lease lasts, nobody else works on the payment");
    end_leases(&app).await;
    app.until(async || came(&app).await == LEAST).await;
    // The other server asked the chain, not the facilitator. The same request gets its effect there.
    let buyer = Caller { url: app.url.clone(), ..buyer };
    for _sent in 0..2 {
        assert_eq!(buyer.post(INCREMENT, json!({})).await.ok()["value"], 1);
    }
    assert_eq!(asked(&mut chain).await, 1);
    assert_ledger_is_sound(&app, &mut chain, LEAST).await;
}

/// The chain says that the authorization is unused, so it is settled again, although its first transaction waits.
#[tokio::test]
#[ignore = "needs Node, and the packages of tests/clients"]
async fn a_server_is_killed_before_the_block_of_a_payment() {
    let mut chain = RealChain::start().await;
    let (mut killed, app, stranger, header) = two_servers(&chain).await;
    chain.tell("automine off").await;
    let meanwhile = async {
        until_sent(&app, &chain).await;
        killed.process.kill().await.unwrap();
        end_leases(&app).await;
        app.until(async || asked(&mut chain).await >= 2).await;
        assert_eq!((chain.received().await, came(&app).await), (0, 0));
        chain.tell("automine on").await;
    };
    let buyer = with(&stranger, &header);
    send_in_vain(&buyer, meanwhile).await;
    app.until(async || came(&app).await == LEAST).await;
    let buyer = Caller { url: app.url.clone(), ..buyer };
    assert_eq!(buyer.post(INCREMENT, json!({})).await.ok()["value"], 1);
    assert_ledger_is_sound(&app, &mut chain, LEAST).await;
}

/// A wallet, and its clients of two servers on one database.
struct Buyer {
    wallet: PayingWallet,
    strangers: [Caller; 2],
    /// Has a token of the wallet.
    owner: Caller,
    paid: i64,
    increments: i64,
}

impl Buyer {
    async fn new(apps: &[TestApp; 2], chain: &mut RealChain) -> Self {
        let wallet = PayingWallet::from_seed(rand::random());
        let minted = chain.tell(&format!("mint {} 1000000000", wallet.address())).await;
        assert_eq!(minted["status"], "success", "{minted}");
        let payer = wallet.address().parse().unwrap();
        let token = apps[0].token(&payer, &[Scope::Everything], Duration::from_secs(3_600)).await;
        let owner = Caller { payer, token: Some(token), ..apps[0].caller().await };
        let strangers = [&apps[0], &apps[1]].map(|app| Caller { url: app.url.clone(), token: None, ..owner.clone() });
        Self { wallet, strangers, owner, paid: 0, increments: 0 }
    }

    /// Pays for an increment or for credit. Some payments are sent to both servers at once.
    async fn pay(&mut self) {
        let (tops_up, senders) = (rand::rng().random_bool(0.3), rand::rng().random_range(1..=2));
        let amount = if tops_up { rand::rng().random_range(MINIMUM..=5 * MINIMUM) } else { MINIMUM };
        let path = if tops_up { format!("/v1/credit/{amount}") } else { INCREMENT.to_owned() };
        let header = signed(&self.strangers[0], &self.wallet, &path).await;
        let buyers = self.strangers.each_ref().map(|stranger| with(stranger, &header));
        let answers = join_all(buyers.iter().take(senders).map(|buyer| buyer.post(&path, json!({})))).await;
        self.paid += amount;
        self.increments += i64::from(!tops_up);
        for answer in answers {
            assert_eq!(receipt(&answer)["success"], true, "{answer:?}");
            let body = answer.ok();
            assert!(tops_up || body["value"] == self.increments, "{} {body}", self.increments);
        }
    }

    /// Spends credit with the token, after a payment.
    async fn spend(&mut self) {
        self.increments += 1;
        assert_eq!(self.owner.post(INCREMENT, json!({})).await.ok()["value"], self.increments);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Node, and the packages of tests/clients"]
async fn what_wallets_pay_on_the_chain_is_credit_and_each_increment_has_its_debit() {
    let mut chain = RealChain::start().await;
    let first = chain.shop().await;
    let second = paid_app(first.database.clone(), vec![base(&chain.facilitator, &chain.rpc)]);
    let apps = [first, second];
    let mut buyers = Vec::new();
    for _wallet in 0..WALLETS {
        buyers.push(Buyer::new(&apps, &mut chain).await);
    }
    join_all(buyers.iter_mut().map(async |buyer| {
        for _payment in 0..payments().div_ceil(WALLETS) {
            buyer.pay().await;
            buyer.spend().await;
        }
    }))
    .await;
    let paid: i64 = buyers.iter().map(|buyer| buyer.paid).sum();
    assert_ledger_is_sound(&apps[0], &mut chain, paid.try_into().unwrap()).await;
    for buyer in &buyers {
        let credit = buyer.owner.get("/v1/credit").await.ok();
        let balance = buyer.paid - WRITE * buyer.increments;
        assert_eq!(credit["items"][0]["balance"], json!(balance.to_string()), "each increment has its debit");
        // Last, because a read costs something.
        assert_eq!(buyer.owner.value("a").await, buyer.increments);
    }
}
