//! Each fault of the stub facilitator does what it says.

use std::time::{Duration, Instant};

use reqwest::Response;
use serde_json::{Value, json};

use super::PAY_TO;
use super::payer::{Payer, USDC, read};
use crate::support::{Fault, Terms};

const ALREADY_USED: &str = "invalid_exact_evm_nonce_already_used";

/// What the recipient has, in atomic units.
fn received(payer: &Payer) -> u128 {
    payer.facilitator.chain.balance_of(PAY_TO, USDC)
}

#[tokio::test]
async fn refusals_do_not_settle() {
    let payer = Payer::new();
    let payment = payer.payment(&Terms::default());
    let faults = [
        (Fault::BadGatewayBeforeSettling, 502, "text/html"),
        (Fault::UnavailableWithSuccess, 503, "application/json"),
        (Fault::Unauthorized, 401, "application/json"),
        (Fault::TooManyRequests(7), 429, "application/json"),
        (Fault::Redirect, 307, ""),
    ];
    for (fault, status, media) in faults {
        payer.facilitator.fail_next(1, fault);
        let answer = payer.request("/settle", &payment, &payer.required()).send().await.unwrap();
        assert_eq!(answer.status(), status);
        let header = |name: &str| answer.headers().get(name).map_or("", |value| value.to_str().unwrap());
        assert_eq!(header("content-type"), media);
        assert_eq!(header("retry-after"), if status == 429 { "7" } else { "" });
        assert_eq!(header("location"), if status == 307 { "/elsewhere/settle" } else { "" });
        let body = answer.text().await.unwrap();
        assert_eq!(body.contains(r#""success":true"#), status == 503);
        assert_eq!(body.contains("<html>"), status == 502);
    }
    assert_eq!((payer.facilitator.asked().len(), payer.facilitator.settled(), received(&payer)), (5, 0, 0));
    assert_eq!(payer.settle_code(&payment).await, "");
    assert_eq!(payer.facilitator.followed(), 0);
    payer.client.post(format!("{}/elsewhere/settle", payer.facilitator.url)).send().await.unwrap();
    assert_eq!(payer.facilitator.followed(), 1);
}

/// Pays while a fault spoils the answer of the next settlement. The payment is settled nevertheless, once.
async fn spoiled(payer: &Payer, fault: Fault) -> reqwest::Result<Response> {
    let (settled, money) = (payer.facilitator.settled(), received(payer));
    payer.facilitator.fail_next(1, fault);
    let payment = payer.payment(&Terms::default());
    let answer = payer.request("/settle", &payment, &payer.required()).send().await;
    assert_eq!((payer.facilitator.settled(), received(payer)), (settled + 1, money + 1_000));
    assert_eq!(payer.settle_code(&payment).await, ALREADY_USED);
    answer
}

#[tokio::test]
async fn spoiled_answers_come_after_the_settlement() {
    let payer = Payer::new();
    let answer = spoiled(&payer, Fault::BadGatewayAfterSettling).await.unwrap();
    assert_eq!(answer.status(), 502);
    assert!(answer.text().await.unwrap().starts_with("<html>"));

    let answer = spoiled(&payer, Fault::CutJsonAfterSettling).await.unwrap();
    assert_eq!(answer.status(), 200);
    let text = answer.text().await.unwrap();
    assert!(text.starts_with(r#"{"success":true,"#) && !text.ends_with('}'), "{text}");

    let (status, body) = read(spoiled(&payer, Fault::OtherPayer).await.unwrap()).await;
    assert_eq!((status, &body["success"]), (200, &json!(true)));
    assert_eq!(body["payer"], format!("0x{}", "0e".repeat(20)));
}

#[tokio::test]
async fn connections_drop_after_the_settlement() {
    let payer = Payer::new();
    spoiled(&payer, Fault::DropAfterSettling).await.unwrap_err();

    let mut answer = spoiled(&payer, Fault::DropAfterSuccess).await.unwrap();
    assert_eq!(answer.status(), 200);
    let begin = answer.chunk().await.unwrap().unwrap();
    assert!(begin.starts_with(b"{\"success\":true,") && begin.ends_with(b"}"));
    answer.chunk().await.unwrap_err();
}

#[tokio::test]
async fn a_settlement_hangs_until_it_is_released() {
    let payer = Payer::new();
    for (fault, is_settled) in [(Fault::HangBeforeSettling, false), (Fault::HangAfterSettling, true)] {
        let asked = payer.facilitator.asked().len() + 1;
        let before = payer.facilitator.settled();
        payer.facilitator.fail(fault);
        let payment = payer.payment(&Terms::default());
        let mut settling = Box::pin(payer.settle_code(&payment));
        tokio::select! {
            code = &mut settling => panic!("it answers: {code}"),
            () = payer.facilitator.until_asked(asked) => {}
        }
        if is_settled {
            payer.facilitator.until_settled(before + 1).await;
        }
        assert_eq!(payer.facilitator.settled(), before + usize::from(is_settled));
        payer.facilitator.heal();
        let other = payer.payment(&Terms::default());
        assert_eq!(payer.settle_code(&other).await, "", "other settlements go on");
        payer.facilitator.release();
        assert_eq!(settling.await, "");
        assert_eq!(payer.facilitator.settled(), before + 2);
    }
}

#[tokio::test]
async fn a_settlement_that_hangs_outlives_its_caller() {
    let payer = Payer::new();
    for (count, fault) in (1..).zip([Fault::HangBeforeSettling, Fault::HangAfterSettling]) {
        payer.facilitator.fail_next(1, fault);
        let payment = payer.payment(&Terms::default());
        let asked = payer.facilitator.asked().len() + 1;
        tokio::select! {
            code = payer.settle_code(&payment) => panic!("it answers: {code}"),
            () = payer.facilitator.until_asked(asked) => {}
        }
        // The server has seen by then that the caller is gone.
        assert_eq!(payer.get("/supported").await.0, 200);
        payer.facilitator.release();
        payer.facilitator.until_settled(count).await;
        assert_eq!(payer.settle_code(&payment).await, ALREADY_USED);
    }
}

#[tokio::test]
async fn a_settlement_may_take_its_time() {
    let payer = Payer::new();
    let delay = Duration::from_millis(30);
    payer.facilitator.fail_next(1, Fault::DelayBeforeSettling(delay));
    let started = Instant::now();
    assert_eq!(payer.settle_code(&payer.payment(&Terms::default())).await, "");
    assert!(started.elapsed() >= delay);
}

/// Pays while a fault calls the next settlement pending. Returns the payment and the hash of its transaction.
async fn pending(payer: &Payer, delay: Option<Duration>) -> (Value, Value) {
    payer.facilitator.fail_next(1, Fault::Pending(delay));
    let payment = payer.payment(&Terms::default());
    let (status, answer) = payer.settle(&payment).await;
    assert_eq!((status, &answer["success"]), (500, &json!(false)));
    assert_eq!(answer["errorReason"], "settlement_pending");
    (payment, answer["transaction"].clone())
}

/// Member `status` of the receipt of a transaction.
async fn receipt_status(payer: &Payer, hash: &Value) -> Value {
    payer.rpc("eth_getTransactionReceipt", json!([hash])).await["result"]["status"].clone()
}

#[tokio::test]
async fn a_pending_settlement_gets_its_block_later() {
    let payer = Payer::new();
    let (payment, hash) = pending(&payer, None).await;
    assert_eq!(payer.settle_code(&payer.payment(&Terms::default())).await, "", "other settlements go on");
    assert_eq!((receipt_status(&payer, &hash).await, received(&payer)), (Value::Null, 1_000));
    payer.facilitator.fail_next(1, Fault::Pending(None));
    assert_eq!(payer.settle(&payment).await.1["transaction"], hash, "it is pending still");
    payer.facilitator.chain.mine();
    assert_eq!((receipt_status(&payer, &hash).await, received(&payer)), (json!("0x1"), 2_000));

    let (status, settled) = payer.settle(&payment).await;
    assert_eq!((status, &settled["success"], &settled["transaction"]), (200, &json!(true), &hash));
    assert_eq!(payer.settle_code(&payment).await, ALREADY_USED, "it is asked for a third time");
    assert_eq!((payer.facilitator.settled(), received(&payer)), (2, 2_000));
}

#[tokio::test]
async fn a_pending_settlement_may_get_its_block_by_itself() {
    let payer = Payer::new();
    let (payment, hash) = pending(&payer, Some(Duration::from_millis(10))).await;
    let (status, settled) = payer.settle(&payment).await;
    assert_eq!((status, &settled["success"], &settled["transaction"]), (200, &json!(true), &hash));
    assert_eq!((payer.facilitator.settled(), received(&payer)), (1, 1_000));
}

#[tokio::test]
async fn a_stopped_facilitator_forgets_what_was_pending() {
    let mut payer = Payer::new();
    let (payment, hash) = pending(&payer, None).await;
    payer.facilitator.stop().await;
    payer.facilitator.restart();
    let (status, settled) = payer.settle(&payment).await;
    assert_eq!((status, &settled["success"]), (200, &json!(true)));
    assert_ne!(settled["transaction"], hash);
    payer.facilitator.chain.mine();
    assert_eq!((receipt_status(&payer, &hash).await, received(&payer)), (json!("0x0"), 1_000));
}

#[tokio::test]
async fn a_success_may_come_before_its_block() {
    let payer = Payer::new();
    payer.facilitator.fail_next(1, Fault::SuccessBeforeBlock);
    let (status, answer) = payer.settle(&payer.payment(&Terms::default())).await;
    assert_eq!((status, &answer["success"]), (200, &json!(true)));
    assert_eq!((payer.facilitator.settled(), received(&payer)), (0, 0));
    payer.facilitator.chain.mine();
    assert_eq!((payer.facilitator.settled(), received(&payer)), (1, 1_000));
}

#[tokio::test]
async fn faults_come_in_order_and_end() {
    let payer = Payer::new();
    payer.facilitator.fail_next(2, Fault::Unauthorized);
    payer.facilitator.fail_next(1, Fault::BadGatewayBeforeSettling);
    payer.facilitator.fail(Fault::TooManyRequests(1));
    let mut statuses = Vec::new();
    for _ in 0..5 {
        let payment = payer.payment(&Terms::default());
        statuses.push(payer.request("/settle", &payment, &payer.required()).send().await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [401, 401, 502, 429, 429]);
    payer.facilitator.heal();
    assert_eq!(payer.settle_code(&payer.payment(&Terms::default())).await, "");
}

#[tokio::test]
async fn a_stopped_facilitator_comes_back_on_its_port_with_its_chain() {
    let mut payer = Payer::new();
    let first = payer.payment(&Terms::default());
    assert_eq!(payer.settle_code(&first).await, "");
    payer.facilitator.fail_next(1, Fault::HangBeforeSettling);
    let second = payer.payment(&Terms::default());
    let hanging = tokio::spawn(payer.request("/settle", &second, &payer.required()).send());
    payer.facilitator.until_asked(2).await;
    payer.facilitator.stop().await;
    hanging.await.unwrap().unwrap_err();
    assert!(payer.request("/settle", &second, &payer.required()).send().await.unwrap_err().is_connect());
    payer.facilitator.release();
    payer.facilitator.restart();
    assert_eq!(payer.settle_code(&first).await, ALREADY_USED);
    assert_eq!(received(&payer), 1_000, "what hung is not settled");
    assert_eq!(payer.settle_code(&second).await, "");
    assert_eq!((payer.facilitator.asked().len(), payer.facilitator.settled(), received(&payer)), (4, 2, 2_000));
}
