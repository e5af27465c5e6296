//! How fast an account may ask: a token bucket that all its sources share.
//!
//! Neighbours: the account holds one, the client waits by it. A part of its own because it is pure: time is an
//! argument, so a day of requests is a loop in a test.

use std::time::Duration;

/// After a throttling answer the rate is halved, down to this part of it …
const SLOWEST: f64 = 1.0 / 16.0;
/// … and doubles again after every so much time without another.
const RECOVERY: Duration = Duration::from_secs(30);

/// A bucket of tokens, one a request. Times are since any fixed moment and must not go back.
#[derive(Clone, Debug)]
pub struct Bucket {
    per_second: f64,
    burst: f64,
    /// Below zero where requests are already waiting.
    tokens: f64,
    /// The part of the rate that holds now.
    factor: f64,
    at: Duration,
    throttled: Duration,
}

impl Bucket {
    /// A full bucket. `per_second` is above zero, `burst` at least one.
    pub fn new(per_second: f64, burst: u32) -> Self {
        let burst = f64::from(burst.max(1));
        let per_second = per_second.max(0.001);
        Self { per_second, burst, tokens: burst, factor: 1.0, at: Duration::ZERO, throttled: Duration::ZERO }
    }

    /// Takes a token and says how long to wait before it may be used; none where that is longer than `at_most`,
    /// and then nothing was taken.
    pub fn take(&mut self, now: Duration, at_most: Duration) -> Option<Duration> {
        self.refill(now);
        let lacking = (1.0 - self.tokens).max(0.0);
        let wait = Duration::try_from_secs_f64(lacking / (self.per_second * self.factor)).ok()?;
        if wait > at_most {
            return None;
        }
        self.tokens -= 1.0;
        Some(wait)
    }

    /// The vendor says that was too fast: what is saved up is lost and the rate is halved for a while.
    pub fn slow_down(&mut self, now: Duration) {
        self.refill(now);
        self.tokens = self.tokens.min(0.0);
        self.factor = (self.factor / 2.0).max(SLOWEST);
        self.throttled = now;
    }

    fn refill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second * self.factor).min(self.burst);
        self.at = self.at.max(now);
        while self.factor < 1.0 && now.saturating_sub(self.throttled) >= RECOVERY {
            self.factor = (self.factor * 2.0).min(1.0);
            self.throttled += RECOVERY;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: Duration = Duration::from_secs(3600);

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut bucket = Bucket::new(5.0, 3);
        let waits: Vec<_> = (0..6).map(|_| bucket.take(Duration::ZERO, FAR).unwrap().as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 200, 400, 600], "those who ask together queue up");
        assert_eq!(bucket.take(ms(600), FAR), Some(ms(200)));
        assert_eq!(bucket.take(ms(60_000), FAR), Some(ms(0)), "an idle minute fills the bucket");
        let free = (0..10).filter(|_| bucket.take(ms(60_000), ms(0)).is_some()).count();
        assert_eq!(free, 2, "but no further than its size");
    }

    #[test]
    fn a_wait_beyond_the_budget_takes_nothing() {
        let mut bucket = Bucket::new(1.0, 1);
        assert_eq!(bucket.take(ms(0), ms(0)), Some(ms(0)));
        assert_eq!(bucket.take(ms(0), ms(999)), None);
        assert_eq!(bucket.take(ms(0), ms(1000)), Some(ms(1000)), "the refused one left no mark");
    }

    #[test]
    fn never_more_than_burst_and_rate_allow() {
        let mut bucket = Bucket::new(7.0, 10);
        let mut sent = Vec::new();
        for now in (0..20_000).step_by(13) {
            if bucket.take(ms(now), ms(0)).is_some() {
                sent.push(now);
            }
        }
        let worst =
            sent.iter().map(|&from| sent.iter().filter(|&&at| (from..from + 1000).contains(&at)).count());
        assert!(worst.max().unwrap() <= 17, "10 saved up and 7 a second");
        assert!(sent.len() >= 10 + 7 * 19, "and what is allowed is used: {}", sent.len());
    }

    #[test]
    fn throttling_halves_the_rate_for_a_while() {
        let mut bucket = Bucket::new(4.0, 10);
        bucket.slow_down(ms(0));
        assert_eq!(bucket.take(ms(0), FAR), Some(ms(500)), "half of four a second, and nothing saved up");
        bucket.slow_down(ms(500));
        assert_eq!(bucket.take(ms(500), FAR), Some(ms(1000)));
        let later = ms(500) + RECOVERY * 2;
        let spare = (0..20).filter(|_| bucket.take(later, ms(0)).is_some()).count();
        assert_eq!(spare, 10);
        assert_eq!(bucket.take(later, FAR), Some(ms(250)), "after two quiet spells the rate is whole again");
    }
}
