//! Programs of others against the server: wallets in JavaScript and Python, and a chain with its facilitator. Their packages are
//! installed by `npm ci --prefix target/clients`, after `tests/clients/package*.json` was copied there, and for Python by
//! `pip install 'x402[evm,httpx]==2.25.0'`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::support::shop::{MINIMUM, PAY_TO, WRITE, base, came, paid_app, set_paid_app, stacks};
use crate::support::stacks::Network;
use crate::support::{PayingWallet, StubFacilitator, TestApp, TestDatabase};
use crate::worked_example::blocks;

/// Lays a program into the folder with the packages.
fn lay(name: &str, program: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients");
    assert!(folder.join("node_modules").is_dir(), "the packages are not installed: see tests/api/clients.rs");
    let file = folder.join(name);
    std::fs::write(&file, program).unwrap();
    file
}

/// Runs a program in JavaScript against a server. Returns what it prints.
pub(super) async fn run(app: &TestApp, name: &str, program: &str, arguments: &[&str]) -> String {
    let file = lay(name, &program.replace("http://127.0.0.1:4402", &app.url));
    printed(Command::new("node").arg(&file).args(arguments)).await
}

async fn printed(command: &mut Command) -> String {
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A real chain, and the reference facilitator on it. They end when it is dropped.
pub(super) struct RealChain {
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    pub(super) facilitator: String,
    pub(super) rpc: String,
    _process: Child,
}

impl RealChain {
    pub(super) async fn start() -> Self {
        lay("Token.sol", include_str!("../clients/Token.sol"));
        let file = lay("chain.mjs", include_str!("../clients/chain.mjs"));
        let mut command = Command::new("node");
        command.arg(&file).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let (commands, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let mut answers = BufReader::new(answers).lines();
        let ready: Value = serde_json::from_str(&answers.next_line().await.unwrap().expect("a chain")).unwrap();
        let url = |member: &str| ready[member].as_str().unwrap().to_owned();
        let (facilitator, rpc) = (url("facilitatorUrl"), url("rpcUrl"));
        Self { commands, answers, facilitator, rpc, _process: process }
    }

    /// Sends a command, and returns its answer.
    pub(super) async fn tell(&mut self, command: &str) -> Value {
        self.commands.write_all(format!("{command}\n").as_bytes()).await.unwrap();
        serde_json::from_str(&self.answers.next_line().await.unwrap().unwrap()).unwrap()
    }

    /// A server that is paid on this chain.
    pub(super) async fn shop(&self) -> TestApp {
        paid_app(TestDatabase::own().await, vec![base(&self.facilitator, &self.rpc)])
    }

    /// What the recipient has.
    pub(super) async fn received(&mut self) -> u128 {
        let balances = self.tell(&format!("balances {PAY_TO}")).await;
        let balance = balances.as_object().unwrap().values().next().unwrap();
        balance.as_str().map_or_else(|| balance.to_string(), str::to_owned).parse().unwrap()
    }
}

/// The unmodified client with its default limits, the reference facilitator, and a chain.
#[tokio::test]
#[ignore = "needs Node, and the packages of tests/clients"]
async fn the_official_client_pays_on_a_real_chain() {
    let mut chain = RealChain::start().await;
    let app = chain.shop().await;
    let url = format!("{}/v1/counters/visits/increment", app.url);
    let pay = include_str!("../clients/pay.mjs");
    let printed = run(&app, "pay.mjs", pay, &[&url, "POST", "{}", "3"]).await;
    let answers: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 3);
    for (at, answer) in answers.iter().enumerate() {
        assert_eq!((&answer["status"], &answer["body"]["value"]), (&json!(200), &json!(at + 1)), "{answer}");
        assert_eq!(answer["paymentResponse"]["success"], true);
    }
    assert_eq!(chain.received().await, 3 * u128::try_from(MINIMUM).unwrap());
    // A dollar of credit.
    let top_up = format!("{}/v1/credit/1000000", app.url);
    let answer: Value = serde_json::from_str(&run(&app, "pay.mjs", pay, &[&top_up, "POST", "{}"]).await).unwrap();
    let balance = 1_000_000 + 3 * (MINIMUM - WRITE);
    assert_eq!(answer["body"]["items"][0]["balance"], json!(balance.to_string()), "{answer}");
    assert_eq!(came(&app).await, chain.received().await);
}

/// What an index of services finds in a payment of the official client.
#[tokio::test]
#[ignore = "needs Node, and the packages of tests/clients"]
async fn indexes_understand_what_the_official_client_returns() {
    let chain = RealChain::start().await;
    let networks = vec![base(&chain.facilitator, &chain.rpc)];
    let app = set_paid_app(TestDatabase::own().await, networks, |settings| settings.payments.has_bazaar = true);
    for (path, method, template) in [
        ("/v1/counters/a%2Fb/increment", "POST", json!("/v1/counters/:name/increment")),
        ("/v1/counters?prefix=a", "GET", Value::Null),
        ("/v1/queues/mails/jobs/batch", "POST", json!("/v1/queues/:queue/jobs/batch")),
        ("/v1/memories/search", "POST", Value::Null),
        ("/v1/credit/1000", "POST", json!("/v1/credit/:amount")),
    ] {
        let url = format!("{}{path}", app.url);
        let printed = run(&app, "bazaar.mjs", include_str!("../clients/bazaar.mjs"), &[&url, method]).await;
        let found: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!((&found["status"], &found["routeTemplate"]), (&json!(402), &template), "{found}");
        assert_eq!((&found["schema"]["valid"], &found["spec"]["valid"]), (&json!(true), &json!(true)), "{found}");
        assert_eq!(found["discoveryInfo"]["input"]["method"], method, "{found}");
        assert!(found["bytes"]["payment"].as_u64().unwrap() < 8_192, "{found}");
    }
}

/// The client signs in, and pays only when the credit is used up: five calls cost as much as one payment.
#[tokio::test]
#[ignore = "needs Node, and the packages of tests/clients"]
async fn the_official_client_signs_in_and_spends_its_credit() {
    let mut chain = RealChain::start().await;
    let app = chain.shop().await;
    let url = format!("{}/v1/counters/visits/increment", app.url);
    let printed = run(&app, "siwx.mjs", include_str!("../clients/siwx.mjs"), &[&url, "POST", "{}", "6"]).await;
    let answers: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (signed, paid) = (json!(["plain", "sign-in"]), json!(["plain", "sign-in", "payment"]));
    for (at, answer) in answers.iter().enumerate() {
        assert_eq!((&answer["status"], &answer["body"]["value"]), (&json!(200), &json!(at + 1)), "{answer}");
        assert_eq!(&answer["requests"], if at % 5 == 0 { &paid } else { &signed }, "{at}: {answer}");
    }
    assert_eq!((answers.len(), MINIMUM / WRITE), (6, 5));
    assert_eq!(chain.received().await, 2 * u128::try_from(MINIMUM).unwrap());
    // Reads, and a path that is encoded.
    let read = format!("{}/v1/counters/visits%2Fx?", app.url);
    let printed = run(&app, "siwx.mjs", include_str!("../clients/siwx.mjs"), &[&read, "GET", ""]).await;
    let answer: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((&answer["status"], &answer["requests"]), (&json!(404), &signed), "{answer}");
}

/// The client gives up after five seconds. The money is credit.
#[tokio::test]
#[ignore = "needs Node, Python, and their packages"]
async fn the_official_client_of_python_pays_on_a_real_chain() {
    let mut chain = RealChain::start().await;
    let app = chain.shop().await;
    let file = lay("pay.py", include_str!("../clients/pay.py"));
    let url = format!("{}/v1/counters/visits/increment", app.url);
    let answer: Value =
        serde_json::from_str(&printed(Command::new("python").arg(&file).args([&url, "POST", "{}"])).await).unwrap();
    assert_eq!((&answer["status"], &answer["body"]["value"]), (&json!(200), &json!(1)), "{answer}");
    chain.tell("automine off").await;
    let impatient = Command::new("python").arg(&file).args([&url, "POST", "{}"]).output().await.unwrap();
    assert!(!impatient.status.success(), "{impatient:?}");
    assert_eq!(came(&app).await, u128::try_from(MINIMUM).unwrap());
    chain.tell("automine on").await;
    let both = 2 * u128::try_from(MINIMUM).unwrap();
    app.until(async || came(&app).await == both).await;
    assert_eq!(chain.received().await, both);
}

/// With the client of Stacks as it comes. Its facilitator and its chain are stubs.
#[tokio::test]
#[ignore = "needs Node, and the packages of tests/clients"]
async fn the_client_of_stacks_pays() {
    let stub = StubFacilitator::start();
    let app = paid_app(TestDatabase::own().await, vec![stacks(&stub.url, &stub.stacks_url())]);
    let key = "edf9aee84d9b7abc145504dde6726c64f369d37ee34ded868fabd876c26570bc";
    let wallet = PayingWallet::from_key(&hex::decode(key).unwrap().try_into().unwrap());
    stub.chain.mint(&wallet.stacks_address(Network::Test), "STX", 10_000);
    let url = format!("{}/v1/counters/visits/increment", app.url);
    let program = include_str!("../clients/pay_stacks.mjs");
    let printed = run(&app, "pay_stacks.mjs", program, &[&url, "POST", "{}"]).await;
    let answer: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((&answer["status"], &answer["body"]["value"]), (&json!(200), &json!(1)), "{answer}");
    assert_eq!(came(&app).await, u128::try_from(MINIMUM).unwrap());
}

#[tokio::test]
#[ignore = "needs Node, and the packages of tests/clients"]
async fn the_wallet_of_the_readme_signs_in() {
    let app = TestApp::spawn().await;
    let readme = blocks(include_str!("../../README.md"));
    let (_, program) = readme.into_iter().find(|(_, text)| text.contains("'viem/accounts'")).unwrap();
    let printed = run(&app, "wallet.mjs", program, &[]).await;
    assert!(printed.contains("name: 'visits'") && printed.contains("value: 1,"), "{printed}");
}

/// With the packages that wallets of Stacks are made with.
#[tokio::test]
#[ignore = "needs Node, and the packages of tests/clients"]
async fn a_wallet_of_stacks_signs_in() {
    let app = TestApp::spawn().await;
    let printed = run(&app, "stacks.mjs", include_str!("../clients/stacks.mjs"), &[]).await;
    let [main, test]: [Value; 2] = serde_json::from_str(&printed).unwrap();
    assert!(main["payer"].as_str().unwrap().starts_with("SP"), "{main}");
    assert!(test["payer"].as_str().unwrap().starts_with("ST"), "{test}");
}
