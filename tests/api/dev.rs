//! The commands of the program: `payerbase dev`, started as a new user starts it, and the others.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_payerbase");

/// A database as `DATABASE_URL`.
pub fn database_url(options: &PgConnectOptions) -> String {
    let mut url = options.to_url_lossy();
    // The parameters of the query are specific to sqlx.
    url.set_query(None);
    let socket = options.get_socket().map(|socket| socket.display().to_string());
    let host = socket.as_deref().unwrap_or("127.0.0.1").replace('/', "%2F");
    format!(
        "postgres://{}:{}@{host}:{}/{}",
        url.username(),
        url.password().unwrap_or_default(),
        options.get_port(),
        url.path().trim_start_matches('/')
    )
}

fn program(args: &[&str]) -> Command {
    command_of(Path::new(PROGRAM), args)
}

pub fn command_of(program: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    for variable in ["DATABASE_URL", "PAYERBASE_DATA_DIR", "PAYERBASE_APP_PASSWORD"] {
        command.env_remove(variable);
    }
    command.args(args).stdin(Stdio::null());
    command
}

pub fn folder() -> tempfile::TempDir {
    let dir = tempfile::Builder::new().prefix("payerbase-dev-").tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    dir
}

/// A running `payerbase dev` that is ready.
pub struct Dev {
    process: Child,
    /// The printed `curl` command.
    curl: String,
}

impl Dev {
    pub fn start(program: &Path, dir: &Path) -> Self {
        Self::of(command_of(program, &["dev", "--port", "0", "--data-dir", dir.to_str().unwrap()]))
    }

    pub fn of(mut command: Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let curl = lines.find_map(|line| line.unwrap().trim().strip_prefix("curl ").map(|rest| format!("curl {rest}")));
        Self { process, curl: curl.expect("dev prints a curl line") }
    }

    pub fn url(&self) -> &str {
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

    pub fn stop(mut self, signal: &str) {
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
    let dev = Dev::start(PROGRAM.as_ref(), dir.path());
    assert_eq!(dev.run_curl()["value"], 1);
    assert!(postgres_runs(dir.path()));

    let mut second = program(&["--port", "0", "--data-dir", dir.path().to_str().unwrap()]);
    let second = second.output().unwrap();
    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("another payerbase is running"), "{second:?}");

    dev.stop("-TERM");
    assert!(!postgres_runs(dir.path()));
    let dev = Dev::start(PROGRAM.as_ref(), dir.path());
    assert_eq!(dev.run_curl()["value"], 2, "the data and the token are still there");
    dev.stop("-INT");
    assert!(!postgres_runs(dir.path()));
}

/// A program starts it, reads one line, and calls it.
#[test]
fn dev_tells_programs_how_to_call_it() {
    let dir = folder();
    let mut process = program(&["dev", "--json", "--port", "0", "--data-dir", dir.path().to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(process.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let started: Value = serde_json::from_str(&line).unwrap();
    let (url, token) = (started["url"].as_str().unwrap(), started["token"].as_str().unwrap());
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--fail", "--header", &format!("Authorization: Bearer {token}"), &format!("{url}/v1/me")]);
    let me: Value = serde_json::from_slice(&curl.output().unwrap().stdout).unwrap();
    assert_eq!(me["payer"], started["payer"]);
    assert_eq!(started["dataDir"], dir.path().to_str().unwrap());
    assert!(Path::new(started["postgresSocketDir"].as_str().unwrap()).is_dir());
    assert!(Command::new("kill").arg(process.id().to_string()).status().unwrap().success());
    assert!(process.wait().unwrap().success());
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "it prints nothing else");
}

#[test]
fn postgres_stops_when_dev_is_killed_and_dev_can_restart() {
    let dir = folder();
    let dev = Dev::start(PROGRAM.as_ref(), dir.path());
    assert_eq!(dev.run_curl()["value"], 1);
    dev.signal("-KILL");
    drop(dev);
    let dev = Dev::start(PROGRAM.as_ref(), dir.path());
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
    let dev = Dev::start(PROGRAM.as_ref(), dir.path());
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
    let dev = Dev::start(PROGRAM.as_ref(), dir.path());
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

    assert!(listed.contains("created") && String::from_utf8_lossy(&made.stderr).contains(&text[8..24]), "{listed}");

    let revoked = token(&["revoke", &text[8..24]]);
    assert!(revoked.status.success() && String::from_utf8_lossy(&revoked.stderr).contains("refuses it"), "{revoked:?}");
    let again = token(&["revoke", &text[8..24]]);
    assert!(again.status.success() && String::from_utf8_lossy(&again.stderr).contains("already"), "{again:?}");
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
        &["create", "--payer", payer, "--expires-in", "soon"],
        &["create", "--payer", "0x52908400098527886E0F7030069857D2E4169Ee8"],
    ] {
        let refused = token(bad);
        assert!(!refused.status.success() && refused.stdout.is_empty(), "{refused:?}");
    }
    dev.stop("-TERM");
    let refused = token(&["list"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no `payerbase dev` runs"), "{refused:?}");
}

/// Runs a command with a text as its standard input.
fn with_input(mut command: Command, text: &str) -> Output {
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    process.wait_with_output().unwrap()
}

#[test]
fn a_token_is_revoked_by_its_text_without_being_an_argument() {
    let dir = folder();
    let place = dir.path().to_str().unwrap();
    let dev = Dev::start(PROGRAM.as_ref(), dir.path());
    let text = dev.curl.split("Bearer ").nth(1).unwrap().trim_end_matches('\'').to_owned();
    let revoked = with_input(program(&["token", "--data-dir", place, "revoke", "-"]), &format!("{text}\n"));
    assert!(revoked.status.success(), "{revoked:?}");
    let printed = String::from_utf8(revoked.stderr).unwrap();
    assert!(printed.contains(&text[8..24]) && !printed.contains(&text[25..68]), "{printed}");
}

#[test]
fn postgres_knows_no_secret_of_the_environment_and_others_do_not_reach_its_socket() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let dir = folder();
    let mut command = program(&["dev", "--port", "0", "--data-dir", dir.path().to_str().unwrap()]);
    command.env("PAYERBASE_EMBEDDINGS_KEY", "hunter2");
    let dev = Dev::of(command);
    let pid = std::fs::read_to_string(dir.path().join("data/postmaster.pid")).unwrap();
    if cfg!(target_os = "linux") {
        let environment = std::fs::read(format!("/proc/{}/environ", pid.lines().next().unwrap())).unwrap();
        assert!(!String::from_utf8_lossy(&environment).contains("hunter2"));
    }
    let run = std::fs::metadata(dir.path().join("run")).unwrap();
    assert_eq!(run.permissions().mode() & 0o777, 0o700);
    assert_eq!(run.uid(), std::fs::metadata(dir.path().join("data")).unwrap().uid());
    for secret in ["credentials.json", "demo-token", "postgres.log", "payerbase.lock"] {
        let mode = std::fs::metadata(dir.path().join(secret)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }
    assert!(!dir.path().join("password").exists());
    assert_eq!(dev.run_curl()["value"], 1);
    dev.stop("-TERM");
}

#[test]
fn a_folder_that_cannot_be_used_is_named_with_what_to_do() {
    let dir = folder();
    let place = dir.path().to_str().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let file = format!("{place}/file/data");
    for args in [&["dev", "--port", "0", "--data-dir", &file][..], &["token", "--data-dir", place, "list"]] {
        let refused = program(args).output().unwrap();
        let printed = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && printed.contains("--data-dir"), "{printed}");
        assert!(printed.contains("data folder") && printed.contains(place), "{printed}");
    }
    // initdb fails: the password does not stay behind.
    let bin = dir.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    for (name, script) in [("postgres", "echo 'postgres (PostgreSQL) 18.0'"), ("initdb", "echo broken >&2; exit 1")] {
        std::fs::write(bin.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(bin.join(name), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let data = dir.path().join("data-of-dev");
    let mut command = program(&["dev", "--port", "0", "--data-dir", data.to_str().unwrap()]);
    let refused = command.env("PAYERBASE_POSTGRES_BIN", &bin).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("broken"), "{refused:?}");
    let left: Vec<_> = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["payerbase.lock"], "no password and no half of a cluster stays behind");
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let mut openapi = program(&["openapi"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Like `head -1`: the document does not fit into the pipe.
    drop(openapi.stdout.take());
    let output = openapi.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
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
    // With a wrong port, so does every other command.
    for args in [&["migrate"][..], &["token", "list"], &["dev"], &["fetch"]] {
        let refused = program(args).env("PAYERBASE_PORT", "65536").output().unwrap();
        assert!(String::from_utf8_lossy(&refused.stderr).contains("it is \"65536\""), "{args:?}: {refused:?}");
    }
    let missing = program(&["serve"]).output().unwrap();
    assert!(String::from_utf8_lossy(&missing.stderr).contains("DATABASE_URL"));
}

#[test]
fn serve_refuses_a_database_that_does_not_isolate_payers() {
    let dir = folder();
    let dev = Dev::start(PROGRAM.as_ref(), dir.path());
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
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), payerbase::app::document().v3_1.json);
    let printed = program(&["openapi", "--3.0"]).output().unwrap();
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), payerbase::app::document().v3_0.json);
}
