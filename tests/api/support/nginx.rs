//! An nginx in front of servers, on a free loopback port, in a new folder.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long nginx may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Nginx {
    folder: tempfile::TempDir,
    process: Child,
    /// `http://127.0.0.1:<port>`.
    pub url: String,
}

impl Nginx {
    /// Starts nginx with `http` inside of its block `http`, and `server` inside of the block of its server.
    pub fn start(http: &str, server: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The port may be taken before nginx takes it; then the next one is tried.
        for _attempt in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let place = folder.path().display();
            let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
            let config = format!(
                "{user} worker_processes 2; daemon off; pid {place}/pid; error_log {place}/error.log;\n\
                 events {{ worker_connections 1024; }}\n\
                 http {{\n\
                 access_log off; client_body_temp_path {place}/body; proxy_temp_path {place}/proxy;\n\
                 fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;\n\
                 {http}\n\
                 server {{ listen 127.0.0.1:{port}; {server} }}\n\
                 }}\n"
            );
            std::fs::write(folder.path().join("nginx.conf"), config).unwrap();
            let mut command = nginx(folder.path());
            let mut process = command.stderr(Stdio::null()).spawn().expect("nginx is on the PATH");
            let started = Instant::now();
            while process.try_wait().unwrap().is_none() && started.elapsed() < PATIENCE {
                if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Self { folder, process, url: format!("http://127.0.0.1:{port}") };
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let _gone = process.kill().and_then(|()| process.wait());
        }
        panic!(
            "nginx does not start: {}",
            std::fs::read_to_string(folder.path().join("error.log")).unwrap_or_default()
        );
    }

    /// `nginx -s reload`: new workers, and the old ones finish.
    pub fn reload(&self) {
        assert!(nginx(self.folder.path()).args(["-s", "reload"]).stderr(Stdio::null()).status().unwrap().success());
    }

    /// What nginx complained about.
    pub fn errors(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _stopped = nginx(self.folder.path()).args(["-s", "stop"]).stderr(Stdio::null()).status();
        let _gone = self.process.wait();
    }
}

fn nginx(folder: &std::path::Path) -> Command {
    let mut command = Command::new("nginx");
    command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
    command.arg("-p").arg(folder).arg("-c").arg(folder.join("nginx.conf")).args(["-e", "/dev/null"]);
    command
}
