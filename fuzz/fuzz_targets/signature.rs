//! Signatures of secp256k1: the key is recovered, and of a signature and its twin one at most is accepted.

#![no_main]

use k256::ecdsa::SigningKey;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use payerbase::fuzzing::{ethereum_signer, signers};
use payerbase::wallet::has_signed;
use payerbase_fuzz::{EVM_PAYER, N, STACKS_PAYER, keccak, sign, signed_text, twin};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    /// r and s are random, or a signature by this key.
    key: Option<[u8; 32]>,
    rs: [u8; 64],
    recovery: u8,
    hash: [u8; 32],
    text: &'a str,
    signature: &'a str,
}

fuzz_target!(|input: Input<'_>| {
    let Input { key, mut rs, mut recovery, hash, text, signature } = input;
    let key = key.and_then(|key| SigningKey::from_slice(&key).ok());
    if let Some(key) = &key {
        (rs, recovery) = sign(key, &hash);
    }
    let found = signers(&rs, recovery, &hash);
    if let Some(key) = &key {
        let public = key.verifying_key().to_sec1_point(false);
        assert_eq!(found.unwrap().0.unwrap(), keccak(&public.as_bytes()[1..])[12..], "the key that signed is found");
    }
    check_twin(&rs, recovery, &hash);
    assert!(signers(&rs, recovery.max(2), &hash).is_none(), "recovery ids are 0 and 1");
    // The text of a signature of Ethereum.
    let written = format!("0x{}{:02x}", hex::encode(rs), recovery.wrapping_add(27));
    assert_eq!(ethereum_signer(&written, &hash), found.and_then(|(ethereum, _)| ethereum));
    for wrong in [&written[2..], &written[..131], &format!("{written}00"), &written.replacen("0x", "0X", 1)] {
        assert_eq!(ethereum_signer(wrong, &hash), None);
    }
    let _any = ethereum_signer(signature, &hash);
    messages(if hash[0] & 1 == 0 { EVM_PAYER } else { STACKS_PAYER }, text, signature);
});

fn check_twin(rs: &[u8; 64], recovery: u8, hash: &[u8; 32]) {
    let Some((Some(ethereum), Some(stacks))) = signers(rs, recovery, hash) else { return };
    // s is at most half of n: twice s is below n.
    let mut carry = 0;
    let mut doubled = [0_u8; 33];
    for place in (0..32).rev() {
        let sum = u16::from(rs[32 + place]) * 2 + carry;
        doubled[place + 1] = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
    doubled[0] = u8::try_from(carry).unwrap();
    assert!(doubled[0] == 0 && doubled[1..] < N[..], "s is high");
    assert_ne!(rs[..32], [0; 32]);
    for other in [0, 1] {
        assert!(signers(&twin(rs), other, hash).is_none(), "the twin is refused");
    }
    let other = signers(rs, 1 - recovery, hash);
    assert!(other.is_none_or(|(a, b)| a != Some(ethereum) && b != Some(stacks)), "another id is another key");
}

/// Texts that wallets sign.
fn messages(payer: &str, text: &str, signature: &str) {
    let wallet = payer.parse().unwrap();
    assert!(!has_signed(&wallet, text, signature), "nobody can forge");
    let signed = signed_text(payer, text);
    assert!(has_signed(&wallet, text, &signed));
    assert!(!has_signed(&wallet, &format!("{text} "), &signed));
    assert!(!has_signed(&wallet, text, &signed[1..]));
}
