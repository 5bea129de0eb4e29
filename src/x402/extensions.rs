//! Extensions of a payment.

use serde_json::{Map, Value, json};

use super::payload::PaymentPayload;
use super::refusal::{Malformed, Refusal};
use crate::json::Plain;

/// The extension with which a caller names a payment.
pub const PAYMENT_IDENTIFIER: &str = "payment-identifier";

/// The extension that describes a route for the indexes of facilitators.
pub const BAZAAR: &str = "bazaar";

/// Name of a payment, which the caller chose: 16 to 128 of `A-Z a-z 0-9 _ -`. Payments with the same name are one payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentId(String);

impl PaymentId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What [`PAYMENT_IDENTIFIER`] is in an offer: a caller may name the payment.
#[must_use]
pub fn payment_identifier() -> Value {
    json!({
        "info": {"required": false},
        "schema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "required": {"type": "boolean"},
                "id": {"type": "string", "minLength": 16, "maxLength": 128, "pattern": "^[a-zA-Z0-9_-]+$"}
            },
            "required": ["required"]
        }
    })
}

impl PaymentPayload {
    /// The name of the payment. `None` if the caller gave none.
    ///
    /// # Errors
    /// [`Refusal::Malformed`]
    pub fn id(&self) -> Result<Option<PaymentId>, Refusal> {
        let extension = self.extensions.get(PAYMENT_IDENTIFIER);
        match extension.and_then(|Plain(extension)| extension.get("info")?.get("id")) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(id)) if is_id(id) => Ok(Some(PaymentId(id.clone()))),
            Some(_) => Err(Malformed::new("the id of a payment must be 16 to 128 of A-Z a-z 0-9 _ -").into()),
        }
    }

    /// Checks that each returned extension contains the `info` of the offer, if it is one of `offered`.
    ///
    /// # Errors
    /// [`Refusal::ExtensionChanged`]
    pub fn check_extensions(&self, offered: &Map<String, Value>) -> Result<(), Refusal> {
        for (name, Plain(returned)) in &self.extensions {
            let Some(ours) = offered.get(name).and_then(|offered| offered.get("info")) else { continue };
            if !returned.get("info").is_some_and(|info| contains(info, ours)) {
                return Err(Refusal::ExtensionChanged(name.clone()));
            }
        }
        Ok(())
    }
}

fn is_id(text: &str) -> bool {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    is_plain && (16..=128).contains(&text.len())
}

/// Whether a value is ours. Its objects may have more members.
fn contains(theirs: &Value, ours: &Value) -> bool {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            ours.iter().all(|(name, ours)| theirs.get(name).is_some_and(|theirs| contains(theirs, ours)))
        }
        _ => theirs == ours,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x402::testing::{usdc, with};

    fn payment(extensions: &Value) -> PaymentPayload {
        let mut payment = with(&usdc(), json!({}));
        payment["extensions"] = extensions.clone();
        PaymentPayload::from_json(payment.to_string()).unwrap()
    }

    #[test]
    fn a_payment_may_have_a_name() {
        let id = |id: Value| payment(&json!({"payment-identifier": {"info": {"required": false, "id": id}}})).id();
        for text in
            ["pay_7d5d747be160e280504c099d984bcfe0", "abcdEFGH0123_-..".replace('.', "-").as_str(), &"a".repeat(128)]
        {
            assert_eq!(id(json!(text)), Ok(Some(PaymentId(text.to_owned()))));
        }
        for wrong in
            [json!("a".repeat(15)), json!("a".repeat(129)), json!("pay_7d5d747be160e2805!"), json!(1), json!({})]
        {
            assert!(matches!(id(wrong), Err(Refusal::Malformed(_))));
        }
        assert_eq!(id(Value::Null), Ok(None));
        for none in
            [json!(null), json!({}), json!({"payment-identifier": {"info": {}}}), json!({"payment-identifier": 1})]
        {
            assert_eq!(payment(&none).id(), Ok(None));
        }
        let json = with(&usdc(), json!({})).to_string().replacen('{', r#"{"extensions":[],"#, 1);
        assert!(PaymentPayload::from_json(json).is_err());
    }

    #[test]
    fn extensions_are_returned_unchanged() {
        let info = json!({"domain": "a", "more": {"a": [1, {"b": 2}]}});
        let offered = json!({"payment-identifier": payment_identifier(), "bazaar": {"info": info}});
        let check = |returned: Value| payment(&returned).check_extensions(offered.as_object().unwrap());
        let changed = |name: &str| Err(Refusal::ExtensionChanged(name.to_owned()));
        assert_eq!(check(json!(null)), Ok(()));
        assert_eq!(check(offered.clone()), Ok(()));
        assert_eq!(check(json!({"other": {"info": 1}})), Ok(()));
        assert_eq!(check(json!({"payment-identifier": {"info": {"id": "x", "required": false}}})), Ok(()));
        for wrong in [json!({"info": {"required": true}}), json!({"info": {"id": "x"}}), json!({}), json!(null)] {
            assert_eq!(check(json!({"payment-identifier": wrong})), changed("payment-identifier"));
        }
        let bazaar = |info: Value| check(json!({"bazaar": {"info": info}}));
        assert_eq!(bazaar(json!({"domain": "a", "more": {"a": [1, {"b": 2}], "c": 3}})), Ok(()));
        for wrong in [json!({"a": [1, {"b": 2, "c": 3}]}), json!({"a": [1]}), json!({})] {
            assert_eq!(bazaar(json!({"domain": "a", "more": wrong})), changed("bazaar"));
        }
        assert_eq!(bazaar(json!({"domain": "b", "more": info["more"]})), changed("bazaar"));
    }
}
