//! What prices cost: calls on a server with prices beside the same calls on a free server, in turns.

use std::path::Path;

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

pub async fn run() {
    let (seconds, rounds) = (number("BENCH_SECONDS", 3), number("BENCH_ROUNDS", 3));
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), PAYMENTS).expect("written");
    let payments = Path::to_str(file.path()).expect("a path");
    let mut stage = Stage::set_each(&[&[], &[("PAYERBASE_PAYMENTS", payments)]]).await;
    sqlx::query(CREDIT).execute(&mut stage.admin).await.expect("credit");
    stage.warm_up().await;
    println!("\n64 connections:\n\n| load | free, req/s | with prices, req/s | ratio | aim |\n|---|---|---|---|---|");
    for load in [Load::IncrementSpread, Load::IncrementHot, Load::Get, Load::Transact] {
        let (mut free, mut paid) = (Cell::new(load, 64), Cell::new(load, 64));
        for _ in 0..rounds {
            free.samples.push(stage.on(0, load, 64, seconds).await);
            paid.samples.push(stage.on(1, load, 64, seconds).await);
        }
        let (free, paid) = (free.median().per_second, paid.median().per_second);
        println!("| {} | {free:.0} | {paid:.0} | {:.2} | >= 0.9 |", load.name(), paid / free);
    }
    let spent: i64 = sqlx::query_scalar("select sum(posted - balance)::bigint from tenant.credit")
        .fetch_one(&mut stage.admin)
        .await
        .expect("what was spent");
    println!("\nspent: {spent}");
    stage.clear().await;
}
