//! Tokens for the facilitator of the Coinbase Developer Platform (CDP): a JWT for each request.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use url::Url;

/// How long a token is valid.
const VALID_SECONDS: i64 = 120;
/// Length of a nonce.
pub(super) const NONCE_BYTES: usize = 16;
/// Length of the seed of an Ed25519 key. The public key follows.
const SEED_BYTES: usize = 32;

/// DER of a PKCS #8 key on the curve P-256, without the length of the whole and of the key in it.
const PKCS8_BEGIN: &[u8] = &[
    0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 0x03, 0x01, 0x07, 0x04,
];

/// An API key of CDP.
pub struct CdpKey {
    id: String,
    pair: Pair,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

/// The text is not a secret of CDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be the secret of an API key of CDP: 64 bytes in base64 (Ed25519), or a private key in PEM with its public \
     key (P-256)"
)]
pub struct InvalidKey;

/// The system has no random numbers for a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token for the facilitator can't be signed")]
pub(super) struct NoToken;

#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    kid: &'a str,
    nonce: String,
    typ: &'a str,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    iss: &'a str,
    uris: [String; 1],
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// The id.
impl fmt::Debug for CdpKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CdpKey").field(&self.id).finish()
    }
}

impl CdpKey {
    /// A key by its id and its secret. The secret of an Ed25519 key is its seed and its public key, 64 bytes in base64.
    /// That of a P-256 key is PEM, PKCS #8 or SEC 1. Its line ends may be written `\n`, as in a file of environment
    /// variables.
    ///
    /// # Errors
    /// [`InvalidKey`]
    pub fn new(id: &str, secret: &SecretString) -> Result<Self, InvalidKey> {
        let secret = secret.expose_secret().trim();
        let pair = if secret.starts_with("-----BEGIN") {
            p256(&secret.replace("\\n", "\n")).map(Pair::P256)
        } else {
            ed25519(secret).map(Pair::Ed25519)
        };
        pair.map(|pair| Self { id: id.to_owned(), pair }).ok_or(InvalidKey)
    }

    /// The token of a request at this time. The nonce must be random.
    pub(super) fn token(
        &self,
        method: &str,
        url: &Url,
        now: DateTime<Utc>,
        nonce: [u8; NONCE_BYTES],
    ) -> Result<String, NoToken> {
        let alg = match self.pair {
            Pair::Ed25519(_) => "EdDSA",
            Pair::P256(_) => "ES256",
        };
        let host = url.host_str().unwrap_or_default();
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let now = now.timestamp();
        let header = Header { alg, kid: &self.id, nonce: hex::encode(nonce), typ: "JWT" };
        let claims = Claims {
            sub: &self.id,
            iss: "cdp",
            uris: [format!("{method} {host}{port}{}", url.path())],
            iat: now,
            nbf: now,
            exp: now.saturating_add(VALID_SECONDS),
        };
        let signed = format!("{}.{}", part(&header)?, part(&claims)?);
        let signature = self.sign(signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, NoToken> {
        match &self.pair {
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::P256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message).map_err(|_no_random| NoToken)?;
                Ok(signature.as_ref().to_vec())
            }
        }
    }
}

/// A part of a JWT.
fn part<T: Serialize>(object: &T) -> Result<String, NoToken> {
    serde_json::to_vec(object).map(|json| URL_SAFE_NO_PAD.encode(json)).map_err(|_not_json| NoToken)
}

fn ed25519(secret: &str) -> Option<Ed25519KeyPair> {
    let bytes = STANDARD.decode(secret).ok()?;
    let (seed, public) = bytes.split_at_checked(SEED_BYTES)?;
    Ed25519KeyPair::from_seed_and_public_key(seed, public).ok()
}

fn p256(pem: &str) -> Option<EcdsaKeyPair> {
    let pkcs8 = match block(pem, "PRIVATE KEY") {
        Some(pkcs8) => pkcs8,
        None => to_pkcs8(&block(pem, "EC PRIVATE KEY")?)?,
    };
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8, &SystemRandom::new()).ok()
}

/// The bytes of the block with this label.
fn block(pem: &str, label: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once(&format!("-----BEGIN {label}-----"))?;
    let (base64, _) = rest.split_once(&format!("-----END {label}-----"))?;
    STANDARD.decode(base64.split_whitespace().collect::<String>()).ok()
}

/// The PKCS #8 form of a key in SEC 1 form.
fn to_pkcs8(sec1: &[u8]) -> Option<Vec<u8>> {
    // A length from 128 to 255 has a byte before it. With its public key a SEC 1 key has 109 to 127 bytes.
    let key_length = u8::try_from(sec1.len()).ok().filter(|length| (109..128).contains(length))?;
    let length = u8::try_from(PKCS8_BEGIN.len() + 1 + sec1.len()).ok()?;
    Some([&[0x30, 0x81, length], PKCS8_BEGIN, &[key_length], sec1].concat())
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    /// The key of the first test in RFC 8032.
    const ED25519: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg==";
    /// A key in both forms, written by Node.js.
    const PKCS8: &str = "-----BEGIN PRIVATE KEY-----\n\
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgB6NUjnv/7MSWAGR+\n\
        BzdzrdIxMVUyVdG4Rc2IKGvdkgChRANCAATABDwmE/iZ/+oRFXKGzPAHf7ezT995\n\
        AG4BrKnjvN3iA2mhrZmXBkRNU3aH4nJumYII7ty28e8hKgPyDAVEvyV0\n\
        -----END PRIVATE KEY-----\n";
    const SEC1: &str = "-----BEGIN EC PRIVATE KEY-----\n\
        MHcCAQEEIAejVI57/+zElgBkfgc3c63SMTFVMlXRuEXNiChr3ZIAoAoGCCqGSM49\n\
        AwEHoUQDQgAEwAQ8JhP4mf/qERVyhszwB3+3s0/feQBuAayp47zd4gNpoa2ZlwZE\n\
        TVN2h+JybpmCCO7ctvHvISoD8gwFRL8ldA==\n\
        -----END EC PRIVATE KEY-----\n";
    const P256_PUBLIC: &str = "04c0043c2613f899ffea11157286ccf0077fb7b34fdf79006e01aca9e3bcdde203\
        69a1ad999706444d537687e2726e998208eedcb6f1ef212a03f20c0544bf2574";
    const NONCE: [u8; NONCE_BYTES] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

    fn key(secret: &str) -> Result<CdpKey, InvalidKey> {
        CdpKey::new("key-1", &SecretString::from(secret))
    }

    fn token(secret: &str, url: &str) -> String {
        let now = DateTime::from_timestamp(1_764_000_000, 0).unwrap();
        key(secret).unwrap().token("POST", &url.parse().unwrap(), now, NONCE).unwrap()
    }

    const SETTLE: &str = "https://api.cdp.coinbase.com/platform/v2/x402/settle";

    #[test]
    fn a_token_of_ed25519_is_that_of_another_implementation() {
        // Made by Node.js.
        let expected = "\
            eyJhbGciOiJFZERTQSIsImtpZCI6ImtleS0xIiwibm9uY2UiOiIwMDAxMDIwMzA0MDUwNjA3MDgwOTBhMGIwYzBkMGUwZiIsInR5\
            cCI6IkpXVCJ9.eyJzdWIiOiJrZXktMSIsImlzcyI6ImNkcCIsInVyaXMiOlsiUE9TVCBhcGkuY2RwLmNvaW5iYXNlLmNvbS9wbGF\
            0Zm9ybS92Mi94NDAyL3NldHRsZSJdLCJpYXQiOjE3NjQwMDAwMDAsIm5iZiI6MTc2NDAwMDAwMCwiZXhwIjoxNzY0MDAwMTIwfQ.\
            dnMbfYDOUyZm4JNC1Io2lcQGNr43zqi6zzEls-8Vt-FSqum-QzRqA6ZYCqX6_pAg2ZXTlQJb9g8mk6vH9urZBw";
        assert_eq!(token(ED25519, SETTLE), expected);
        assert_eq!(token(&format!(" {ED25519}\n"), SETTLE), expected);
        assert_ne!(token(ED25519, "https://api.cdp.coinbase.com:1/platform/v2/x402/settle"), expected);
    }

    #[test]
    fn a_token_of_p256_is_verified_by_its_public_key() {
        for secret in [PKCS8, SEC1, &PKCS8.replace('\n', "\\n"), &SEC1.replace('\n', "\r\n")] {
            let token = token(secret, SETTLE);
            let (signed, signature) = token.rsplit_once('.').unwrap();
            let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, hex::decode(P256_PUBLIC).unwrap());
            public.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
            let parts: Vec<serde_json::Value> = signed
                .split('.')
                .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
                .collect();
            assert_eq!(
                parts,
                [
                    serde_json::json!({
                        "alg": "ES256", "kid": "key-1", "nonce": "000102030405060708090a0b0c0d0e0f", "typ": "JWT"
                    }),
                    serde_json::json!({
                        "sub": "key-1", "iss": "cdp",
                        "uris": ["POST api.cdp.coinbase.com/platform/v2/x402/settle"],
                        "iat": 1_764_000_000, "nbf": 1_764_000_000, "exp": 1_764_000_120
                    })
                ]
            );
        }
    }

    #[test]
    fn what_is_no_secret_is_refused_and_not_shown() {
        let mixed = PKCS8.replace("CAATABDwm", "CAATABDwn");
        let swapped = STANDARD.encode([[1; 32], [2; 32]].concat());
        let wrong = ["", "a", &ED25519[..80], &swapped, &mixed, &SEC1.replace("EC ", ""), &PKCS8[..100], "-----BEGIN"];
        for secret in wrong {
            assert_eq!(key(secret).err(), Some(InvalidKey), "{secret}");
        }
        assert_eq!(format!("{:?}", key(ED25519).unwrap()), "CdpKey(\"key-1\")");
    }
}
