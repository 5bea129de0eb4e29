//! Links: visits up to a maximum, and one slug for several payers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::Method;
use serde_json::json;

use super::payer::{History, Outcome, Payer};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0";
const TARGET: &str = "https://shop.example/";
/// Calls, of all payers, that want one slug.
const CLAIMS: usize = 4;

#[derive(Default)]
pub struct Links {
    /// Slugs of the links that were made by claims.
    claimed: History<String>,
}

/// Makes a link with a maximum number of clicks, and visits it too often.
pub async fn visit(payer: &Payer, random: &mut StdRng) {
    let clicks_max = random.random_range(1..5);
    let link = json!({"url": TARGET, "maxClicks": clicks_max});
    let Some(link) = payer.post_once(random, "/v1/links", &link).await.done() else { return };
    let slug = link["slug"].as_str().unwrap();
    let path = format!("/l/{slug}");
    let visits = join_all((0..clicks_max + 2).map(|_| {
        let (path, mut random) = (&path, StdRng::seed_from_u64(random.random()));
        async move { payer.send(&mut random, Method::GET, path, None, &[("user-agent", FIREFOX)]).await }
    }))
    .await;
    let done = visits.iter().filter(|visit| visit.is_done()).count();
    let unknown = visits.iter().filter(|visit| visit.is_unknown()).count();
    let is_gone = visits.iter().any(|visit| matches!(&visit.outcome, Outcome::Refused(410, _)));
    let Some(link) = payer.read(random, &format!("/v1/links/{slug}")).await else { return };
    let clicks = usize::try_from(link["clicks"].as_u64().unwrap()).unwrap();
    let is_possible = (done..=done + unknown).contains(&clicks) && clicks <= clicks_max;
    if !is_possible || is_gone && done + unknown < clicks_max {
        payer.is_wrong(format!(
            "a link for {clicks_max} clicks has {clicks}: {done} visits were done, {unknown} may have been, and {}",
            if is_gone { "one was refused" } else { "none was refused" }
        ));
    }
}

/// Wants a slug that other clients and payers want too.
pub async fn claim(payer: &Payer, random: &mut StdRng, claims: &AtomicUsize) {
    let slug = format!("claim-{}", claims.fetch_add(1, Ordering::Relaxed) / CLAIMS);
    let link = json!({"url": TARGET, "slug": slug});
    let call = match random.random_bool(0.5) {
        true => payer.post_once(random, "/v1/links", &link).await,
        false => payer.post(random, "/v1/links", &link).await,
    };
    if call.is_done() {
        payer.links.claimed.add(slug);
    }
}

/// What is impossible in the answers to all payers.
pub async fn check(payers: &[&Payer], random: &mut StdRng, wrong: &mut Vec<String>) {
    let mut owners: HashMap<String, &str> = HashMap::new();
    for payer in payers {
        for slug in payer.links.claimed.take() {
            if payer.read(random, &format!("/v1/links/{slug}")).await.is_none() {
                wrong.push(format!("the link {slug} is lost"));
            }
            if let Some(owner) = owners.insert(slug.clone(), payer.address()) {
                wrong.push(format!("the link {slug} was made by {owner} and by {}", payer.address()));
            }
        }
    }
}
