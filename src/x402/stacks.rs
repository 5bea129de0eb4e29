//! Payments on Stacks: signed transactions that the facilitator sends.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::asset::Contract;
use super::checked::{Checked, PaymentKey};
use super::offer::Offer;
use super::payload::members;
use super::refusal::{Malformed, Refusal, Term};
use super::transaction::{Call, Transaction, Transfer};
use crate::payer::Payer;
use crate::wallet::{Network, Signature};

/// The payload.
#[derive(Deserialize)]
struct Signed {
    transaction: String,
}

/// `token` is `None` for STX.
pub(super) fn check<'a>(
    offer: &'a Offer,
    token: Option<&Contract>,
    payload: &RawValue,
) -> Result<Checked<'a>, Refusal> {
    let Signed { transaction } = members(payload, &["transaction"])?;
    let bytes = hex::decode(transaction)
        .map_err(|error| Malformed::new(format!("`transaction` must be hex digits. {error}")))?;
    let transaction = Transaction::decode(&bytes)?;
    let network = offer.asset().network();
    let payer = payer(network, &transaction).ok_or(Refusal::Mismatch(Term::Network))?;
    check_transfer(offer, token, &payer, &transaction.transfer)?;
    if !is_signed(&transaction) {
        return Err(Refusal::InvalidSignature);
    }
    let nonce = transaction.nonce.to_string();
    let key = PaymentKey { network, asset: String::new(), payer, nonce };
    Ok(Checked { offer, key, valid_before: None, transaction: Some(hex::encode(transaction.id)) })
}

/// The account that signs. `None` if the transaction is for another network.
fn payer(network: Network, transaction: &Transaction) -> Option<Payer> {
    let (version, address_version) = match network {
        Network::Stacks => (0x00, 22),
        Network::StacksTest => (0x80, 26),
        Network::Evm { .. } => return None,
    };
    if transaction.version != version || u64::from(transaction.chain_id) != network.chain_id() {
        return None;
    }
    let address = [[address_version].as_slice(), &transaction.signer].concat();
    Payer::from_bytes(address.try_into().ok()?)
}

fn check_transfer(offer: &Offer, token: Option<&Contract>, payer: &Payer, transfer: &Transfer) -> Result<(), Refusal> {
    match (token, &transfer.call) {
        (None, None) => {}
        (Some(ours), Some(Call { address, name, sender })) => {
            if address.as_ref() != Some(&ours.address) || *name != ours.name.as_bytes() {
                return Err(Refusal::Mismatch(Term::Asset));
            }
            if sender.as_ref() != Some(payer) {
                return Err(Refusal::WrongSender);
            }
        }
        _ => return Err(Refusal::Mismatch(Term::Asset)),
    }
    if transfer.recipient.as_ref() != Some(offer.pay_to()) {
        return Err(Refusal::Mismatch(Term::Recipient));
    }
    if transfer.amount != offer.amount().into() {
        return Err(Refusal::Mismatch(Term::Amount));
    }
    Ok(())
}

fn is_signed(transaction: &Transaction) -> bool {
    let [recovery, rs @ ..] = transaction.signature;
    let signature = Signature::new(&rs, recovery);
    signature.and_then(|signature| signature.stacks_signer(&transaction.signed_hash)) == Some(transaction.signer)
}

#[cfg(test)]
mod tests {
    use k256::ecdsa::SigningKey;
    use serde_json::json;
    use sha2::{Digest as _, Sha512_256};

    use super::*;
    use crate::x402::testing::{SIGNED_AT, check_payload, offer};

    /// Transactions of the official client, of one key. Their nonce is 7.
    /// Hash `86663868e0021c10a1ee1e3908779c6892a6945c20402db4f6c1c855c35bd4d9`.
    const STX_MAIN: &str = "\
        0000000001040015c31b8c1c11c515e244b75806bac48d1399c775000000000000000700000000000000c8000195e5deda30\
        ccec97cf04ce88f0047e02ccc2e55c58d13c619aca6b389dcd19866eb733945753a473cd1d8f5eacd4004880e12864098ddb\
        943f75b3d11bd1de87030200000000000516440caf0bbc800a33993ea85c2392aeb53696608b00000000000003e878343032\
        3a41514944424155474277674a4367734d44513450454245530000000000";
    /// Hash `c1cd70b464f39dcaf76072a680232dbdfc4956615ac232c39c80352f6fc35625`.
    const SBTC: &str = "\
        0000000001040015c31b8c1c11c515e244b75806bac48d1399c775000000000000000700000000000000c800012234beb41c\
        f0a30a9ccefabb46d3f85a39fcf06490468a2162478ad3991f159f4396daa44d3c4e1d3ef2cee81d9a446105f653f78b4fce\
        04382aefff874fd7400301000000000214f6decc7cfff2a413bd7cd4f53c25ad7fd1899acc0a736274632d746f6b656e0874\
        72616e736665720000000401000000000000000000000000000003e8051615c31b8c1c11c515e244b75806bac48d1399c775\
        0516440caf0bbc800a33993ea85c2392aeb53696608b0a020000001d783430323a41514944424155474277674a4367734d44\
        51345045424553";
    /// Hash `035d83af6e4b67e4c9addf38ad2240f63913954fe7e654b9645985d328f1f3bd`.
    const USDCX: &str = "\
        0000000001040015c31b8c1c11c515e244b75806bac48d1399c775000000000000000700000000000000c80001b718be185f\
        434a34ab2d0c5a7e069ee90cb04324101b1b3504af5f72e19abac27ee269fdc05bb73d111666851633e7dc3429a04cdfb1e8\
        0dbc56363a4c3161b30301000000000216440caf0bbc800a33993ea85c2392aeb53696608b057573646378087472616e7366\
        65720000000401000000000000000000000000000003e8051615c31b8c1c11c515e244b75806bac48d1399c7750516440caf\
        0bbc800a33993ea85c2392aeb53696608b0a020000001d783430323a41514944424155474277674a4367734d445134504542\
        4553";
    /// Hash `f541f8333d21674218b895ae71f531cdfe19d220101de356e12e82ba2d3b59d4`.
    const STX_TEST: &str = "\
        8080000000040015c31b8c1c11c515e244b75806bac48d1399c775000000000000000700000000000000c800014fde4ec360\
        1b4a2e58a0ee6e858931704ded3e9dd0687f80770d9734560648da48d7f86ad51106c43389582aa3494be93c8712c18e075e\
        db8e3b14a4a6eda93403020000000000051a6d78de7b0625dfbfc16c3a8a5735f6dc3dc3f2ce00000000000003e878343032\
        3a41514944424155474277674a4367734d44513450454245530000000000";

    const KEY: &str = "edf9aee84d9b7abc145504dde6726c64f369d37ee34ded868fabd876c26570bc";
    const PAYER: &str = "SPAW66WC3G8WA5F28JVNG1NTRJ6H76E7EN5H6QQD";
    const PAY_TO: &str = "SP120SBRBQJ00MCWS7TM5R8WJNTTKD5K0HFRC2CNE";

    fn on_main(symbol: &str) -> Offer {
        offer(symbol, Network::Stacks, PAY_TO, 300)
    }

    fn on_test() -> Offer {
        offer("STX", Network::StacksTest, "ST1PQHQKV0RJXZFY1DGX8MNSNYVE3VGZJSRTPGZGM", 300)
    }

    fn bytes(transaction: &str) -> Vec<u8> {
        hex::decode(transaction).unwrap()
    }

    fn checked<'a>(offer: &'a Offer, transaction: &[u8]) -> Result<Checked<'a>, Refusal> {
        check_payload(offer, json!({"transaction": hex::encode(transaction)}), SIGNED_AT)
    }

    /// Signs as SIP-005 says, whatever the transaction is.
    fn sign(mut transaction: Vec<u8>) -> Vec<u8> {
        let mut cleared = transaction.clone();
        cleared[27..43].fill(0);
        cleared[44..109].fill(0);
        let (nonce, fee) = (&transaction[27..35], &transaction[35..43]);
        let signed = [Sha512_256::digest(&cleared).as_slice(), &transaction[5..6], fee, nonce].concat();
        let key = SigningKey::from_slice(&hex::decode(KEY).unwrap()).unwrap();
        let (rs, recovery) = key.sign_prehash_recoverable(&Sha512_256::digest(signed));
        transaction[44] = recovery.to_byte();
        transaction[45..109].copy_from_slice(&rs.to_bytes());
        transaction
    }

    /// A transaction with other bytes in a place, signed.
    fn changed(transaction: &str, place: usize, with: &[u8]) -> Vec<u8> {
        let mut transaction = bytes(transaction);
        transaction[place..place + with.len()].copy_from_slice(with);
        sign(transaction)
    }

    /// A transaction with other bytes instead of `length` bytes in a place, signed.
    fn replaced(transaction: &str, place: usize, length: usize, with: &[u8]) -> Vec<u8> {
        let mut transaction = bytes(transaction);
        transaction.splice(place..place + length, with.iter().copied());
        sign(transaction)
    }

    fn is_malformed(offer: &Offer, transaction: &[u8]) -> bool {
        matches!(checked(offer, transaction), Err(Refusal::Malformed(_)))
    }

    #[test]
    fn the_official_client_pays() {
        let test_payer = "STAW66WC3G8WA5F28JVNG1NTRJ6H76E7EMHDBMBN";
        for (offer, transaction, payer, hash) in [
            (on_main("STX"), STX_MAIN, PAYER, "86663868e0021c10a1ee1e3908779c6892a6945c20402db4f6c1c855c35bd4d9"),
            (on_main("sBTC"), SBTC, PAYER, "c1cd70b464f39dcaf76072a680232dbdfc4956615ac232c39c80352f6fc35625"),
            (on_main("USDCx"), USDCX, PAYER, "035d83af6e4b67e4c9addf38ad2240f63913954fe7e654b9645985d328f1f3bd"),
            (on_test(), STX_TEST, test_payer, "f541f8333d21674218b895ae71f531cdfe19d220101de356e12e82ba2d3b59d4"),
        ] {
            let network = offer.asset().network();
            let payer = payer.parse().unwrap();
            let key = PaymentKey { network, asset: String::new(), payer, nonce: "7".to_owned() };
            let expected = Checked { offer: &offer, key, valid_before: None, transaction: Some(hash.to_owned()) };
            assert_eq!(checked(&offer, &bytes(transaction)), Ok(expected));
            assert_eq!(sign(bytes(transaction)), bytes(transaction), "the tests sign as the client does");
        }
        let signed = Transaction::decode(&bytes(STX_MAIN)).unwrap().signed_hash;
        assert_eq!(hex::encode(signed), "240e397a54397b714de269fbefd81726e37c1703e95a57a0a11476aa6962b16a");
    }

    #[test]
    fn the_transaction_is_for_the_network() {
        let network = Err(Refusal::Mismatch(Term::Network));
        assert_eq!(checked(&on_test(), &bytes(STX_MAIN)), network);
        assert_eq!(checked(&on_main("STX"), &bytes(STX_TEST)), network);
        assert_eq!(checked(&on_main("STX"), &changed(STX_MAIN, 0, &[0x80])), network);
        assert_eq!(checked(&on_main("STX"), &changed(STX_MAIN, 1, &[0x80, 0, 0, 0])), network);
        assert_eq!(checked(&on_main("STX"), &changed(STX_MAIN, 1, &[0, 0, 0, 2])), network);
    }

    #[test]
    fn the_transaction_has_one_signer() {
        for (place, byte) in [(5, 5), (5, 0), (6, 1), (6, 2), (43, 1)] {
            let transaction = changed(STX_MAIN, place, &[byte]);
            assert_eq!(checked(&on_main("STX"), &transaction), Err(Refusal::UnsupportedTransaction));
        }
    }

    #[test]
    fn the_terms_are_those_of_the_offer() {
        let (stx, sbtc) = (on_main("STX"), on_main("sBTC"));
        let asset = Err(Refusal::Mismatch(Term::Asset));
        assert_eq!(checked(&stx, &bytes(SBTC)), asset);
        assert_eq!(checked(&sbtc, &bytes(STX_MAIN)), asset);
        assert_eq!(checked(&sbtc, &bytes(USDCX)), asset);
        assert_eq!(checked(&sbtc, &changed(SBTC, 116, &[22])), asset, "version of the contract's address");
        assert_eq!(checked(&sbtc, &changed(SBTC, 117, &[0])), asset);
        assert_eq!(checked(&sbtc, &changed(SBTC, 138, b"S")), asset);
        let amount = Err(Refusal::Mismatch(Term::Amount));
        assert_eq!(checked(&stx, &changed(STX_MAIN, 144, &[4])), amount);
        assert_eq!(checked(&stx, &changed(STX_MAIN, 138, &[1])), amount);
        assert_eq!(checked(&sbtc, &changed(SBTC, 176, &[2])), amount);
        assert_eq!(checked(&sbtc, &changed(SBTC, 162, &[1])), amount, "above 64 bits");
        let recipient = Err(Refusal::Mismatch(Term::Recipient));
        assert_eq!(checked(&stx, &changed(STX_MAIN, 117, &[20])), recipient);
        assert_eq!(checked(&stx, &changed(STX_MAIN, 118, &[0])), recipient);
        assert_eq!(checked(&sbtc, &changed(SBTC, 202, &[0])), recipient);
        let contract = [[6].as_slice(), &bytes(STX_MAIN)[117..138], b"\x01a"].concat();
        assert_eq!(checked(&stx, &replaced(STX_MAIN, 116, 22, &contract)), recipient);
        assert_eq!(checked(&sbtc, &replaced(SBTC, 200, 22, &contract)), recipient);
        assert_eq!(checked(&sbtc, &replaced(SBTC, 178, 22, &contract)), Err(Refusal::WrongSender));
        assert_eq!(checked(&sbtc, &changed(SBTC, 179, &[26])), Err(Refusal::WrongSender));
        assert_eq!(checked(&sbtc, &changed(SBTC, 180, &[0])), Err(Refusal::WrongSender));
    }

    #[test]
    fn the_transaction_is_a_transfer() {
        let not = Err(Refusal::NotATransfer);
        assert_eq!(checked(&on_main("sBTC"), &changed(SBTC, 149, b"T")), not);
        assert_eq!(checked(&on_main("sBTC"), &replaced(SBTC, 148, 9, b"\x05trans")), not);
        for count in [0, 3, 5] {
            assert_eq!(checked(&on_main("sBTC"), &changed(SBTC, 160, &[count])), not);
        }
        for kind in [1, 3, 4, 8] {
            assert_eq!(checked(&on_main("STX"), &changed(STX_MAIN, 115, &[kind])), not);
        }
    }

    #[test]
    fn every_byte_is_known() {
        let (stx, sbtc) = (on_main("STX"), on_main("sBTC"));
        for (place, wrong, right) in [(109, [0, 4, 255], [1, 2]), (110, [0, 3, 255], [1, 2])] {
            assert!(wrong.iter().all(|byte| is_malformed(&stx, &changed(STX_MAIN, place, &[*byte]))));
            assert!(right.iter().all(|byte| checked(&stx, &changed(STX_MAIN, place, &[*byte])).is_ok()));
        }
        assert!(is_malformed(&stx, &replaced(STX_MAIN, 180, 0, &[0])));
        assert!(is_malformed(&sbtc, &replaced(SBTC, 257, 0, &[0])));
        assert!(checked(&sbtc, &replaced(SBTC, 222, 35, &[9])).is_ok(), "no memo");
        let memo = |length: u8| [&[10, 2, 0, 0, 0, length], vec![0; length.into()].as_slice()].concat();
        assert!(checked(&sbtc, &replaced(SBTC, 222, 35, &memo(34))).is_ok());
        assert!(is_malformed(&sbtc, &replaced(SBTC, 222, 35, &memo(35))));
        for (place, byte) in [(161, 0), (178, 7), (200, 4), (222, 11), (223, 3)] {
            assert!(is_malformed(&sbtc, &changed(SBTC, place, &[byte])), "{place}");
        }
        for transaction in [STX_MAIN, SBTC] {
            let transaction = bytes(transaction);
            assert!((0..transaction.len()).all(|length| is_malformed(&stx, &transaction[..length])));
        }
        for hex in ["", "0", "zz", &format!("0x{STX_MAIN}"), &STX_MAIN[1..]] {
            let refusal = check_payload(&stx, json!({"transaction": hex}), SIGNED_AT).unwrap_err();
            assert!(matches!(refusal, Refusal::Malformed(_)));
        }
        let more = json!({"transaction": STX_MAIN, "sponsor": 1});
        assert_eq!(check_payload(&stx, more, SIGNED_AT), Err(Refusal::NotOffered));
    }

    #[test]
    fn post_conditions_are_read() {
        let account = [[22].as_slice(), &[1; 20]].concat();
        let contract = [&account, b"\x01a".as_slice()].concat();
        let token = [&contract, b"\x02ab".as_slice()].concat();
        let end = [1, 0, 0, 0, 0, 0, 0, 0, 0];
        let conditions = [
            [&[0, 1], end.as_slice()].concat(),
            [&[0, 2], account.as_slice(), &end].concat(),
            [&[0, 3], contract.as_slice(), &end].concat(),
            [&[1, 1], token.as_slice(), &end].concat(),
            [&[1, 2], account.as_slice(), &token, &end].concat(),
            [&[1, 3], contract.as_slice(), &token, &end].concat(),
        ];
        let with = |count: u8, conditions: &[u8]| replaced(SBTC, 111, 4, &[&[0, 0, 0, count], conditions].concat());
        let sbtc = on_main("sBTC");
        for condition in &conditions {
            assert!(checked(&sbtc, &with(1, condition)).is_ok());
            assert!(checked(&sbtc, &with(2, condition)).is_err());
        }
        assert!(checked(&sbtc, &with(6, &conditions.concat())).is_ok());
        assert!(is_malformed(&sbtc, &with(1, &[&[2, 1], token.as_slice(), &end].concat())), "others are not known");
        assert!(is_malformed(&sbtc, &with(1, &[&[0, 0], end.as_slice()].concat())));
        assert!(is_malformed(&sbtc, &with(1, &[&[0, 1, 6], [0; 8].as_slice()].concat())));
        assert!(is_malformed(&sbtc, &replaced(SBTC, 111, 4, &[255; 4])));
    }

    #[test]
    fn one_signature_is_valid() {
        let stx = on_main("STX");
        let with = |recovery: u8, rs: &[u8]| {
            let mut transaction = bytes(STX_MAIN);
            transaction[44] = recovery;
            transaction[45..109].copy_from_slice(rs);
            checked(&stx, &transaction).map(|_| ())
        };
        let rs = &bytes(STX_MAIN)[45..109];
        assert_eq!(with(1, rs), Ok(()));
        for recovery in [0, 2, 3, 27, 28, 255] {
            assert_eq!(with(recovery, rs), Err(Refusal::InvalidSignature));
        }
        let signature = k256::ecdsa::Signature::from_slice(rs).unwrap();
        let twin = k256::ecdsa::Signature::from_scalars(signature.r(), -*signature.s()).unwrap();
        assert_eq!(twin.normalize_s(), signature);
        assert_eq!(with(0, &twin.to_bytes()), Err(Refusal::InvalidSignature));
        assert_eq!(with(1, &[0; 64]), Err(Refusal::InvalidSignature));
        let stranger = changed(STX_MAIN, 7, &[0; 20]);
        assert_eq!(checked(&stx, &stranger), Err(Refusal::InvalidSignature));
    }

    #[test]
    fn a_changed_byte_never_makes_another_payment() {
        for (offer, transaction) in
            [(on_main("STX"), STX_MAIN), (on_main("sBTC"), SBTC), (on_main("USDCx"), USDCX), (on_test(), STX_TEST)]
        {
            let transaction = bytes(transaction);
            for place in 0..transaction.len() {
                let mut changed = transaction.clone();
                changed[place] ^= 1 << (place % 8);
                assert!(checked(&offer, &changed).is_err(), "{place}");
            }
        }
    }
}
