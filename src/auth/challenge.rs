//! Challenges: messages that a wallet signs to sign in, in the layout of EIP-4361.
//!
//! No server keeps them. The nonce says everything that the message says, with a code (HMAC-SHA-256) that only servers of one
//! database can make. So each of them can make the message again from its nonce.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hmac::Mac as _;

use super::database_key::DatabaseKey;
use super::scope::Scope;
use crate::limits::Named;
use crate::payer::{ADDRESS_BYTES, Payer};
use crate::site::Site;
use crate::time::Time;
use crate::wallet::Network;

/// How long a challenge can be used.
pub(super) const CHALLENGE_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// How much earlier the clock of another server may be.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(60);

/// Bytes of the code in a nonce.
pub(super) const CODE_BYTES: usize = 16;
/// Bytes of a nonce before the code.
const FIELDS_BYTES: usize = 8 + ADDRESS_BYTES + 4 + 4 + 4 + RANDOM_BYTES;
const RANDOM_BYTES: usize = 8;

/// End of the time in which a message can be used.
pub(super) fn expires_at(issued_at: DateTime<Utc>) -> DateTime<Utc> {
    issued_at + CHALLENGE_LIFETIME
}

/// Whether a message can be used at this time.
pub(super) fn is_current(issued_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    // The clocks of servers differ.
    (issued_at - CLOCK_DIFFERENCE..expires_at(issued_at)).contains(&now)
}

/// A message that a wallet signs, in the layout of EIP-4361.
pub(super) struct Message<'a> {
    pub domain: &'a str,
    pub payer: &'a Payer,
    pub network: Network,
    pub statement: &'a str,
    pub uri: &'a str,
    pub nonce: &'a str,
    pub issued_at: &'a str,
    pub expires_at: &'a str,
}

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.network {
            Network::Evm { .. } => "Ethereum",
            Network::Stacks | Network::StacksTest => "Stacks",
        };
        write!(
            f,
            "{domain} wants you to sign in with your {kind} account:\n{address}\n\n{statement}\n\n\
             URI: {uri}\nVersion: 1\nChain ID: {chain_id}\nNonce: {nonce}\nIssued At: {issued_at}\nExpiration Time: {expires_at}",
            domain = self.domain,
            address = self.payer.shown(),
            statement = self.statement,
            uri = self.uri,
            chain_id = self.network.chain_id(),
            nonce = self.nonce,
            issued_at = self.issued_at,
            expires_at = self.expires_at,
        )
    }
}

/// What a wallet is asked to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    pub payer: Payer,
    pub network: Network,
    /// Scopes of the token.
    pub scopes: Vec<Scope>,
    /// Lifetime of the token, in whole seconds.
    pub lifetime: Duration,
    /// In whole seconds.
    pub issued_at: DateTime<Utc>,
    pub random: [u8; RANDOM_BYTES],
}

impl Challenge {
    /// The nonce: hexadecimal digits. `None` if a value is too large.
    pub fn nonce(&self, key: &DatabaseKey, site: &Site) -> Option<String> {
        let scopes = Scope::ALL.iter().enumerate().filter(|(_, scope)| self.scopes.contains(scope));
        let scopes = scopes.fold(0_u32, |bits, (place, _)| bits | 1 << place);
        let fields: Vec<u8> = [
            self.network.chain_id().to_be_bytes().as_slice(),
            &self.payer.to_bytes()?,
            &u32::try_from(self.issued_at.timestamp()).ok()?.to_be_bytes(),
            &u32::try_from(self.lifetime.as_secs()).ok()?.to_be_bytes(),
            &scopes.to_be_bytes(),
            &self.random,
        ]
        .concat();
        let code = key.mac().chain_update(&fields).chain_update(site.url()).finalize().into_bytes();
        Some(hex::encode([&fields, code.get(..CODE_BYTES)?].concat()))
    }

    /// The challenge of a nonce. `None` if no server of this database made the nonce for this address.
    pub fn of(nonce: &str, key: &DatabaseKey, site: &Site) -> Option<Self> {
        // A nonce has one spelling.
        if nonce.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        let mut bytes = [0; FIELDS_BYTES + CODE_BYTES];
        hex::decode_to_slice(nonce, &mut bytes).ok()?;
        let (fields, code) = bytes.split_at(FIELDS_BYTES);
        key.mac().chain_update(fields).chain_update(site.url()).verify_truncated_left(code).ok()?;
        let (chain_id, rest) = fields.split_first_chunk()?;
        let (payer, rest) = rest.split_first_chunk()?;
        let (issued_at, rest) = rest.split_first_chunk()?;
        let (lifetime, rest) = rest.split_first_chunk()?;
        let (scopes, random) = rest.split_first_chunk()?;
        let payer = Payer::from_bytes(*payer)?;
        let network = Network::of(&payer, u64::from_be_bytes(*chain_id))?;
        let bits = u32::from_be_bytes(*scopes);
        let scopes = Scope::ALL.iter().enumerate().filter(|(place, _)| bits & 1 << place != 0);
        Some(Self {
            payer,
            network,
            scopes: scopes.map(|(_, scope)| *scope).collect(),
            lifetime: Duration::from_secs(u32::from_be_bytes(*lifetime).into()),
            issued_at: DateTime::from_timestamp(u32::from_be_bytes(*issued_at).into(), 0)?,
            random: random.try_into().ok()?,
        })
    }

    /// End of the time in which the challenge can be used.
    pub fn expires_at(&self) -> DateTime<Utc> {
        expires_at(self.issued_at)
    }

    /// Whether it can be used at this time.
    pub fn is_current(&self, now: DateTime<Utc>) -> bool {
        is_current(self.issued_at, now)
    }

    /// The message to sign.
    pub fn message(&self, nonce: &str, site: &Site) -> String {
        let scopes: Vec<&str> = self.scopes.iter().map(|scope| scope.as_str()).collect();
        let rights = match self.scopes.contains(&Scope::Everything) {
            true => "all rights".to_owned(),
            false => format!("the rights {}", scopes.join(", ")),
        };
        let lifetime = Named::time("", "", self.lifetime).words;
        let message = Message {
            domain: site.authority(),
            payer: &self.payer,
            network: self.network,
            statement: &format!("Sign in to payerbase. The token has {rights} and is valid for {lifetime}."),
            uri: site.url(),
            nonce,
            issued_at: &Time(self.issued_at).to_string(),
            expires_at: &Time(self.expires_at()).to_string(),
        };
        message.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(url: &str) -> Site {
        Site::new(url.parse().unwrap())
    }

    fn challenge(payer: &str, network: &str) -> Challenge {
        Challenge {
            payer: payer.parse().unwrap(),
            network: network.parse().unwrap(),
            scopes: vec![Scope::CountersRead, Scope::QueuesWrite],
            lifetime: Duration::from_secs(86_400),
            issued_at: DateTime::from_timestamp(1_764_000_000, 0).unwrap(),
            random: *b"randomly",
        }
    }

    const WALLETS: [(&str, &str); 4] = [
        ("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "eip155:8453"),
        ("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "eip155:18446744073709551615"),
        ("SPAW66WC3G8WA5F28JVNG1NTRJ6H76E7EN5H6QQD", "stacks:1"),
        ("STAW66WC3G8WA5F28JVNG1NTRJ6H76E7EMHDBMBN", "stacks:2147483648"),
    ];

    #[test]
    fn a_nonce_becomes_its_challenge_again() {
        let (key, site) = (DatabaseKey::new([7; 32]).unwrap(), site("https://pay.example/base"));
        for (payer, network) in WALLETS {
            let challenge = challenge(payer, network);
            let nonce = challenge.nonce(&key, &site).unwrap();
            assert!(nonce.bytes().all(|byte| byte.is_ascii_alphanumeric()), "as EIP-4361 demands");
            assert_eq!(Challenge::of(&nonce, &key, &site), Some(challenge));
        }
    }

    #[test]
    fn a_nonce_of_others_and_a_changed_one_are_refused() {
        let (key, of_server) = (DatabaseKey::new([7; 32]).unwrap(), site("https://pay.example"));
        let nonce = challenge(WALLETS[0].0, WALLETS[0].1).nonce(&key, &of_server).unwrap();
        for place in 0..nonce.len() {
            let mut changed = nonce.clone().into_bytes();
            changed[place] = if changed[place] == b'0' { b'1' } else { b'0' };
            assert_eq!(Challenge::of(&String::from_utf8(changed).unwrap(), &key, &of_server), None, "{place}");
        }
        for nonce in
            ["", &nonce[1..], &nonce[2..], &format!("{nonce}00"), &nonce.replacen('0', "O", 1), &nonce.to_uppercase()]
        {
            assert_eq!(Challenge::of(nonce, &key, &of_server), None, "{nonce}");
        }
        assert_eq!(Challenge::of(&nonce, &DatabaseKey::new([8; 32]).unwrap(), &of_server), None, "another database");
        for other in [
            "https://pay.example:444",
            "http://pay.example",
            "https://pay.example.evil.example",
            "https://pay.example/a",
        ] {
            assert_eq!(Challenge::of(&nonce, &key, &site(other)), None, "{other}");
        }
    }

    #[test]
    fn a_challenge_can_be_used_for_five_minutes() {
        let challenge = challenge(WALLETS[0].0, WALLETS[0].1);
        let after = |seconds: i64| challenge.is_current(challenge.issued_at + chrono::TimeDelta::seconds(seconds));
        assert_eq!([-61, -60, 0, 299, 300, 86_400].map(after), [false, true, true, true, false, false]);
    }

    #[test]
    fn the_message_has_the_layout_of_eip_4361() {
        let site = site("https://pay.example:8443/base/");
        let evm = challenge(WALLETS[0].0, WALLETS[0].1);
        assert_eq!(
            evm.message("a1b2c3d4", &site),
            "pay.example:8443 wants you to sign in with your Ethereum account:\n\
             0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266\n\n\
             Sign in to payerbase. The token has the rights counters:read, queues:write and is valid for 24 hours.\n\n\
             URI: https://pay.example:8443/base/\nVersion: 1\nChain ID: 8453\nNonce: a1b2c3d4\n\
             Issued At: 2025-11-24T16:00:00.000000Z\nExpiration Time: 2025-11-24T16:05:00.000000Z"
        );
        let stacks = Challenge { scopes: vec![Scope::Everything], ..challenge(WALLETS[2].0, WALLETS[2].1) };
        let message = stacks.message("a1b2c3d4", &site);
        assert!(message.contains("your Stacks account:\nSPAW66WC3G8WA5F28JVNG1NTRJ6H76E7EN5H6QQD\n"), "{message}");
        assert!(message.contains("has all rights and") && message.contains("\nChain ID: 1\n"), "{message}");
    }
}
