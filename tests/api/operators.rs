//! What operators do with prices and payments on the command line, on a running `payerbase dev`.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::dev::{Dev, command_of, folder};
use crate::support::shop::{MINIMUM, PAY_TO, USDC, pay};
use crate::support::{Caller, PayingWallet, StubFacilitator, Terms, TestApp};

fn settings(stub: &StubFacilitator, network: &str) -> Value {
    json!({"networks": [{
        "network": network, "asset": "USDC", "payTo": PAY_TO, "prices": {"read": 100, "write": 200, "ai": 2_000},
        "facilitator": {"url": stub.url}, "rpcUrl": stub.rpc_url()
    }]})
}

fn program(dir: &Path, arguments: &[&str]) -> Command {
    let (command, rest) = arguments.split_first().unwrap();
    let arguments = [&[*command, "--data-dir", dir.to_str().unwrap()], rest].concat();
    let mut program = command_of(Path::new(crate::dev::PROGRAM), &arguments);
    program.env_remove("PAYERBASE_PAYMENTS");
    program
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn an_operator_gives_credit_and_looks_after_payments() {
    let (stub, dir) = (StubFacilitator::start(), folder());
    let file = dir.path().join("payments.json");
    std::fs::write(&file, settings(&stub, "eip155:84532").to_string()).unwrap();
    let mut command = program(dir.path(), &["dev", "--port", "0"]);
    let dev = Dev::of({
        command.env("PAYERBASE_PAYMENTS", &file);
        command
    });
    let run = |arguments: &[&str]| -> Output { program(dir.path(), arguments).output().unwrap() };
    let wallet = PayingWallet::from_seed(rand::random());
    stub.chain.mint(&wallet.address(), USDC, 10_000);
    // The client of a test, without its server.
    let caller = Caller { url: dev.url().to_owned(), token: None, ..TestApp::spawn().await.caller().await };
    let path = "/v1/counters/visits/increment";
    let (_, paid) = pay(&caller, &wallet, &Terms::default(), path, json!({})).await;
    paid.ok();
    let give = |amount: &str| {
        let payer = wallet.address();
        let asset = ["--network", "eip155:84532", "--asset", USDC, "--amount", amount, "--reference", "welcome"];
        run(&[&["credit", "give", "--payer", &payer], &asset[..]].concat())
    };
    for (amount, is_ok, said) in [
        ("5000", true, "gave credit"),
        ("5000", true, "has this gift already"),
        ("7000", false, "already, of 5000 of eip155:84532/0x"),
        ("0", false, "0 is not in 1.."),
    ] {
        let given = give(amount);
        assert_eq!((given.status.success(), text(&given).contains(said)), (is_ok, true), "{}", text(&given));
    }
    let checked = run(&["ledger", "check"]);
    assert!(checked.status.success(), "{}", text(&checked));
    for (account, amount) in [("network", -MINIMUM), ("operator", -5_000), ("payer", 5_000 + MINIMUM)] {
        let row = text(&checked).lines().any(|line| line.contains(account) && line.ends_with(&format!(" {amount}")));
        assert!(row, "{account} {amount}: {}", text(&checked));
    }
    let listed = text(&run(&["payments", "list", "--payer", &wallet.address()]));
    let row = listed.lines().nth(1).unwrap();
    assert!(row.contains("settled") && row.contains(" 1000 "), "{listed}");
    let id = row.split_whitespace().next().unwrap();
    let shown = run(&["payments", "show", "--payer", &wallet.address(), id]);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!((&shown["id"], &shown["state"]), (&json!(id), &json!("settled")));
    let retried = run(&["payments", "retry", "--payer", &wallet.address(), id]);
    assert!(!retried.status.success() && text(&retried).contains("it is final"), "{}", text(&retried));
    assert_eq!(text(&run(&["payments", "list"])).lines().count(), 1, "all payments are final");
    dev.stop("-TERM");
}

#[tokio::test]
async fn an_operator_exports_and_erases_a_payer() {
    let dir = folder();
    let dev = Dev::of(program(dir.path(), &["dev", "--port", "0"]));
    let run = |arguments: &[&str]| -> Output { program(dir.path(), arguments).output().unwrap() };
    let anonymous = TestApp::spawn().await.caller().await;
    let payer = anonymous.payer.as_str().to_owned();
    let token = run(&["token", "create", "--payer", &payer]);
    let token = String::from_utf8(token.stdout).unwrap().trim().to_owned();
    let caller = Caller { url: dev.url().to_owned(), token: Some(token.into()), ..anonymous };
    caller.post("/v1/links", json!({"url": "https://shop.example/"})).await.ok();
    for fifty in 0..24 {
        let increment =
            |number| json!({"method": "increment", "params": {"name": format!("c{}", fifty * 50 + number)}});
        let calls: Vec<Value> = (0..50).map(increment).collect();
        caller.post("/v1/transaction", json!({ "calls": calls })).await.ok();
    }
    let exported = run(&["payer", "export", &payer]);
    assert!(exported.status.success(), "{}", text(&exported));
    let lines = String::from_utf8(exported.stdout).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| lines.iter().filter(|line| line["type"] == kind).count();
    assert_eq!((of("counter"), of("link"), of("next"), of("end")), (1_200, 1, 0, 1));
    assert_eq!(lines.last().unwrap()["type"], "end");
    let link = lines.iter().find(|line| line["type"] == "link").unwrap();
    assert!(link["shortUrl"].as_str().unwrap().contains("/l/"), "{link}");
    let erased = run(&["payer", "erase", &payer]);
    let said = text(&erased);
    assert!(erased.status.success() && said.contains("erased the data of the payer"), "{said}");
    assert_eq!(caller.get("/v1/counters").await.ok()["items"], json!([]));
    let entry = caller.get("/v1/audit").await.ok()["items"][0].clone();
    assert_eq!((&entry["event"], &entry["byTokenId"]), (&json!("data-erased"), &json!(null)));
    let odd = run(&["payer", "erase", "0x12"]);
    assert!(!odd.status.success());
    dev.stop("-TERM");
}

#[tokio::test]
async fn a_server_refuses_to_start_with_offers_that_cannot_be_paid() {
    let (stub, dir) = (StubFacilitator::start(), folder());
    let file = dir.path().join("payments.json");
    for (network, said) in [
        ("eip155:8453", "the facilitator for eip155:8453 does not settle exact payments there"),
        ("eip155:0", "PAYERBASE_PAYMENTS: /networks/0/network"),
    ] {
        std::fs::write(&file, settings(&stub, network).to_string()).unwrap();
        let refused = program(dir.path(), &["dev", "--port", "0"]).env("PAYERBASE_PAYMENTS", &file).output().unwrap();
        assert!(!refused.status.success() && text(&refused).contains(said), "{}", text(&refused));
    }
}
