//! Wallets that sign in for one request (`sign-in-with-x` of x402), and spend their credit without a token.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::time::Duration;

use futures_util::future::join_all;
use payerbase::rates::Rate;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::shop::{MINIMUM, Shop, WRITE, base, pay, required, set_paid_app, with};
use crate::support::wallet::to_header;
use crate::support::{Answer, Caller, PayingWallet, Terms, evm};

const INCREMENT: &str = "/v1/counters/a/increment";

pub fn offer(answer: &Answer) -> Value {
    required(answer)["extensions"]["sign-in-with-x"].clone()
}

/// SIGN-IN-WITH-X as the official client makes it.
pub fn signed(wallet: &PayingWallet, offer: &Value, change: impl FnOnce(&mut Value)) -> String {
    let mut sent = offer["info"].clone();
    sent["address"] = wallet.address().into();
    sent["chainId"] = offer["supportedChains"][0]["chainId"].clone();
    sent["type"] = offer["supportedChains"][0]["type"].clone();
    let text = |name: &str| sent[name].as_str().unwrap();
    let message = format!(
        "{} wants you to sign in with your Ethereum account:\n{}\n\n{}\n\nURI: {}\nVersion: 1\nChain ID: {}\nNonce: {}\nIssued At: {}\nExpiration Time: {}",
        text("domain"),
        text("address"),
        text("statement"),
        text("uri"),
        text("chainId").strip_prefix("eip155:").unwrap(),
        text("nonce"),
        text("issuedAt"),
        text("expirationTime"),
    );
    sent["signature"] = wallet.personal_sign(&message).into();
    change(&mut sent);
    to_header(&sent)
}

pub fn signing(caller: &Caller, header: &str) -> Caller {
    let mut caller = caller.clone();
    caller.headers.insert("sign-in-with-x", header.parse().unwrap());
    caller
}

async fn balance(shop: &Shop, wallet: &PayingWallet) -> i64 {
    let credit = shop.signed_in(wallet).await.get("/v1/credit").await.ok();
    credit["items"][0]["balance"].as_str().map_or(0, |balance| balance.parse().unwrap())
}

#[tokio::test]
async fn a_wallet_with_credit_signs_in_and_does_not_pay_again() {
    let shop = Shop::open().await;
    let (wallet, stranger) = (shop.wallet(), shop.stranger().await);
    pay(&stranger, &wallet, &Terms::default(), INCREMENT, json!({})).await.1.ok();
    let mut left = MINIMUM - WRITE;
    assert_eq!(balance(&shop, &wallet).await, left);
    let unpaid = stranger.post(INCREMENT, json!({})).await;
    let header = signed(&wallet, &offer(&unpaid), |_| {});
    assert_eq!(signing(&stranger, &header).post(INCREMENT, json!({})).await.ok()["value"], 2);
    left -= WRITE;
    assert_eq!(balance(&shop, &wallet).await, left);
    // Once: the answer to a second use is as that to no use, with a new nonce.
    let again = signing(&stranger, &header).post(INCREMENT, json!({})).await;
    assert_ne!(offer(&again)["info"]["nonce"], offer(&unpaid)["info"]["nonce"]);
    assert_eq!(again.problem(402, "payment-required")["detail"], "The sign-in was used before.");
    // A read, with a query and a name that is encoded.
    for path in ["/v1/counters/a", "/v1/counters?prefix=a&limit=1", "/v1/counters/%61"] {
        let header = signed(&wallet, &offer(&stranger.get(path).await), |_| {});
        signing(&stranger, &header).get(path).await.ok();
        signing(&stranger, &header).get(path).await.problem(402, "payment-required");
    }
    assert_eq!(shop.signed_in(&wallet).await.get("/v1/counters/a").await.ok()["value"], 2);
    assert_eq!(shop.stub.settled(), 1);
    // Credit is paid, and not spent.
    let top_up = stranger.post("/v1/credit/1000", json!({})).await;
    assert_eq!((top_up.status.as_u16(), offer(&top_up)), (402, Value::Null));
}

#[tokio::test]
async fn a_sign_in_works_once_on_all_servers() {
    let shop = Shop::open().await;
    let (wallet, stranger) = (shop.wallet(), shop.stranger().await);
    pay(&stranger, &wallet, &Terms::default(), INCREMENT, json!({})).await.1.ok();
    let replica = shop.replica();
    let header = signed(&wallet, &offer(&stranger.post(INCREMENT, json!({})).await), |_| {});
    let elsewhere = Caller { token: None, ..replica.caller().await };
    let callers = (0..40).map(|at| signing(if at % 2 == 0 { &stranger } else { &elsewhere }, &header));
    let answers = join_all(callers.map(async |caller| caller.post(INCREMENT, json!({})).await)).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 402).count(), 39, "{statuses:?}");
    let nonces: HashSet<Value> = answers
        .iter()
        .filter(|answer| answer.status == 402)
        .map(|answer| offer(answer)["info"]["nonce"].clone())
        .collect();
    assert_eq!(nonces.len(), 39);
}

#[tokio::test]
async fn a_sign_in_is_not_used_by_a_request_above_the_rate() {
    let shop = Shop::open().await;
    let (wallet, stranger) = (shop.wallet(), shop.stranger().await);
    pay(&stranger, &wallet, &Terms::default(), INCREMENT, json!({})).await.1.ok();
    let networks = vec![base(&shop.stub.url, &shop.stub.rpc_url())];
    let busy = set_paid_app(shop.app.database.clone(), networks, |settings| {
        settings.public_url = Some(shop.app.url.parse().unwrap());
        settings.rates.payer = Rate::new(NonZeroU32::MIN, Duration::from_hours(1), NonZeroU32::MIN).ok();
    });
    let there = Caller { token: None, ..busy.caller().await };
    let sign = async || signed(&wallet, &offer(&stranger.post(INCREMENT, json!({})).await), |_| {});
    signing(&there, &sign().await).post(INCREMENT, json!({})).await.ok();
    let header = sign().await;
    signing(&there, &header).post(INCREMENT, json!({})).await.problem(429, "rate-limited");
    assert_eq!(signing(&stranger, &header).post(INCREMENT, json!({})).await.ok()["value"], 3);
}

#[tokio::test]
async fn a_wallet_that_signs_in_for_one_request_acts_for_another_payer() {
    let shop = Shop::open().await;
    let (wallet, stranger) = (shop.wallet(), shop.stranger().await);
    pay(&stranger, &wallet, &Terms::default(), INCREMENT, json!({})).await.1.ok();
    let owners = shop.wallet();
    let owner = shop.signed_in(&owners).await;
    pay(&owner, &owners, &Terms::default(), "/v1/credit/10000", json!({})).await.1.ok();
    let wish = json!({"grantee": wallet.address(), "scopes": ["counters:write"]});
    assert_eq!(owner.post("/v1/grants", wish).await.status, 201);
    let mut acting = stranger.clone();
    acting.headers.insert("payerbase-act-for", owner.payer.as_str().parse().unwrap());
    let sign = async |asking: &Caller| signed(&wallet, &offer(&asking.post(INCREMENT, json!({})).await), |_| {});
    let header = sign(&acting).await;
    signing(&acting, &header).post(INCREMENT, json!({})).await.ok();
    assert_eq!((owner.value("a").await, balance(&shop, &wallet).await), (1, MINIMUM - 2 * WRITE));
    // It has granted nothing to the wallet.
    let other = shop.signed_in(&shop.wallet()).await;
    acting.headers.insert("payerbase-act-for", other.payer.as_str().parse().unwrap());
    let header = sign(&acting).await;
    signing(&acting, &header).post(INCREMENT, json!({})).await.problem(403, "not-granted");
    assert_eq!(balance(&shop, &wallet).await, MINIMUM - 2 * WRITE);
}

#[tokio::test]
async fn a_wallet_without_credit_is_offered_to_pay() {
    let shop = Shop::open().await;
    let (wallet, stranger) = (shop.wallet(), shop.stranger().await);
    let header = signed(&wallet, &offer(&stranger.post(INCREMENT, json!({})).await), |_| {});
    let unfunded = signing(&stranger, &header).post(INCREMENT, json!({})).await;
    let offers = required(&unfunded);
    unfunded.problem(402, "payment-required");
    let payment = wallet.pay(&offers, &offers["accepts"][0], &Terms::default());
    // A payment wins over a sign-in.
    let both = with(&signing(&stranger, &header), &payment);
    assert_eq!(both.post(INCREMENT, json!({})).await.ok()["value"], 1);
}

#[tokio::test]
async fn a_sign_in_is_for_its_request_its_server_and_its_wallet_alone() {
    let shop = Shop::open().await;
    let (wallet, other, stranger) = (shop.wallet(), shop.wallet(), shop.stranger().await);
    for payer in [&wallet, &other] {
        pay(&stranger, payer, &Terms::default(), INCREMENT, json!({})).await.1.ok();
    }
    let fresh = async || offer(&stranger.post(INCREMENT, json!({})).await);
    let refused = async |caller: &Caller, verb: Method, path: &str| {
        let answer = caller.send_json(verb, path, json!({})).await;
        assert!(offer(&answer)["info"]["nonce"].is_string(), "{answer:?}");
        answer.problem(402, "payment-required");
    };
    // Other requests.
    let header = signed(&wallet, &fresh().await, |_| {});
    let caller = signing(&stranger, &header);
    for path in [
        "/v1/counters/b/increment",
        "/v1/counters/a/decrement",
        "/v1/counters/%61/increment",
        "/v1/counters/a/increment?a=1",
    ] {
        refused(&caller, Method::POST, path).await;
    }
    let read = signed(&wallet, &offer(&stranger.get("/v1/counters/a").await), |_| {});
    refused(&signing(&stranger, &read), Method::DELETE, "/v1/counters/a").await;
    // Nothing of the account, and no method that is free.
    for path in ["/v1/me", "/v1/credit", "/v1/tokens", "/v1/audit", "/v1/payments"] {
        caller.get(path).await.problem(401, "token-missing");
    }
    // Another server of the same database, with another address; its own nonces work there.
    let elsewhere = shop.another();
    let there = Caller { token: None, ..elsewhere.caller().await };
    refused(&signing(&there, &header), Method::POST, INCREMENT).await;
    // Another wallet, another network, another key, a changed signature, and what is no header.
    let challenge = json!({"address": wallet.address(), "chain": "eip155:8453"});
    let nonce = stranger.post("/v1/auth/challenge", challenge).await.ok()["nonce"].clone();
    type Change<'a> = Box<dyn Fn(&mut Value) + 'a>;
    let changes: Vec<Change<'_>> = vec![
        Box::new(|sent| sent["address"] = other.address().into()),
        Box::new(|sent| sent["address"] = "SPAW66WC3G8WA5F28JVNG1NTRJ6H76E7EN5H6QQD".into()),
        Box::new(|sent| sent["chainId"] = "eip155:1".into()),
        Box::new(|sent| sent["chainId"] = "stacks:1".into()),
        Box::new(|sent| sent["nonce"] = sent["nonce"].as_str().unwrap().to_uppercase().into()),
        Box::new(|sent| sent["nonce"] = "a1b2c3d4".into()),
        Box::new(move |sent| sent["nonce"] = nonce.clone()),
        Box::new(|sent| sent["signature"] = high_s(sent["signature"].as_str().unwrap()).into()),
        Box::new(|sent| sent["signature"] = "0x".into()),
        Box::new(|sent| drop(sent.as_object_mut().unwrap().remove("nonce"))),
        Box::new(|sent| *sent = json!([])),
    ];
    for change in changes {
        let header = signed(&wallet, &fresh().await, change);
        refused(&signing(&stranger, &header), Method::POST, INCREMENT).await;
    }
    for header in ["", "%", "e30=", &"a".repeat(9_000)] {
        refused(&signing(&stranger, header), Method::POST, INCREMENT).await;
    }
    assert_eq!((balance(&shop, &wallet).await, balance(&shop, &other).await), (MINIMUM - WRITE, MINIMUM - WRITE));
    assert_eq!(shop.signed_in(&wallet).await.get("/v1/counters/a").await.ok()["value"], 1);
    // HEAD signs in for nothing, and two headers are none.
    assert_eq!(signing(&stranger, &read).send(Method::HEAD, "/v1/counters/a", None).await.status, 402);
    let mut twice = caller.clone();
    twice.headers.append("sign-in-with-x", header.parse().unwrap());
    refused(&twice, Method::POST, INCREMENT).await;
    // What came with all those requests is good for its own.
    assert_eq!(caller.post(INCREMENT, json!({})).await.ok()["value"], 2);
}

fn high_s(signature: &str) -> String {
    let bytes: [u8; 65] = hex::decode(signature.trim_start_matches("0x")).unwrap().try_into().unwrap();
    evm::prefixed(evm::high_s_twin(&bytes))
}
