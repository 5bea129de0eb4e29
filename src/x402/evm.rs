//! Payments on EVM chains: authorizations of EIP-3009.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha3::{Digest as _, Keccak256};

use super::asset::Domain;
use super::checked::{Checked, PaymentKey};
use super::offer::Offer;
use super::payload::members;
use super::refusal::{Malformed, Refusal, Term};
use crate::payer::Payer;
use crate::wallet::Signature;

/// Facilitators refuse an authorization with less time left.
const SECONDS_LEFT_MIN: u64 = 6;
/// How much later than this server's the clock of a payer may be.
const CLOCK_DIFFERENCE_SECONDS: u64 = 60;
/// Digits of the largest number of 256 bits.
const DIGITS_MAX: usize = 78;

const DOMAIN_TYPE: &str = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
const AUTHORIZATION_TYPE: &str = "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,\
    uint256 validBefore,bytes32 nonce)";

type Word = [u8; 32];

/// The payload. A facilitator may prefer another member to these, such as `permit2Authorization`. So there must be none.
#[derive(Deserialize)]
struct Signed {
    signature: String,
    authorization: Texts,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
struct Texts {
    from: String,
    to: String,
    value: String,
    valid_after: String,
    valid_before: String,
    nonce: String,
}

/// What a payer signs. Larger numbers are `u64::MAX`: each of them is refused.
struct Authorization {
    from: Payer,
    to: Payer,
    value: u64,
    valid_after: u64,
    valid_before: u64,
    nonce: Word,
}

pub(super) fn check<'a>(
    offer: &'a Offer,
    token: &Payer,
    domain: &Domain,
    payload: &RawValue,
    now: Option<DateTime<Utc>>,
) -> Result<Checked<'a>, Refusal> {
    let Signed { signature, authorization } = members(payload, &["authorization", "signature"])?;
    let authorization = Authorization::try_from(authorization)?;
    authorization.check_terms(offer)?;
    now.map_or(Ok(()), |now| authorization.check_time(offer, now))?;
    let network = offer.asset().network();
    let signer = Signature::ethereum(&signature).and_then(|signature| {
        let domain = domain_separator(domain, network.chain_id(), token)?;
        signature.ethereum_signer(&authorization.digest(domain)?)
    });
    let Authorization { from, valid_before, nonce, .. } = authorization;
    if signer.is_none_or(|signer| address_of(&from) != Some(signer)) {
        return Err(Refusal::InvalidSignature);
    }
    let nonce = format!("0x{}", hex::encode(nonce));
    let valid_before = i64::try_from(valid_before).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let key = PaymentKey { network, asset: token.to_string(), payer: from, nonce };
    Ok(Checked { offer, key, valid_before, transaction: None })
}

impl Authorization {
    fn check_terms(&self, offer: &Offer) -> Result<(), Refusal> {
        if self.to != *offer.pay_to() {
            return Err(Refusal::Mismatch(Term::Recipient));
        }
        if self.value != offer.amount() {
            return Err(Refusal::Mismatch(Term::Amount));
        }
        Ok(())
    }

    fn check_time(&self, offer: &Offer, now: DateTime<Utc>) -> Result<(), Refusal> {
        let now = u64::try_from(now.timestamp()).unwrap_or_default();
        let seconds_max = offer.max_timeout_seconds().saturating_add(CLOCK_DIFFERENCE_SECONDS);
        if self.valid_after > now {
            return Err(Refusal::NotYetValid);
        }
        if self.valid_before <= now.saturating_add(SECONDS_LEFT_MIN) {
            return Err(Refusal::Expired);
        }
        if self.valid_before > now.saturating_add(seconds_max) {
            return Err(Refusal::ValidTooLong(seconds_max));
        }
        Ok(())
    }

    /// The hash that the payer signs (EIP-712).
    fn digest(&self, domain_separator: Word) -> Option<Word> {
        let authorization = [
            keccak(AUTHORIZATION_TYPE.as_bytes()),
            address_word(&self.from)?,
            address_word(&self.to)?,
            number_word(self.value),
            number_word(self.valid_after),
            number_word(self.valid_before),
            self.nonce,
        ];
        let authorization = keccak(authorization.as_flattened());
        Some(keccak(&[b"\x19\x01".as_slice(), &domain_separator, &authorization].concat()))
    }
}

impl TryFrom<Texts> for Authorization {
    type Error = Malformed;

    fn try_from(texts: Texts) -> Result<Self, Malformed> {
        let Texts { from, to, value, valid_after, valid_before, nonce } = texts;
        Ok(Self {
            from: address("from", &from)?,
            to: address("to", &to)?,
            value: number("value", &value)?,
            valid_after: number("validAfter", &valid_after)?,
            valid_before: number("validBefore", &valid_before)?,
            nonce: word(&nonce).ok_or_else(|| wrong("nonce", "0x and 64 hex digits"))?,
        })
    }
}

fn wrong(name: &str, expected: &str) -> Malformed {
    Malformed::new(format!("`{name}` of the authorization must be {expected}"))
}

/// An address as all programs read it.
fn address(name: &str, text: &str) -> Result<Payer, Malformed> {
    let address = text.parse().ok().filter(|payer: &Payer| text == payer.as_str() || text == payer.shown());
    let address = address.filter(|_| text.starts_with("0x"));
    address.ok_or_else(|| wrong(name, "an address in lower case or with its checksum"))
}

/// A decimal number. `u64::MAX` if it is larger.
fn number(name: &str, text: &str) -> Result<u64, Malformed> {
    let is_number = (1..=DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || (text.starts_with('0') && text != "0") {
        return Err(wrong(name, "a decimal number without leading zeros, as a string"));
    }
    Ok(text.parse().unwrap_or(u64::MAX))
}

fn word(text: &str) -> Option<Word> {
    let mut word = [0; 32];
    hex::decode_to_slice(text.strip_prefix("0x")?, &mut word).ok()?;
    Some(word)
}

fn address_of(payer: &Payer) -> Option<[u8; 20]> {
    payer.to_bytes()?.last_chunk().copied()
}

fn domain_separator(domain: &Domain, chain_id: u64, token: &Payer) -> Option<Word> {
    let domain = [
        keccak(DOMAIN_TYPE.as_bytes()),
        keccak(domain.name.as_bytes()),
        keccak(domain.version.as_bytes()),
        number_word(chain_id),
        address_word(token)?,
    ];
    Some(keccak(domain.as_flattened()))
}

fn keccak(bytes: &[u8]) -> Word {
    Keccak256::digest(bytes).into()
}

fn number_word(number: u64) -> Word {
    let mut word = [0; 32];
    if let Some(end) = word.last_chunk_mut() {
        *end = number.to_be_bytes();
    }
    word
}

fn address_word(address: &Payer) -> Option<Word> {
    let mut word = [0; 32];
    *word.last_chunk_mut()? = address_of(address)?;
    Some(word)
}

#[cfg(test)]
mod tests {
    use k256::ecdsa::SigningKey;
    use serde_json::{Value, json};

    use super::*;
    use crate::x402::testing::{SIGNATURE, SIGNED_AT, at, check_payload, offer, usdc};
    use crate::x402::{PaymentPayload, check};

    const KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    const PAYER: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
    /// r and s of the official client.
    const RS: &str = "0x16023f37e1fc140eba5ecb2cc2170116bf2ac7b40b8cb79fd28d1a288096949f\
        7aebd589e78e7d075f53ccf319130680deda75b63f469e6a56cc717780df891a";
    /// What everybody can compute from it.
    const TWIN: &str = "0x16023f37e1fc140eba5ecb2cc2170116bf2ac7b40b8cb79fd28d1a288096949f\
        85142a76187182f8a0ac330ce6ecf97ddbd46730700201d16905ed154f56b8271c";

    fn authorization() -> Value {
        json!({
            "from": PAYER, "to": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", "value": "1000", "validAfter": "0",
            "validBefore": (SIGNED_AT + 60).to_string(), "nonce": format!("0x{}", hex::encode(nonce())),
        })
    }

    fn nonce() -> Word {
        std::array::from_fn(|place| u8::try_from(place + 1).unwrap())
    }

    fn separator(offer: &Offer) -> Word {
        let crate::x402::asset::Token::Eip3009 { contract, domain } = offer.asset().token() else { unreachable!() };
        domain_separator(domain, offer.asset().network().chain_id(), contract).unwrap()
    }

    fn digest(authorization: &Value) -> Word {
        let authorization = serde_json::from_value::<Texts>(authorization.clone()).unwrap();
        Authorization::try_from(authorization).unwrap().digest(separator(&usdc())).unwrap()
    }

    /// A payload that the payer signed, with some members replaced before.
    fn signed(changes: Value) -> Value {
        let mut authorization = authorization();
        for (name, value) in changes.as_object().unwrap() {
            authorization[name] = value.clone();
        }
        let key = SigningKey::from_slice(&hex::decode(KEY).unwrap()).unwrap();
        let (rs, recovery) = key.sign_prehash_recoverable(&digest(&authorization));
        let signature = format!("0x{}{:02x}", hex::encode(rs.to_bytes()), recovery.to_byte() + 27);
        json!({"authorization": authorization, "signature": signature})
    }

    fn refused(payload: Value) -> Refusal {
        check_payload(&usdc(), payload, SIGNED_AT).unwrap_err()
    }

    #[test]
    fn the_official_client_pays() {
        let offers = [
            offer("STX", crate::wallet::Network::StacksTest, "ST1PQHQKV0RJXZFY1DGX8MNSNYVE3VGZJSRTPGZGM", 300),
            usdc(),
        ];
        let payment = PaymentPayload::from_header(SIGNATURE).unwrap();
        let checked = check(&offers, &payment, at(SIGNED_AT)).unwrap();
        let key = PaymentKey {
            network: usdc().asset().network(),
            asset: "0x036cbd53842c5426634e7929541ec2318f3dcf7e".to_owned(),
            payer: PAYER.parse().unwrap(),
            nonce: "0x0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20".to_owned(),
        };
        let valid_before = Some(at(SIGNED_AT + 60));
        assert_eq!(checked, Checked { offer: &usdc(), key, valid_before, transaction: None });
        assert_eq!(payment.id().unwrap().unwrap().as_str(), "pay_7d5d747be160e280504c099d984bcfe0");
        assert_eq!(check(&offers[..1], &payment, at(SIGNED_AT)), Err(Refusal::NotOffered));
        assert_eq!(check(&[], &payment, at(SIGNED_AT)), Err(Refusal::NotOffered));
    }

    #[test]
    fn hashes_are_those_of_viem() {
        let hashes =
            [keccak(AUTHORIZATION_TYPE.as_bytes()), separator(&usdc()), digest(&authorization())].map(hex::encode);
        let expected = [
            "7c7c6cdb67a18743f49ec6fa9b35f50d52ed05cbed4cc592e13b44501c1a2267",
            "71f17a3b2ff373b803d70a5a07c046c1a2bc8e89c09ef722fcb047abe94c9818",
            "9a5c5702e7101db6deac7c92c218e10cd81e03532773dfef3a0787cdbbf3d82c",
        ];
        assert_eq!(hashes, expected);
        assert_eq!(signed(json!({}))["signature"], format!("{RS}1b"));
    }

    #[test]
    fn one_signature_is_valid() {
        let with = |signature: &str| {
            check_payload(&usdc(), json!({"authorization": authorization(), "signature": signature}), SIGNED_AT)
                .map(|_| ())
        };
        assert_eq!(with(&format!("{RS}1b")), Ok(()));
        let wrong_v = ["00", "01", "1a", "1c", "1d", "1e", "", "1b1b"].map(|v| format!("{RS}{v}"));
        let unprefixed = format!("{}1b", &RS[2..]);
        for signature in wrong_v.iter().map(String::as_str).chain([TWIN, &unprefixed, "", "0x", &TWIN[..10]]) {
            assert_eq!(with(signature), Err(Refusal::InvalidSignature), "{signature}");
        }
    }

    #[test]
    fn the_signed_terms_are_those_of_the_offer() {
        let other = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
        assert_eq!(refused(signed(json!({"to": PAYER}))), Refusal::Mismatch(Term::Recipient));
        for value in ["999", "1001", "0", "18446744073709551616", &"9".repeat(78)] {
            assert_eq!(refused(signed(json!({"value": value}))), Refusal::Mismatch(Term::Amount));
        }
        assert_eq!(refused(signed(json!({"from": other}))), Refusal::InvalidSignature);
        let base = offer("USDC", crate::wallet::Network::Evm { chain_id: 8_453 }, other, 60);
        let refusal = check_payload(&base, signed(json!({})), SIGNED_AT).unwrap_err();
        assert_eq!(refusal, Refusal::InvalidSignature, "the network, the asset and its name are signed");
        let mut changed = signed(json!({}));
        changed["authorization"]["nonce"] = json!(format!("0x{}", "00".repeat(32)));
        assert_eq!(refused(changed), Refusal::InvalidSignature);
    }

    #[test]
    fn a_payment_is_valid_for_a_time() {
        let at = |seconds: i64| check_payload(&usdc(), signed(json!({})), SIGNED_AT + seconds).map(|_| ());
        assert_eq!(at(53), Ok(()));
        assert_eq!(at(54), Err(Refusal::Expired));
        assert_eq!(at(-2 * SIGNED_AT), Err(Refusal::ValidTooLong(120)));
        assert_eq!(at(-60), Ok(()));
        assert_eq!(at(-61), Err(Refusal::ValidTooLong(120)));
        let between = |after: &str, before: &str| {
            check_payload(&usdc(), signed(json!({"validAfter": after, "validBefore": before})), SIGNED_AT).map(|_| ())
        };
        let [now, later] = [SIGNED_AT, SIGNED_AT + 60].map(|seconds| seconds.to_string());
        assert_eq!(between(&now, &later), Ok(()));
        for after in [(SIGNED_AT + 1).to_string(), "9".repeat(78)] {
            assert_eq!(between(&after, &later), Err(Refusal::NotYetValid));
        }
        assert_eq!(between("0", "0"), Err(Refusal::Expired));
        assert_eq!(between("0", &"9".repeat(78)), Err(Refusal::ValidTooLong(120)));
    }

    #[test]
    fn a_value_has_one_spelling() {
        for (name, value) in [
            ("value", json!("01000")),
            ("value", json!("+1000")),
            ("value", json!("-1000")),
            ("value", json!("0x3e8")),
            ("value", json!("1000.0")),
            ("value", json!("")),
            ("value", json!(1000)),
            ("value", json!("1".repeat(79))),
            ("validAfter", json!("00")),
            ("validBefore", json!(null)),
            ("validBefore", json!("\u{661}")),
            ("from", json!(PAYER.to_uppercase())),
            ("from", json!(PAYER.replace("0xf39F", "0xF39F"))),
            ("from", json!(format!("0x{}", PAYER[2..].to_uppercase()))),
            ("to", json!("SP120SBRBQJ00MCWS7TM5R8WJNTTKD5K0HFRC2CNE")),
            ("nonce", json!(format!("0x{}", "00".repeat(31)))),
            ("nonce", json!(format!("0x{}", "00".repeat(33)))),
            ("nonce", json!("00".repeat(32))),
            ("Value", json!("1")),
            ("more", json!(1)),
        ] {
            let mut payload = signed(json!({}));
            payload["authorization"][name] = value.clone();
            assert!(matches!(refused(payload), Refusal::Malformed(_)), "{name} {value}");
        }
        let lower = signed(json!({"from": PAYER.to_lowercase()}));
        assert!(check_payload(&usdc(), lower, SIGNED_AT).is_ok());
    }

    #[test]
    fn other_ways_to_pay_are_not_offered() {
        let with = |name: &str| {
            let mut payload = signed(json!({}));
            payload[name] = json!({"from": PAYER, "spender": "0x402085c248EeA27D92E8b30b2C58ed07f9E20001"});
            payload
        };
        let mut permit2 = with("permit2Authorization");
        assert_eq!(refused(permit2.clone()), Refusal::NotOffered, "a facilitator would settle the permit");
        permit2.as_object_mut().unwrap().remove("authorization");
        for payload in [permit2, with("more"), json!({}), json!({"transaction": "00"}), json!({"delegator": PAYER})] {
            assert_eq!(refused(payload), Refusal::NotOffered);
        }
        for payload in [json!(null), json!([]), json!("0x"), json!({"authorization": 1, "signature": 1})] {
            assert!(matches!(refused(payload), Refusal::Malformed(_)));
        }
    }

    #[test]
    fn a_changed_byte_never_makes_another_payment() {
        let offers = [usdc()];
        let json = PaymentPayload::from_header(SIGNATURE).unwrap().json().to_owned();
        let expected = check(&offers, &PaymentPayload::from_json(json.clone()).unwrap(), at(SIGNED_AT)).unwrap();
        for place in 0..json.len() {
            for mask in [0x01, 0x20] {
                let mut bytes = json.clone().into_bytes();
                bytes[place] ^= mask;
                let Ok(json) = String::from_utf8(bytes) else { continue };
                let Ok(payment) = PaymentPayload::from_json(json) else { continue };
                if let Ok(checked) = check(&offers, &payment, at(SIGNED_AT)) {
                    assert_eq!(checked, expected);
                }
            }
        }
    }
}
