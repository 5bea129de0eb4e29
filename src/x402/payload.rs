//! What a payer sends.

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::refusal::{Malformed, Refusal};
use super::strict::read;
use super::wire::{Requirements, VERSION, json_of_header};
use crate::json::{Plain, or_default};

/// PaymentPayload, of the header PAYMENT-SIGNATURE. It is serialized as the JSON that it was read from.
pub struct PaymentPayload {
    json: Box<RawValue>,
    pub(super) payload: Box<RawValue>,
    pub(super) accepted: Requirements,
    pub(super) extensions: BTreeMap<String, Plain>,
}

impl PaymentPayload {
    /// Reads PAYMENT-SIGNATURE.
    ///
    /// # Errors
    /// [`Refusal::UnsupportedVersion`], and [`Refusal::Malformed`] if it is not the JSON of a payment in base64, or longer than
    /// [`HEADER_BYTES_MAX`](super::HEADER_BYTES_MAX).
    pub fn from_header(header: &str) -> Result<Self, Refusal> {
        Self::from_json(json_of_header(header)?)
    }

    /// Reads the JSON.
    ///
    /// # Errors
    /// As those of [`Self::from_header`].
    pub fn from_json(json: String) -> Result<Self, Refusal> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            x402_version: u64,
        }

        #[derive(Deserialize)]
        struct Members {
            payload: Box<RawValue>,
            accepted: Requirements,
            #[serde(default, deserialize_with = "or_default")]
            extensions: BTreeMap<String, Plain>,
        }

        // A payload of another version has other members.
        let Version { x402_version } = read(&json)?;
        if x402_version != VERSION {
            return Err(Refusal::UnsupportedVersion(x402_version));
        }
        let Members { payload, accepted, extensions } = serde_json::from_str(&json).map_err(Malformed::from)?;
        let json = RawValue::from_string(json).map_err(Malformed::from)?;
        Ok(Self { json, payload, accepted, extensions })
    }

    /// The offer that the payer says it accepted.
    #[must_use]
    pub fn accepted(&self) -> &Requirements {
        &self.accepted
    }

    /// The JSON, as it was sent.
    #[must_use]
    pub fn json(&self) -> &str {
        self.json.get()
    }
}

impl Serialize for PaymentPayload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

/// The members of a payload. Their names must be these, in order: a payload with others is for another way to pay.
pub(super) fn members<T: DeserializeOwned>(payload: &RawValue, names: &[&str]) -> Result<T, Refusal> {
    let members: BTreeMap<String, IgnoredAny> = serde_json::from_str(payload.get()).map_err(Malformed::from)?;
    if !members.keys().eq(names) {
        return Err(Refusal::NotOffered);
    }
    Ok(serde_json::from_str(payload.get()).map_err(Malformed::from)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x402::SettleRequest;
    use crate::x402::testing::SIGNATURE;

    #[test]
    fn a_payment_is_sent_on_as_it_came() {
        let payment = PaymentPayload::from_header(SIGNATURE).unwrap();
        assert_eq!(crate::x402::to_header(&payment).unwrap(), SIGNATURE);
        let spaced = payment.json().replace(',', " ,\n");
        let payment = PaymentPayload::from_json(spaced.clone()).unwrap();
        let settle = SettleRequest {
            x402_version: VERSION,
            payment_requirements: payment.accepted.clone(),
            payment_payload: &payment,
        };
        let settle = serde_json::to_string(&settle).unwrap();
        assert!(
            settle.starts_with(&format!(
                r#"{{"x402Version":2,"paymentPayload":{spaced},"paymentRequirements":{{"scheme":"#
            ))
        );
    }

    #[test]
    fn other_versions_are_not_supported() {
        for version in [0, 1, 3] {
            let json = format!(r#"{{"x402Version":{version},"scheme":"exact","payload":{{}}}}"#);
            assert_eq!(PaymentPayload::from_json(json).err(), Some(Refusal::UnsupportedVersion(version)));
        }
    }

    #[test]
    fn what_is_no_payment_is_malformed() {
        let json = PaymentPayload::from_header(SIGNATURE).unwrap().json().to_owned();
        for json in [
            String::new(),
            "[]".to_owned(),
            "{}".to_owned(),
            r#"{"x402Version":2}"#.to_owned(),
            json.replace("\"x402Version\":2", "\"x402Version\":\"2\""),
            json.replace("\"accepted\"", "\"Accepted\""),
            json.replace("\"scheme\"", "\"network\""),
            json.replace("\"resource\"", "\"Payload\""),
            json.replace("\"resource\":{", "\"resource\":{\"url\":0,"),
            format!("{json}0"),
            json.replace('}', ""),
        ] {
            assert!(matches!(PaymentPayload::from_json(json.clone()), Err(Refusal::Malformed(_))), "{json}");
        }
        let members = json.replace("\"resource\":", r#""$serde_json::private::RawValue":"[1]","resource":"#);
        assert!(PaymentPayload::from_json(members).is_ok());
        assert!(matches!(PaymentPayload::from_header("e30"), Err(Refusal::Malformed(_))));
    }
}
