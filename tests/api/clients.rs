//! Programs of others against the server: wallets in JavaScript. Their packages are installed by
//! `npm ci --prefix target/clients`, after `tests/clients/package*.json` was copied there.

use std::path::Path;

use serde_json::Value;

use crate::support::TestApp;
use crate::worked_example::blocks;

/// Runs a program in JavaScript against a server. Returns what it prints.
async fn run(app: &TestApp, name: &str, program: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients");
    assert!(folder.join("node_modules").is_dir(), "the packages are not installed: see tests/api/clients.rs");
    let file = folder.join(name);
    std::fs::write(&file, program.replace("http://127.0.0.1:4402", &app.url)).unwrap();
    let output = tokio::process::Command::new("node").arg(&file).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
#[ignore = "needs Node, and the packages of tests/clients"]
async fn the_wallet_of_the_readme_signs_in() {
    let app = TestApp::spawn().await;
    let readme = blocks(include_str!("../../README.md"));
    let (_, program) = readme.into_iter().find(|(_, text)| text.contains("'viem/accounts'")).unwrap();
    let printed = run(&app, "wallet.mjs", program).await;
    assert!(printed.contains("name: 'visits'") && printed.contains("value: 1,"), "{printed}");
}

/// With the packages that wallets of Stacks are made with.
#[tokio::test]
#[ignore = "needs Node, and the packages of tests/clients"]
async fn a_wallet_of_stacks_signs_in() {
    let app = TestApp::spawn().await;
    let printed = run(&app, "stacks.mjs", include_str!("../clients/stacks.mjs")).await;
    let [main, test]: [Value; 2] = serde_json::from_str(&printed).unwrap();
    assert!(main["payer"].as_str().unwrap().starts_with("SP"), "{main}");
    assert!(test["payer"].as_str().unwrap().starts_with("ST"), "{test}");
}
