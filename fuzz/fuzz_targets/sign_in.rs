//! Signing in: SIGN-IN-WITH-X for one request, and the nonces of challenges.
//!
//! The first byte says what the rest is: a header, the JSON in it, the fields of a sign-in that the wallet signs, a nonce, or the fields
//! of a challenge.

#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::{arbitrary, fuzz_target};
use payerbase::auth::{NotSignedIn, RequestLine, Scope};
use payerbase::fuzzing::auth::{Fields, Server};
use payerbase::fuzzing::{payer_of_bytes, shown};
use payerbase::wallet::Network;
use payerbase_fuzz::{BASE, EVM_PAYER, SIGNED_AT, STACKS_PAYER, at, base64, signed_text, site};
use serde_json::{Value, json};

static SERVER: LazyLock<Server> = LazyLock::new(|| Server::new([7; 32], site(), vec![BASE, Network::Stacks]).unwrap());
/// A server with another database.
static OTHER: LazyLock<Server> = LazyLock::new(|| Server::new([8; 32], site(), vec![BASE, Network::Stacks]).unwrap());

const LINE: RequestLine<'_> = RequestLine { verb: "GET", path: "/v1/counters?prefix=a", method: "listCounters" };

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    match (kind % 5, str::from_utf8(rest)) {
        (0, Ok(header)) => refused(header),
        (1, Ok(json)) => refused(&base64(json)),
        (2, Ok(nonce)) => assert!(SERVER.challenge(nonce).is_none(), "nobody can make the code"),
        (3, _) => _ = SignIn::arbitrary(&mut Unstructured::new(rest)).map(|sign_in| sign_in.check()),
        (4, _) => _ = Challenge::arbitrary(&mut Unstructured::new(rest)).map(|challenge| challenge.check()),
        _ => {}
    }
});

fn refused(header: &str) {
    let refused = SERVER.verify_request(LINE, header, at(SIGNED_AT));
    match refused.err().expect("nobody can make the code") {
        NotSignedIn::Malformed(reason) => assert!(reason.len() < 500),
        error => assert!(matches!(error, NotSignedIn::NoSuchWallet | NotSignedIn::OtherRequest)),
    }
}

/// A sign-in for one request.
#[derive(Arbitrary, Debug)]
struct SignIn<'a> {
    path: &'a str,
    is_put: bool,
    is_stacks: bool,
    /// Seconds after the nonce was made.
    after: i16,
    spelling: u8,
    wrong: u8,
    place: u8,
}

impl SignIn<'_> {
    fn check(&self) {
        let path = format!("/{}", self.path.replace(|c: char| !c.is_ascii_graphic(), "."));
        let line = RequestLine { verb: if self.is_put { "PUT" } else { "GET" }, path: &path, method: "anyMethod" };
        let nonce = SERVER.nonce_of_request(line, at(SIGNED_AT)).unwrap();
        let (address, chain, kind, chain_id) = match self.is_stacks {
            true => (STACKS_PAYER, "stacks:1", "Stacks", 1),
            false => (EVM_PAYER, "eip155:84532", "Ethereum", 84_532),
        };
        let uri = format!("https://payerbase.example{path}");
        let text = format!(
            "payerbase.example wants you to sign in with your {kind} account:\n{address}\n\nSign in to payerbase for one \
             request: {} anyMethod.\n\nURI: {uri}\nVersion: 1\nChain ID: {chain_id}\nNonce: {nonce}\n\
             Issued At: 2025-11-24T16:00:00.000Z\nExpiration Time: 2025-11-24T16:05:00.000Z",
            line.verb
        );
        let mut header = json!({
            "domain": "payerbase.example", "address": address, "uri": uri, "version": "1", "chainId": chain,
            "type": "any", "nonce": nonce, "issuedAt": 1, "signature": signed_text(address, &text),
        });
        if self.spelling & 1 == 1 {
            header["address"] = json!(address.to_ascii_lowercase());
        }
        if self.spelling & 2 == 2 {
            header["more"] = json!([{"address": null}]);
        }
        let is_wrong = self.make_wrong(&mut header);
        let now = at(SIGNED_AT + i64::from(self.after));
        let verified = SERVER.verify_request(line, &base64(header.to_string()), now);
        let is_current = (-60..300).contains(&self.after);
        assert_eq!(verified.is_ok(), is_current && !is_wrong, "{:?}", verified.err());
        let Ok(signed) = verified else { return };
        assert_eq!((signed.payer, signed.nonce), (address.parse().unwrap(), nonce));
        // It is worth nothing for another request, nor at another database.
        let header = base64(header.to_string());
        let longer = format!("{path}/");
        for other in [RequestLine { verb: "POST", ..line }, RequestLine { path: &longer, ..line }] {
            assert_eq!(SERVER.verify_request(other, &header, now).err(), Some(NotSignedIn::OtherRequest));
        }
        let other = RequestLine { method: "otherMethod", ..line };
        assert_eq!(SERVER.verify_request(other, &header, now).err(), Some(NotSignedIn::WrongSignature));
        assert_eq!(OTHER.verify_request(line, &header, now).err(), Some(NotSignedIn::OtherRequest));
    }

    /// Changes a member. `false` if the header is still right.
    fn make_wrong(&self, header: &mut Value) -> bool {
        let place = usize::from(self.place);
        let changed = |name: &str, header: &Value| {
            let mut text = header[name].as_str().unwrap().to_owned().into_bytes();
            let place = place % text.len();
            text[place] = if text[place] == b'0' { b'1' } else { b'0' };
            json!(String::from_utf8(text).unwrap())
        };
        match self.wrong % 10 {
            0 => header["address"] = changed("address", header),
            1 => header["nonce"] = changed("nonce", header),
            2 => {
                let changed = changed("signature", header);
                header["signature"] = changed;
            }
            3 => header["nonce"] = json!(header["nonce"].as_str().unwrap().to_uppercase() + "A"),
            4 => header["chainId"] = json!("eip155:1"),
            5 => header["chainId"] = json!(1),
            6 => header["Nonce"] = header["nonce"].clone(),
            7 => header["signature"] = json!(null),
            _ => return false,
        }
        true
    }
}

/// A challenge for a token.
#[derive(Arbitrary, Debug)]
struct Challenge {
    kind: u8,
    hash: [u8; 20],
    chain_id: u64,
    scopes: u16,
    lifetime: u32,
    issued_at: u32,
    random: [u8; 8],
    place: u8,
}

impl Challenge {
    fn check(&self) {
        let mut bytes = [[0, 20, 21, 22, 26][usize::from(self.kind % 5)]; 21];
        bytes[1..].copy_from_slice(&self.hash);
        let payer = payer_of_bytes(bytes).unwrap();
        let (network, kind) = match self.kind % 5 {
            0 => (Network::Evm { chain_id: self.chain_id.max(1) }, "Ethereum"),
            1 | 3 => (Network::Stacks, "Stacks"),
            _ => (Network::StacksTest, "Stacks"),
        };
        let scopes = Scope::ALL.iter().enumerate().filter(|(place, _)| self.scopes & 1 << place != 0);
        let fields = Fields {
            payer: payer.clone(),
            network,
            scopes: scopes.map(|(_, scope)| *scope).collect(),
            lifetime: Duration::from_secs(self.lifetime.into()),
            issued_at: at(self.issued_at.into()),
            random: self.random,
        };
        let nonce = SERVER.nonce(fields.clone()).unwrap();
        let (read, message) = SERVER.challenge(&nonce).expect("this server made it");
        assert_eq!(read, fields);
        assert!(OTHER.challenge(&nonce).is_none());
        let lines: Vec<&str> = message.lines().collect();
        assert_eq!(lines.len(), 11, "a value is in one line");
        assert_eq!(lines[0], format!("payerbase.example wants you to sign in with your {kind} account:"));
        assert_eq!(lines[1], shown(&payer));
        assert_eq!(lines[5], "URI: https://payerbase.example/");
        assert_eq!(lines[7], format!("Chain ID: {}", network.chain_id()));
        assert_eq!(lines[8], format!("Nonce: {nonce}"));
        let mut changed = nonce.clone().into_bytes();
        let place = usize::from(self.place) % changed.len();
        changed[place] = if changed[place] == b'0' { b'1' } else { b'0' };
        assert!(SERVER.challenge(&String::from_utf8(changed).unwrap()).is_none());
    }
}
