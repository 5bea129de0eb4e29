//! What `payerbase dev` gives to tests: tokens that are known in advance, a clock, the public URL, a start in a second.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use payerbase::app::ForTests;
use payerbase::db::clock::Clock;
use payerbase::db::embedded::{Access, Engine};
use payerbase::db::migrate::{self, Login};
use payerbase::testing::{Options, Server};
use serde_json::{Value, json};
use sqlx::ConnectOptions as _;

use crate::dev::{PROGRAM, command_of, database_url, folder};
use crate::support::{Caller, TestApp, TestDatabase};

const FIXED: &str = "known-in-advance";
/// The payer of the fixed token.
const DEMO: &str = "0x00000000000000000000000000000000000000d0";

/// A server for tests, as `dev` is one.
pub async fn app() -> TestApp {
    on(TestDatabase::own().await)
}

fn on(database: TestDatabase) -> TestApp {
    let tests = ForTests::new(&database.admin, Some((FIXED.into(), DEMO.parse().unwrap())));
    TestApp::set(database, |settings| settings.for_tests = Some(tests))
}

async fn with_token(app: &TestApp, token: &str) -> Caller {
    let mut caller = app.caller().await;
    caller.token = Some(token.into());
    caller
}

#[tokio::test]
async fn a_test_token_is_that_of_its_payer_without_having_been_created() {
    let app = app().await;
    let payer = "0x52908400098527886e0f7030069857d2e4169ee7";
    let caller = with_token(&app, &format!("pb_test_{payer}")).await;
    let first_uses = futures_util::future::join_all((0..8).map(|_| caller.increment("visits", json!({})))).await;
    assert!(first_uses.into_iter().all(|answer| answer.status.is_success()));
    let checksummed = with_token(&app, "pb_test_0x52908400098527886E0F7030069857D2E4169EE7").await;
    assert_eq!(checksummed.value("visits").await, 8, "another spelling is the same payer");
    let other = with_token(&app, "pb_test_SP2J6ZY48GV1EZ5V2V5RB9MP66SW86PYKKNRV9EJ7").await;
    other.get("/v1/counters/visits").await.problem(404, "not-found");

    let me = caller.get("/v1/me").await.ok();
    assert_eq!((&me["payer"], &me["scopes"]), (&json!(payer), &json!(["*"])));
    let created = caller.post("/v1/tokens", json!({"scopes": ["counters:read"]})).await.ok();
    let narrow = with_token(&app, created["token"].as_str().unwrap()).await;
    assert_eq!(narrow.value("visits").await, 8);
    narrow.increment("visits", json!({})).await.problem(403, "missing-scope");
}

/// Each first use connects to the database; they wait for each other.
#[tokio::test]
async fn many_new_payers_can_come_at_once() {
    let app = app().await;
    let callers = futures_util::future::join_all((0..150).map(|payer| {
        let token = format!("pb_test_0x{payer:040x}");
        let app = &app;
        async move { with_token(app, &token).await.increment("visits", json!({})).await.status }
    }));
    assert!(callers.await.into_iter().all(|status| status.is_success()));
}

#[tokio::test]
async fn calls_that_come_while_the_token_is_stored_know_it() {
    let app = app().await;
    let mut callers = Vec::new();
    for payer in 1_000..1_030 {
        callers.push(with_token(&app, &format!("pb_test_0x{payer:040x}")).await);
    }
    let calls = futures_util::future::join_all((0..300_usize).map(|call| {
        let caller = &callers[call % 30];
        async move {
            tokio::time::sleep(Duration::from_millis(call as u64 / 30 * 10)).await;
            caller.get("/v1/me").await
        }
    }));
    for answer in calls.await {
        answer.ok();
    }
}

#[tokio::test]
async fn the_fixed_token_is_that_of_the_demo_payer() {
    let app = app().await;
    let caller = with_token(&app, FIXED).await;
    assert_eq!(caller.get("/v1/me").await.ok()["payer"], DEMO);
    with_token(&app, "known-in-advancf").await.get("/v1/me").await.problem(401, "token-malformed");
}

#[tokio::test]
async fn test_tokens_are_refused_if_the_payer_is_none_or_a_page_of_another_machine_sends_them() {
    let app = app().await;
    for text in ["pb_test_", "pb_test_0x12", "pb_test_0x52908400098527886e0f7030069857d2e4169EE7"] {
        let refused = with_token(&app, text).await.get("/v1/me").await.problem(401, "token-malformed");
        assert!(refused["detail"].as_str().unwrap().contains("payer"), "{refused}");
    }
    let mut caller = with_token(&app, "pb_test_0x52908400098527886e0f7030069857d2e4169ee7").await;
    caller.headers.insert("origin", "http://localhost:5173".parse().unwrap());
    caller.increment("visits", json!({})).await.ok();
    for origin in ["https://evil.example", "null", "http://192.0.2.1:4402"] {
        caller.headers.insert("origin", origin.parse().unwrap());
        caller.get("/v1/counters/visits").await.problem(401, "token-malformed");
        caller.get("/dev/clock").await.problem(404, "not-found");
        caller.post("/dev/clock", json!({"advanceMs": 1})).await.problem(404, "not-found");
    }
    caller.headers.remove("origin");
    caller.headers.insert("sec-fetch-site", "cross-site".parse().unwrap());
    caller.get("/v1/counters/visits").await.problem(401, "token-malformed");
    caller.headers.remove("sec-fetch-site");
    // The name of a page that leads to this machine.
    caller.headers.insert("host", "evil.example:4402".parse().unwrap());
    caller.get("/v1/counters/visits").await.problem(401, "token-malformed");
    caller.get("/dev/clock").await.problem(404, "not-found");
    caller.headers.insert("host", "payerbase:4402".parse().unwrap());
    assert_eq!(caller.get("/dev/clock").await.ok()["advancedMs"], 0);
}

/// A server with data to protect has none of it, also on a database that `dev` has served.
#[tokio::test]
async fn serve_refuses_all_of_it() {
    let database = TestDatabase::own().await;
    let dev = on(database.clone());
    let token = "pb_test_0x52908400098527886e0f7030069857d2e4169ee7";
    with_token(&dev, token).await.increment("visits", json!({})).await.ok();
    with_token(&dev, FIXED).await.increment("visits", json!({})).await.ok();

    let app = TestApp::on(database);
    let caller = with_token(&app, token).await;
    let refused = caller.get("/v1/counters/visits").await.problem(401, "token-malformed");
    assert_eq!(refused["detail"], "Only `payerbase dev` takes `pb_test_` tokens.");
    with_token(&app, FIXED).await.get("/v1/me").await.problem(401, "token-malformed");
    let caller = app.caller().await;
    caller.get("/dev/clock").await.problem(404, "not-found");
    caller.post("/dev/clock", json!({"advanceMs": 1})).await.problem(404, "not-found");
    caller.delete(&format!("/dev/payers/{}", caller.payer)).await.problem(404, "not-found");
    let url = json!({"url": "http://localhost:1"});
    caller.send_json(reqwest::Method::PUT, "/dev/public-url", url).await.problem(404, "not-found");

    let mut serve = command_of(Path::new(PROGRAM), &["serve", "--port", "0"]);
    serve.env("DATABASE_URL", database_url(&app.database.app)).env("PAYERBASE_DEV_TOKEN", FIXED);
    let output = tokio::task::spawn_blocking(move || serve.output().unwrap()).await.unwrap();
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && printed.contains("only `dev` takes a token"), "{printed}");
}

#[tokio::test]
async fn tests_erase_what_a_payer_has() {
    let app = app().await;
    let (caller, other) = (app.caller().await, app.caller().await);
    let jobs: Vec<Value> = (0..100).map(|i| json!({"payload": i})).collect();
    for _ in 0..11 {
        caller.post("/v1/queues/mail/jobs/batch", json!({"jobs": jobs})).await.ok();
    }
    for caller in [&caller, &other] {
        caller.increment("visits", json!({})).await.ok();
        caller.post("/v1/sql/migrate", json!({"migrations": [{"id": "1", "sql": "create table t (a)"}]})).await.ok();
    }
    let path = format!("/dev/payers/{}", caller.payer);
    for _ in 0..2 {
        assert_eq!(caller.delete(&path).await.status, 204);
    }
    caller.get("/v1/counters/visits").await.problem(404, "not-found");
    caller.get("/v1/queues/mail").await.ok()["pending"].as_i64().filter(|left| *left == 0).expect("no job is left");
    caller.post("/v1/sql/query", json!({"sql": "select * from t"})).await.problem(422, "sql-error");
    assert_eq!(other.value("visits").await, 1, "others keep theirs");
    other.post("/v1/sql/query", json!({"sql": "select * from t"})).await.ok();
    caller.increment("visits", json!({})).await.ok();
    caller.delete("/dev/payers/0x12").await.problem(422, "invalid-value");
    let mut page = caller.clone();
    page.headers.insert("origin", "https://evil.example".parse().unwrap());
    page.delete(&path).await.problem(404, "not-found");
    assert_eq!(caller.value("visits").await, 1);
}

#[tokio::test]
async fn tests_move_the_clock_of_the_methods() {
    let app = app().await;
    let caller = app.caller().await;
    caller.post("/v1/locks/nightly/acquire", json!({"ttlMs": 60_000})).await.ok();
    caller.post("/v1/queues/mail/jobs", json!({"payload": 1, "delayMs": 3_600_000})).await.ok();
    let link = json!({"url": "https://example.com", "slug": "clock-of-tests", "ttlMs": 86_400_000});
    caller.post("/v1/links", link).await.ok();
    caller.post("/v1/locks/nightly/acquire", json!({"ttlMs": 60_000})).await.problem(409, "lock-held");

    let waits = caller.clone();
    let pop = tokio::spawn(async move { waits.post("/v1/queues/mail/pop", json!({"waitMs": 15_000})).await });
    app.until(async || app.metric("payerbase_waiting").await == 1).await;
    let before = caller.get("/dev/clock").await.ok();
    let moved = caller.post("/dev/clock", json!({"advanceMs": 3_600_000})).await.ok();
    assert_eq!([&before["advancedMs"], &moved["advancedMs"]], [0, 3_600_000]);
    let time = |clock: &Value| clock["now"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    assert!(time(&moved) - time(&before) >= chrono::TimeDelta::hours(1));
    assert_eq!(pop.await.unwrap().ok()["payload"], 1, "a waiting call notices the new time");
    caller.post("/v1/locks/nightly/acquire", json!({"ttlMs": 60_000})).await.ok();
    caller.get("/l/clock-of-tests").await.headers.get("location").expect("the link is still there");

    let moved = caller.post("/dev/clock", json!({"advanceMs": 86_400_000})).await.ok();
    assert_eq!(moved["advancedMs"], 90_000_000, "one move adds to the other");
    caller.get("/l/clock-of-tests").await.problem(410, "link-gone");
    for bad in [json!({"advanceMs": 1.5}), json!({"by": 1}), json!({})] {
        caller.post("/dev/clock", bad).await.problem(400, "invalid-json");
    }
    caller.post("/dev/clock", json!({"advanceMs": -1})).await.problem(422, "invalid-value");
    caller.post("/dev/clock", json!({"advanceMs": 3_162_240_000_000_i64})).await.problem(422, "invalid-value");
    caller.post("/dev/clock", json!({"advanceMs": 0})).await.ok();
    assert_eq!(caller.get("/dev/clock").await.ok()["advancedMs"], 90_000_000);
}

/// Rows that the sweeper deletes after their retention are gone once the clock has passed it.
#[tokio::test]
async fn the_sweeper_follows_the_clock() {
    let app = app().await;
    let caller = app.caller().await;
    let pushed = caller.post("/v1/queues/mail/jobs", json!({"payload": 1})).await.ok();
    let job = caller.post("/v1/queues/mail/pop", json!({})).await.ok();
    let path = format!("/v1/jobs/{}", pushed["id"].as_str().unwrap());
    caller.post(&format!("{path}/complete"), json!({"lease": job["lease"]})).await.ok();
    assert_eq!(caller.get(&path).await.ok()["status"], "completed");
    caller.post("/dev/clock", json!({"advanceMs": Duration::from_hours(24 * 31).as_millis()})).await.ok();
    app.until(async || caller.get(&path).await.status == 404).await;
}

/// The functions of a database with a moved clock are those of no version.
#[tokio::test]
async fn serve_refuses_a_database_with_a_moved_clock_until_it_is_migrated() {
    let app = app().await;
    app.caller().await.post("/dev/clock", json!({"advanceMs": 86_400_000})).await.ok();
    let mut serve = command_of(Path::new(PROGRAM), &["serve", "--port", "0"]);
    serve.env("DATABASE_URL", database_url(&app.database.app));
    let output = tokio::task::spawn_blocking(move || serve.output().unwrap()).await.unwrap();
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && printed.contains("run `payerbase migrate`"), "{printed}");

    migrate::migrate(&app.database.admin, payerbase::schema(), Login::Existing).await.unwrap();
    let ahead = "select rpc.now() > clock_timestamp() + interval '1 second'";
    let is_ahead: bool = sqlx::query_scalar(ahead).fetch_one(&mut app.database.admin().await).await.unwrap();
    assert!(!is_ahead);
    let leads = "select max(until) < clock_timestamp() + interval '1 hour' from sweep.leader";
    let leads: bool = sqlx::query_scalar(leads).fetch_one(&mut app.database.admin().await).await.unwrap();
    assert!(leads, "another server can soon sweep");
    Clock::advance(&mut app.database.admin().await, Duration::ZERO, Duration::MAX).await.unwrap();
    let stamp = "select obj_description('rpc'::regnamespace, 'pg_namespace')";
    let stamp: String = sqlx::query_scalar(stamp).fetch_one(&mut app.database.admin().await).await.unwrap();
    assert!(stamp.contains("payerbase"), "a clock that was not moved keeps the stamp: {stamp}");
}

/// A database of the developer may have data to protect.
#[tokio::test]
async fn dev_on_a_database_of_the_developer_has_none_of_it() {
    let database = TestDatabase::own().await;
    let dir = folder();
    let dev = |more: &[&str]| {
        let mut command = command_of(Path::new(PROGRAM), &["dev", "--json", "--port", "0"]);
        command.args(more).env("DATABASE_URL", database_url(&database.admin)).env("PAYERBASE_DATA_DIR", dir.path());
        command
    };
    let refused = [dev(&["--temporary"]).output(), dev(&[]).env("PAYERBASE_DEV_TOKEN", FIXED).output()];
    for output in refused.map(Result::unwrap) {
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && printed.contains("but DATABASE_URL is set"), "{printed}");
    }
    let dev = Dev::start(dev(&[]));
    let url = dev.1["url"].as_str().unwrap();
    let status = |path: &str, token: &str| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--header"]);
        let output = curl.args([&format!("Authorization: Bearer {token}"), &format!("{url}{path}")]).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    assert_eq!(status("/v1/me", dev.1["token"].as_str().unwrap()), "200");
    assert_eq!(status("/v1/me", "pb_test_0x52908400098527886e0f7030069857d2e4169ee7"), "401");
    assert_eq!(status("/dev/clock", "x"), "404");
    tokio::task::spawn_blocking(|| dev.stop()).await.unwrap();
}

#[tokio::test]
async fn tests_tell_the_server_its_url() {
    let app = app().await;
    let caller = app.caller().await;
    let tell = async |url: &str| caller.send_json(reqwest::Method::PUT, "/dev/public-url", json!({"url": url})).await;
    for bad in ["localhost:1234", "ftp://localhost", ""] {
        tell(bad).await.problem(422, "invalid-value");
    }
    tell("http://localhost:49153").await.ok();
    tell("http://localhost:49153/").await.ok();
    let link = caller.post("/v1/links", json!({"url": "https://example.com", "slug": "told-of-tests"})).await.ok();
    assert_eq!(link["shortUrl"], "http://localhost:49153/l/told-of-tests");
    let wallet = json!({"address": "0x52908400098527886e0f7030069857d2e4169ee7", "chain": "eip155:8453"});
    let challenge = caller.post("/v1/auth/challenge", wallet).await.ok();
    assert!(challenge["message"].as_str().unwrap().starts_with("localhost:49153 wants you to sign in"));
    let refused = tell("http://localhost:49154").await.problem(422, "invalid-value");
    assert!(refused["detail"].as_str().unwrap().contains("http://localhost:49153/"), "{refused}");
}

/// A running `payerbase dev --json`.
struct Dev(Child, Value);

impl Dev {
    fn start(mut command: Command) -> Self {
        use std::io::BufRead as _;
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        std::io::BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self(process, serde_json::from_str(&line).unwrap())
    }

    fn data_dir(&self) -> &Path {
        Path::new(self.1["dataDir"].as_str().unwrap())
    }

    fn stop(mut self) {
        assert!(Command::new("kill").arg(self.0.id().to_string()).status().unwrap().success());
        assert!(self.0.wait().unwrap().success());
    }
}

#[tokio::test]
async fn temporary_data_is_gone_after_the_stop() {
    let mut command = command_of(Path::new(PROGRAM), &["dev", "--temporary", "--json", "--port", "0"]);
    // Variables of the clients in the same environment are none of its settings.
    let of_clients = ["PAYERBASE_BIN", "PAYERBASE_IMAGE", "PAYERBASE_TOKEN", "PAYERBASE_URL"];
    command.env("PAYERBASE_DEV_TOKEN", FIXED).envs(of_clients.map(|name| (name, "x")));
    let dev = Dev::start(command);
    assert_eq!(dev.1["token"], FIXED);
    let folder = dev.data_dir().to_owned();
    let mut admin = Access::to(&folder).unwrap().admin().connect().await.unwrap();
    let fsync: String = sqlx::query_scalar("show fsync").fetch_one(&mut admin).await.unwrap();
    assert_eq!(fsync, "off");
    drop(admin);
    tokio::task::spawn_blocking(|| dev.stop()).await.unwrap();
    assert!(!folder.exists());

    let both = command_of(Path::new(PROGRAM), &["dev", "--temporary", "--data-dir", "x"]).output().unwrap();
    assert!(String::from_utf8_lossy(&both.stderr).contains("cannot be used with"), "{both:?}");
}

/// The first start of a new folder makes the archive, from which later ones start.
#[tokio::test]
async fn a_new_data_folder_is_made_from_the_archive() {
    let (cache, one, two) = (folder(), folder(), folder());
    let bin = Engine::find().unwrap().program("postgres").parent().unwrap().to_owned();
    let start = |dir: &Path| {
        let mut command = command_of(Path::new(PROGRAM), &["dev", "--json", "--port", "0", "--data-dir"]);
        command.arg(dir).env("PAYERBASE_POSTGRES_BIN", &bin).env("PAYERBASE_CACHE_DIR", cache.path());
        Dev::start(command)
    };
    let archives = || fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    start(one.path()).stop();
    let [archive] = &archives()[..] else { panic!("{:?}", archives()) };
    let made = fs::metadata(archive).unwrap().modified().unwrap();

    let dev = start(two.path());
    assert_eq!(fs::metadata(archive).unwrap().modified().unwrap(), made, "the archive was used, not made again");
    let access = Access::to(two.path()).unwrap();
    access.admin().connect().await.expect("the password is that of this folder");
    let others: Value = serde_json::from_slice(&fs::read(one.path().join("credentials.json")).unwrap()).unwrap();
    assert!(
        access.admin().password(others["admin"].as_str().unwrap()).connect().await.is_err(),
        "each folder has its own password"
    );
    let system = "select system_identifier::text from pg_control_system()";
    let identifier: String =
        sqlx::query_scalar(system).fetch_one(&mut access.admin().connect().await.unwrap()).await.unwrap();
    dev.stop();

    // Ended after the new password was written, before and after PostgreSQL got it.
    let credentials = || serde_json::from_slice::<Value>(&fs::read(two.path().join("credentials.json")).unwrap());
    let known = credentials().unwrap();
    for archived in [&known["admin"], &json!("that-of-the-archive")] {
        let mut begun = known.clone();
        (begun["admin"], begun["archived"]) = (json!("the-new-password"), archived.clone());
        fs::write(two.path().join("credentials.json"), begun.to_string()).unwrap();
        let dev = start(two.path());
        assert_eq!(credentials().unwrap().get("archived"), None);
        Access::to(two.path()).unwrap().admin().connect().await.unwrap();
        dev.stop();
    }

    let good = fs::read(archive).unwrap();
    let victim = cache.path().join("victim");
    fs::write(&victim, "").unwrap();
    let mut hostile = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    hostile.append_link(&mut header, "link", &victim).unwrap();
    for bad in [b"damaged".to_vec(), good[..good.len() / 1_024 * 512].to_vec(), hostile.into_inner().unwrap()] {
        fs::write(archive, bad).unwrap();
        let three = folder();
        let dev = start(three.path());
        let mut admin = Access::to(three.path()).unwrap().admin().connect().await.unwrap();
        let new: String = sqlx::query_scalar(system).fetch_one(&mut admin).await.unwrap();
        assert_ne!(new, identifier, "a damaged archive is made again");
        assert!(fs::metadata(archive).unwrap().len() > 1_000_000);
        drop(admin);
        dev.stop();
    }
    assert_eq!(fs::metadata(&victim).unwrap().uid(), fs::metadata(cache.path()).unwrap().uid());
}

/// The server that a Rust program starts in its own tests.
#[tokio::test]
async fn a_program_starts_servers_in_its_own_process() {
    let options = Options { program: Some(PROGRAM.into()) };
    let (one, two) = futures_util::join!(Server::start_with(options), Server::start());
    let (one, two) = (one.unwrap(), two.unwrap());
    let payer = "0x52908400098527886e0f7030069857d2e4169ee7";
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    let call = async |server: &Server, path: &str, body: Value| {
        let request = client.post(format!("{}{path}", server.url())).bearer_auth(server.token(payer)).json(&body);
        request.send().await.unwrap().json::<Value>().await.unwrap()
    };
    let lock = json!({"ttlMs": 3_600_000});
    assert_eq!(call(&one, "/v1/locks/nightly/acquire", lock.clone()).await["name"], "nightly");
    assert_eq!(call(&two, "/v1/locks/nightly/acquire", lock.clone()).await["name"], "nightly", "data of its own");
    assert_eq!(call(&one, "/v1/locks/nightly/acquire", lock.clone()).await["code"], "lock-held");
    one.advance_clock(Duration::from_hours(2)).await.unwrap();
    assert_eq!(call(&one, "/v1/locks/nightly/acquire", lock.clone()).await["name"], "nightly");
    assert_eq!(call(&two, "/v1/locks/nightly/acquire", lock).await["code"], "lock-held", "a clock of its own");
    let refused = one.advance_clock(Duration::from_hours(101 * 366 * 24)).await.unwrap_err();
    assert!(refused.to_string().contains("100 years"), "{refused}");
    assert_eq!(call(&one, "/v1/sql/query", json!({"sql": "select 1 + 1"})).await["rows"], json!([[2]]));

    one.erase(payer).await.unwrap();
    assert_eq!(call(&one, "/v1/locks/nightly/acquire", json!({"ttlMs": 1_000})).await["name"], "nightly");
    assert!(one.erase("0x12").await.is_err());

    let url = one.url().to_owned();
    tokio::task::spawn_blocking(move || drop((one, two))).await.unwrap();
    assert!(client.get(format!("{url}/healthz")).send().await.is_err());
}
