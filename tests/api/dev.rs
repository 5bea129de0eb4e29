//! The commands of the program: `payerbase dev`, started as a new user starts it, and the others.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_payerbase");

fn program(args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    for variable in ["DATABASE_URL", "PAYERBASE_DATA_DIR", "PAYERBASE_APP_PASSWORD"] {
        command.env_remove(variable);
    }
    command.args(args).stdin(Stdio::null());
    command
}

fn folder() -> tempfile::TempDir {
    let dir = tempfile::Builder::new().prefix("payerbase-dev-").tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    dir
}

/// A running `payerbase dev` that is ready.
struct Dev {
    process: Child,
    /// The printed `curl` command.
    curl: String,
}

impl Dev {
    fn start(dir: &Path) -> Self {
        let mut command = program(&["dev", "--port", "0", "--data-dir", dir.to_str().unwrap()]);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let curl = lines.find_map(|line| line.unwrap().trim().strip_prefix("curl ").map(|rest| format!("curl {rest}")));
        Self { process, curl: curl.expect("dev prints a curl line") }
    }

    fn url(&self) -> &str {
        let start = self.curl.find("http://").unwrap();
        self.curl[start..].split("/v1").next().unwrap()
    }

    /// Runs the printed command.
    fn run_curl(&self) -> Value {
        let output = Command::new("sh").args(["-c", &format!("{} --silent --fail", self.curl)]).output().unwrap();
        assert!(output.status.success(), "{}: {output:?}", self.curl);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.process.id().to_string()]).status().unwrap().success());
    }

    fn stop(mut self, signal: &str) {
        self.signal(signal);
        assert!(self.process.wait().unwrap().success(), "the exit code is 0");
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // The process may have ended already.
        let _gone = self.process.kill().and_then(|()| self.process.wait());
    }
}

fn postgres_runs(dir: &Path) -> bool {
    let Ok(pid) = std::fs::read_to_string(dir.join("data/postmaster.pid")) else { return false };
    let pid = pid.lines().next().unwrap_or_default().trim().to_owned();
    Command::new("kill").args(["-0", &pid]).stderr(Stdio::null()).status().unwrap().success()
}

#[test]
fn dev_keeps_its_data_and_stops_postgres_on_exit() {
    let dir = folder();
    let dev = Dev::start(dir.path());
    assert_eq!(dev.run_curl()["value"], 1);
    assert!(postgres_runs(dir.path()));

    let mut second = program(&["--port", "0", "--data-dir", dir.path().to_str().unwrap()]);
    let second = second.output().unwrap();
    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("another payerbase is running"), "{second:?}");

    dev.stop("-TERM");
    assert!(!postgres_runs(dir.path()));
    let dev = Dev::start(dir.path());
    assert_eq!(dev.run_curl()["value"], 2, "the data and the token are still there");
    dev.stop("-INT");
    assert!(!postgres_runs(dir.path()));
}

#[test]
fn postgres_stops_when_dev_is_killed_and_dev_can_restart() {
    let dir = folder();
    let dev = Dev::start(dir.path());
    assert_eq!(dev.run_curl()["value"], 1);
    dev.signal("-KILL");
    drop(dev);
    let dev = Dev::start(dir.path());
    assert_eq!(dev.run_curl()["value"], 2);
    dev.signal("-KILL");
    drop(dev);
    for _ in 0..200 {
        if !postgres_runs(dir.path()) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("PostgreSQL is still there");
}

#[test]
fn dev_restarts_a_killed_postgres() {
    let dir = folder();
    let dev = Dev::start(dir.path());
    dev.run_curl();
    let pid = std::fs::read_to_string(dir.path().join("data/postmaster.pid")).unwrap();
    let pid = pid.lines().next().unwrap();
    assert!(Command::new("kill").args(["-9", pid]).status().unwrap().success());
    let again = format!("curl --silent --fail --retry 50 --retry-delay 1 --retry-all-errors {}/readyz", dev.url());
    // For a moment the server still reports that it is ready, until it notices the kill.
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(Command::new("sh").args(["-c", &again]).stdout(Stdio::null()).status().unwrap().success());
    assert_eq!(dev.run_curl()["value"], 2);
    dev.stop("-TERM");
}

#[test]
fn tokens_can_be_created_listed_and_revoked_while_dev_runs() {
    let dir = folder();
    let place = dir.path().to_str().unwrap();
    let token =
        |args: &[&str]| -> Output { program(&[&["token", "--data-dir", place], args].concat()).output().unwrap() };
    let dev = Dev::start(dir.path());
    let payer = "SP2J6ZY48GV1EZ5V2V5RB9MP66SW86PYKKNRV9EJ7";
    let made = token(&[
        "create",
        "--payer",
        payer,
        "--scope",
        "counters:read",
        "--scope",
        "counters:write",
        "--expires-in",
        "2h",
        "--name",
        "shop",
    ]);
    assert!(made.status.success(), "{made:?}");
    let printed = String::from_utf8(made.stdout).unwrap();
    let text = printed.strip_suffix('\n').unwrap();
    assert!(text.starts_with("pb_live_") && text.len() == 75, "the token alone: {text:?}");
    assert!(!String::from_utf8_lossy(&made.stderr).contains(&text[25..68]));

    let me = || {
        let header = format!("Authorization: Bearer {text}");
        let output = Command::new("curl").args(["--silent", "-H", &header, &format!("{}/v1/me", dev.url())]).output();
        serde_json::from_slice::<Value>(&output.unwrap().stdout).unwrap()
    };
    assert_eq!((&me()["payer"], &me()["tokenName"]), (&payer.into(), &"shop".into()));
    let listed = String::from_utf8(token(&["list", "--payer", payer]).stdout).unwrap();
    assert!(
        listed.contains(&text[8..24]) && listed.contains("counters:read,counters:write") && listed.contains("live")
    );
    assert!(!listed.contains(&text[25..68]));

    assert!(token(&["revoke", &text[8..24]]).status.success());
    assert!(!token(&["revoke", "0000000000000000"]).status.success());
    assert!(String::from_utf8(token(&["list"]).stdout).unwrap().contains("revoked"));
    for _ in 0..200 {
        if me()["code"] == "token-revoked" {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(me()["code"], "token-revoked");
    for bad in [
        &["create", "--payer", "0x12"][..],
        &["create", "--payer", payer, "--scope", "root"],
        &["create", "--payer", payer, "--expires-in", "10y"],
    ] {
        let refused = token(bad);
        assert!(!refused.status.success() && refused.stdout.is_empty(), "{refused:?}");
    }
}

#[test]
fn serve_reports_all_configuration_mistakes_at_once() {
    let mut command = program(&["serve"]);
    command.env("DATABASE_URL", "nonsense:hunter2").env("PAYERBASE_PORT", "x").env("PAYERBASE_PROT", "1");
    let refused = command.output().unwrap();
    assert!(!refused.status.success());
    let printed = String::from_utf8(refused.stderr).unwrap();
    for variable in ["DATABASE_URL", "PAYERBASE_PORT", "PAYERBASE_PROT"] {
        assert!(printed.contains(variable), "{printed}");
    }
    assert!(!printed.contains("hunter2"), "{printed}");
    let missing = program(&["serve"]).output().unwrap();
    assert!(String::from_utf8_lossy(&missing.stderr).contains("DATABASE_URL"));
}

#[test]
fn serve_refuses_a_database_that_does_not_isolate_payers() {
    let dir = folder();
    let dev = Dev::start(dir.path());
    let credentials = std::fs::read_to_string(dir.path().join("credentials.json")).unwrap();
    let credentials: Value = serde_json::from_str(&credentials).unwrap();
    let run = dir.path().join("run");
    let host: String =
        percent_encoding::utf8_percent_encode(run.to_str().unwrap(), percent_encoding::NON_ALPHANUMERIC).collect();
    let url = |user: &str, secret: &str, database: &str| {
        format!("postgres://{user}:{}@{host}/{database}", credentials[secret].as_str().unwrap())
    };
    let serve = |url: String| program(&["serve", "--port", "0"]).env("DATABASE_URL", url).output().unwrap();
    let superuser = serve(url("postgres", "admin", "payerbase"));
    assert!(!superuser.status.success());
    let printed = String::from_utf8_lossy(&superuser.stderr).into_owned();
    assert!(printed.contains("role postgres is a superuser"), "{printed}");
    let empty = serve(url("payerbase_app", "app", "postgres"));
    assert!(String::from_utf8_lossy(&empty.stderr).contains("payerbase migrate"), "{empty:?}");

    let migrate = program(&["migrate"]).env("DATABASE_URL", url("postgres", "admin", "payerbase")).output().unwrap();
    assert!(migrate.status.success(), "a second migration succeeds: {migrate:?}");
    let mut served = program(&["serve", "--port", "0"]);
    let served = served.env("DATABASE_URL", url("payerbase_app", "app", "payerbase")).stderr(Stdio::piped()).spawn();
    let mut served = served.unwrap();
    let mut log = BufReader::new(served.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("serving") {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "the server starts");
    }
    assert!(!line.contains(credentials["app"].as_str().unwrap()), "{line}");
    assert!(Command::new("kill").args(["-TERM", &served.id().to_string()]).status().unwrap().success());
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    assert!(served.wait().unwrap().success(), "{rest}");
    drop(dev);
}

#[test]
fn the_openapi_command_prints_the_served_document() {
    let printed = program(&["openapi"]).output().unwrap();
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), payerbase::app::document().json);
}
