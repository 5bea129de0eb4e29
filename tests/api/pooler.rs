//! PgBouncer in front of PostgreSQL: it drops the settings of sessions, so `serve` refuses to start.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use secrecy::ExposeSecret as _;

use crate::dev::PROGRAM;
use crate::faults::migrated;
use crate::support::database::temporary_cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs pgbouncer"]
async fn a_pooler_that_drops_session_settings_is_refused_in_one_sentence() {
    let cluster = temporary_cluster().await;
    let (admin, _) = migrated(&cluster).await;
    let password = cluster.access().app_password();
    let password = password.expose_secret();
    for ignored in ["extra_float_digits", "extra_float_digits, options"] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "[databases]\npayerbase = host={} port=5432\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {1}/users\npool_mode = transaction\n\
             ignore_startup_parameters = {ignored}\n",
            admin.get_socket().unwrap().display(),
            dir.path().display(),
        );
        std::fs::write(dir.path().join("pgbouncer.ini"), config).unwrap();
        std::fs::write(dir.path().join("users"), format!("\"payerbase_app\" \"{password}\"\n")).unwrap();
        let mut pooler = Command::new("pgbouncer");
        // It refuses to run as root, and only the user of PostgreSQL reaches its socket.
        if rustix::process::geteuid().is_root() {
            let owner =
                Command::new("stat").args(["--format", "%U"]).arg(admin.get_socket().unwrap()).output().unwrap();
            pooler.arg("--user").arg(String::from_utf8(owner.stdout).unwrap().trim());
        }
        let mut pooler = pooler.arg(dir.path().join("pgbouncer.ini")).stderr(Stdio::null()).spawn().unwrap();
        let url = format!("postgres://payerbase_app:{password}@127.0.0.1:{port}/payerbase");
        let serve = tokio::task::spawn_blocking(move || {
            let mut serve = Command::new(PROGRAM);
            serve.args(["serve", "--port", "0"]).env("DATABASE_URL", url).stdin(Stdio::null());
            serve.output().unwrap()
        });
        let output = tokio::time::timeout(Duration::from_secs(60), serve).await.unwrap().unwrap();
        pooler.kill().unwrap();
        pooler.wait().unwrap();
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && printed.contains("a connection pooler such as PgBouncer"), "{printed}");
    }
    cluster.stop().await;
}
