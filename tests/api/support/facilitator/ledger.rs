//! Balances and nonces of the stub chain, and what a transaction does to them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::evm::{self, Address, Authorization, Domain, Signed, Word};
use super::super::stacks;

/// A transaction.
#[derive(Clone, Debug)]
pub enum Transaction {
    /// `transferWithAuthorization` of a token.
    Transfer { asset: Address, authorization: Authorization, signature: Signed },
    /// `cancelAuthorization` of a token.
    Cancel { asset: Address, payer: Address, nonce: Word },
    /// A transfer on Stacks.
    Stacks(stacks::Transfer),
}

/// Why a transaction does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revert {
    /// The asset is no token of this chain.
    NoContract,
    /// The authorization is not valid yet.
    Early,
    /// The authorization is no longer valid.
    Expired,
    /// The nonce is used, or the authorization canceled.
    NonceUsed,
    /// The signature is not the payer's, or its form is not accepted.
    Signature,
    /// The payer has too little.
    Funds,
}

/// A log of a token.
#[derive(Clone, Debug)]
pub struct Log {
    pub address: Address,
    pub topics: Vec<Word>,
    pub data: Vec<u8>,
}

/// All accounts.
pub struct Ledger {
    /// The tokens of the EVM chain.
    tokens: BTreeMap<Address, Domain>,
    /// By asset and account, both as [`canonical`] writes them.
    balances: BTreeMap<(String, String), u128>,
    /// Used and canceled nonces, by asset and payer.
    authorizations: BTreeSet<(Address, Address, Word)>,
    /// Used nonces of accounts on Stacks.
    stacks_nonces: BTreeSet<(stacks::Account, u64)>,
}

/// Base Sepolia's and Base's USDC, and the names in their domains.
const TOKENS: [(&str, &str); 2] = [
    ("0x036CbD53842c5426634e7929541eC2318f3dCF7e", "USDC"),
    ("0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "USD Coin"),
];

/// Topic of an event.
pub fn topic(event: &str) -> Word {
    evm::keccak(&[event.as_bytes()])
}

/// One spelling of an address or an asset.
fn canonical(text: &str) -> String {
    if text.starts_with("0x") { text.to_ascii_lowercase() } else { text.to_owned() }
}

impl Ledger {
    /// A chain on which nobody has anything.
    pub fn new(chain_id: u64) -> Self {
        let token = |(contract, name): (&str, &str)| {
            let contract = evm::bytes(contract).unwrap();
            (contract, Domain { name: name.to_owned(), version: "2".to_owned(), chain_id, contract })
        };
        Self {
            tokens: TOKENS.into_iter().map(token).collect(),
            balances: BTreeMap::new(),
            authorizations: BTreeSet::new(),
            stacks_nonces: BTreeSet::new(),
        }
    }

    pub fn balance(&self, address: &str, asset: &str) -> u128 {
        self.balances.get(&(canonical(asset), canonical(address))).copied().unwrap_or(0)
    }

    pub fn mint(&mut self, address: &str, asset: &str, amount: u128) {
        let balance = self.balances.entry((canonical(asset), canonical(address))).or_default();
        *balance = balance.checked_add(amount).unwrap();
    }

    pub fn is_token(&self, asset: &Address) -> bool {
        self.tokens.contains_key(asset)
    }

    /// Whether a nonce of an authorization is used or canceled.
    pub fn is_used(&self, asset: &Address, payer: &Address, nonce: &Word) -> bool {
        self.authorizations.contains(&(*asset, *payer, *nonce))
    }

    /// Whether a nonce of an account on Stacks is used.
    pub fn is_stacks_nonce_used(&self, account: &stacks::Account, nonce: u64) -> bool {
        self.stacks_nonces.contains(&(*account, nonce))
    }

    /// The highest used nonce of an account on Stacks.
    pub fn last_stacks_nonce(&self, account: &stacks::Account) -> Option<u64> {
        self.stacks_nonces.range((*account, 0)..=(*account, u64::MAX)).next_back().map(|(_, nonce)| *nonce)
    }

    /// Whether a transaction would do something in a block of this time.
    ///
    /// # Errors
    /// The first reason why not, in the order of the token's checks.
    pub fn check(&self, transaction: &Transaction, time: u64) -> Result<(), Revert> {
        let (asset, account, amount) = match transaction {
            Transaction::Transfer { asset, authorization, signature } => {
                let domain = self.tokens.get(asset).ok_or(Revert::NoContract)?;
                check_authorization(authorization, signature, domain, time, || {
                    self.is_used(asset, &authorization.from, &authorization.nonce)
                })?;
                (evm::prefixed(asset), evm::prefixed(authorization.from), authorization.value)
            }
            Transaction::Cancel { asset, payer, nonce } => {
                let is_used = self.is_used(asset, payer, nonce);
                return if is_used { Err(Revert::NonceUsed) } else { Ok(()) };
            }
            Transaction::Stacks(transfer) => {
                let account = transfer.network.account(transfer.origin);
                if self.is_stacks_nonce_used(&account, transfer.nonce) {
                    return Err(Revert::NonceUsed);
                }
                (transfer.asset(), stacks::address(&account), transfer.amount)
            }
        };
        if self.balance(&account, &asset) < amount { Err(Revert::Funds) } else { Ok(()) }
    }

    /// Executes a transaction in a block of this time.
    ///
    /// # Errors
    /// As those of [`Self::check`]. No money has moved. The nonce of a transaction on Stacks is used nevertheless.
    pub fn execute(&mut self, transaction: &Transaction, time: u64) -> Result<Vec<Log>, Revert> {
        let checked = self.check(transaction, time);
        if let Transaction::Stacks(transfer) = transaction {
            self.stacks_nonces.insert((transfer.network.account(transfer.origin), transfer.nonce));
        }
        checked?;
        Ok(match transaction {
            Transaction::Transfer { asset, authorization, .. } => {
                let Authorization { from, to, value, nonce, .. } = authorization;
                self.authorizations.insert((*asset, *from, *nonce));
                self.move_money(&evm::prefixed(asset), &evm::prefixed(from), &evm::prefixed(to), *value);
                let [from, to] = [from, to].map(|address| evm::word(address));
                let used = vec![topic("AuthorizationUsed(address,bytes32)"), from, *nonce];
                let moved = vec![topic("Transfer(address,address,uint256)"), from, to];
                let data = evm::word(&value.to_be_bytes()).to_vec();
                vec![
                    Log { address: *asset, topics: used, data: Vec::new() },
                    Log { address: *asset, topics: moved, data },
                ]
            }
            Transaction::Cancel { asset, payer, nonce } => {
                self.authorizations.insert((*asset, *payer, *nonce));
                let topics = vec![topic("AuthorizationCanceled(address,bytes32)"), evm::word(payer), *nonce];
                vec![Log { address: *asset, topics, data: Vec::new() }]
            }
            Transaction::Stacks(transfer) => {
                let origin = stacks::address(&transfer.network.account(transfer.origin));
                let recipient = stacks::address(&transfer.recipient);
                self.move_money(&transfer.asset(), &origin, &recipient, transfer.amount);
                Vec::new()
            }
        })
    }

    fn move_money(&mut self, asset: &str, from: &str, to: &str, amount: u128) {
        let payer = self.balances.entry((canonical(asset), canonical(from))).or_default();
        *payer = payer.checked_sub(amount).unwrap();
        self.mint(to, asset, amount);
    }
}

/// The checks of a token contract before it looks at balances.
fn check_authorization(
    authorization: &Authorization,
    signature: &Signed,
    domain: &Domain,
    time: u64,
    is_used: impl FnOnce() -> bool,
) -> Result<(), Revert> {
    let time = u128::from(time);
    if time <= authorization.valid_after {
        return Err(Revert::Early);
    }
    if time >= authorization.valid_before {
        return Err(Revert::Expired);
    }
    if is_used() {
        return Err(Revert::NonceUsed);
    }
    let signer = evm::signer(&authorization.hash(domain), signature);
    let is_signed = evm::is_canonical(signature) && signer == Some(authorization.from);
    if is_signed { Ok(()) } else { Err(Revert::Signature) }
}
