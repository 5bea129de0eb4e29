//! Transactions of Stacks that pay: what is accepted is one transfer, signed by its payer, and every byte of it matters.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use payerbase::wallet::Network;
use payerbase::x402::{Checked, Offer, PaymentPayload, Refusal, check};
use payerbase_fuzz::{PRICE, SIGNED_AT, STACKS_PAY_TO, at, offer, sha512_256, signed_transaction, twin};
use serde_json::json;

static OFFERS: LazyLock<[Offer; 4]> = LazyLock::new(|| {
    let main = ["STX", "sBTC", "USDCx"].map(|symbol| offer(symbol, Network::Stacks));
    let [stx, sbtc, usdcx] = main;
    [stx, sbtc, usdcx, offer("STX", Network::StacksTest)]
});

fuzz_target!(|data: &[u8]| {
    let Some(([kind, place], transaction)) = data.split_first_chunk() else { return };
    let offer = &OFFERS[usize::from(kind % 4)];
    // The wallet signs the transaction, or the input has its signature.
    let signed = if kind & 4 == 0 { signed_transaction(transaction.to_vec()) } else { None };
    let transaction = signed.unwrap_or_else(|| transaction.to_vec());
    match pay(offer, &hex::encode(&transaction)) {
        Ok(checked) => check_paid(offer, &checked, &transaction, (*place).into()),
        Err(Refusal::Malformed(reason)) => assert!(reason.to_string().len() < 200),
        Err(_) => {}
    }
});

fn pay<'a>(offer: &'a Offer, transaction: &str) -> Result<Checked<'a>, Refusal> {
    let payment = json!({
        "x402Version": 2, "payload": {"transaction": transaction}, "accepted": offer.to_requirements()
    });
    let payment = PaymentPayload::from_json(payment.to_string())?;
    check(std::slice::from_ref(offer), &payment, at(SIGNED_AT))
}

fn check_paid(offer: &Offer, checked: &Checked<'_>, transaction: &[u8], place: usize) {
    // The fields of SIP-005, at their places.
    let is_main = offer.asset().network() == Network::Stacks;
    let begin: &[u8] = if is_main { &[0, 0, 0, 0, 1] } else { &[0x80, 0x80, 0, 0, 0] };
    assert_eq!(transaction[..5], *begin);
    assert_eq!(checked.transaction, Some(hex::encode(sha512_256(transaction))));
    assert_eq!(checked.key.nonce, u64::from_be_bytes(*transaction[27..].first_chunk().unwrap()).to_string());
    assert_eq!(checked.key.network, offer.asset().network());
    let payer = payerbase::fuzzing::address_bytes(&checked.key.payer).unwrap();
    assert_eq!((payer[0], &payer[1..]), (if is_main { 22 } else { 26 }, &transaction[7..27]));
    let pay_to = payerbase::fuzzing::address_bytes(offer.pay_to()).unwrap();
    let end = &transaction[115..];
    let has = |bytes: &[u8]| end.windows(bytes.len()).any(|window| window == bytes);
    assert!(has(&[&[5], pay_to.as_slice()].concat()), "it pays the recipient {STACKS_PAY_TO}");
    assert!(has(&PRICE.to_be_bytes()), "it pays the amount");
    // Other digits are the same transaction.
    assert_eq!(pay(offer, &hex::encode_upper(transaction)).as_ref(), Ok(checked));
    // No other transaction is paid by the signature.
    let place = place % transaction.len();
    for bit in [1, 128] {
        let mut changed = transaction.to_vec();
        changed[place] ^= bit;
        assert!(pay(offer, &hex::encode(changed)).is_err(), "{place} {bit}");
    }
    for changed in [&transaction[..place], &[transaction, &[0]].concat()] {
        assert!(pay(offer, &hex::encode(changed)).is_err());
    }
    let mut other = transaction.to_vec();
    other[44] ^= 1;
    let rs = twin(transaction[45..].first_chunk().unwrap());
    other[45..109].copy_from_slice(&rs);
    assert_eq!(pay(offer, &hex::encode(other)), Err(Refusal::InvalidSignature), "the twin is refused");
    // Nor is it a payment of another offer.
    for other in OFFERS.iter().filter(|other| *other != offer) {
        assert!(pay(other, &hex::encode(transaction)).is_err());
    }
}
