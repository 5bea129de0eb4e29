//! The paying wallet of the tests signs as the official clients do.

use serde_json::{Value, json};

use crate::support::stacks::{Network, id};
use crate::support::wallet::{from_header, to_header};
use crate::support::{PayingWallet, Terms, evm, official};

/// The time at which the official client signed.
const SIGNED_AT: u64 = 1_764_000_000;

/// The nonce that the official client was given.
fn nonce() -> [u8; 32] {
    std::array::from_fn(|place| u8::try_from(place + 1).unwrap())
}

fn key(digits: &str) -> PayingWallet {
    PayingWallet::from_key(&hex::decode(digits).unwrap().try_into().unwrap())
}

/// The wallet of the official client for EVM chains.
fn ethereum() -> PayingWallet {
    key("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
}

/// The wallet of the official client for Stacks.
fn stacks() -> PayingWallet {
    key("edf9aee84d9b7abc145504dde6726c64f369d37ee34ded868fabd876c26570bc")
}

fn terms() -> Terms {
    Terms { now: Some(SIGNED_AT), nonce: Some(nonce()), stacks_nonce: Some(7), ..Terms::default() }
}

#[test]
fn an_authorization_is_byte_for_byte_the_official_clients() {
    let required = from_header(official::REQUIRED);
    let header = ethereum().pay(&required, &required["accepts"][0], &terms());
    assert_eq!(header, official::SIGNATURE);

    let required = from_header(official::NAMED_REQUIRED);
    assert_eq!(to_header(&required), official::NAMED_REQUIRED);
    let named = Terms { payment_id: Some("pay_7d5d747be160e280504c099d984bcfe0".to_owned()), ..terms() };
    assert_eq!(ethereum().pay(&required, &required["accepts"][0], &named), official::NAMED_SIGNATURE);
}

#[test]
fn a_transaction_of_stacks_is_byte_for_byte_the_official_clients() {
    for (header, transaction_id) in [
        (official::STX, "86663868e0021c10a1ee1e3908779c6892a6945c20402db4f6c1c855c35bd4d9"),
        (official::SBTC, "c1cd70b464f39dcaf76072a680232dbdfc4956615ac232c39c80352f6fc35625"),
        (official::USDCX, "035d83af6e4b67e4c9addf38ad2240f63913954fe7e654b9645985d328f1f3bd"),
        (official::STX_TEST, "f541f8333d21674218b895ae71f531cdfe19d220101de356e12e82ba2d3b59d4"),
    ] {
        let payment = from_header(header);
        let required = json!({"resource": payment["resource"], "accepts": [payment["accepted"]]});
        assert_eq!(stacks().pay(&required, &required["accepts"][0], &terms()), header);
        let transaction = hex::decode(payment["payload"]["transaction"].as_str().unwrap()).unwrap();
        assert_eq!(id(&transaction), transaction_id);
    }
}

#[test]
fn addresses_are_those_of_the_keys() {
    assert_eq!(ethereum().address(), "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
    assert_eq!(stacks().stacks_address(Network::Main), "SPAW66WC3G8WA5F28JVNG1NTRJ6H76E7EN5H6QQD");
    assert_eq!(stacks().stacks_address(Network::Test), "STAW66WC3G8WA5F28JVNG1NTRJ6H76E7EMHDBMBN");
}

#[test]
fn the_hashes_of_an_authorization_are_the_contracts() {
    let payment = from_header(official::SIGNATURE);
    let authorization = evm::Authorization::read(&payment["payload"]["authorization"]).unwrap();
    let contract = evm::bytes("0x036CbD53842c5426634e7929541eC2318f3dCF7e").unwrap();
    let domain = evm::Domain { name: "USDC".to_owned(), version: "2".to_owned(), chain_id: 84_532, contract };
    let hashes = [domain.hash(), authorization.struct_hash(), authorization.hash(&domain)].map(hex::encode);
    let expected = [
        "71f17a3b2ff373b803d70a5a07c046c1a2bc8e89c09ef722fcb047abe94c9818",
        "ef6df243e59a571ed1d2ce524d95739273b59a3ae7a6ee3f11eb2cda945ef83b",
        "9a5c5702e7101db6deac7c92c218e10cd81e03532773dfef3a0787cdbbf3d82c",
    ];
    assert_eq!(hashes, expected);
}

#[test]
fn a_text_is_signed_as_by_an_ethereum_wallet() {
    let text = "127.0.0.1:4402 wants you to sign in with your Ethereum account:\n\
        0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266\n\nSign in to payerbase\n\n\
        URI: http://127.0.0.1:4402/v1/counters/visits/increment\nVersion: 1\nChain ID: 8453\n\
        Nonce: a1b2c3d4e5f67890a1b2c3d4e5f67890\nIssued At: 2025-11-24T16:00:00.000Z\n\
        Expiration Time: 2025-11-24T16:05:00.000Z\nResources:\n- http://127.0.0.1:4402/v1/counters/visits/increment";
    let signature = "0x5f918f6696ebad89fd394d04687b010c61e48101a263562f4286036fe1d4729b\
        7db03b9a0f2671975cb6167dd42f8d3d96379ebcdb450ae4ffcd950a0de4ed1f1b";
    assert_eq!(ethereum().personal_sign(text), signature);
}

#[test]
fn a_test_chooses_the_terms() {
    let required = from_header(official::REQUIRED);
    let accepted = &required["accepts"][0];
    let other = PayingWallet::from_seed(1).address();
    let changed = Terms {
        nonce: Some([9; 32]),
        valid_after: Some(5),
        valid_before: Some(6),
        value: Some(u128::MAX),
        to: Some(other.clone()),
        from: Some(other.clone()),
        ..Terms::default()
    };
    let payment = ethereum().payment(&required, accepted, &changed);
    let expected = json!({
        "from": other,
        "to": other,
        "value": u128::MAX.to_string(),
        "validAfter": "5",
        "validBefore": "6",
        "nonce": format!("0x{}", "09".repeat(32)),
    });
    assert_eq!(payment["payload"]["authorization"], expected);

    let high = Terms { has_high_s: true, ..terms() };
    let twin = "0x16023f37e1fc140eba5ecb2cc2170116bf2ac7b40b8cb79fd28d1a288096949f\
        85142a76187182f8a0ac330ce6ecf97ddbd46730700201d16905ed154f56b8271c";
    assert_eq!(ethereum().payment(&required, accepted, &high)["payload"]["signature"], twin);
}

#[test]
fn a_seed_is_a_wallet_whose_payments_differ() {
    let required = from_header(official::REQUIRED);
    let pay = |wallet: &PayingWallet| {
        let payment: Value = wallet.payment(&required, &required["accepts"][0], &Terms::default());
        payment["payload"]["authorization"]["nonce"].clone()
    };
    let [first, again, other] = [1, 1, 2].map(PayingWallet::from_seed);
    assert_eq!(first.address(), again.address());
    assert_ne!(first.address(), other.address());
    let nonces = [pay(&first), pay(&first)];
    assert_ne!(nonces[0], nonces[1]);
    assert_eq!(nonces, [pay(&again), pay(&again)]);
    assert_ne!(nonces[0], pay(&other));
}

#[test]
fn a_payment_on_stacks_has_a_name_only_if_the_test_asks_for_one() {
    let required = from_header(official::NAMED_REQUIRED);
    let accepted = &required["accepts"][1];
    assert_eq!(stacks().payment(&required, accepted, &terms())["extensions"], Value::Null);
    let named = Terms { payment_id: Some("a-name-of-a-payment".to_owned()), ..terms() };
    let payment = stacks().payment(&required, accepted, &named);
    assert_eq!(payment["extensions"]["payment-identifier"]["info"]["id"], "a-name-of-a-payment");
}
