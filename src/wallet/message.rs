//! Texts that wallets sign to show that they are there.

use sha2::Sha256;
use sha3::{Digest as _, Keccak256};

use super::signature::{Signature, read};
use crate::payer::{EVM, Payer};

/// Whether the key of a wallet signed a text.
///
/// A wallet of Ethereum signs as `personal_sign` does (EIP-191): the signature is `0x` and 130 hex digits, which are r, s, and v, 27 or
/// 28. A wallet of Stacks signs a message: the signature is 130 hex digits, which are r, s, and the recovery id, 0 or 1. `false` also if
/// the signature is malformed.
#[must_use]
pub fn has_signed(wallet: &Payer, text: &str, signature: &str) -> bool {
    wallet.to_bytes().is_some_and(|[kind, address @ ..]| match kind {
        EVM => ethereum_signer(text, signature) == Some(address),
        _ => stacks_signer(text, signature) == Some(address),
    })
}

/// The address of the key that signed.
fn ethereum_signer(text: &str, signature: &str) -> Option<[u8; 20]> {
    let hash = Keccak256::digest(format!("\x19Ethereum Signed Message:\n{}{text}", text.len()));
    Signature::ethereum(signature)?.ethereum_signer(&hash.into())
}

/// The hash in the addresses of the key that signed.
fn stacks_signer(text: &str, signature: &str) -> Option<[u8; 20]> {
    let (rs, recovery) = read(signature)?;
    let begin = ["\x17Stacks Signed Message:\n".as_bytes(), &compact_size(text.len())?].concat();
    let hash = Sha256::digest([&begin, text.as_bytes()].concat());
    Signature::new(&rs, recovery)?.stacks_signer(&hash.into())
}

/// A length as Bitcoin writes it. `None` above 65,535: no text is so long.
fn compact_size(length: usize) -> Option<Vec<u8>> {
    match u8::try_from(length) {
        Ok(short) if short < 0xfd => Some(vec![short]),
        _ => {
            let [low, high] = u16::try_from(length).ok()?.to_le_bytes();
            Some(vec![0xfd, low, high])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETHEREUM: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
    const ETHEREUM_TEXT: &str = "127.0.0.1:4402 wants you to sign in with your Ethereum account:\n\
        0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266\n\nSign in to payerbase\n\n\
        URI: http://127.0.0.1:4402/v1/counters/visits/increment\nVersion: 1\nChain ID: 8453\n\
        Nonce: a1b2c3d4e5f67890a1b2c3d4e5f67890\nIssued At: 2025-11-24T16:00:00.000Z\n\
        Expiration Time: 2025-11-24T16:05:00.000Z\nResources:\n- http://127.0.0.1:4402/v1/counters/visits/increment";
    /// Made by viem's `signMessage`.
    const ETHEREUM_SIGNATURE: &str = "0x5f918f6696ebad89fd394d04687b010c61e48101a263562f4286036fe1d4729b\
        7db03b9a0f2671975cb6167dd42f8d3d96379ebcdb450ae4ffcd950a0de4ed1f1b";
    const STACKS: &str = "SPAW66WC3G8WA5F28JVNG1NTRJ6H76E7EN5H6QQD";
    const STACKS_TEXT: &str = "payerbase.example wants you to sign in with your Stacks account:\n\
        SPAW66WC3G8WA5F28JVNG1NTRJ6H76E7EN5H6QQD\n\nSign in to payerbase\n\nURI: https://payerbase.example\nVersion: 1\n\
        Chain ID: 1\nNonce: a1b2c3d4e5f67890a1b2c3d4e5f67890\nIssued At: 2025-11-24T16:00:00.000Z\n\
        Expiration Time: 2025-11-24T16:05:00.000Z";
    /// Made by `@stacks/encryption`.
    const STACKS_SIGNATURE: &str = "0f86aaf627a7c3e78b9959b63e906d72ad459afe2fad2e446a40c2b834811213\
        2e73c59cade09d1bc89990010c0b0f13055b718a8f3c3fa989feed02acfe8e6300";
    const HELLO_SIGNATURE: &str = "78c66280688bba8cb2967fbe79cd281614d49d8c363bf327094627f28327aed6\
        1a8a92d74918155ee44108322e3d91e08d7871b80a1ef15acca8c34c10e6f88d00";

    fn signed(wallet: &str, text: &str, signature: &str) -> bool {
        has_signed(&wallet.parse().unwrap(), text, signature)
    }

    /// n - s, and the other recovery id: a signature of the same key that no wallet makes.
    fn twin(signature: &str) -> String {
        const N: [u8; 32] = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xba, 0xae,
            0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
        ];
        let (prefix, digits) = signature.split_at(signature.len() - 130);
        let mut bytes = hex::decode(digits).unwrap();
        let mut borrow = 0;
        for place in (0..32).rev() {
            let difference = i16::from(N[place]) - i16::from(bytes[32 + place]) - borrow;
            borrow = i16::from(difference < 0);
            bytes[32 + place] = u8::try_from(difference.rem_euclid(256)).unwrap();
        }
        bytes[64] ^= if prefix.is_empty() { 1 } else { 27 ^ 28 };
        format!("{prefix}{}", hex::encode(bytes))
    }

    #[test]
    fn a_text_is_signed_by_one_wallet() {
        assert!(signed(ETHEREUM, ETHEREUM_TEXT, ETHEREUM_SIGNATURE));
        assert!(signed(STACKS, STACKS_TEXT, STACKS_SIGNATURE));
        assert!(signed(STACKS, "Hello World", HELLO_SIGNATURE));
        let test_network = "STAW66WC3G8WA5F28JVNG1NTRJ6H76E7EMHDBMBN";
        assert!(signed(test_network, "Hello World", HELLO_SIGNATURE), "one key has an address on each network");
        let other = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
        assert!(!signed(other, ETHEREUM_TEXT, ETHEREUM_SIGNATURE));
        assert!(!signed(ETHEREUM, &ETHEREUM_TEXT.replace("8453", "8454"), ETHEREUM_SIGNATURE));
        assert!(!signed(STACKS, ETHEREUM_TEXT, ETHEREUM_SIGNATURE.trim_start_matches("0x")));
        assert!(!signed("SP2J6ZY48GV1EZ5V2V5RB9MP66SW86PYKKNRV9EJ7", STACKS_TEXT, STACKS_SIGNATURE));
    }

    #[test]
    fn a_signature_has_one_spelling() {
        for (wallet, text, signature) in
            [(ETHEREUM, ETHEREUM_TEXT, ETHEREUM_SIGNATURE), (STACKS, STACKS_TEXT, STACKS_SIGNATURE)]
        {
            let digits = signature.trim_start_matches("0x");
            let prefix = signature.strip_suffix(digits).unwrap();
            let with_last = |last: &str| format!("{prefix}{}{last}", &digits[..128]);
            let zero = |from: usize| format!("{prefix}{}{}{}", &digits[..from], "0".repeat(64), &digits[from + 64..]);
            let wrong = [
                twin(signature),
                with_last(if prefix.is_empty() { "1b" } else { "00" }),
                with_last(if prefix.is_empty() { "01" } else { "1c" }),
                with_last("02"),
                with_last("1d"),
                with_last("1e"),
                with_last("ff"),
                with_last(""),
                with_last("1b1b"),
                zero(0),
                zero(64),
                format!("{prefix}{}", "f".repeat(130)),
                if prefix.is_empty() { format!("0x{digits}") } else { digits.to_owned() },
                format!(" {signature}"),
                String::new(),
                "0x".to_owned(),
            ];
            for signature in wrong {
                assert!(!signed(wallet, text, &signature), "{signature}");
            }
            assert!(signed(wallet, text, &twin(&twin(signature))));
        }
    }

    #[test]
    fn lengths_are_written_as_in_bitcoin() {
        let written = [0, 252, 253, 300, 65_535, 65_536].map(compact_size);
        let expected = [vec![0], vec![252], vec![0xfd, 253, 0], vec![0xfd, 44, 1], vec![0xfd, 255, 255]];
        assert_eq!(written, expected.map(Some).into_iter().chain([None]).collect::<Vec<_>>()[..]);
    }
}
