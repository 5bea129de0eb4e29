//! PAYMENT-SIGNATURE, as it is read before a payment is recorded: base64, JSON, and the check against the offers.
//!
//! The first byte says what the rest is: a header, the JSON in it, or the fields of a payment that the wallet signs. For the last, a
//! second reading of EIP-3009 and of the offers says whether it must be accepted.

#![no_main]

use libfuzzer_sys::arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::{arbitrary, fuzz_target};
use payerbase::pay::Tier;
use payerbase::payments::{OfferedFor, Paid};
use payerbase::problem::{Code, Problem};
use payerbase_fuzz::{EVM_PAY_TO, EVM_PAYER, PRICE, SIGNED_AT, at, base64, evm_signature, keccak, offers};
use serde_json::{Value, json};

const CALL: OfferedFor = OfferedFor::Call(Tier::Write);
const TOKEN: &str = "0x036CbD53842c5426634e7929541eC2318f3dCF7e";

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    match (kind % 3, str::from_utf8(rest)) {
        (0, Ok(header)) => check(header),
        (1, Ok(json)) => check(&base64(json)),
        (2, _) => {
            if let Ok(fields) = Fields::arbitrary(&mut Unstructured::new(rest)) {
                fields.check();
            }
        }
        _ => {}
    }
});

fn read(header: &str, offered: OfferedFor, seconds: i64) -> Result<Paid, Problem> {
    let paid = offers().read(header, offered, &offers().extensions(|| None), at(seconds));
    if let Err(problem) = &paid {
        let known = [Code::PaymentMalformed, Code::PaymentNotOffered, Code::PaymentExpired, Code::PaymentInvalid];
        assert!(known.contains(&problem.code()));
    }
    paid
}

fn check(header: &str) {
    let Ok(paid) = read(header, CALL, SIGNED_AT) else { return };
    let unpadded = header.trim_end_matches('=');
    let json = base64::Engine::decode(&base64::prelude::BASE64_STANDARD_NO_PAD, unpadded).unwrap();
    let value: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(value["x402Version"], 2);
    assert_eq!(value["accepted"]["scheme"], "exact");
    assert_eq!(value["accepted"]["network"], paid.network().as_str());
    let (_, amount) = paid.amount();
    assert_eq!(value["accepted"]["amount"], amount.to_string().as_str());
    assert!(amount >= PRICE);
    let authorization = &value["payload"]["authorization"];
    if paid.network().starts_with("eip155:") {
        assert_eq!(authorization["value"], amount.to_string().as_str());
        assert_eq!(authorization["from"].as_str().unwrap().parse().as_ref(), Ok(paid.payer()));
    } else {
        assert!(value["payload"]["transaction"].is_string());
    }
    // It is the same payment each time, in other spellings, and later.
    for header in [header.to_owned(), unpadded.to_owned(), base64(json)] {
        for seconds in [SIGNED_AT, SIGNED_AT + 1_000_000] {
            assert_eq!(read(&header, CALL, seconds).unwrap().id(), paid.id());
        }
    }
    assert!(read(header, OfferedFor::Credit(amount + 1), SIGNED_AT).is_err(), "it pays for no more");
}

/// A number that a payer signs: mostly one near the right one.
#[derive(Arbitrary, Debug)]
enum Number {
    Near(i8),
    Any(u64),
    /// Above 64 bits.
    Large(u64),
}

impl Number {
    fn value(&self, right: u64) -> u128 {
        match self {
            Self::Near(difference) => right.saturating_add_signed((*difference).into()).into(),
            Self::Any(number) => (*number).into(),
            Self::Large(number) => u128::from(u64::MAX) + 1 + u128::from(*number),
        }
    }
}

/// A payment that the wallet signs.
#[derive(Arbitrary, Debug)]
struct Fields {
    amount: Number,
    value: Option<Number>,
    valid_after: Number,
    valid_before: Number,
    nonce: [u8; 32],
    /// Other values than those of the offer.
    is_other_payer: bool,
    other_recipient: Option<[u8; 20]>,
    is_other_token: bool,
    spelling: u8,
    more: u8,
}

impl Fields {
    fn check(&self) {
        let now = u64::try_from(SIGNED_AT).unwrap();
        let price = u64::try_from(PRICE).unwrap();
        let amount = self.amount.value(price);
        let value = self.value.as_ref().map_or(amount, |value| value.value(price));
        let after = self.valid_after.value(now);
        let before = self.valid_before.value(now + 60);
        let to = self.other_recipient.map_or(EVM_PAY_TO.to_owned(), |address| format!("0x{}", hex::encode(address)));
        let payload = self.payload(value, after, before, &to);
        let payment = self.payment(amount, payload);
        let paid = read(&base64(payment.to_string()), CALL, SIGNED_AT);
        let is_offered = (u128::from(price)..=i64::MAX.try_into().unwrap()).contains(&amount)
            && value == amount
            && to.eq_ignore_ascii_case(EVM_PAY_TO)
            && !self.is_other_payer
            && !self.is_other_token;
        let now = u128::from(now);
        let is_in_time = after <= now && before <= now + 60 + 60;
        let is_spelled = self.spelling % 8 < 3 && self.more % 4 < 2;
        assert_eq!(paid.is_ok(), is_offered && is_in_time && is_spelled, "{:?}", paid.err());
        let Ok(paid) = paid else { return };
        assert_eq!(paid.payer().as_str(), EVM_PAYER.to_ascii_lowercase());
        assert_eq!(paid.amount(), (0, i64::try_from(amount).unwrap()));
        // Another nonce is another payment.
        let mut other = payment.clone();
        other["payload"]["authorization"]["nonce"] = json!(format!("0x{}", hex::encode(keccak(&self.nonce))));
        assert!(read(&base64(other.to_string()), CALL, SIGNED_AT).is_err());
    }

    /// The payload, signed as EIP-712 and EIP-3009 say.
    fn payload(&self, value: u128, after: u128, before: u128, to: &str) -> Value {
        let address = |text: &str| [vec![0; 12], hex::decode(&text[2..]).unwrap()].concat();
        let number = |number: u128| [[0; 16], number.to_be_bytes()].concat();
        let token = if self.is_other_token { EVM_PAY_TO } else { TOKEN };
        let domain = [
            keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)").to_vec(),
            keccak(b"USDC").to_vec(),
            keccak(b"2").to_vec(),
            number(84_532),
            address(token),
        ];
        let authorization = [
            keccak(
                b"TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 \
                validBefore,bytes32 nonce)",
            )
            .to_vec(),
            address(if self.is_other_payer { EVM_PAY_TO } else { EVM_PAYER }),
            address(to),
            number(value),
            number(after),
            number(before),
            self.nonce.to_vec(),
        ];
        let hashes = [keccak(&domain.concat()), keccak(&authorization.concat())].concat();
        let signature = evm_signature(&keccak(&[b"\x19\x01", hashes.as_slice()].concat()));
        let from = if self.is_other_payer { EVM_PAY_TO } else { EVM_PAYER };
        let mut payload = json!({"signature": signature, "authorization": {
            "from": from, "to": to, "value": value.to_string(), "validAfter": after.to_string(),
            "validBefore": before.to_string(), "nonce": format!("0x{}", hex::encode(self.nonce)),
        }});
        let authorization = &mut payload["authorization"];
        match self.spelling % 8 {
            1 => authorization["from"] = json!(from.to_ascii_lowercase()),
            2 => authorization["nonce"] = json!(format!("0x{}", hex::encode_upper(self.nonce))),
            3 => authorization["value"] = json!(format!("0{value}")),
            4 => authorization["from"] = json!(from.replacen("0x", "0X", 1)),
            5 => authorization["validBefore"] = json!(format!("+{before}")),
            6 => authorization["validAfter"] = json!(0),
            7 => payload["signature"] = json!(signature.replacen("0x", "", 1)),
            _ => {}
        }
        payload
    }

    fn payment(&self, amount: u128, payload: Value) -> Value {
        let mut payment = json!({"x402Version": 2, "payload": payload, "accepted": {
            "scheme": "exact", "network": "eip155:84532", "amount": amount.to_string(), "asset": TOKEN,
            "payTo": EVM_PAY_TO, "maxTimeoutSeconds": 60,
            "extra": {"name": "USDC", "version": "2", "paymentFlow": "upfront"},
        }});
        match self.more % 4 {
            1 => payment["accepted"]["more"] = json!([1]),
            2 => payment["payload"]["permit2Authorization"] = json!({}),
            3 => payment["Accepted"] = json!(null),
            _ => {}
        }
        payment
    }
}
