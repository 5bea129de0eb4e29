//! The container: it needs a Docker engine and the image of `PAYERBASE_IMAGE`.

use std::time::Duration;

use payerbase_testcontainers::{PayerbaseContainer, PayerbaseImage, random_payer};
use serde_json::{Value, json};
use testcontainers::ImageExt as _;

#[tokio::test]
async fn the_container_runs_a_server_that_knows_its_mapped_address() {
    let image = std::env::var("PAYERBASE_IMAGE");
    let image = image.expect("PAYERBASE_IMAGE is not set: it must be a name and a tag, such as `payerbase:latest`");
    let (name, tag) = image.rsplit_once(':').expect("a tag");
    let container = PayerbaseContainer::start(PayerbaseImage.with_name(name).with_tag(tag)).await.unwrap();
    let payer = random_payer();
    let request = reqwest::Client::new().post(format!("{}/v1/links", container.url()));
    let request = request.bearer_auth(container.token(&payer)).json(&json!({ "url": "https://shop.example/sale" }));
    let link: Value = request.send().await.unwrap().json().await.unwrap();
    assert!(link["shortUrl"].as_str().unwrap().starts_with(&format!("{}/", container.url())), "{link}");
    container.advance_clock(Duration::from_secs(86_400)).await.unwrap();
    container.reset(&payer).await.unwrap();
}
