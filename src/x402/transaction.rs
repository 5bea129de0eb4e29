//! Transactions of Stacks (SIP-005), as far as payments need them.

use sha2::{Digest as _, Sha512_256};

use super::refusal::{Malformed, Refusal};
use crate::payer::{ADDRESS_BYTES, Payer};

/// Authorization by the account itself, without a sponsor.
const STANDARD: u8 = 4;
/// Longest memo of a token (SIP-010).
const MEMO_BYTES_MAX: u32 = 34;
/// Hash mode and key encoding of an account with one compressed key.
const ONE_KEY: u8 = 0;
const COMPRESSED: u8 = 0;

/// A transfer of STX or of a token, with one signer.
pub(super) struct Transaction {
    pub version: u8,
    pub chain_id: u32,
    /// Hash of the signer's key.
    pub signer: [u8; 20],
    pub nonce: u64,
    /// Recovery id, r and s.
    pub signature: [u8; 65],
    /// The hash that the payer signs.
    pub signed_hash: [u8; 32],
    pub id: [u8; 32],
    pub transfer: Transfer,
}

/// A transfer. `None` is an account that can't be a payer, such as a contract.
pub(super) struct Transfer {
    /// `None` for STX.
    pub call: Option<Call>,
    pub amount: u128,
    pub recipient: Option<Payer>,
}

/// A call of the contract of a token.
pub(super) struct Call {
    pub address: Option<Payer>,
    pub name: Vec<u8>,
    pub sender: Option<Payer>,
}

impl Transaction {
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut reader = Reader(bytes);
        let begin: [u8; 27] = reader.take()?;
        let [version, c0, c1, c2, c3, authorization, hash_mode, signer @ ..] = begin;
        let [nonce, fee] = [reader.take()?, reader.take()?];
        let [key_encoding] = reader.take()?;
        let signature = reader.take()?;
        let rest = reader.0;
        if (authorization, hash_mode, key_encoding) != (STANDARD, ONE_KEY, COMPRESSED) {
            return Err(Refusal::UnsupportedTransaction);
        }
        reader.one_of(&[1, 2, 3], "anchor mode")?;
        reader.one_of(&[1, 2], "post-condition mode")?;
        reader.post_conditions()?;
        let transfer = reader.transfer()?;
        if !reader.0.is_empty() {
            return Err(malformed("bytes after its end").into());
        }
        // The signature is made while nonce, fee and signature are zero.
        let initial = Sha512_256::new().chain_update(begin).chain_update([0; 8 + 8]).chain_update([key_encoding]);
        let initial = initial.chain_update([0; 65]).chain_update(rest).finalize();
        let signed = Sha512_256::new().chain_update(initial).chain_update([authorization]);
        Ok(Self {
            version,
            chain_id: u32::from_be_bytes([c0, c1, c2, c3]),
            signer,
            nonce: u64::from_be_bytes(nonce),
            signature,
            signed_hash: signed.chain_update(fee).chain_update(nonce).finalize().into(),
            id: Sha512_256::digest(bytes).into(),
            transfer,
        })
    }
}

fn malformed(what: &str) -> Malformed {
    Malformed::new(format!("the transaction has {what}"))
}

/// The bytes that are still to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or_else(|| malformed("too few bytes"))?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.take().map(u32::from_be_bytes)
    }

    fn one_of(&mut self, known: &[u8], name: &str) -> Result<u8, Malformed> {
        let [byte] = self.take()?;
        if known.contains(&byte) { Ok(byte) } else { Err(malformed(&format!("an unknown {name}"))) }
    }

    /// A name after its length.
    fn name(&mut self) -> Result<&'a [u8], Malformed> {
        let [length] = self.take()?;
        let (name, rest) = self.0.split_at_checked(length.into()).ok_or_else(|| malformed("too few bytes"))?;
        self.0 = rest;
        Ok(name)
    }

    fn address(&mut self) -> Result<Option<Payer>, Malformed> {
        self.take::<ADDRESS_BYTES>().map(Payer::from_bytes)
    }

    /// Post-conditions on STX and on tokens. They can only make a transfer fail, so that their values don't matter here.
    fn post_conditions(&mut self) -> Result<(), Malformed> {
        for _ in 0..self.u32()? {
            let kind = self.one_of(&[0, 1], "kind of post-condition")?;
            // The account itself, an address or a contract.
            match self.one_of(&[1, 2, 3], "principal of a post-condition")? {
                1 => {}
                2 => _ = self.address()?,
                _ => _ = (self.address()?, self.name()?),
            }
            if kind == 1 {
                // Contract and name of the token.
                _ = (self.address()?, self.name()?, self.name()?);
            }
            self.one_of(&[1, 2, 3, 4, 5], "comparison in a post-condition")?;
            self.take::<8>()?;
        }
        Ok(())
    }

    fn transfer(&mut self) -> Result<Transfer, Refusal> {
        match self.take()? {
            [0] => {
                let recipient = self.principal()?;
                let amount = u64::from_be_bytes(self.take()?).into();
                self.take::<34>()?;
                Ok(Transfer { call: None, amount, recipient })
            }
            [2] => {
                let (address, name) = (self.address()?, self.name()?.to_vec());
                if (self.name()?, self.u32()?) != (b"transfer", 4) {
                    return Err(Refusal::NotATransfer);
                }
                self.one_of(&[1], "amount")?;
                let amount = u128::from_be_bytes(self.take()?);
                let (sender, recipient) = (self.principal()?, self.principal()?);
                self.memo()?;
                Ok(Transfer { call: Some(Call { address, name, sender }), amount, recipient })
            }
            _ => Err(Refusal::NotATransfer),
        }
    }

    /// The address of an account. `None` for a contract.
    fn principal(&mut self) -> Result<Option<Payer>, Malformed> {
        let kind = self.one_of(&[5, 6], "kind of principal")?;
        let address = self.address()?;
        if kind == 5 {
            return Ok(address);
        }
        self.name()?;
        Ok(None)
    }

    /// `none`, or `some` bytes.
    fn memo(&mut self) -> Result<(), Malformed> {
        if self.one_of(&[9, 10], "memo")? == 9 {
            return Ok(());
        }
        self.one_of(&[2], "memo")?;
        let length = self.u32()?;
        if length > MEMO_BYTES_MAX {
            return Err(malformed("too long a memo"));
        }
        (0..length).try_for_each(|_| self.take::<1>().map(drop))
    }
}
