//! A payment that came with a request, checked offline.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

use super::offers::{OfferedFor, Offers};
use crate::auth::Proof;
use crate::pay::asset_name;
use crate::payer::Payer;
use crate::problem::{Code, Problem};
use crate::x402::{Checked, Offer, PaymentKey, PaymentPayload, Refusal, check, check_late};

/// A payment that its payer has signed, as it was offered. Its money has not moved yet.
pub struct Paid {
    /// Id of the payment, the same for each request that comes with it.
    pub(super) id: Uuid,
    pub(super) key: PaymentKey,
    /// The place of its network in the settings.
    pub(super) place: usize,
    pub(super) offer: Offer,
    pub(super) payload: PaymentPayload,
    pub(super) identifier: Option<String>,
    pub(super) valid_before: Option<DateTime<Utc>>,
    pub(super) transaction: Option<String>,
    /// Whether its network no longer takes it, or hardly: it may have been settled before.
    pub(super) has_expired: bool,
}

impl Paid {
    /// Who pays.
    #[must_use]
    pub fn payer(&self) -> &Payer {
        &self.key.payer
    }

    /// The proof that its payer wants the request. The payment must be settled before the request is executed.
    #[must_use]
    pub fn proof(&self) -> Proof {
        Proof::of_signature(self.key.payer.clone())
    }

    /// Id of the payment.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Its asset, as the database names it.
    pub(super) fn asset(&self) -> String {
        asset_name(self.offer.asset())
    }

    /// Its amount, at the place of its asset in the prices of this server.
    #[must_use]
    pub fn amount(&self) -> (usize, i64) {
        (self.place, i64::try_from(self.offer.amount()).unwrap_or(i64::MAX))
    }

    /// Its network, by its CAIP-2 id.
    #[must_use]
    pub fn network(&self) -> String {
        self.key.network.to_string()
    }
}

/// The id of a payment: a UUID of version 8, made of what the payment can spend once. On Stacks, of several transactions with
/// one nonce, its network executes one at most: each is a payment, so that a wallet can try again.
fn id_of(key: &PaymentKey, transaction: Option<&str>) -> Uuid {
    let PaymentKey { network, asset, payer, nonce } = key;
    let transaction = transaction.unwrap_or_default();
    let parts = format!("payerbase payment\n{network}\n{asset}\n{}\n{nonce}\n{transaction}", payer.as_str());
    let digest = Sha256::digest(parts);
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(digest) {
        *to = from;
    }
    Builder::from_custom_bytes(bytes).into_uuid()
}

impl Offers {
    /// Reads PAYMENT-SIGNATURE, and checks it against the offers for the request, without its network.
    ///   extensions  those of the offers that must come back unchanged
    ///
    /// # Errors
    /// `payment-malformed`, `payment-not-offered`, `payment-expired`, `payment-invalid`.
    pub fn read(
        &self,
        header: &str,
        offered: OfferedFor,
        extensions: &Map<String, Value>,
        now: DateTime<Utc>,
    ) -> Result<Paid, Problem> {
        let payload = PaymentPayload::from_header(header).map_err(refused)?;
        payload.check_extensions(extensions).map_err(refused)?;
        let identifier = payload.id().map_err(refused)?.map(|id| id.as_str().to_owned());
        let offers = self.networks.iter().enumerate();
        let offers =
            offers.filter_map(|(place, network)| Some((place, network.accepted(offered, payload.accepted())?)));
        for (place, offer) in offers {
            let offers = std::slice::from_ref(&offer);
            let (checked, has_expired) = match check(offers, &payload, now) {
                Err(Refusal::NotOffered) => continue,
                Err(Refusal::Expired) => (check_late(offers, &payload), true),
                checked => (checked, false),
            };
            let Checked { key, valid_before, transaction, .. } = checked.map_err(refused)?;
            let id = id_of(&key, transaction.as_deref());
            return Ok(Paid { id, key, place, offer, payload, identifier, valid_before, transaction, has_expired });
        }
        Err(refused(Refusal::NotOffered))
    }
}

pub(super) fn refused(refusal: Refusal) -> Problem {
    let code = match refusal {
        Refusal::Malformed(_) => Code::PaymentMalformed,
        Refusal::UnsupportedVersion(_) | Refusal::NotOffered => Code::PaymentNotOffered,
        Refusal::NotYetValid | Refusal::Expired | Refusal::ValidTooLong(_) => Code::PaymentExpired,
        Refusal::ExtensionChanged(_)
        | Refusal::UnsupportedTransaction
        | Refusal::NotATransfer
        | Refusal::Mismatch(_)
        | Refusal::WrongSender
        | Refusal::InvalidSignature => Code::PaymentInvalid,
    };
    Problem::new(code).detail(format!("This request moved no money: {refusal}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wallet::Network;

    #[test]
    fn the_id_of_a_payment_is_made_of_its_key() {
        let key = |nonce: &str| PaymentKey {
            network: Network::Evm { chain_id: 8_453 },
            asset: "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913".to_owned(),
            payer: "0x52908400098527886e0f7030069857d2e4169ee7".parse().unwrap(),
            nonce: nonce.to_owned(),
        };
        assert_eq!(id_of(&key("0x01"), None), id_of(&key("0x01"), None));
        assert_ne!(id_of(&key("0x01"), None), id_of(&key("0x02"), None));
        assert_ne!(id_of(&key("7"), Some("ab")), id_of(&key("7"), Some("cd")));
        assert_eq!(id_of(&key("0x01"), None).get_version_num(), 8);
    }
}
