//! The list of x402-conformance, R0 to R24. Each entry is a test here, or one of another file:
//!
//! - R1, R10: `payments::a_wallet_pays_for_a_call_without_asking_anybody`.
//! - R2: `payments::one_payment_sent_many_times_at_once_to_two_servers_is_one_charge_and_one_effect`,
//!   `payments_attacks::a_payment_is_for_its_request_alone`.
//! - R3: `payments::a_payment_that_its_payer_cancels_or_cannot_pay_is_rejected`.
//! - R3 to R9, when the money has moved: `payments::whatever_the_facilitator_answers_the_chain_decides`.
//! - R11a: `payments_attacks::a_payment_is_for_its_request_alone`, `payments::a_transaction_is_offered_at_its_price`.
//! - R11b: `payments_attacks::what_is_not_as_offered_is_refused_before_money_moves`.
//! - R11f, for sign-ins: `sign_in_with_x::a_sign_in_is_for_its_request_its_server_and_its_wallet_alone`.
//! - R12, R13, with one header:
//!   `payments::one_payment_sent_many_times_at_once_to_two_servers_is_one_charge_and_one_effect`.
//! - R14, when the payment expires meanwhile:
//!   `payments::a_lost_answer_of_a_read_costs_nothing_and_an_expired_payment_says_what_became_of_it`.
//! - R15 does not apply: no offer has the flow `authorization`, so no handler runs before the settlement.
//! - R16, R16a: `payments::the_402_comes_before_the_body_and_a_head_never_pays`.
//! - R19, upfront: r04_to_r09 here. Nothing is done before the settlement.
//! - R20b, R23: `payments::a_client_that_hangs_up_has_its_credit_and_the_sweeper_finishes_what_a_server_began`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::join_all;
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::shop::{MINIMUM, PAY_TO, Shop, USDC, WRITE, base, came, paid_app, pay, receipt, required, with};
use crate::support::wallet::to_header;
use crate::support::{Answer, Caller, Connection, Fault, PayingWallet, StubFacilitator, Terms, TestApp, TestDatabase};

const INCREMENT: &str = "/v1/counters/a/increment";

/// The sum of all counters of all payers: what calls have done.
async fn effects(app: &TestApp) -> i64 {
    let sum = sqlx::query_scalar("select coalesce(sum(value), 0)::bigint from tenant.counters");
    sum.fetch_one(&mut app.database.admin().await).await.unwrap()
}

/// The header of a new payment for an increment.
async fn new_payment(stranger: &Caller, wallet: &PayingWallet, terms: &Terms) -> String {
    let offer = required(&stranger.post(INCREMENT, json!({})).await);
    wallet.pay(&offer, &offer["accepts"][0], terms)
}

/// A POST of `{}`, as it is sent. `headers` end with CRLF.
fn request(path: &str, headers: &str) -> String {
    let media = "Content-Type: application/json";
    format!("POST {path} HTTP/1.1\r\nHost: x\r\n{media}\r\nContent-Length: 2\r\n{headers}\r\n{{}}")
}

async fn open() -> (Shop, PayingWallet, Caller) {
    let shop = Shop::open().await;
    let (wallet, stranger) = (shop.wallet(), shop.stranger().await);
    (shop, wallet, stranger)
}

/// How often the facilitator was asked, how many payments it settled, and what calls have done.
async fn assert_counts(shop: &Shop, asked: usize, settled: usize, done: i64) {
    assert_eq!((shop.stub.asked().len(), shop.stub.settled(), effects(&shop.app).await), (asked, settled, done));
    shop.assert_ledger_is_sound().await;
}

/// The payment that a refusal names, as its owner sees it.
async fn named(owner: &Caller, problem: &Value) -> Value {
    owner.get(&format!("/v1/payments/{}", problem["payment"].as_str().unwrap())).await.ok()
}

/// A facilitator that moves no money, and gives each payer its answer. Returns its URL, and the payers of its requests.
async fn liar(answers: Vec<(String, String)>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let noted = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut stream, _peer) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            // The body of a settlement ends so.
            while !request.ends_with(b"}}}") {
                assert!(stream.read_buf(&mut request).await.unwrap() > 0);
            }
            let request = String::from_utf8(request).unwrap();
            let (payer, answer) = answers.iter().find(|(payer, _)| request.contains(payer)).unwrap();
            noted.lock().unwrap().push(payer.clone());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, asked)
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

/// Answers after which nobody knows whether money has moved.
fn unclear_answers() -> [String; 7] {
    let hash = "ab".repeat(32);
    let success = json!({"success": true, "transaction": format!("0x{hash}"), "network": "eip155:84532"}).to_string();
    let failure = |code: &str| success.replace("true", &format!(r#"false,"errorReason":"{code}""#));
    let whole = http("200 OK", &success);
    [
        http("502 Bad Gateway", "<html><body><h1>502 Bad Gateway</h1></body></html>"),
        http("503 Service Unavailable", &success),
        http("200 OK", "<html>OK</html>"),
        whole[..whole.len() - 20].to_owned(),
        http("500 Internal Server Error", &failure("settlement_pending")),
        http("200 OK", &failure("settlement_pending")),
        http("500 Internal Server Error", &failure("invalid_transaction_state")),
    ]
}

#[tokio::test]
async fn r00_an_unpaid_request_to_each_priced_route_is_answered_with_402() {
    let (shop, _, stranger) = open().await;
    let routes = stranger.get("/x402.json").await.ok();
    assert!(routes["items"].as_array().unwrap().len() > 20, "{routes}");
    for route in routes["items"].as_array().unwrap() {
        let pattern = route["path"].as_str().unwrap().split('/');
        let path = pattern.map(|part| if part.starts_with('{') { "a" } else { part }).collect::<Vec<_>>().join("/");
        let unpaid = stranger.send(route["method"].as_str().unwrap().parse().unwrap(), &path, None).await;
        let offer = required(&unpaid);
        assert_eq!((&offer["x402Version"], &offer["accepts"]), (&json!(2), &route["accepts"]), "{path}");
        unpaid.problem(402, "payment-required");
    }
    assert_counts(&shop, 0, 0, 0).await;
}

#[tokio::test]
async fn r04_to_r09_nothing_is_served_while_the_facilitator_says_nothing_clear() {
    let stub = StubFacilitator::start();
    let answers = unclear_answers().map(|answer| (PayingWallet::from_seed(rand::random()), answer));
    let (url, asked) = liar(answers.iter().map(|(wallet, answer)| (wallet.address(), answer.clone())).collect()).await;
    let app = paid_app(TestDatabase::own().await, vec![base(&url, &stub.rpc_url())]);
    let stranger = Caller { token: None, ..app.caller().await };
    let mut waiting = Vec::new();
    for (wallet, answer) in &answers {
        stub.chain.mint(&wallet.address(), USDC, 10_000);
        let offer = required(&stranger.post(INCREMENT, json!({})).await);
        let payment = wallet.payment(&offer, &offer["accepts"][0], &Terms::default());
        let payer = with(&stranger, &to_header(&payment));
        let paying = tokio::spawn(async move { payer.post(INCREMENT, json!({})).await });
        waiting.push((wallet, answer, payment, paying));
    }
    for (wallet, answer, _, paying) in &waiting {
        // Its first answer was read, and was no reason to serve: the same payment is settled again.
        let count = || asked.lock().unwrap().iter().filter(|payer| **payer == wallet.address()).count();
        app.until(async || paying.is_finished() || count() >= 2).await;
        assert!(!paying.is_finished(), "{answer}");
    }
    assert_eq!((effects(&app).await, came(&app).await, stub.chain.balance_of(PAY_TO, USDC)), (0, 0, 0));
    // The same requests are served when the money has arrived. A hash of the facilitator is not the transaction.
    let served = waiting.into_iter().map(|(_, answer, payment, paying)| {
        let transaction = stub.chain.settle_by_stranger(&payment);
        async move { (answer, transaction, paying.await.unwrap()) }
    });
    for (answer, transaction, served) in join_all(served).await {
        assert_eq!(receipt(&served)["transaction"], transaction, "{answer}");
        assert_eq!(served.ok()["value"], 1);
    }
    assert_eq!(came(&app).await, stub.chain.balance_of(PAY_TO, USDC));
}

#[tokio::test]
async fn r11c_r11d_r11f_a_payment_is_for_its_method_and_its_query_and_not_for_what_its_client_names() {
    let (shop, wallet, stranger) = open().await;
    pay(&stranger, &wallet, &Terms::default(), INCREMENT, json!({})).await.1.ok();
    let paid_read = async |path: &str| {
        let offer = required(&stranger.get(path).await);
        let payer = with(&stranger, &wallet.pay(&offer, &offer["accepts"][0], &Terms::default()));
        payer.get(path).await.ok();
        payer
    };
    let payer = paid_read("/v1/counters/a").await;
    payer.delete("/v1/counters/a").await.problem(409, "payment-used");
    payer.get("/v1/counters?limit=1").await.problem(409, "payment-used");
    assert_eq!(payer.get("/v1/counters/a").await.ok()["value"], 1);
    let payer = paid_read("/v1/counters?limit=1").await;
    for other in ["/v1/counters", "/v1/counters?limit=2", "/v1/counters?limit=1&prefix=b", "/v1/queues?limit=1"] {
        payer.get(other).await.problem(409, "payment-used");
    }
    payer.get("/v1/counters?limit=1").await.ok();
    let offer = required(&stranger.post(INCREMENT, json!({})).await);
    let mut payment = wallet.payment(&offer, &offer["accepts"][0], &Terms::default());
    payment["resource"]["url"] = format!("{}/v1/counters/b/reset", stranger.url).into();
    let payer = with(&stranger, &to_header(&payment));
    assert_eq!(payer.post(INCREMENT, json!({})).await.ok()["value"], 2);
    payer.post("/v1/counters/b/reset", json!({})).await.problem(409, "payment-used");
    let payments = shop.signed_in(&wallet).await.get("/v1/payments").await.ok();
    assert_eq!(payments["items"][0]["method"], "increment");
    assert_counts(&shop, 4, 4, 2).await;
}

/// Paths of which a server or a proxy in front could make the path of an increment.
const SPELLINGS: &str = "/v1/../v1/counters/a/increment /v1/./counters/a/increment /v1/counters/x/../a/increment
    /v1/counters/%2e%2e/counters/a/increment /v1/counters/x%2F..%2Fa/increment /v1/counters/%2E%2E/increment
    /v1%2Fcounters/a/increment /v1/counters%2Fa/increment /v1/counters/a%2Fincrement /v1/counters/a%2fb/increment
    /v1/counters/a;x/increment /v1/counters/a/%69ncrement /v1//counters/a/increment //v1/counters/a/increment
    /v1/counters/a/increment/";

#[tokio::test]
async fn r11e_no_spelling_of_a_path_reaches_a_call_that_is_not_paid() {
    let (shop, wallet, stranger) = open().await;
    let (header, paid) = pay(&stranger, &wallet, &Terms::default(), INCREMENT, json!({})).await;
    assert_eq!(paid.ok()["value"], 1);
    // reqwest would tidy the paths.
    let send = async |headers: String| {
        let url = shop.app.url.clone();
        let send = move |path| (path, Connection::open(&url).unwrap().send(&request(path, &headers)).unwrap());
        let sent = tokio::task::spawn_blocking(move || SPELLINGS.split_whitespace().map(send).collect::<Vec<_>>());
        sent.await.unwrap()
    };
    for (path, answer) in send(String::new()).await {
        assert!([400, 401, 402, 404, 405].contains(&answer.status), "{path}: {answer:?}");
    }
    for (path, answer) in send(format!("Payment-Signature: {header}\r\n")).await {
        // The same call in another spelling gets the first answer.
        let is_same = answer.status == 200 && answer.has("idempotent-replay: true");
        assert!(is_same || (400..500).contains(&answer.status), "{path}: {answer:?}");
    }
    assert_counts(&shop, 1, 1, 1).await;
}

#[tokio::test]
async fn r12_r13_of_eight_payments_with_one_identifier_on_two_servers_one_is_settled() {
    let (shop, wallet, stranger) = open().await;
    let other = shop.another();
    let elsewhere = Caller { url: other.url.clone(), ..stranger.clone() };
    let terms = Terms { payment_id: Some("one-purchase-of-eight".to_owned()), ..Terms::default() };
    let mut payers = Vec::new();
    for server in [&stranger, &elsewhere].repeat(4) {
        payers.push(with(server, &new_payment(&stranger, &wallet, &terms).await));
    }
    shop.stub.fail_next(1, Fault::DelayBeforeSettling(Duration::from_millis(300)));
    let answers = join_all(payers.iter().map(|payer| payer.post(INCREMENT, json!({})))).await;
    let (served, refused): (Vec<Answer>, Vec<Answer>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((served.len(), refused.len()), (1, 7));
    for answer in refused {
        assert_eq!(receipt(&answer)["success"], false);
        answer.problem(409, "payment-used");
    }
    assert_counts(&shop, 1, 1, 1).await;
}

#[tokio::test]
async fn r14_a_server_that_is_killed_leaves_one_payment_and_one_effect_to_another() {
    // While it settles, or at the start of its answer, which nobody reads.
    for is_settling in [true, false] {
        let (shop, wallet, stranger) = open().await;
        let dying = shop.another();
        let header = new_payment(&stranger, &wallet, &Terms::default()).await;
        shop.stub.fail_next(usize::from(is_settling), Fault::HangAfterSettling);
        let mut connection = Connection::open(&dying.url).unwrap();
        connection.write(&request(INCREMENT, &format!("Payment-Signature: {header}\r\n"))).unwrap();
        match is_settling {
            true => shop.stub.until_settled(1).await,
            false => shop.app.until(async || effects(&shop.app).await == 1).await,
        }
        drop((dying, connection));
        assert_eq!(effects(&shop.app).await, i64::from(!is_settling));
        let end_lease = "update tenant.payments set leased_until = now(), due_at = now() where state = 'settling'";
        sqlx::query(end_lease).execute(&mut shop.app.database.admin().await).await.unwrap();
        let (payer, owner) = (with(&stranger, &header), shop.signed_in(&wallet).await);
        for _ in 0..2 {
            let again = payer.post(INCREMENT, json!({})).await;
            assert_eq!((&receipt(&again)["success"], again.ok()["value"].as_i64()), (&json!(true), Some(1)));
        }
        let refused = payer.post(INCREMENT, json!({"amount": 2})).await.problem(409, "payment-used");
        assert!(named(&owner, &refused).await["transaction"].as_str().unwrap().starts_with("0x"));
        assert_eq!(owner.get("/v1/credit").await.ok()["items"][0]["balance"], (MINIMUM - WRITE).to_string());
        shop.stub.release();
        assert_counts(&shop, 1, 1, 1).await;
    }
}

/// No call that costs something answers with `Location`.
#[tokio::test]
async fn r17_r22_no_cache_keeps_an_answer_of_a_paid_route_and_a_201_stays_201() {
    let (shop, wallet, stranger) = open().await;
    let (increment, job) = (json!({"amount": 3}), json!({"payload": 1}));
    let link = json!({"url": "https://shop.example/sale"});
    for (path, body, status) in [(INCREMENT, increment, 200), ("/v1/queues/q/jobs", job, 201), ("/v1/links", link, 201)]
    {
        let unpaid = stranger.post(path, body.clone()).await;
        let (header, made) = pay(&stranger, &wallet, &Terms::default(), path, body.clone()).await;
        let again = with(&stranger, &header).post(path, body.clone()).await;
        let mut other = with(&stranger, &header);
        other.headers.insert("idempotency-key", "another request".parse().unwrap());
        let used = other.post(path, body).await;
        let malformed = with(&stranger, "!").post(path, json!({})).await;
        assert_eq!((&receipt(&made), made.json()), (&receipt(&again), again.json()));
        let answers = [(status, made), (status, again), (402, unpaid), (409, used), (400, malformed)];
        for (status, answer) in answers {
            assert_eq!(answer.status.as_u16(), status, "{answer:?}");
            assert_eq!(answer.headers["cache-control"], "no-store", "{answer:?}");
        }
    }
    let unpaid = stranger.get("/v1/counters/a").await;
    let header = wallet.pay(&required(&unpaid), &required(&unpaid)["accepts"][0], &Terms::default());
    let read = with(&stranger, &header).get("/v1/counters/a").await;
    assert_eq!(read.headers["cache-control"], "no-store");
    assert_eq!(read.ok()["value"], 3);
    assert_counts(&shop, 4, 4, 3).await;
}

#[tokio::test]
async fn r18_a_pending_payment_serves_nothing_and_each_refusal_leads_to_its_transaction() {
    let (shop, wallet, stranger) = open().await;
    let owner = shop.signed_in(&wallet).await;
    let payer = with(&stranger, &new_payment(&stranger, &wallet, &Terms::default()).await);
    let refused = async || payer.post(INCREMENT, json!({"amount": 2})).await.problem(409, "payment-used");
    shop.stub.fail_next(1, Fault::Pending(None));
    let meanwhile = async {
        // It has said that the payment is pending, and is asked again.
        shop.stub.until_asked(2).await;
        let pending = named(&owner, &refused().await).await;
        assert_eq!((pending["state"].as_str(), effects(&shop.app).await, shop.stub.settled()), (Some("unknown"), 0, 0));
        shop.stub.chain.mine();
        pending["transaction"].clone()
    };
    let (served, transaction) = tokio::join!(payer.post(INCREMENT, json!({})), meanwhile);
    assert!(transaction.as_str().unwrap().starts_with("0x"), "{transaction}");
    assert_eq!(receipt(&served)["transaction"], transaction);
    assert_eq!(served.ok()["value"], 1);
    assert_eq!(payer.post(INCREMENT, json!({})).await.ok()["value"], 1);
    assert_eq!(named(&owner, &refused().await).await["transaction"], transaction);
    assert_counts(&shop, 2, 1, 1).await;
}

#[tokio::test]
async fn r19_a_payment_of_another_flow_is_refused() {
    let (shop, wallet, stranger) = open().await;
    let offer = required(&stranger.post(INCREMENT, json!({})).await);
    for flow in [json!("authorization"), json!("deferred"), json!("Upfront"), json!(""), Value::Null] {
        let mut payment = wallet.payment(&offer, &offer["accepts"][0], &Terms::default());
        payment["accepted"]["extra"]["paymentFlow"] = flow;
        let refused = with(&stranger, &to_header(&payment)).post(INCREMENT, json!({})).await;
        assert_eq!(required(&refused)["accepts"], offer["accepts"]);
        refused.problem(402, "payment-not-offered");
    }
    assert_counts(&shop, 0, 0, 0).await;
}

#[tokio::test]
async fn r20_a_client_that_timed_out_and_pays_anew_under_the_same_identifier_is_not_charged_again() {
    let (shop, wallet, stranger) = open().await;
    let owner = shop.signed_in(&wallet).await;
    let client = reqwest::Client::builder().timeout(Duration::from_millis(700)).build().unwrap();
    let impatient = Caller { client, ..stranger.clone() };
    let terms = Terms { payment_id: Some("one-purchase-of-two".to_owned()), ..Terms::default() };
    let first = new_payment(&stranger, &wallet, &terms).await;
    shop.stub.fail_next(1, Fault::HangBeforeSettling);
    let body = Some(("application/json", b"{}".to_vec()));
    assert!(with(&impatient, &first).try_send(Method::POST, INCREMENT, body).await.is_err());
    let anew = async || {
        let payer = with(&stranger, &new_payment(&stranger, &wallet, &terms).await);
        payer.post(INCREMENT, json!({})).await.problem(409, "payment-used")
    };
    assert_eq!(named(&owner, &anew().await).await["state"], "settling");
    shop.stub.release();
    // The refusal names the payment that came first, and its transaction.
    let newest = async || owner.get("/v1/payments").await.ok()["items"][0].clone();
    shop.app.until(async || newest().await["state"] == "settled").await;
    assert_eq!(named(&owner, &anew().await).await, newest().await);
    // The same header gets the result, each time.
    for _ in 0..2 {
        let served = with(&stranger, &first).post(INCREMENT, json!({})).await;
        assert_eq!(receipt(&served)["transaction"], newest().await["transaction"]);
        assert_eq!(served.ok()["value"], 1);
    }
    assert_counts(&shop, 1, 1, 1).await;
}

/// The pointers to all members in a JSON value, and to itself.
fn pointers(value: &Value, at: String, found: &mut Vec<String>) {
    for (name, member) in value.as_object().into_iter().flatten() {
        pointers(member, format!("{at}/{name}"), found);
    }
    found.push(at);
}

#[tokio::test]
async fn r24_a_payment_with_an_odd_value_in_any_place_is_refused() {
    let (shop, wallet, stranger) = open().await;
    let mut offer = required(&stranger.post(INCREMENT, json!({})).await);
    offer["extensions"].as_object_mut().unwrap().remove("sign-in-with-x");
    // It has too small an amount: none of its forms is settled.
    let terms = Terms { value: Some(999), payment_id: Some("an-odd-payment-00".to_owned()), ..Terms::default() };
    let payment = wallet.payment(&offer, &offer["accepts"][0], &terms);
    let deep = (0..500).fold(json!([]), |inner, _| json!([inner]));
    let odd = json!(["", "\u{0}\u{ffff}", "-1", "0x", "9".repeat(100), null, -1, 1.5, u64::MAX, {"": null}, deep]);
    let mut places = Vec::new();
    pointers(&payment, String::new(), &mut places);
    assert!(places.len() > 20, "{places:?}");
    for place in places {
        let changed = odd.as_array().unwrap().iter().map(|odd| {
            let mut payment = payment.clone();
            *payment.pointer_mut(&place).unwrap() = odd.clone();
            with(&stranger, &to_header(&payment))
        });
        for answer in join_all(changed.map(async |payer| payer.post(INCREMENT, json!({})).await)).await {
            let code = answer.json()["code"].as_str().unwrap().to_owned();
            let is_refusal = [400, 402].contains(&answer.status.as_u16()) && code.starts_with("payment-");
            assert!(is_refusal, "{place}: {answer:?}");
        }
    }
    assert_counts(&shop, 0, 0, 0).await;
    // U+0000 in a member that nobody reads does no harm.
    let mut payment = wallet.payment(&offer, &offer["accepts"][0], &Terms::default());
    payment["resource"]["description"] = "\u{0}".into();
    with(&stranger, &to_header(&payment)).post(INCREMENT, json!({})).await.ok();
    shop.assert_ledger_is_sound().await;
}

#[tokio::test]
async fn r24_a_header_that_is_no_payment_is_refused() {
    let (shop, _, stranger) = open().await;
    let refused = async |header: HeaderValue| {
        let mut payer = stranger.clone();
        payer.headers.insert("payment-signature", header);
        payer.post(INCREMENT, json!({})).await.problem(400, "payment-malformed");
    };
    let (arrays, objects) = ("[".repeat(8_000), r#"{"a":"#.repeat(2_000));
    let nested = format!(r#"{{"x402Version":2,"resource":{}{}}}"#, "[".repeat(4_000), "]".repeat(4_000));
    let texts = r#"null true 0 "" [] {} {}x { NaN 1e999 {"x402Version":2} {"x402Version":"2"} {"x402Version":2.5}
        {"x402Version":-2} {"x402Version":99999999999999999999} {"x402Version":2,"x402Version":2}
        {"x402Version":2,"resource":"\ud800"} {"x402Version":2,"payload":null,"accepted":null}
        {"x402Version":2,"payload":{},"accepted":[]}"#;
    for text in texts.split_whitespace().chain(["", " ", "\0", "\u{feff}{}", &arrays, &objects, &nested]) {
        refused(BASE64_STANDARD.encode(text).parse().unwrap()).await;
    }
    for bytes in [&b"\xff\xfe"[..], b"\xc3\x28", b"\xed\xa0\x80"] {
        refused(BASE64_STANDARD.encode(bytes).parse().unwrap()).await;
        refused(HeaderValue::from_bytes(bytes).unwrap()).await;
    }
    for text in ["=", "====", "e30=e30=", "e-_0", "e3 0=", "{}", "Bearer e30=", "e30=,e30=", &"A".repeat(15 << 10)] {
        refused(text.parse().unwrap()).await;
    }
    // The HTTP parser refuses these before anybody reads the header.
    let long = with(&stranger, &"A".repeat(17 << 10)).post(INCREMENT, json!({})).await;
    assert_eq!(long.status.as_u16(), 431);
    let (url, text) = (stranger.url.clone(), request(INCREMENT, "Payment-Signature: e3\x000=\r\n"));
    let nul = tokio::task::spawn_blocking(move || Connection::open(&url).unwrap().send(&text).unwrap().status);
    assert_eq!(nul.await.unwrap(), 400);
    assert_counts(&shop, 0, 0, 0).await;
}
