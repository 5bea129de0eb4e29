//! Random requests check the server against its OpenAPI document.

use std::process::Command;

use secrecy::ExposeSecret as _;

use crate::support::TestApp;

/// `st` is schemathesis 4 (PyPI). One check is excluded: schemathesis and JSON Schema accept every float without a fraction as
/// an integer. payerbase refuses those from 2^53 on, because they have often lost digits. `schemathesis_checks.py` replaces
/// another one.
#[tokio::test]
#[ignore = "needs schemathesis (PyPI) as `st` on the PATH"]
async fn random_requests_get_only_documented_answers() {
    let app = TestApp::spawn().await;
    let caller = app.caller().await;
    let header = format!("Authorization: Bearer {}", caller.token.unwrap().expose_secret());
    let mut schemathesis = Command::new("st");
    schemathesis.env("SCHEMATHESIS_HOOKS", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/schemathesis_checks.py"));
    schemathesis.args(["run", &format!("{}/openapi.json", app.url), "--header", &header, "--no-color"]);
    schemathesis.args([
        "--exclude-checks",
        "positive_data_acceptance,negative_data_rejection",
        "--max-examples",
        "100",
        "--seed",
        "4402",
    ]);
    let output = tokio::task::spawn_blocking(move || schemathesis.output().expect("st runs")).await.unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{printed}");
    println!("{}", printed.lines().rev().take(12).collect::<Vec<_>>().join("\n"));
}
