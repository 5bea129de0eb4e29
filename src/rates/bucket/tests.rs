use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;

fn rate(period_ns: u64, burst: u32) -> Rate {
    let one = NonZeroU32::MIN;
    Rate::new(one, Duration::from_nanos(period_ns), NonZeroU32::new(burst).unwrap()).unwrap()
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap()
}

/// A rate, and takes: the time since the one before, in tenths of a period, and the cost.
fn takes() -> impl Strategy<Value = (u64, u32, Vec<(u64, u32)>)> {
    (1_u64..5_000, 1_u32..20, prop::collection::vec((0_u64..40, 0_u32..25), 1..60))
}

proptest! {
    /// GCRA is a token bucket: the model fills with time and is emptied by costs.
    #[test]
    fn it_is_a_token_bucket((period, burst, takes) in takes()) {
        let (rate, mut bucket) = (rate(period, burst), Bucket::default());
        let (fill, mut now, mut tokens) = (period * u64::from(burst), 1_000, period * u64::from(burst));
        for (pause, cost) in takes {
            let pause = pause * period / 10;
            now += pause;
            tokens = fill.min(tokens + pause);
            let price = period * u64::from(cost.min(burst));
            let decision = bucket.take(rate, cost, now);
            prop_assert_eq!(decision.is_allowed, price <= tokens);
            if decision.is_allowed {
                tokens -= price;
            }
            prop_assert_eq!(u64::from(decision.remaining), tokens / period);
            prop_assert_eq!(ns(decision.reset), fill - tokens);
            prop_assert_eq!(decision.limit, burst);
        }
    }

    #[test]
    fn no_window_has_more_than_the_burst_and_the_rate((period, burst, takes) in takes()) {
        let (rate, mut bucket, mut now) = (rate(period, burst), Bucket::default(), 0);
        let mut passed: Vec<(u64, u64)> = Vec::new();
        for (pause, cost) in takes {
            now += pause * period / 10;
            if bucket.take(rate, cost, now).is_allowed {
                passed.push((now, u64::from(cost.min(burst))));
            }
        }
        for from in 0..passed.len() {
            let mut units = 0;
            for (at, cost) in &passed[from..] {
                units += cost;
                prop_assert!(units * period <= u64::from(burst) * period + (at - passed[from].0));
            }
        }
    }

    #[test]
    fn its_times_are_exact((period, burst, takes) in takes()) {
        let (rate, mut bucket, mut now) = (rate(period, burst), Bucket::default(), 0);
        for (pause, cost) in takes {
            now += pause * period / 10;
            let before = bucket;
            let decision = bucket.take(rate, cost, now);
            let look = |after: u64| { let mut copy = bucket; copy.take(rate, 0, now + after).remaining };
            if decision.is_allowed {
                prop_assert_eq!(decision.retry_after, Duration::ZERO);
                if decision.remaining < burst {
                    let more_in = ns(decision.more_in);
                    prop_assert_eq!(look(more_in), decision.remaining + 1);
                    prop_assert_eq!(look(more_in - 1), decision.remaining);
                }
            } else {
                // A refusal changes nothing.
                prop_assert_eq!(before.full_at, bucket.full_at);
                let retry = ns(decision.retry_after);
                prop_assert_eq!(decision.more_in, decision.retry_after);
                let mut copy = bucket;
                prop_assert!(!copy.take(rate, cost, now + retry - 1).is_allowed);
                prop_assert!(copy.take(rate, cost, now + retry).is_allowed);
            }
            let reset = ns(decision.reset);
            prop_assert_eq!(look(reset), burst);
            prop_assert!(reset == 0 || look(reset - 1) < burst);
        }
    }
}

#[test]
fn a_cost_above_the_burst_counts_as_the_burst() {
    let mut bucket = Bucket::default();
    let decision = bucket.take(rate(10, 5), 6, 100);
    assert_eq!((decision.is_allowed, decision.remaining), (true, 0));
    assert_eq!(bucket.take(rate(10, 5), 1, 109).retry_after, Duration::from_nanos(1));
}

#[test]
fn what_others_took_counts_here_with_what_they_do_not_know() {
    let (rate, mut bucket) = (rate(10, 5), Bucket::default());
    bucket.take(rate, 1, 100);
    assert!(bucket.note(rate, 1, 100));
    assert_eq!(bucket.draw_unshared(103), Unshared { taken: 10, age: 3 });
    // While the message is under way, one more is taken.
    bucket.take(rate, 1, 104);
    assert!(bucket.note(rate, 1, 104));
    assert!(!bucket.note(rate, 0, 104));
    // Others took two.
    bucket.learn(rate, 103, 27);
    assert_eq!(bucket.full_at, 103 + 27 + 10);
    // Redis lost its memory: what is known here stays.
    bucket.learn(rate, 103, 0);
    assert_eq!(bucket.full_at, 140);
    // Nobody is locked out for hours.
    bucket.draw_unshared(104);
    bucket.learn(rate, 103, u64::MAX);
    assert_eq!(bucket.full_at, 103 + 2 * 50);
    let decision = bucket.take(rate, 1, 103);
    assert_eq!((decision.is_allowed, decision.remaining, ns(decision.retry_after)), (false, 0, 60));
}

#[test]
fn what_was_not_shared_is_kept_until_it_has_come_back() {
    let (rate, mut bucket) = (rate(10, 5), Bucket::default());
    bucket.take(rate, 4, 100);
    bucket.note(rate, 4, 100);
    let drawn = bucket.draw_unshared(110);
    assert_eq!(drawn, Unshared { taken: 40, age: 10 });
    assert!(bucket.give_back(rate, drawn, 125));
    // Of 40, 25 have come back.
    let drawn = bucket.draw_unshared(126);
    assert_eq!(drawn, Unshared { taken: 15, age: 1 });
    // What was taken in the meantime is queued already.
    bucket.take(rate, 1, 126);
    bucket.note(rate, 1, 126);
    assert!(!bucket.give_back(rate, drawn, 127));
    let drawn = bucket.draw_unshared(127);
    assert_eq!(drawn.taken, 23);
    assert!(!bucket.give_back(rate, drawn, 150));
    assert_eq!(bucket.draw_unshared(150).taken, 0);
}

#[test]
fn other_servers_are_told_of_a_hundredth_of_the_burst() {
    let (rate, mut bucket) = (rate(10, 1_000), Bucket::default());
    let take = |bucket: &mut Bucket, cost: u32, now: u64| {
        assert!(bucket.take(rate, cost, now).is_allowed);
        bucket.note(rate, cost, now)
    };
    assert_eq!([take(&mut bucket, 4, 100), take(&mut bucket, 5, 100)], [false, false]);
    assert_eq!([take(&mut bucket, 1, 200), take(&mut bucket, 1, 203)], [true, false]);
    assert_eq!(bucket.draw_unshared(203), Unshared { taken: 110, age: 3 });
    assert!(!take(&mut bucket, 1, 203));
}

/// Two servers that each take exactly the rate take twice the rate together.
#[test]
fn other_servers_are_told_of_a_steady_rate() {
    let (rate, mut bucket) = (rate(10, 1_000), Bucket::default());
    let mut told = 0;
    for number in 0..1_000 {
        let now = number * 10;
        assert!(bucket.take(rate, 1, now).is_allowed);
        if bucket.note(rate, 1, now) {
            told += bucket.draw_unshared(now).taken;
        }
    }
    assert_eq!(told, 10_000);
}

/// Requests of long ago do not hide those of now.
#[test]
fn a_burst_after_a_pause_is_told_as_it_is() {
    let (rate, mut bucket) = (rate(10, 1_000), Bucket::default());
    bucket.take(rate, 1, 0);
    assert!(!bucket.note(rate, 1, 0));
    bucket.take(rate, 1_000, 10_000);
    assert!(bucket.note(rate, 1_000, 10_000));
    assert_eq!(bucket.draw_unshared(10_001), Unshared { taken: 10_000, age: 1 });
}
