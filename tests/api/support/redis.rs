//! A Redis server for one test, on a socket in a new folder.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use payerbase::redis::Redis;

pub struct TestRedis {
    folder: tempfile::TempDir,
    server: Child,
}

impl TestRedis {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = start(folder.path());
        let redis = Self { folder, server };
        redis.wait_until_ready().await;
        redis
    }

    /// A client of the server.
    pub fn client(&self) -> Redis {
        Redis::at(&format!("redis+unix://{}", self.folder.path().join("socket").display())).unwrap()
    }

    /// Kills the server. Its data is lost.
    pub fn kill(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }

    pub async fn restart(&mut self) {
        self.server = start(self.folder.path());
        self.wait_until_ready().await;
    }

    async fn wait_until_ready(&self) {
        for _attempt in 0..200 {
            if self.client().publish("is it there", Vec::new()).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("redis-server does not answer");
    }
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn start(folder: &std::path::Path) -> Child {
    let mut server = Command::new("redis-server");
    server.current_dir(folder).args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]);
    server.arg(folder.join("socket")).stdout(Stdio::null());
    server.spawn().expect("redis-server is on the PATH")
}
