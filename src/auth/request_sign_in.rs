//! Signing in for one request, without a token (`sign-in-with-x` of x402).
//!
//! The answer 402 has a nonce, and the request comes again with a signature. As with challenges, no server keeps the nonce. Its
//! code (HMAC-SHA-256) is bound to the request, so the signature is worth nothing for another one.

use chrono::{DateTime, SubsecRound as _, Utc};
use hmac::Mac as _;
use rand::RngExt as _;
use serde_json::Value;

use super::challenge::{CODE_BYTES, Message, expires_at, is_current};
use super::database_key::{DatabaseKey, Mac};
use super::sign_in::SignIn;
use crate::payer::Payer;
use crate::problem::Problem;
use crate::site::Site;
use crate::wallet::{Network, has_signed};
use crate::x402::{SignInHeader, SignInInfo};

/// Bytes of a nonce before the code: the time, and random bytes.
const FIELDS_BYTES: usize = 4 + RANDOM_BYTES;
const RANDOM_BYTES: usize = 8;
/// Challenges have the id of a chain here, which is never 0: their codes are no codes of these nonces.
const PURPOSE: &[u8] = b"\0\0\0\0\0\0\0\0one request\n";
/// A longer URL is not offered: headers are limited.
const URI_BYTES_MAX: usize = 2_048;

/// What a wallet signs in for.
#[derive(Clone, Copy)]
pub struct RequestLine<'a> {
    /// HTTP method.
    pub verb: &'a str,
    /// Path and query, as they were sent.
    pub path: &'a str,
    /// Name of the method that is called.
    pub method: &'a str,
}

/// A wallet that has signed in for a request. The request must run once for it: see [`SignedRequest::nonce`].
pub struct SignedRequest {
    /// The wallet.
    pub payer: Payer,
    /// The nonce that it signed.
    pub nonce: String,
}

/// Why a signature does not sign in. The text is for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSignedIn {
    /// The header cannot be read.
    #[error("The header `SIGN-IN-WITH-X` cannot be read: {0}.")]
    Malformed(String),
    /// The network is not served, or has no such address.
    #[error("The header `SIGN-IN-WITH-X` names no wallet of a network of this server.")]
    NoSuchWallet,
    /// The nonce is that of another request, of another server, or changed.
    #[error("The nonce of the sign-in was not made for this request by this server.")]
    OtherRequest,
    /// The nonce is too old.
    #[error("The sign-in has expired.")]
    Expired,
    /// The signature is wrong.
    #[error("The signature of the sign-in does not fit the message and the address.")]
    WrongSignature,
}

impl RequestLine<'_> {
    fn uri(&self, site: &Site) -> String {
        format!("{}{}", site.url().trim_end_matches('/'), self.path)
    }

    fn statement(&self) -> String {
        format!("Sign in to payerbase for one request: {} {}.", self.verb, self.method)
    }

    /// The code of a nonce with these fields.
    fn code(&self, key: &DatabaseKey, site: &Site, fields: &[u8]) -> Mac {
        // Neither a verb nor a path has a space or the end of a line.
        let line = format!("{} {}\n", self.verb, self.path);
        key.mac().chain_update(PURPOSE).chain_update(fields).chain_update(line).chain_update(site.url())
    }

    /// A nonce of this time: hexadecimal digits.
    pub(super) fn nonce(&self, key: &DatabaseKey, site: &Site, issued_at: DateTime<Utc>) -> Option<String> {
        let random: [u8; RANDOM_BYTES] = rand::rng().random();
        let fields = [u32::try_from(issued_at.timestamp()).ok()?.to_be_bytes().as_slice(), &random].concat();
        let code = self.code(key, site, &fields).finalize().into_bytes();
        Some(hex::encode([&fields, code.get(..CODE_BYTES)?].concat()))
    }

    /// When a nonce was made. `None` if no server of this database made it for this request.
    fn issued_at(&self, key: &DatabaseKey, site: &Site, nonce: &str) -> Option<DateTime<Utc>> {
        // A nonce has one spelling.
        if nonce.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        let mut bytes = [0; FIELDS_BYTES + CODE_BYTES];
        hex::decode_to_slice(nonce, &mut bytes).ok()?;
        let (fields, code) = bytes.split_at(FIELDS_BYTES);
        self.code(key, site, fields).verify_truncated_left(code).ok()?;
        DateTime::from_timestamp(u32::from_be_bytes(*fields.first_chunk()?).into(), 0)
    }

    fn info(&self, site: &Site, nonce: String, issued_at: DateTime<Utc>) -> SignInInfo {
        let shown = |time: DateTime<Utc>| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        SignInInfo {
            domain: site.authority().to_owned(),
            uri: self.uri(site),
            version: "1",
            nonce,
            issued_at: shown(issued_at),
            expiration_time: shown(expires_at(issued_at)),
            statement: self.statement(),
        }
    }

    /// Who signed in for this request.
    pub(super) fn verify(
        &self,
        key: &DatabaseKey,
        site: &Site,
        networks: &[Network],
        header: &str,
        now: DateTime<Utc>,
    ) -> Result<SignedRequest, NotSignedIn> {
        let header =
            SignInHeader::from_header(header).map_err(|malformed| NotSignedIn::Malformed(malformed.to_string()))?;
        let network: Option<Network> = header.chain_id.parse().ok().filter(|network| networks.contains(network));
        let payer = header.address.parse::<Payer>().ok();
        let wallet = payer.zip(network).filter(|(payer, network)| {
            !payer.has_several_keys() && Network::of(payer, network.chain_id()) == Some(*network)
        });
        let (payer, network) = wallet.ok_or(NotSignedIn::NoSuchWallet)?;
        let issued_at = self.issued_at(key, site, &header.nonce).ok_or(NotSignedIn::OtherRequest)?;
        if !is_current(issued_at, now) {
            return Err(NotSignedIn::Expired);
        }
        let info = self.info(site, header.nonce, issued_at);
        let message = Message {
            domain: &info.domain,
            payer: &payer,
            network,
            statement: &info.statement,
            uri: &info.uri,
            nonce: &info.nonce,
            issued_at: &info.issued_at,
            expires_at: &info.expiration_time,
        };
        match has_signed(&payer, &message.to_string(), &header.signature) {
            true => Ok(SignedRequest { payer, nonce: info.nonce }),
            false => Err(NotSignedIn::WrongSignature),
        }
    }
}

impl SignIn {
    /// The extension of the offers for a request. `None` if no wallet can sign in for it.
    ///
    /// # Errors
    /// `database-unavailable`, until the key is known.
    pub async fn offer(&self, line: RequestLine<'_>) -> Result<Option<Value>, Problem> {
        if self.networks().is_empty() || line.uri(self.site()).len() > URI_BYTES_MAX {
            return Ok(None);
        }
        let issued_at = Utc::now().trunc_subsecs(0);
        let nonce = line.nonce(self.key().await?, self.site(), issued_at);
        Ok(nonce.map(|nonce| line.info(self.site(), nonce, issued_at).to_extension(self.networks())))
    }

    /// Who signed in for a request, by SIGN-IN-WITH-X.
    ///
    /// # Errors
    /// `database-unavailable`, until the key is known.
    pub async fn verify_request(
        &self,
        line: RequestLine<'_>,
        header: &str,
    ) -> Result<Result<SignedRequest, NotSignedIn>, Problem> {
        Ok(line.verify(self.key().await?, self.site(), self.networks(), header, Utc::now()))
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use chrono::TimeDelta;
    use k256::ecdsa::SigningKey;
    use serde_json::json;
    use sha3::{Digest as _, Keccak256};

    use super::*;

    const LINE: RequestLine<'_> = RequestLine { verb: "GET", path: "/v1/counters?prefix=a", method: "listCounters" };
    const BASE: Network = Network::Evm { chain_id: 84_532 };
    /// The first wallet of every anvil.
    const KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    const ADDRESS: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";

    fn site(url: &str) -> Site {
        Site::new(url.parse().unwrap())
    }

    fn noon() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_773_600, 0).unwrap()
    }

    /// SIGN-IN-WITH-X for a request, signed by the key.
    fn header(key: &DatabaseKey, site: &Site) -> String {
        let info = LINE.info(site, LINE.nonce(key, site, noon()).unwrap(), noon());
        let message = format!(
            "pay.example:8443 wants you to sign in with your Ethereum account:\n{ADDRESS}\n\n\
             Sign in to payerbase for one request: GET listCounters.\n\n\
             URI: https://pay.example:8443/base/v1/counters?prefix=a\nVersion: 1\nChain ID: 84532\nNonce: {}\n\
             Issued At: 2026-11-27T10:00:00.000Z\nExpiration Time: 2026-11-27T10:05:00.000Z",
            info.nonce
        );
        let hash = Keccak256::digest(format!("\x19Ethereum Signed Message:\n{}{message}", message.len()));
        let key = SigningKey::from_slice(&hex::decode(KEY).unwrap()).unwrap();
        let (signature, recovery) = key.sign_prehash_recoverable(&hash);
        let signature = format!("0x{}{:02x}", hex::encode(signature.to_bytes()), 27 + recovery.to_byte());
        let sent = json!({"address": ADDRESS, "chainId": "eip155:84532", "nonce": info.nonce, "signature": signature});
        BASE64_STANDARD.encode(sent.to_string())
    }

    #[test]
    fn a_sign_in_is_for_one_request_for_five_minutes() {
        let (key, site_of_server) = (DatabaseKey::new([7; 32]).unwrap(), site("https://pay.example:8443/base/"));
        let header = header(&key, &site_of_server);
        let of = |line: RequestLine<'_>, site: &Site, seconds: i64| {
            let now = noon() + TimeDelta::seconds(seconds);
            line.verify(&key, site, &[BASE, Network::Stacks], &header, now).map(|signed| signed.payer.shown())
        };
        assert_eq!(of(LINE, &site_of_server, 0), Ok(ADDRESS.to_owned()));
        assert_eq!(of(LINE, &site_of_server, 299), Ok(ADDRESS.to_owned()));
        for late in [300, 86_400, -61] {
            assert_eq!(of(LINE, &site_of_server, late), Err(NotSignedIn::Expired));
        }
        for other in [
            RequestLine { verb: "DELETE", ..LINE },
            RequestLine { path: "/v1/counters?prefix=b", ..LINE },
            RequestLine { path: "/v1/counters", ..LINE },
        ] {
            assert_eq!(of(other, &site_of_server, 0), Err(NotSignedIn::OtherRequest));
        }
        for other in ["https://pay.example:8444/base/", "http://pay.example:8443/base/", "https://pay.example:8443/"] {
            assert_eq!(of(LINE, &site(other), 0), Err(NotSignedIn::OtherRequest), "{other}");
        }
        let elsewhere = LINE.verify(&DatabaseKey::new([8; 32]).unwrap(), &site_of_server, &[BASE], &header, noon());
        assert_eq!(elsewhere.err(), Some(NotSignedIn::OtherRequest), "another database");
        let not_served = LINE.verify(&key, &site_of_server, &[Network::Stacks], &header, noon());
        assert_eq!(not_served.err(), Some(NotSignedIn::NoSuchWallet));
    }

    #[test]
    fn a_nonce_is_letters_and_digits_and_has_one_spelling() {
        let (key, site) = (DatabaseKey::new([7; 32]).unwrap(), site("https://pay.example"));
        let nonce = LINE.nonce(&key, &site, noon()).unwrap();
        assert!(nonce.bytes().all(|byte| byte.is_ascii_alphanumeric()), "as EIP-4361 demands");
        assert_ne!(LINE.nonce(&key, &site, noon()).unwrap(), nonce);
        assert_eq!(LINE.issued_at(&key, &site, &nonce), Some(noon()));
        for wrong in ["", &nonce[2..], &format!("{nonce}00"), &nonce.to_uppercase()] {
            assert_eq!(LINE.issued_at(&key, &site, wrong), None, "{wrong}");
        }
        for place in 0..nonce.len() {
            let mut changed = nonce.clone().into_bytes();
            changed[place] = if changed[place] == b'0' { b'1' } else { b'0' };
            assert_eq!(LINE.issued_at(&key, &site, &String::from_utf8(changed).unwrap()), None, "{place}");
        }
    }
}
