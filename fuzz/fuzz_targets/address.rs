//! Addresses, networks and assets: each has one canonical spelling, and all its spellings are read as the same value.

#![no_main]

use libfuzzer_sys::fuzz_target;
use payerbase::fuzzing::{address_bytes, payer_of_bytes, shown};
use payerbase::payer::Payer;
use payerbase::wallet::Network;
use payerbase::x402::Asset;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = str::from_utf8(data) {
        read(text);
    }
    // A binary address. Most kinds of addresses are known.
    if let Some([first, hash @ ..]) = data.first_chunk::<21>() {
        let kind = if *first < 32 { *first } else { [0, 20, 21, 22, 26][usize::from(*first) % 5] };
        let mut bytes = [kind; 21];
        bytes[1..].copy_from_slice(hash);
        let payer = payer_of_bytes(bytes);
        assert_eq!(payer.is_some(), [0, 20, 21, 22, 26].contains(&kind), "{kind}");
        if let Some(payer) = payer {
            assert_eq!(address_bytes(&payer), Some(bytes));
            check(&payer);
        }
    }
});

fn read(text: &str) {
    if let Ok(payer) = text.parse::<Payer>() {
        assert!(text.is_ascii());
        assert_eq!(text.len(), payer.as_str().len());
        check(&payer);
        if payer.as_str().starts_with('S') {
            assert_eq!(text.to_ascii_lowercase().parse(), Ok(payer.clone()));
        } else {
            assert!(text[2..].eq_ignore_ascii_case(&payer.as_str()[2..]));
        }
    }
    if let Ok(network) = text.parse::<Network>() {
        assert_eq!(network.to_string(), text);
    }
    for network in [Network::Stacks, Network::StacksTest] {
        if let Ok(asset) = Asset::new(network, text, None) {
            assert_eq!(Asset::new(network, &asset.to_string(), None), Ok(asset));
        }
    }
}

fn check(payer: &Payer) {
    assert_eq!(payer.as_str().parse().as_ref(), Ok(payer));
    assert_eq!(shown(payer).parse().as_ref(), Ok(payer));
    assert_eq!(payer_of_bytes(address_bytes(payer).unwrap()).as_ref(), Some(payer));
    assert!(shown(payer).eq_ignore_ascii_case(payer.as_str()));
    if payer.as_str().starts_with("0x") {
        assert_eq!(payer.as_str(), payer.as_str().to_ascii_lowercase());
        let upper = format!("0x{}", payer.as_str()[2..].to_ascii_uppercase());
        assert_eq!(upper.parse().as_ref(), Ok(payer));
    } else {
        // A zero more decodes to the same hash.
        let (kind, hash) = payer.as_str().split_at(2);
        assert!(format!("{kind}0{hash}").parse::<Payer>().is_err());
        // With another letter it is refused: the checksum has 32 bits.
        let mut text = payer.as_str().to_owned().into_bytes();
        let place = usize::from(address_bytes(payer).unwrap()[20]) % text.len();
        text[place] = if text[place] == b'7' { b'8' } else { b'7' };
        assert!(str::from_utf8(&text).unwrap().parse::<Payer>().is_err());
    }
    let networks = [Network::Evm { chain_id: 1 }, Network::Stacks, Network::StacksTest];
    let of = networks.map(|network| Network::of(payer, network.chain_id()) == Some(network));
    // A wallet of Ethereum has its address on each chain, one of Stacks on its own.
    assert!(if payer.as_str().starts_with("0x") { of[0] } else { of.iter().filter(|has| **has).count() == 1 });
}
