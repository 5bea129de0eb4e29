//! Headers of x402, version 2. Members are in the order of the official server.
//!
//! A reader ignores members that it does not know, and reads `null` as an absent member.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::refusal::Malformed;
use crate::json::or_default;

/// The version of x402.
pub const VERSION: u64 = 2;
/// The scheme of payments of a fixed amount.
pub(super) const SCHEME: &str = "exact";
/// The flow of payments that are settled before the request is executed.
pub(super) const UPFRONT: &str = "upfront";
/// The method of tokens with `transferWithAuthorization`.
pub(super) const EIP3009: &str = "eip3009";

/// Maximum length of PAYMENT-SIGNATURE. Official clients return all extensions of the offer, with their schemas, and need 4 KiB.
pub const HEADER_BYTES_MAX: usize = 16 << 10;

/// The standard alphabet. Padding is written, and need not be there to read.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The value of a header: the object in base64.
///
/// # Errors
/// The errors of the serializer.
pub fn to_header<T: Serialize>(object: &T) -> serde_json::Result<String> {
    Ok(BASE64.encode(serde_json::to_vec(object)?))
}

/// The JSON in a header.
pub(super) fn json_of_header(header: &str) -> Result<String, Malformed> {
    if header.len() > HEADER_BYTES_MAX {
        return Err(Malformed::new(format!("the header must be at most {HEADER_BYTES_MAX} bytes")));
    }
    let json = BASE64.decode(header).map_err(|error| Malformed::new(format!("it must be base64. {error}")))?;
    String::from_utf8(json).map_err(|error| Malformed::new(format!("it must be UTF-8 in base64. {error}")))
}

/// PAYMENT-REQUIRED: the offers to pay for a request.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentRequired {
    /// [`VERSION`]
    pub x402_version: u64,
    /// Why the request needs a payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the payment is for.
    pub resource: Resource,
    /// The offers. The caller pays one of them.
    pub accepts: Vec<Requirements>,
    /// Extensions by name, each an object with a member `info`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub extensions: Map<String, Value>,
}

/// What a payment is for.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// URL of the request.
    pub url: String,
    /// What the request does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Media type of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// Name of the service, at most 32 characters of ASCII.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    /// At most 5 tags, each of at most 32 characters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// PaymentRequirements: an offer, or what a payer accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PaymentRequirements)]
pub struct Requirements {
    /// `exact`
    pub scheme: String,
    /// Id of the network (CAIP-2).
    pub network: String,
    /// Amount in the smallest unit of the asset, decimal.
    pub amount: String,
    /// Address of the token, or `STX`.
    pub asset: String,
    /// Address of the recipient.
    pub pay_to: String,
    /// How long the payment may take, in seconds.
    pub max_timeout_seconds: u64,
    /// Details of the scheme.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(required = true)]
    pub extra: Extra,
}

/// Details of an offer. A payer may return more members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PaymentExtra)]
pub struct Extra {
    /// Name in the EIP-712 domain of the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Version in the EIP-712 domain of the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `upfront`: the payment is settled before the request is executed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_flow: Option<String>,
    /// How the token is transferred. Absent is `eip3009`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asset_transfer_method: Option<String>,
}

/// SettlementResponse: answer of a facilitator to `POST /settle`, and PAYMENT-RESPONSE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SettlementResponse {
    /// Whether the payment is settled.
    pub success: bool,
    /// Code of the error.
    #[serde(alias = "error_reason", skip_serializing_if = "Option::is_none")]
    pub error_reason: Option<String>,
    /// Internals of the facilitator, for the log. They are not sent on.
    #[serde(skip_serializing)]
    pub error_message: Option<String>,
    /// Hash of the transaction. Empty if there is none.
    #[serde(default, deserialize_with = "or_default")]
    pub transaction: String,
    /// Id of the network (CAIP-2).
    #[serde(default, deserialize_with = "or_default")]
    pub network: String,
    /// Address of the payer. It is not verified if `success` is `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payer: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wallet::Network;
    use crate::x402::testing::{self, offer, usdc};
    use crate::x402::{PAYMENT_IDENTIFIER, payment_identifier};

    fn required(url: &str) -> PaymentRequired {
        PaymentRequired {
            x402_version: VERSION,
            error: Some("Payment required".to_owned()),
            resource: Resource {
                url: url.to_owned(),
                description: Some("increment".to_owned()),
                mime_type: Some("application/json".to_owned()),
                service_name: None,
                tags: Vec::new(),
            },
            accepts: vec![Requirements {
                scheme: SCHEME.to_owned(),
                network: "eip155:84532".to_owned(),
                amount: "1000".to_owned(),
                asset: "0x036CbD53842c5426634e7929541eC2318f3dCF7e".to_owned(),
                pay_to: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8".to_owned(),
                max_timeout_seconds: 60,
                extra: Extra { name: Some("USDC".to_owned()), version: Some("2".to_owned()), ..Extra::default() },
            }],
            extensions: Map::new(),
        }
    }

    #[test]
    fn headers_are_those_of_the_official_server() {
        let required = required("http://127.0.0.1:4402/v1/counters/visits/increment");
        assert_eq!(to_header(&required).unwrap(), REQUIRED);
        let settled = SettlementResponse {
            success: true,
            error_reason: None,
            error_message: None,
            transaction: "0xabababababababababababababababababababababababababababababababab".to_owned(),
            network: "eip155:84532".to_owned(),
            payer: Some("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266".to_owned()),
        };
        assert_eq!(to_header(&settled).unwrap(), SETTLED);
        let failed = SettlementResponse {
            success: false,
            error_reason: Some("insufficient_funds".to_owned()),
            error_message: Some("an internal text that is not sent on".to_owned()),
            transaction: String::new(),
            ..settled
        };
        assert_eq!(to_header(&failed).unwrap(), FAILED);
    }

    #[test]
    fn offers_are_those_of_the_official_server() {
        let stx = offer("STX", Network::StacksTest, "ST1PQHQKV0RJXZFY1DGX8MNSNYVE3VGZJSRTPGZGM", 300);
        let mut required = required("https://payerbase.example/v1/counters/visits/increment");
        required.resource.service_name = Some("payerbase".to_owned());
        required.resource.tags = vec!["counter".to_owned()];
        required.accepts = vec![usdc().to_requirements(), stx.to_requirements()];
        required.extensions.insert(PAYMENT_IDENTIFIER.to_owned(), payment_identifier());
        assert_eq!(to_header(&required).unwrap(), testing::REQUIRED);
    }

    #[test]
    fn null_is_absent_and_unknown_members_are_ignored() {
        let full = serde_json::to_value(&required("").accepts).unwrap()[0].clone();
        let mut more = full.clone();
        more["extra"]["assetTransferMethod"] = json!(null);
        more["extra"]["more"] = json!([{}]);
        more["more"] = json!(1);
        let read = |value: &Value| serde_json::from_str::<Requirements>(&value.to_string());
        assert_eq!(read(&more).unwrap(), read(&full).unwrap());
        more["extra"] = json!(null);
        assert_eq!(read(&more).unwrap().extra, Extra::default());
        more["amount"] = json!(null);
        assert!(read(&more).is_err());
        more["amount"] = json!(1000);
        assert!(read(&more).is_err());
    }

    #[test]
    fn a_header_is_base64_of_limited_length() {
        assert_eq!(json_of_header("YWI=").unwrap(), "ab");
        assert_eq!(json_of_header("YWI").unwrap(), "ab");
        let longest = "YWJj".repeat(HEADER_BYTES_MAX / 4);
        assert_eq!(json_of_header(&longest).unwrap().len(), HEADER_BYTES_MAX / 4 * 3);
        for header in
            ["!!!", "YW I=", "YWI=\n", "YWI-", "YWI_", "YWI==", "Y", "=", "YWJ=", "YQ=I", "/w==", &(longest + "YWJj")]
        {
            assert!(json_of_header(header).is_err(), "{header}");
        }
    }

    const REQUIRED: &str = "\
        eyJ4NDAyVmVyc2lvbiI6MiwiZXJyb3IiOiJQYXltZW50IHJlcXVpcmVkIiwicmVzb3VyY2UiOnsidXJsIjoiaHR0cDovLzEyNy4wLjAu\
        MTo0NDAyL3YxL2NvdW50ZXJzL3Zpc2l0cy9pbmNyZW1lbnQiLCJkZXNjcmlwdGlvbiI6ImluY3JlbWVudCIsIm1pbWVUeXBlIjoiYXBw\
        bGljYXRpb24vanNvbiJ9LCJhY2NlcHRzIjpbeyJzY2hlbWUiOiJleGFjdCIsIm5ldHdvcmsiOiJlaXAxNTU6ODQ1MzIiLCJhbW91bnQi\
        OiIxMDAwIiwiYXNzZXQiOiIweDAzNkNiRDUzODQyYzU0MjY2MzRlNzkyOTU0MWVDMjMxOGYzZENGN2UiLCJwYXlUbyI6IjB4NzA5OTc5\
        NzBDNTE4MTJkYzNBMDEwQzdkMDFiNTBlMGQxN2RjNzlDOCIsIm1heFRpbWVvdXRTZWNvbmRzIjo2MCwiZXh0cmEiOnsibmFtZSI6IlVT\
        REMiLCJ2ZXJzaW9uIjoiMiJ9fV19";
    const SETTLED: &str = "\
        eyJzdWNjZXNzIjp0cnVlLCJ0cmFuc2FjdGlvbiI6IjB4YWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJh\
        YmFiYWJhYmFiYWJhYmFiYWJhYiIsIm5ldHdvcmsiOiJlaXAxNTU6ODQ1MzIiLCJwYXllciI6IjB4ZjM5RmQ2ZTUxYWFkODhGNkY0Y2U2\
        YUI4ODI3Mjc5Y2ZmRmI5MjI2NiJ9";
    const FAILED: &str = "\
        eyJzdWNjZXNzIjpmYWxzZSwiZXJyb3JSZWFzb24iOiJpbnN1ZmZpY2llbnRfZnVuZHMiLCJ0cmFuc2FjdGlvbiI6IiIsIm5ldHdvcmsi\
        OiJlaXAxNTU6ODQ1MzIiLCJwYXllciI6IjB4ZjM5RmQ2ZTUxYWFkODhGNkY0Y2U2YUI4ODI3Mjc5Y2ZmRmI5MjI2NiJ9";
}
