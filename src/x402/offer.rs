//! Offers: what a caller may pay for a request.

use super::asset::{Asset, Token, is_on};
use super::wire::{EIP3009, Extra, Requirements, SCHEME, UPFRONT};
use crate::payer::Payer;

/// Maximum amount of a payment: PostgreSQL has no larger integer of 8 bytes.
pub const AMOUNT_MAX: u64 = i64::MAX.unsigned_abs();

/// An offer to be paid a fixed amount, before the request is executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    asset: Asset,
    pay_to: Payer,
    amount: u64,
    max_timeout_seconds: u64,
}

/// The values can't be offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOffer {
    /// The amount is too small or too large.
    #[error("the amount must be 1 to {AMOUNT_MAX} of the smallest unit of the asset")]
    Amount,
    /// The recipient has no such account.
    #[error("the recipient must be an address on the network of the asset")]
    Recipient,
}

impl Offer {
    /// An offer to pay `amount`, in the smallest unit of the asset, within `max_timeout_seconds`.
    ///
    /// # Errors
    /// [`InvalidOffer`]
    pub fn new(asset: Asset, pay_to: Payer, amount: u64, max_timeout_seconds: u64) -> Result<Self, InvalidOffer> {
        if !(1..=AMOUNT_MAX).contains(&amount) {
            return Err(InvalidOffer::Amount);
        }
        if !is_on(&pay_to, asset.network()) {
            return Err(InvalidOffer::Recipient);
        }
        Ok(Self { asset, pay_to, amount, max_timeout_seconds })
    }

    /// The asset.
    #[must_use]
    pub fn asset(&self) -> &Asset {
        &self.asset
    }

    /// The recipient.
    #[must_use]
    pub fn pay_to(&self) -> &Payer {
        &self.pay_to
    }

    /// The amount, in the smallest unit of the asset.
    #[must_use]
    pub fn amount(&self) -> u64 {
        self.amount
    }

    /// How long the payment may take.
    #[must_use]
    pub fn max_timeout_seconds(&self) -> u64 {
        self.max_timeout_seconds
    }

    /// The offer as it is sent.
    #[must_use]
    pub fn to_requirements(&self) -> Requirements {
        Requirements {
            scheme: SCHEME.to_owned(),
            network: self.asset.network().to_string(),
            amount: self.amount.to_string(),
            asset: self.asset.to_string(),
            pay_to: self.pay_to.shown(),
            max_timeout_seconds: self.max_timeout_seconds,
            extra: self.extra(),
        }
    }

    fn extra(&self) -> Extra {
        let domain = match self.asset.token() {
            Token::Eip3009 { domain, .. } => Some(domain),
            Token::Stx | Token::Sip010(_) => None,
        };
        Extra {
            name: domain.map(|domain| domain.name.clone()),
            version: domain.map(|domain| domain.version.clone()),
            payment_flow: Some(UPFRONT.to_owned()),
            asset_transfer_method: None,
        }
    }

    /// Whether a payer accepted this offer. Addresses may have another spelling, and `extra` may have more members.
    pub(super) fn is_accepted_by(&self, accepted: &Requirements) -> bool {
        let Requirements { scheme, network, amount, asset, pay_to, max_timeout_seconds, extra } = accepted;
        scheme == SCHEME
            && *network == self.asset.network().to_string()
            && *amount == self.amount.to_string()
            && self.asset.is(asset)
            && pay_to.parse().as_ref() == Ok(&self.pay_to)
            && *max_timeout_seconds == self.max_timeout_seconds
            && self.is_extra(extra)
    }

    fn is_extra(&self, accepted: &Extra) -> bool {
        let ours = self.extra();
        let has = |ours: &Option<String>, accepted: &Option<String>| ours.is_none() || ours == accepted;
        has(&ours.name, &accepted.name)
            && has(&ours.version, &accepted.version)
            && has(&ours.payment_flow, &accepted.payment_flow)
            && accepted.asset_transfer_method.as_deref().is_none_or(|method| method == EIP3009)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x402::testing::usdc;

    fn change(change: impl FnOnce(&mut Requirements)) -> bool {
        let mut accepted = usdc().to_requirements();
        change(&mut accepted);
        usdc().is_accepted_by(&accepted)
    }

    #[test]
    fn an_offer_has_an_amount_and_a_recipient() {
        let offer = |amount, pay_to: &str| Offer::new(usdc().asset, pay_to.parse().unwrap(), amount, 60);
        let pay_to = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
        assert!(offer(1, pay_to).is_ok());
        assert!(offer(AMOUNT_MAX, pay_to).is_ok());
        assert_eq!(offer(0, pay_to), Err(InvalidOffer::Amount));
        assert_eq!(offer(AMOUNT_MAX + 1, pay_to), Err(InvalidOffer::Amount));
        assert_eq!(offer(1, "SP120SBRBQJ00MCWS7TM5R8WJNTTKD5K0HFRC2CNE"), Err(InvalidOffer::Recipient));
    }

    #[test]
    fn addresses_are_compared_decoded_and_extra_may_have_more() {
        assert!(change(|_| ()));
        assert!(change(|accepted| accepted.pay_to = accepted.pay_to.to_lowercase()));
        assert!(change(|accepted| accepted.asset = accepted.asset.to_lowercase()));
        assert!(change(|accepted| accepted.extra.asset_transfer_method = Some("eip3009".to_owned())));
    }

    #[test]
    fn what_is_not_offered_is_not_accepted() {
        assert!(!change(|accepted| accepted.scheme = "upto".to_owned()));
        assert!(!change(|accepted| accepted.network = "eip155:8453".to_owned()));
        assert!(!change(|accepted| accepted.amount = "999".to_owned()));
        assert!(!change(|accepted| accepted.amount = "01000".to_owned()));
        assert!(!change(|accepted| accepted.asset = accepted.pay_to.clone()));
        assert!(!change(|accepted| accepted.pay_to = accepted.asset.clone()));
        assert!(!change(|accepted| accepted.pay_to = String::new()));
        assert!(!change(|accepted| accepted.max_timeout_seconds = 61));
        assert!(!change(|accepted| accepted.extra.name = Some("USD Coin".to_owned())));
        assert!(!change(|accepted| accepted.extra.version = None));
        assert!(!change(|accepted| accepted.extra.payment_flow = None));
        assert!(!change(|accepted| accepted.extra.payment_flow = Some("authorization".to_owned())));
        assert!(!change(|accepted| accepted.extra.asset_transfer_method = Some("permit2".to_owned())));
    }
}
