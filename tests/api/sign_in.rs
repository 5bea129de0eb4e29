//! Signing in with a wallet.

use std::time::Duration;

use futures_util::future::join_all;
use hmac::{Hmac, KeyInit as _, Mac as _};
use k256::ecdsa::SigningKey;
use payerbase::payer::Payer;
use ripemd::Ripemd160;
use serde_json::{Value, json};
use sha2::Sha256;
use sha3::{Digest as _, Keccak256};
use sqlx::Executor as _;

use crate::support::{Answer, Caller, TestApp, TestDatabase};

/// A wallet with one key.
struct Wallet {
    key: SigningKey,
    address: String,
    chain: &'static str,
}

impl Wallet {
    fn ethereum() -> Self {
        let key = new_key();
        let hash = Keccak256::digest(&key.verifying_key().to_sec1_point(false).as_bytes()[1..]);
        Self { key, address: format!("0x{}", hex::encode(&hash[12..])), chain: "eip155:8453" }
    }

    fn stacks(version: u8, chain: &'static str) -> Self {
        let key = new_key();
        let hash = Ripemd160::digest(Sha256::digest(key.verifying_key().to_sec1_point(true).as_bytes()));
        Self { key, address: c32::encode_check_prefixed(hash, 'S', version).unwrap(), chain }
    }

    fn sign(&self, text: &str) -> String {
        let hash = if self.is_ethereum() {
            Keccak256::digest(format!("\x19Ethereum Signed Message:\n{}{text}", text.len())).to_vec()
        } else {
            let length = u16::try_from(text.len()).unwrap().to_le_bytes();
            assert!(text.len() >= 0xfd);
            Sha256::digest([b"\x17Stacks Signed Message:\n\xfd".as_slice(), &length, text.as_bytes()].concat()).to_vec()
        };
        let (rs, recovery) = self.key.sign_prehash_recoverable(&hash);
        let (prefix, base) = if self.is_ethereum() { ("0x", 27) } else { ("", 0) };
        format!("{prefix}{}{:02x}", hex::encode(rs.to_bytes()), base + recovery.to_byte())
    }

    fn is_ethereum(&self) -> bool {
        self.chain.starts_with("eip155")
    }

    fn wish(&self) -> Value {
        json!({"address": self.address, "chain": self.chain})
    }
}

fn new_key() -> SigningKey {
    SigningKey::from_slice(&rand::random::<[u8; 32]>()).unwrap()
}

/// A caller without a token.
async fn anyone(app: &TestApp) -> Caller {
    let mut caller = app.caller().await;
    caller.token = None;
    caller
}

async fn challenge(anyone: &Caller, wish: Value) -> Value {
    anyone.post("/v1/auth/challenge", wish).await.ok()
}

async fn verify(anyone: &Caller, nonce: &Value, signature: &str) -> Answer {
    anyone.post("/v1/auth/verify", json!({"nonce": nonce, "signature": signature})).await
}

/// Signs in, and answers the token.
async fn sign_in(anyone: &Caller, wallet: &Wallet, wish: Value) -> Value {
    let challenge = challenge(anyone, wish).await;
    let signature = wallet.sign(challenge["message"].as_str().unwrap());
    let answer = verify(anyone, &challenge["nonce"], &signature).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["cache-control"]),
        (201, &"no-store".parse().unwrap()),
        "{answer:?}"
    );
    answer.json()
}

fn with_token(anyone: &Caller, signed_in: &Value) -> Caller {
    Caller { token: Some(signed_in["token"].as_str().unwrap().into()), ..anyone.clone() }
}

#[tokio::test]
async fn a_wallet_signs_in_and_calls() {
    let app = TestApp::spawn().await;
    let anyone = anyone(&app).await;
    for wallet in [
        Wallet::ethereum(),
        Wallet { chain: "eip155:84532", ..Wallet::ethereum() },
        Wallet::stacks(22, "stacks:1"),
        Wallet::stacks(26, "stacks:2147483648"),
    ] {
        let signed_in = sign_in(&anyone, &wallet, wallet.wish()).await;
        let payer: Payer = wallet.address.parse().unwrap();
        assert_eq!((&signed_in["payer"], &signed_in["scopes"]), (&json!(payer), &json!(["*"])));
        let caller = with_token(&anyone, &signed_in);
        assert_eq!(caller.increment("a", json!({})).await.ok()["value"], 1);
        let me = caller.get("/v1/me").await.ok();
        assert_eq!((&me["payer"], &me["tokenId"]), (&signed_in["payer"], &signed_in["tokenId"]));
        assert_eq!(me["tokenExpiresAt"], signed_in["expiresAt"]);
        let entry = &caller.get("/v1/audit").await.ok()["items"][0];
        assert_eq!((&entry["event"], &entry["network"]), (&json!("signed-in"), &json!(wallet.chain)));
        assert_eq!((&entry["tokenId"], &entry["byTokenId"]), (&signed_in["tokenId"], &Value::Null));
    }
}

#[tokio::test]
async fn a_token_has_the_rights_that_the_message_names() {
    let app = TestApp::spawn().await;
    let anyone = anyone(&app).await;
    let wallet = Wallet::ethereum();
    let mut wish = wallet.wish();
    wish["scopes"] = json!(["counters:read", "queues:write"]);
    wish["lifetimeMs"] = json!(3_600_000);
    let text = challenge(&anyone, wish.clone()).await["message"].as_str().unwrap().to_owned();
    assert!(text.contains("the rights counters:read, queues:write and is valid for 1 hour."), "{text}");
    let caller = with_token(&anyone, &sign_in(&anyone, &wallet, wish).await);
    caller.get("/v1/counters").await.ok();
    caller.increment("a", json!({})).await.problem(403, "missing-scope");
    assert_eq!(caller.get("/v1/me").await.ok()["scopes"], json!(["counters:read", "queues:write"]));
    // In any order, and repeated.
    for scopes in [json!(["queues:write", "counters:read"]), json!(["counters:read", "queues:write", "counters:read"])]
    {
        let mut wish = wallet.wish();
        wish["scopes"] = scopes;
        let signed_in = sign_in(&anyone, &wallet, wish).await;
        assert_eq!(signed_in["scopes"], json!(["counters:read", "queues:write"]));
    }
}

#[tokio::test]
async fn a_challenge_is_used_once() {
    let database = TestDatabase::own().await;
    let url =
        |settings: &mut payerbase::app::Settings| settings.public_url = Some("https://pay.example".parse().unwrap());
    let apps = [TestApp::set(database.clone(), url), TestApp::set(database, url)];
    let anyone = [anyone(&apps[0]).await, anyone(&apps[1]).await];
    let wallet = Wallet::ethereum();
    let challenge = challenge(&anyone[0], wallet.wish()).await;
    let signature = wallet.sign(challenge["message"].as_str().unwrap());
    let answers = join_all((0..20).map(|n| verify(&anyone[n % 2], &challenge["nonce"], &signature))).await;
    let (signed_in, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!((signed_in.len(), refused.len()), (1, 19));
    for answer in refused {
        assert_eq!(answer.problem(401, "sign-in-failed")["detail"], "The challenge was used before.");
    }
    with_token(&anyone[1], &signed_in[0].json()).increment("a", json!({})).await.ok();
}

#[tokio::test]
async fn signatures_of_others_are_refused() {
    let app = TestApp::spawn().await;
    let anyone = anyone(&app).await;
    let (wallet, other) = (Wallet::ethereum(), Wallet::ethereum());
    let challenge = challenge(&anyone, wallet.wish()).await;
    let (text, nonce) = (challenge["message"].as_str().unwrap(), &challenge["nonce"]);
    let good = wallet.sign(text);
    for signature in [
        other.sign(text),
        wallet.sign(&text.replace("all rights", "no rights")),
        wallet.sign(&format!("{text}\n")),
        good.trim_start_matches("0x").to_owned(),
        good[..good.len() - 2].to_owned(),
        format!("0x{}", "0".repeat(130)),
        String::new(),
    ] {
        verify(&anyone, nonce, &signature).await.problem(401, "sign-in-failed");
    }
    assert_eq!(verify(&anyone, nonce, &good).await.status, 201, "a wrong signature does not use the challenge");
}

#[tokio::test]
async fn challenges_of_other_servers_are_refused() {
    let database = TestDatabase::own().await;
    let at = |url: &'static str| {
        TestApp::set(database.clone(), move |settings| settings.public_url = Some(url.parse().unwrap()))
    };
    let (ours, evil) = (at("https://pay.example"), at("https://pay.example.evil.example"));
    let (port, foreign) = (at("https://pay.example:8443"), TestApp::on(TestDatabase::own().await));
    let wallet = Wallet::ethereum();
    for app in [&evil, &port, &foreign] {
        let challenge = challenge(&anyone(app).await, wallet.wish()).await;
        let signature = wallet.sign(challenge["message"].as_str().unwrap());
        let answer = verify(&anyone(&ours).await, &challenge["nonce"], &signature).await;
        assert_eq!(answer.problem(401, "sign-in-failed")["detail"], "This server has not made the challenge.");
    }
    let anyone = anyone(&ours).await;
    let challenge = challenge(&anyone, wallet.wish()).await;
    let nonce = challenge["nonce"].as_str().unwrap();
    let signature = wallet.sign(challenge["message"].as_str().unwrap());
    for nonce in [nonce.to_uppercase(), nonce.replacen(&nonce[..1], "g", 1), nonce[2..].to_owned(), String::new()] {
        verify(&anyone, &json!(nonce), &signature).await.problem(401, "sign-in-failed");
    }
}

#[tokio::test]
async fn invalid_wishes_are_refused() {
    let app = TestApp::spawn().await;
    let anyone = anyone(&app).await;
    let wallet = Wallet::ethereum();
    for (member, value, status, code) in [
        ("address", json!("0x12"), 422, "invalid-value"),
        ("address", json!("STX"), 422, "invalid-value"),
        ("address", json!("SPAW66WC3G8WA5F28JVNG1NTRJ6H76E7EN5H6QQD"), 422, "invalid-value"),
        ("chain", json!("stacks:1"), 422, "invalid-value"),
        ("chain", json!("eip155:1"), 422, "invalid-value"),
        ("chain", json!("solana:1"), 422, "invalid-value"),
        ("chain", Value::Null, 400, "invalid-json"),
        ("scopes", json!([]), 422, "invalid-value"),
        ("scopes", json!(["root"]), 422, "invalid-value"),
        ("scopes", json!("*"), 400, "invalid-json"),
        ("lifetimeMs", json!(59_999), 422, "invalid-value"),
        ("lifetimeMs", json!(31_622_400_001_i64), 422, "invalid-value"),
        ("token", json!("x"), 400, "invalid-json"),
        ("address", json!("x".repeat(5_000)), 413, "payload-too-large"),
    ] {
        let mut wish = wallet.wish();
        wish[member] = value;
        anyone.post("/v1/auth/challenge", wish).await.problem(status, code);
    }
    let several = json!({"address": "SM3VDXK3WZZSA84XXFKAFAF15NNZX32CTSG82JFQ4", "chain": "stacks:1"});
    let problem = anyone.post("/v1/auth/challenge", several).await.problem(422, "invalid-value");
    assert!(problem["detail"].as_str().unwrap().contains("several keys"), "{problem}");
    anyone.get("/v1/auth/challenge").await.problem(405, "method-not-allowed");
    anyone.post("/v1/auth/nothing", json!({})).await.problem(404, "not-found");
}

#[tokio::test]
async fn a_server_without_networks_lets_no_wallet_in() {
    let app = TestApp::set(TestDatabase::shared().await, |settings| settings.networks.clear());
    let wallet = Wallet::ethereum();
    let problem = anyone(&app).await.post("/v1/auth/challenge", wallet.wish()).await.problem(422, "invalid-value");
    assert_eq!(problem["detail"], "/chain: must be a network of this server: none.");
}

/// The nonce of a challenge that was made earlier: only the database's key can sign it.
async fn made_earlier(app: &TestApp, url: &str, nonce: &str, seconds: u32) -> String {
    let key: Vec<u8> =
        sqlx::query_scalar("select tenant.challenge_key()").fetch_one(&mut app.database.admin().await).await.unwrap();
    let mut nonce = hex::decode(nonce).unwrap();
    let (fields, code) = nonce.split_at_mut(49);
    // After the id of the chain and the address.
    let issued_at: &mut [u8; 4] = (&mut fields[29..33]).try_into().unwrap();
    *issued_at = (u32::from_be_bytes(*issued_at) - seconds).to_be_bytes();
    let made = Hmac::<Sha256>::new_from_slice(&key).unwrap().chain_update(&*fields).chain_update(url).finalize();
    code.copy_from_slice(&made.into_bytes()[..16]);
    hex::encode(nonce)
}

#[tokio::test]
async fn an_old_challenge_is_refused() {
    let url = "https://pay.example/";
    let app = TestApp::set(TestDatabase::shared().await, |settings| settings.public_url = Some(url.parse().unwrap()));
    let anyone = anyone(&app).await;
    let wallet = Wallet::ethereum();
    for (seconds, is_taken) in [(0, true), (240, true), (301, false)] {
        let challenge = challenge(&anyone, wallet.wish()).await;
        let (message, nonce) = (challenge["message"].as_str().unwrap(), challenge["nonce"].as_str().unwrap());
        let earlier = made_earlier(&app, url, nonce, seconds).await;
        let line = |name: &str| message.lines().find(|line| line.starts_with(name)).unwrap();
        let shifted = |name: &str| {
            let (_, time) = line(name).split_once(": ").unwrap();
            let time: payerbase::time::Time = time.to_owned().try_into().unwrap();
            let time = payerbase::time::Time(time.0 - Duration::from_secs(seconds.into()));
            format!("{name}: {time}")
        };
        let message = message
            .replace(nonce, &earlier)
            .replace(line("Issued At"), &shifted("Issued At"))
            .replace(line("Expiration Time"), &shifted("Expiration Time"));
        let answer = verify(&anyone, &json!(earlier), &wallet.sign(&message)).await;
        match is_taken {
            true => assert_eq!(answer.status, 201, "{answer:?}"),
            false => assert_eq!(answer.problem(401, "sign-in-failed")["detail"], "The challenge has expired."),
        }
    }
}

#[tokio::test]
async fn a_challenge_of_a_server_with_other_networks_is_refused() {
    let database = TestDatabase::own().await;
    let on = |networks: &'static [payerbase::wallet::Network]| {
        TestApp::set(database.clone(), move |settings| {
            settings.public_url = Some("https://pay.example".parse().unwrap());
            settings.networks = networks.to_vec();
        })
    };
    let (first, second) = (on(payerbase::wallet::MAIN_NETWORKS), on(&[]));
    let wallet = Wallet::ethereum();
    let challenge = challenge(&anyone(&first).await, wallet.wish()).await;
    let signature = wallet.sign(challenge["message"].as_str().unwrap());
    verify(&anyone(&second).await, &challenge["nonce"], &signature).await.problem(401, "sign-in-failed");
    assert_eq!(verify(&anyone(&first).await, &challenge["nonce"], &signature).await.status, 201);
}

/// Sign-ins that wait for the database leave a connection for the look-ups of tokens.
#[tokio::test]
async fn sign_ins_do_not_delay_the_look_up_of_a_token() {
    let app = TestApp::on(TestDatabase::own().await);
    let (anyone, caller) = (anyone(&app).await, app.caller().await);
    let mut signed = Vec::new();
    for wallet in [Wallet::ethereum(), Wallet::ethereum(), Wallet::ethereum(), Wallet::ethereum()] {
        let challenge = challenge(&anyone, wallet.wish()).await;
        let signature = wallet.sign(challenge["message"].as_str().unwrap());
        signed.push((challenge["nonce"].clone(), signature));
    }
    let mut admin = app.database.admin().await;
    // Tokens can be read, and not stored.
    admin.execute("begin; lock table auth.tokens in share mode").await.unwrap();
    let waiting: Vec<_> = signed
        .into_iter()
        .map(|(nonce, signature)| {
            let anyone = anyone.clone();
            tokio::spawn(async move { verify(&anyone, &nonce, &signature).await })
        })
        .collect();
    let waits = "select count(*) > 0 from pg_locks where not granted and relation = 'auth.tokens'::regclass";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&mut admin).await.unwrap() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Time for the others to wait too, if they can.
    tokio::time::sleep(Duration::from_millis(100)).await;
    caller.get("/v1/me").await.ok();
    admin.execute("rollback").await.unwrap();
    for answer in join_all(waiting).await {
        assert_eq!(answer.unwrap().status, 201);
    }
}
