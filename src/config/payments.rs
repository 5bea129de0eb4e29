//! The setting `PAYERBASE_PAYMENTS`: a file that says how calls can be paid.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::SecretString;
use serde::Deserialize;

use crate::chain::Chain;
use crate::endpoint::BaseUrl;
use crate::facilitator::{Authentication, CdpKey, Facilitator, Settings};
use crate::pay::AssetPrices;
use crate::payer::Payer;
use crate::payments::{PaidNetwork, PaymentSettings};
use crate::wallet::{MAIN_NETWORKS, Network, TEST_NETWORKS};
use crate::x402::{Asset, Domain, KNOWN_ASSETS, Offer};

/// The least amount of one payment, unless the file says another.
const MINIMUM: i64 = 1_000;
/// The highest price and the highest minimum.
const AMOUNT_MAX: i64 = 1_000_000_000_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct File {
    networks: Vec<OfFile>,
    #[serde(default)]
    bazaar: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
struct OfFile {
    network: String,
    asset: String,
    domain: Option<DomainOfFile>,
    pay_to: Payer,
    prices: PricesOfFile,
    minimum: Option<i64>,
    facilitator: FacilitatorOfFile,
    rpc_url: String,
    #[serde(default)]
    confirmations: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct DomainOfFile {
    name: String,
    version: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct PricesOfFile {
    read: i64,
    write: i64,
    ai: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct FacilitatorOfFile {
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    cdp: Option<CdpOfFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
struct CdpOfFile {
    key_id: String,
    secret: String,
}

/// Reads the file. A mistake names its network, and shows no secret.
pub(super) fn payments(path: &str) -> Result<PaymentSettings, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    parse(&text)
}

fn parse(text: &str) -> Result<PaymentSettings, String> {
    let File { networks, bazaar } = serde_json::from_str(text).map_err(|error| {
        // Only these texts have no value in them, which may be a secret.
        let text = error.to_string();
        let is_about_names = text.starts_with("missing field") || text.starts_with("unknown field");
        let (line, column) = (error.line(), error.column());
        let what = if is_about_names { text } else { format!("the mistake is at line {line}, column {column}") };
        format!("expected the members of docs/PAYMENTS.md: {what}")
    })?;
    if networks.is_empty() {
        return Err("expected one network or more".to_owned());
    }
    let networks = networks.into_iter().enumerate();
    let networks = networks.map(|(at, network)| network.read().map_err(|mistake| format!("/networks/{at}{mistake}")));
    let networks: Vec<PaidNetwork> = networks.collect::<Result<_, _>>()?;
    let of = |known: &[Network]| networks.iter().any(|paid| known.contains(&paid.prices.asset.network()));
    if of(MAIN_NETWORKS) && of(TEST_NETWORKS) {
        return Err(
            "test networks must not be beside others: their money costs nothing, and would pay for calls".to_owned()
        );
    }
    for (at, network) in networks.iter().enumerate() {
        if networks.iter().take(at).any(|earlier| earlier.prices.asset == network.prices.asset) {
            return Err(format!("/networks/{at}/asset must not be given twice"));
        }
    }
    Ok(PaymentSettings { networks: Arc::from(networks), has_bazaar: bazaar })
}

impl OfFile {
    fn read(self) -> Result<PaidNetwork, String> {
        let network: Network = self.network.parse().map_err(|error| format!("/network: {error}"))?;
        let asset = self.asset(network)?;
        let minimum = in_bounds("/minimum", self.minimum.unwrap_or(MINIMUM))?;
        let PricesOfFile { read, write, ai } = self.prices;
        let prices = AssetPrices {
            asset: asset.clone(),
            read: in_bounds("/prices/read", read)?,
            write: in_bounds("/prices/write", write)?,
            ai: in_bounds("/prices/ai", ai)?,
        };
        let offer = Offer::new(asset, self.pay_to.clone(), minimum.unsigned_abs(), 60);
        offer.map_err(|error| format!("/payTo: {error}"))?;
        let rpc_url = url("/rpcUrl", &self.rpc_url)?;
        let chain = Chain::new(network, rpc_url, self.confirmations).map_err(|error| format!("/rpcUrl: {error}"))?;
        let facilitator = self.facilitator.read()?;
        Ok(PaidNetwork { prices, pay_to: self.pay_to, minimum, facilitator, chain })
    }

    fn asset(&self, network: Network) -> Result<Asset, String> {
        let known = KNOWN_ASSETS.iter().find(|known| known.network == network && known.symbol == self.asset);
        let domain = || {
            let domain = self.domain.as_ref();
            domain.map(|DomainOfFile { name, version }| Domain { name: name.clone(), version: version.clone() })
        };
        let asset = match known {
            Some(known) => known.asset(),
            None => Asset::new(network, &self.asset, domain()),
        };
        asset.map_err(|error| format!("/asset {error}"))
    }
}

impl FacilitatorOfFile {
    fn read(self) -> Result<Facilitator, String> {
        let authentication = match (self.cdp, self.headers.is_empty()) {
            (Some(_), false) => return Err("/facilitator must have `headers` or `cdp`, not both".to_owned()),
            (Some(CdpOfFile { key_id, secret }), true) => {
                let key = CdpKey::new(&key_id, &SecretString::from(secret));
                Authentication::Cdp(key.map_err(|error| format!("/facilitator/cdp: {error}"))?)
            }
            (None, true) => Authentication::None,
            (None, false) => {
                let headers: Vec<(String, SecretString)> =
                    self.headers.into_iter().map(|(name, value)| (name, value.into())).collect();
                let headers = Authentication::headers(headers.iter().map(|(name, value)| (name.as_str(), value)));
                headers.map_err(|error| format!("/facilitator/headers: {error}"))?
            }
        };
        let settings = Settings { url: url("/facilitator/url", &self.url)?, authentication };
        Facilitator::new(settings).map_err(|error| format!("/facilitator: {error}"))
    }
}

fn in_bounds(pointer: &str, amount: i64) -> Result<i64, String> {
    match (1..=AMOUNT_MAX).contains(&amount) {
        true => Ok(amount),
        false => Err(format!("{pointer} must be 1 to {AMOUNT_MAX}")),
    }
}

/// An answer about money must not be forged on its way.
fn url(pointer: &str, text: &str) -> Result<BaseUrl, String> {
    let url: BaseUrl = text.parse().map_err(|error| format!("{pointer} {error}"))?;
    match url.is_confidential() {
        true => Ok(url),
        false => Err(format!("{pointer} must be https://, or on this machine")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn base() -> Value {
        json!({"networks": [{
            "network": "eip155:8453", "asset": "USDC", "payTo": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
            "prices": {"read": 100, "write": 200, "ai": 2_000},
            "facilitator": {"url": "https://facilitator.example"}, "rpcUrl": "https://rpc.example/hunter2"
        }]})
    }

    fn mistake(change: impl FnOnce(&mut Value)) -> String {
        let _chosen = rustls::crypto::ring::default_provider().install_default();
        let mut file = base();
        change(&mut file);
        match parse(&file.to_string()) {
            Ok(_) => "none".to_owned(),
            Err(mistake) => mistake,
        }
    }

    #[test]
    fn a_file_says_how_calls_can_be_paid() {
        assert_eq!(mistake(|_| ()), "none");
        let settings = parse(&base().to_string()).unwrap();
        assert_eq!((settings.networks[0].minimum, settings.networks[0].prices.write), (1_000, 200));
        assert!(!settings.prices().is_free());
    }

    #[test]
    fn a_mistake_is_named_and_shows_no_secret() {
        for (pointer, value, expected) in [
            ("/networks", json!([]), "expected one network or more"),
            ("/networks/0/network", json!("eip155:0"), "/networks/0/network"),
            ("/networks/0/asset", json!("DAI"), "/networks/0/asset must be an asset"),
            (
                "/networks/0/payTo",
                json!("SP120SBRBQJ00MCWS7TM5R8WJNTTKD5K0HFRC2CNE"),
                "/networks/0/payTo: the recipient",
            ),
            ("/networks/0/prices/write", json!(0), "/networks/0/prices/write must be 1 to"),
            ("/networks/0/prices/ai", json!(-1), "/networks/0/prices/ai must be 1 to"),
            ("/networks/0/facilitator/url", json!("http://f.example"), "/networks/0/facilitator/url must be https://"),
            ("/networks/0/rpcUrl", json!("http://hunter2.example"), "/networks/0/rpcUrl must be https://"),
            ("/networks/0/facilitator", json!({"url": "https://f.example", "headers": {"a b": "hunter2"}}), "`a b`"),
            (
                "/networks/0/facilitator",
                json!({"url": "https://f.example", "cdp": {"keyId": "k", "secret": "hunter2"}}),
                "/networks/0/facilitator/cdp",
            ),
        ] {
            let said = mistake(|file| *file.pointer_mut(pointer).unwrap() = value);
            assert!(said.contains(expected) && !said.contains("hunter2"), "{pointer}: {said}");
        }
        let wrong = mistake(|file| file["networks"][0]["facilitator"]["headers"] = json!("hunter2"));
        assert!(wrong.contains("the mistake is at line 1, column") && !wrong.contains("hunter2"), "{wrong}");
        let unknown = mistake(|file| file["networks"][0]["minimun"] = json!(1));
        assert!(unknown.contains("unknown field `minimun`"), "{unknown}");
        let twice = mistake(|file| {
            let network = file["networks"][0].clone();
            file["networks"].as_array_mut().unwrap().push(network);
        });
        assert_eq!(twice, "/networks/1/asset must not be given twice");
        let mixed = mistake(|file| {
            let mut network = file["networks"][0].clone();
            network["network"] = json!("eip155:84532");
            file["networks"].as_array_mut().unwrap().push(network);
        });
        assert!(mixed.starts_with("test networks must not be beside others"), "{mixed}");
    }
}
