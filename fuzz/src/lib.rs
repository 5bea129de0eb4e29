//! What the fuzz targets share: wallets that sign, and a server that is paid.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use k256::ecdsa::SigningKey;
use payerbase::chain::Chain;
use payerbase::facilitator::{Authentication, Facilitator, Settings};
use payerbase::fuzzing;
use payerbase::pay::AssetPrices;
use payerbase::payments::{Offers, PaidNetwork};
use payerbase::site::Site;
use payerbase::wallet::Network;
use payerbase::x402::{KNOWN_ASSETS, Offer};
use sha2::{Sha256, Sha512_256};
use sha3::{Digest as _, Keccak256};

/// When the payments of the seeds were signed, in Unix seconds.
pub const SIGNED_AT: i64 = 1_764_000_000;
/// The price of a call, which the payments of the seeds pay.
pub const PRICE: i64 = 1_000;
/// Key of the wallet of Ethereum.
const EVM_KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
/// Key of the wallet of Stacks.
const STACKS_KEY: &str = "edf9aee84d9b7abc145504dde6726c64f369d37ee34ded868fabd876c26570bc";
/// Address of the wallet of Ethereum.
pub const EVM_PAYER: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
/// Address of the wallet of Stacks.
pub const STACKS_PAYER: &str = "SPAW66WC3G8WA5F28JVNG1NTRJ6H76E7EN5H6QQD";
/// Recipients.
pub const EVM_PAY_TO: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
pub const STACKS_PAY_TO: &str = "SP120SBRBQJ00MCWS7TM5R8WJNTTKD5K0HFRC2CNE";
pub const STACKS_TEST_PAY_TO: &str = "ST1PQHQKV0RJXZFY1DGX8MNSNYVE3VGZJSRTPGZGM";
/// The test network of Base.
pub const BASE: Network = Network::Evm { chain_id: 84_532 };

/// Order of the curve.
pub const N: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xba, 0xae, 0xdc,
    0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];

fn key(hex: &str) -> SigningKey {
    SigningKey::from_slice(&hex::decode(hex).unwrap()).unwrap()
}

/// r and s, and the recovery id, of a hash.
pub fn sign(key: &SigningKey, hash: &[u8; 32]) -> ([u8; 64], u8) {
    let (rs, recovery) = key.sign_prehash_recoverable(hash);
    (rs.to_bytes().into(), recovery.to_byte())
}

/// The signature of a hash by the wallet of Ethereum.
pub fn evm_signature(hash: &[u8; 32]) -> String {
    static KEY: LazyLock<SigningKey> = LazyLock::new(|| key(EVM_KEY));
    let (rs, recovery) = sign(&KEY, hash);
    format!("0x{}{:02x}", hex::encode(rs), recovery + 27)
}

/// The recovery id, r and s of a hash by the wallet of Stacks.
pub fn stacks_signature(hash: &[u8; 32]) -> [u8; 65] {
    static KEY: LazyLock<SigningKey> = LazyLock::new(|| key(STACKS_KEY));
    let (rs, recovery) = sign(&KEY, hash);
    let mut signature = [recovery; 65];
    signature[1..].copy_from_slice(&rs);
    signature
}

/// n - s of r and s: with the other recovery id, a signature by the same key.
pub fn twin(rs: &[u8; 64]) -> [u8; 64] {
    let mut twin = *rs;
    let mut borrow = 0;
    for place in (0..32).rev() {
        let difference = i16::from(N[place]) - i16::from(rs[32 + place]) - borrow;
        borrow = i16::from(difference < 0);
        twin[32 + place] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    twin
}

/// A text signed by the wallet of an address, as wallets sign messages.
pub fn signed_text(payer: &str, text: &str) -> String {
    if payer.starts_with("0x") {
        return evm_signature(&keccak(format!("\x19Ethereum Signed Message:\n{}{text}", text.len()).as_bytes()));
    }
    let mut begin = b"\x17Stacks Signed Message:\n".to_vec();
    match text.len() {
        length @ ..0xfd => begin.push(length.try_into().unwrap()),
        length => {
            begin.push(0xfd);
            begin.extend(u16::try_from(length).unwrap().to_le_bytes());
        }
    }
    let [recovery, rs @ ..] = stacks_signature(&Sha256::digest([&begin, text.as_bytes()].concat()).into());
    format!("{}{recovery:02x}", hex::encode(rs))
}

pub fn keccak(bytes: &[u8]) -> [u8; 32] {
    Keccak256::digest(bytes).into()
}

pub fn sha512_256(bytes: &[u8]) -> [u8; 32] {
    Sha512_256::digest(bytes).into()
}

/// Signs a transaction of Stacks, whatever it is (SIP-005). `None` if it is too short.
pub fn signed_transaction(mut transaction: Vec<u8>) -> Option<Vec<u8>> {
    let mut cleared = transaction.clone();
    cleared.get_mut(27..43)?.fill(0);
    cleared.get_mut(44..109)?.fill(0);
    let (nonce, fee) = (&transaction[27..35], &transaction[35..43]);
    let signed = [sha512_256(&cleared).as_slice(), &transaction[5..6], fee, nonce].concat();
    let signature = stacks_signature(&sha512_256(&signed));
    transaction[44..109].copy_from_slice(&signature);
    Some(transaction)
}

pub fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

pub fn base64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// An offer of [`PRICE`] in this asset.
pub fn offer(symbol: &str, network: Network) -> Offer {
    let known = KNOWN_ASSETS.iter().find(|known| (known.symbol, known.network) == (symbol, network)).unwrap();
    let (pay_to, seconds) = match network {
        Network::Evm { .. } => (EVM_PAY_TO, 60),
        Network::Stacks => (STACKS_PAY_TO, 300),
        Network::StacksTest => (STACKS_TEST_PAY_TO, 300),
    };
    let amount = PRICE.try_into().unwrap();
    Offer::new(known.asset().unwrap(), pay_to.parse().unwrap(), amount, seconds).unwrap()
}

/// The address of the server.
pub fn site() -> Site {
    Site::new("https://payerbase.example".parse().unwrap())
}

/// A server that is paid in each asset of the seeds. Nothing asks its networks.
pub fn offers() -> &'static Offers {
    static OFFERS: LazyLock<Offers> = LazyLock::new(|| {
        let assets =
            [("USDC", BASE), ("STX", Network::Stacks), ("sBTC", Network::Stacks), ("STX", Network::StacksTest)];
        let networks = assets.map(|(symbol, network)| {
            let offer = offer(symbol, network);
            let url = || "http://127.0.0.1:9".parse().unwrap();
            PaidNetwork {
                prices: AssetPrices { asset: offer.asset().clone(), read: 1, write: PRICE, ai: 2 * PRICE },
                pay_to: offer.pay_to().clone(),
                minimum: 1,
                facilitator: Facilitator::new(Settings { url: url(), authentication: Authentication::None }).unwrap(),
                chain: Chain::new(network, url(), 0).unwrap(),
            }
        });
        fuzzing::payments::offers(networks.into(), site())
    });
    &OFFERS
}
