//! Payments on Stacks (SIP-005): transfers of STX and of tokens, from accounts with one key.
//!
//! Nothing here comes from the server, so that the tests check it with a second implementation.

use k256::ecdsa::{RecoveryId, Signature, SigningKey, VerifyingKey};
use ripemd::Ripemd160;
use sha2::{Digest as _, Sha256, Sha512_256};

/// Chain id of the main network.
const MAIN_CHAIN: u32 = 1;
/// Chain id of the test network.
const TEST_CHAIN: u32 = 0x8000_0000;
/// Asset id of the currency of the network.
pub const STX: &str = "STX";
/// Length of the memo in a transfer of STX. A shorter memo ends with zeros.
const MEMO_BYTES: usize = 34;
/// Place of the signature in a transaction.
const SIGNATURE: std::ops::Range<usize> = 44..109;

/// An account: the version and the hash of its address.
pub type Account = [u8; 21];

/// Writes the address of an account.
pub fn address(account: &Account) -> String {
    c32::encode_check_prefixed(&account[1..], 'S', account[0]).unwrap()
}

/// Reads an address. `None` if the text is none.
pub fn account(address: &str) -> Option<Account> {
    let (hash, version) = c32::decode_check_prefixed(address, 'S').ok()?;
    [[version].as_slice(), &hash].concat().try_into().ok()
}

/// The hash in the addresses of a key.
pub fn key_hash(key: &VerifyingKey) -> [u8; 20] {
    Ripemd160::digest(Sha256::digest(key.to_sec1_point(true).as_bytes())).into()
}

/// The networks of Stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Network {
    Main,
    Test,
}

impl Network {
    /// Reads a network id (CAIP-2).
    pub fn read(id: &str) -> Option<Self> {
        match id.strip_prefix("stacks:")?.parse().ok()? {
            MAIN_CHAIN => Some(Self::Main),
            TEST_CHAIN => Some(Self::Test),
            _ => None,
        }
    }

    /// The account of a key hash.
    pub fn account(self, hash: [u8; 20]) -> Account {
        let version = match self {
            Self::Main => 22,
            Self::Test => 26,
        };
        [[version].as_slice(), &hash].concat().try_into().unwrap()
    }

    /// Version and chain id at the start of a transaction.
    fn head(self) -> (u8, u32) {
        match self {
            Self::Main => (0x00, MAIN_CHAIN),
            Self::Test => (0x80, TEST_CHAIN),
        }
    }
}

/// The id of a transaction, without `0x`.
pub fn id(transaction: &[u8]) -> String {
    hex::encode(Sha512_256::digest(transaction))
}

/// A transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    pub network: Network,
    pub origin: [u8; 20],
    pub nonce: u64,
    pub fee: u64,
    /// Account and name of the contract of a token. `None` for STX.
    pub token: Option<(Account, String)>,
    pub amount: u128,
    pub recipient: Account,
    pub memo: Vec<u8>,
}

impl Transfer {
    /// Asset id of what is transferred.
    pub fn asset(&self) -> String {
        self.token.as_ref().map_or(STX.to_owned(), |(account, name)| format!("{}.{name}", address(account)))
    }

    /// The transaction, signed with a key.
    pub fn signed(&self, key: &SigningKey) -> Vec<u8> {
        let mut transaction = self.unsigned();
        sign(&mut transaction, key);
        transaction
    }

    fn unsigned(&self) -> Vec<u8> {
        let (version, chain) = self.network.head();
        let mut bytes = vec![version];
        bytes.extend(chain.to_be_bytes());
        // Standard authorization of an account with one key.
        bytes.extend([4, 0]);
        bytes.extend(self.origin);
        bytes.extend([self.nonce.to_be_bytes(), self.fee.to_be_bytes()].concat());
        // A compressed key, and its signature.
        bytes.extend([0; 66]);
        // Any anchor mode. The official client denies other transfers for STX, and allows them for tokens.
        bytes.extend([3, if self.token.is_none() { 2 } else { 1 }]);
        // No post-conditions.
        bytes.extend([0; 4]);
        match &self.token {
            None => {
                bytes.extend([0, 5]);
                bytes.extend(self.recipient);
                bytes.extend(u64::try_from(self.amount).expect("an amount of STX").to_be_bytes());
                let mut memo = self.memo.clone();
                memo.resize(MEMO_BYTES, 0);
                bytes.extend(memo);
            }
            Some((contract, name)) => {
                bytes.push(2);
                bytes.extend(contract);
                bytes.extend(named(name));
                bytes.extend(named("transfer"));
                bytes.extend([0, 0, 0, 4, 1]);
                bytes.extend(self.amount.to_be_bytes());
                bytes.push(5);
                bytes.extend(self.network.account(self.origin));
                bytes.push(5);
                bytes.extend(self.recipient);
                bytes.extend([10, 2]);
                bytes.extend(u32::try_from(self.memo.len()).unwrap().to_be_bytes());
                bytes.extend(&self.memo);
            }
        }
        bytes
    }

    /// Reads a transaction and checks its signature. `None` if it is no signed transfer between accounts, or has
    /// post-conditions.
    pub fn decode(transaction: &[u8]) -> Option<Self> {
        let mut reader = Reader(transaction);
        let version: [u8; 1] = reader.take()?;
        let chain = reader.u32()?;
        let network = [Network::Main, Network::Test].into_iter().find(|known| known.head() == (version[0], chain))?;
        reader.expect(&[4, 0])?;
        let origin = reader.take()?;
        let [nonce, fee] = [reader.u64()?, reader.u64()?];
        reader.expect(&[0])?;
        let signature = reader.take()?;
        let _modes: [u8; 2] = reader.take()?;
        reader.expect(&[0; 4])?;
        let mut transfer = Self {
            network,
            origin,
            nonce,
            fee,
            token: None,
            amount: 0,
            recipient: network.account(origin),
            memo: Vec::new(),
        };
        match reader.take()? {
            [0] => transfer.read_stx(&mut reader)?,
            [2] => transfer.read_call(&mut reader)?,
            _ => return None,
        }
        let is_whole = reader.0.is_empty() && signer(&signed_hash(transaction), &signature) == Some(origin);
        is_whole.then_some(transfer)
    }

    fn read_stx(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        reader.expect(&[5])?;
        self.recipient = reader.take()?;
        self.amount = reader.u64()?.into();
        self.memo = reader.take::<MEMO_BYTES>()?.to_vec();
        Some(())
    }

    fn read_call(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let contract = reader.take()?;
        self.token = Some((contract, String::from_utf8(reader.name()?.to_vec()).ok()?));
        reader.expect(&named("transfer"))?;
        reader.expect(&[0, 0, 0, 4, 1])?;
        self.amount = u128::from_be_bytes(reader.take()?);
        reader.expect(&[5])?;
        reader.expect(&self.network.account(self.origin))?;
        reader.expect(&[5])?;
        self.recipient = reader.take()?;
        if reader.take()? == [9] {
            return Some(());
        }
        reader.expect(&[2])?;
        let length = reader.u32()?;
        self.memo = reader.bytes(length.try_into().ok()?)?.to_vec();
        Some(())
    }
}

/// A name after its length.
fn named(name: &str) -> Vec<u8> {
    [&[u8::try_from(name.len()).unwrap()], name.as_bytes()].concat()
}

/// Signs a transaction with a key, whatever else is in it.
pub fn sign(transaction: &mut [u8], key: &SigningKey) {
    let (signature, recovery) = key.sign_prehash_recoverable(&signed_hash(transaction));
    transaction[SIGNATURE].copy_from_slice(&[[recovery.to_byte()].as_slice(), &signature.to_bytes()].concat());
}

/// The hash that the origin of a transaction signs.
fn signed_hash(transaction: &[u8]) -> [u8; 32] {
    let mut cleared = transaction.to_vec();
    cleared[27..43].fill(0);
    cleared[SIGNATURE].fill(0);
    let (nonce, fee) = (&transaction[27..35], &transaction[35..43]);
    let initial = Sha512_256::digest(&cleared);
    Sha512_256::digest([initial.as_slice(), &transaction[5..6], fee, nonce].concat()).into()
}

/// The key hash of the account that signed. A signature is its recovery id, r and s.
fn signer(hash: &[u8; 32], signature: &[u8; 65]) -> Option<[u8; 20]> {
    let rs = Signature::from_slice(&signature[1..]).ok()?;
    let recovery = RecoveryId::from_byte(signature[0])?;
    Some(key_hash(&VerifyingKey::recover_from_prehash(hash, &rs, recovery).ok()?))
}

/// The bytes that are still to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn name(&mut self) -> Option<&'a [u8]> {
        let [length] = self.take()?;
        self.bytes(length.into())
    }

    fn expect(&mut self, expected: &[u8]) -> Option<()> {
        (self.bytes(expected.len())? == expected).then_some(())
    }
}
