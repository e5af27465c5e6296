//! Any answer to a webhook: two bytes of status, a line that is `Retry-After`, and a body.
//!
//! Neighbours: `fuzz/` feeds it what it thinks up, `mod` what was kept. A part of its own as each grammar is. The status
//! alone decides, no answer can put the next try further off than an hour, and no note holds the URL or acts on a screen.

use std::path::Path;
use std::sync::OnceLock;

use seatwatch::channel::Channel;
use seatwatch::channel::webhook::{Reply, Webhook};
use seatwatch::config::Config;
use seatwatch::engine::backoff::{self, Answer, Next};
use seatwatch::engine::time::{Span, Time};

const NOW: Time = Time::from_millis(1_795_305_600_000);
const KEY: &str = "canary-0123456789";

fn channel() -> &'static Webhook {
    static CHANNEL: OnceLock<Webhook> = OnceLock::new();
    CHANNEL.get_or_init(|| {
        let rules = format!(
            "[[channel]]\nname = \"soc\"\nkind = \"webhook\"\nurl = \"https://example.com/hooks/{KEY}\"\n"
        );
        let config = Config::parse(&rules, "rules.toml", Path::new("/nonexistent"), NOW).expect("a webhook");
        match Channel::open(&config.channels[0]) {
            Ok(Channel::Webhook(webhook)) => webhook,
            other => panic!("{other:?}"),
        }
    })
}

pub(crate) fn check(data: &[u8]) {
    let Some((&[high, low], rest)) = data.split_first_chunk::<2>() else { return };
    let status = 100 + u16::from_be_bytes([high, low]) % 900;
    let mut parts = rest.splitn(2, |byte| *byte == b'\n');
    let retry_after =
        parts.next().and_then(|line| std::str::from_utf8(line).ok()).filter(|line| !line.is_empty());
    let body = parts.next().unwrap_or_default().to_vec();
    let reply = Reply { status, retry_after: retry_after.map(str::to_owned), body };
    let delivery = channel().understand(&reply, NOW);
    assert_eq!(delivery.status, Some(status));
    assert_eq!(delivery.answer == Answer::Sent, status / 100 == 2);
    assert_eq!(delivery.answer == Answer::Gone, status == 410);
    assert!(
        delivery.note.len() <= 600 && !delivery.note.chars().any(char::is_control),
        "{:?}",
        delivery.note
    );
    assert!(!delivery.note.contains(KEY), "{:?}", delivery.note);
    for jitter in [0.0, 0.5, 1.0] {
        match backoff::next(delivery.answer, 1, NOW, NOW, delivery.retry_after, jitter) {
            Next::At(at) => assert!(at > NOW && at <= NOW + Span::from_hours(1), "{at}"),
            Next::Done => assert_eq!(delivery.answer, Answer::Sent),
            Next::Wait => assert_eq!(delivery.answer, Answer::Gone),
            Next::Dead => panic!("given up after one try"),
        }
    }
}
