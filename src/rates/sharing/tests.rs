use std::net::TcpListener;
use std::num::NonZeroU32;
use std::process::{Child, Command, Stdio};

use deadpool_redis::redis::{Client, Commands as _, Connection};

use super::*;
use crate::rates::{Decision, Key, Rate};

struct Server {
    port: u16,
    process: Child,
}

impl Server {
    fn start(port: Option<u16>) -> Self {
        let port = port.unwrap_or_else(|| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server");
        let server = Self { port, process };
        let deadline = Instant::now() + Duration::from_secs(30);
        while server.client().get_connection().is_err() {
            assert!(Instant::now() < deadline, "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn client(&self) -> Client {
        Client::open(self.url()).unwrap()
    }

    fn connection(&self) -> Connection {
        self.client().get_connection().unwrap()
    }

    fn sharing(&self) -> Sharing {
        Sharing::new(Redis::at(&self.url()).unwrap(), Counter::default())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}

/// One unit per 1,000 seconds: the time that a test takes does not count.
fn limiter(burst: u32) -> Arc<Limiter> {
    let rate = Rate::new(NonZeroU32::MIN, Duration::from_secs(1_000), NonZeroU32::new(burst).unwrap());
    let limiter = Arc::new(Limiter::new(rate.unwrap()));
    limiter.start_sharing();
    limiter
}

fn key(number: usize) -> Key {
    Key::of_payer(format!("0x{number:040}").parse().unwrap())
}

fn take(limiter: &Limiter, cost: u32) -> Decision {
    limiter.take(&key(0xab), cost, Instant::now())
}

async fn round(sharing: &mut Sharing, limiter: &Arc<Limiter>) -> bool {
    sharing.round(&[Arc::clone(limiter)]).await
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn two_servers_share_a_limit() {
    let redis = Server::start(None);
    let (a, b) = (limiter(10), limiter(10));
    let (mut a_shares, mut b_shares) = (redis.sharing(), redis.sharing());
    assert_eq!(take(&a, 6).remaining, 4);
    assert!(round(&mut a_shares, &a).await);
    assert_eq!(take(&b, 1).remaining, 9);
    assert!(round(&mut b_shares, &b).await);
    assert_eq!(take(&b, 0).remaining, 3);
    assert!(take(&b, 3).is_allowed);
    assert!(!take(&b, 1).is_allowed);
    // The other one does not know yet. Then it does: one unit too many was taken.
    assert!(round(&mut b_shares, &b).await);
    assert!(take(&a, 1).is_allowed);
    assert!(round(&mut a_shares, &a).await);
    let refused = take(&a, 1);
    assert!(!refused.is_allowed);
    assert_eq!(refused.retry_after.as_secs().div_ceil(100), 20);
    // A refusal is not shared, and nothing was counted twice.
    assert!(round(&mut a_shares, &a).await);
    let left: u64 = redis.connection().pttl(key(0xab).in_redis(PREFIX)).unwrap();
    assert_eq!((left + 50_000) / 100_000, 110);
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn every_key_gets_its_own_answer() {
    let redis = Server::start(None);
    let (a, mut sharing) = (limiter(10), redis.sharing());
    let keys: Vec<_> = (0..BATCH_MAX * 2 + 1).map(key).collect();
    for (key, cost) in keys.iter().zip((0..3).cycle()) {
        a.take(key, 1 + cost, Instant::now());
    }
    assert!(round(&mut sharing, &a).await);
    let (b, mut b_shares) = (limiter(10), redis.sharing());
    for key in &keys {
        b.take(key, 2, Instant::now());
    }
    assert!(round(&mut b_shares, &b).await);
    for (key, cost) in keys.iter().zip((0..3).cycle()) {
        assert_eq!(b.take(key, 0, Instant::now()).remaining, 7 - cost);
    }
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn limits_survive_the_loss_of_redis() {
    let redis = Server::start(None);
    let (a, b) = (limiter(10), limiter(10));
    let (mut a_shares, mut b_shares) = (redis.sharing(), redis.sharing());
    take(&a, 1);
    assert!(round(&mut a_shares, &a).await);
    let port = redis.port;
    drop(redis);
    take(&a, 3);
    assert!(!round(&mut a_shares, &a).await);
    assert_eq!(take(&a, 2).remaining, 4);
    assert!(!round(&mut a_shares, &a).await);
    assert_eq!((a_shares.errors.get(), a_shares.is_lost), (2, true));
    assert!(!take(&a, 5).is_allowed);
    // An empty Redis, without the script: it is told what it was not told before.
    let _redis = Server::start(Some(port));
    assert!(round(&mut a_shares, &a).await);
    assert!(!a_shares.is_lost);
    assert_eq!(take(&a, 0).remaining, 4);
    take(&b, 1);
    assert!(round(&mut b_shares, &b).await);
    assert_eq!(take(&b, 0).remaining, 10 - 1 - 5);
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn an_idle_server_notices_the_loss_of_redis_and_finds_it_again() {
    let redis = Server::start(None);
    let (a, mut sharing, port) = (limiter(10), redis.sharing(), redis.port);
    assert!(round(&mut sharing, &a).await);
    drop(redis);
    // It was asked just now.
    assert!(round(&mut sharing, &a).await);
    sharing.asked = Instant::now().checked_sub(SILENCE_MAX);
    assert!(!round(&mut sharing, &a).await);
    assert!(sharing.is_lost);
    let _redis = Server::start(Some(port));
    assert!(round(&mut sharing, &a).await);
    assert!(!sharing.is_lost);
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn the_script_has_bounds() {
    const SECOND: u64 = 1_000_000;
    let redis = Server::start(None);
    let (sharing, mut connection) = (redis.sharing(), redis.connection());
    let run = async |arguments| sharing.redis.run(&sharing.script, &[("k".to_owned(), arguments)]).await.unwrap()[0];
    // What has come back meanwhile does not count.
    assert_eq!(run([5 * SECOND, 6 * SECOND, 100 * SECOND]).await, 0);
    assert!(!connection.exists::<_, bool>("k").unwrap());
    assert_eq!(run([50 * SECOND, 10 * SECOND, 100 * SECOND]).await, 40 * SECOND);
    // What was known before is not in the past: all of it counts.
    let reset = run([30 * SECOND, 20 * SECOND, 100 * SECOND]).await;
    assert_eq!(reset.div_ceil(10 * SECOND), 7);
    assert_eq!(run([90 * SECOND, 0, 100 * SECOND]).await, 100 * SECOND);
    assert_eq!((connection.pttl::<_, u64>("k").unwrap() + 500) / 1_000, 100);
    // The clock of Redis was set back.
    let () = connection.set("k", u64::MAX / 4096).unwrap();
    assert_eq!(run([SECOND, 0, 100 * SECOND]).await, 100 * SECOND);
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn the_task_shares_and_ends_with_the_limiters() {
    let redis = Server::start(None);
    let (a, b, mut registry) = (limiter(10), limiter(10), Registry::default());
    let at = || Redis::at(&redis.url()).unwrap();
    share(Some(at()), [&a].into_iter(), &mut registry);
    share(Some(at()), [&b].into_iter(), &mut registry);
    take(&a, 6);
    let deadline = Instant::now() + Duration::from_secs(30);
    while !redis.connection().exists::<_, bool>(key(0xab).in_redis(PREFIX)).unwrap() {
        assert!(Instant::now() < deadline, "it is not shared");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    take(&b, 1);
    while take(&b, 0).remaining != 3 {
        assert!(Instant::now() < deadline, "it is not learned");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    drop((a, b));
    while tasks() + 2 > before {
        assert!(Instant::now() < deadline, "the tasks go on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn what_may_have_been_counted_is_not_told_again() {
    let a = limiter(10);
    let draw = || {
        take(&a, 1);
        a.drain_queue().into_iter().filter_map(|queued| Told::draw(&a, queued, Instant::now())).collect::<Vec<_>>()
    };
    assert!(settle(draw(), Err(RedisFailure::Ended)).is_err());
    assert_eq!(a.drain_queue().len(), 0);
    let unsent = || RedisFailure::Connection(deadpool_redis::PoolError::Closed);
    assert!(settle(draw(), Err(unsent())).is_err());
    assert_eq!(a.drain_queue().len(), 1);
    assert_eq!(take(&a, 0).remaining, 8);
}
