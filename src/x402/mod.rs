//! x402, version 2: payments in requests and answers.
//!
//! A payment is a signed authorization of EIP-3009 on an EVM chain, or a signed transaction on Stacks. This room checks it without
//! its network, before a facilitator settles it. Only plain keys can pay: contract wallets sign by rules of their own.

mod asset;
mod checked;
mod evm;
mod extensions;
mod facilitator;
mod offer;
mod payload;
mod refusal;
mod sign_in;
mod stacks;
mod strict;
mod transaction;
mod wire;

use chrono::{DateTime, Utc};

pub use asset::{Asset, Domain, KNOWN_ASSETS, KnownAsset, NotAnAsset};
pub use checked::{Checked, PaymentKey};
pub use extensions::{BAZAAR, PAYMENT_IDENTIFIER, PaymentId, payment_identifier};
pub use facilitator::{Kind, Outcome, Reason, SettleRequest, Supported, outcome, read_answer};
pub use offer::{AMOUNT_MAX, InvalidOffer, Offer};
pub use payload::PaymentPayload;
pub use refusal::{Malformed, Refusal, Term};
pub use sign_in::{SIGN_IN_WITH_X, SignInHeader, SignInInfo};
pub use wire::{
    Extra, HEADER_BYTES_MAX, PaymentRequired, Requirements, Resource, SettlementResponse, VERSION, to_header,
};

use asset::Token;

/// Checks a payment against the offers of its request.
///
/// # Errors
/// The reason why the payment must not be settled.
pub fn check<'a>(offers: &'a [Offer], payment: &PaymentPayload, now: DateTime<Utc>) -> Result<Checked<'a>, Refusal> {
    check_at(offers, payment, Some(now))
}

/// Like [`check`], for a payment that may have been settled before it expired.
///
/// # Errors
/// As [`check`], without those of the time.
pub fn check_late<'a>(offers: &'a [Offer], payment: &PaymentPayload) -> Result<Checked<'a>, Refusal> {
    check_at(offers, payment, None)
}

fn check_at<'a>(
    offers: &'a [Offer],
    payment: &PaymentPayload,
    now: Option<DateTime<Utc>>,
) -> Result<Checked<'a>, Refusal> {
    let is_accepted = |offer: &&Offer| offer.is_accepted_by(&payment.accepted);
    let offer = offers.iter().find(is_accepted).ok_or(Refusal::NotOffered)?;
    match offer.asset().token() {
        Token::Eip3009 { contract, domain } => evm::check(offer, contract, domain, &payment.payload, now),
        Token::Stx => stacks::check(offer, None, &payment.payload),
        Token::Sip010(contract) => stacks::check(offer, Some(contract), &payment.payload),
    }
}

#[cfg(test)]
mod testing;
