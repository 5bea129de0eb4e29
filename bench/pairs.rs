//! What prices and limits of rates cost: calls on a server with them beside the same calls on one without, in turns.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::load::{Cell, Load};
use crate::number;
use crate::stage::Stage;

/// The facilitator and the node of this file are never asked: credit pays.
const PAYMENTS: &str = r#"{"networks": [{
    "network": "eip155:84532", "asset": "USDC", "payTo": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    "prices": {"read": 1, "write": 2, "ai": 3},
    "facilitator": {"url": "http://127.0.0.1:1"}, "rpcUrl": "http://127.0.0.1:1"
}]}"#;

const CREDIT: &str = "
    with given as (
      insert into tenant.ledger (payer, id, at, asset, from_account, to_account, amount)
        select payer, gen_random_uuid(), now(), 'eip155:84532/0x036CbD53842c5426634e7929541eC2318f3dCF7e',
            'operator', 'payer', 1000000000000
          from (select distinct payer from auth.tokens) as payers
        returning payer, asset, amount
    )
    insert into tenant.credit (payer, asset, balance, posted, posted_at)
      select payer, asset, amount, amount, now()
        from given";

/// Calls that are paid from credit beside free ones.
pub async fn prices() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), PAYMENTS).expect("written");
    let payments = Path::to_str(file.path()).expect("a path");
    let mut stage = Stage::set_each(&[&[], &[("PAYERBASE_PAYMENTS", payments)]]).await;
    sqlx::query(CREDIT).execute(&mut stage.admin).await.expect("credit");
    compare(&mut stage, &[Load::IncrementSpread, Load::IncrementHot, Load::Get, Load::Transact], "prices").await;
    let spent: i64 = sqlx::query_scalar("select sum(posted - balance)::bigint from tenant.credit")
        .fetch_one(&mut stage.admin)
        .await
        .expect("what was spent");
    println!("\nspent: {spent}");
    stage.clear().await;
}

/// Calls with limits of rates that servers share through a Redis beside calls without limits.
pub async fn rates() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let socket = dir.path().join("redis.sock");
    let mut redis = Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--loglevel", "warning", "--unixsocket"])
        .arg(&socket)
        .spawn()
        .expect("redis-server");
    while !socket.exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let url = format!("redis+unix://{}", socket.display());
    let without: &[(&str, &str)] = &[("PAYERBASE_ADDRESS_RATE", "off"), ("PAYERBASE_PAYER_RATE", "off")];
    let mut stage = Stage::set_each(&[without, &[("REDIS_URL", &url)]]).await;
    compare(&mut stage, &[Load::IncrementSpread, Load::IncrementHot, Load::Get], "limits and Redis").await;
    stage.clear().await;
    redis.kill().expect("killed");
    redis.wait().expect("its end");
}

/// Runs each load on the second server beside the first one.
async fn compare(stage: &mut Stage, loads: &[Load], with: &str) {
    let (seconds, rounds) = (number("BENCH_SECONDS", 3), number("BENCH_ROUNDS", 3));
    stage.warm_up().await;
    println!(
        "\n64 connections:\n\n| load | without, req/s | with {with}, req/s | ratio | aim |\n|---|---|---|---|---|"
    );
    for load in loads {
        let (mut before, mut after) = (Cell::new(*load, 64), Cell::new(*load, 64));
        for _ in 0..rounds {
            before.samples.push(stage.on(0, *load, 64, seconds).await);
            after.samples.push(stage.on(1, *load, 64, seconds).await);
        }
        let (before, after) = (before.median().per_second, after.median().per_second);
        println!("| {} | {before:.0} | {after:.0} | {:.2} | >= 0.9 |", load.name(), after / before);
    }
}
