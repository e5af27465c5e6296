//! Any bytes as a mail server's replies: the first byte chooses the way (with STARTTLS or without TLS), the rest comes
//! as if the server had said it, whatever it is asked.
//!
//! Neighbours: `fuzz/` feeds it what it thinks up, `mod` what was kept. A part of its own as each grammar is. A mail is
//! sent only where a receipt for it was there and the whole mail went out; before TLS nothing of it does.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};

use seatwatch::channel::email::Email;
use seatwatch::channel::{Channel, Letter};
use seatwatch::config::Config;
use seatwatch::engine::backoff::Answer;
use seatwatch::engine::time::Time;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const MAIL: &str = "Subject: test\r\n\r\nalice has 5 clients online\r\n";
const RECIPIENTS: [&str; 2] = ["soc@example.com", "ops@example.com"];

/// Without TLS, and with STARTTLS.
fn channels() -> &'static [Box<Email>; 2] {
    static CHANNELS: OnceLock<[Box<Email>; 2]> = OnceLock::new();
    CHANNELS.get_or_init(|| {
        ["none", "starttls"].map(|tls| {
            let rules = format!(
                "[[channel]]\nname = \"mail\"\nkind = \"email\"\nserver = \"127.0.0.1\"\nport = 25\ntls = \"{tls}\"\n\
                 from = \"a@example.com\"\nto = {RECIPIENTS:?}\n"
            );
            let now = Time::from_millis(1_795_305_600_000);
            let config = Config::parse(&rules, "rules.toml", Path::new("/nonexistent"), now).expect("a channel");
            match Channel::open(&config.channels[0]) {
                Ok(Channel::Email(email)) => email,
                other => panic!("{other:?}"),
            }
        })
    })
}

/// What a server says whatever it hears, and what it heard.
#[derive(Debug)]
struct Server {
    says: Vec<u8>,
    said: usize,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Server {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let end = self.says.len().min(self.said + buf.remaining());
        buf.put_slice(&self.says[self.said..end]);
        self.said = end;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Server {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.heard.lock().expect("nobody panics with it").extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn contains(bytes: &[u8], part: &str) -> bool {
    bytes.windows(part.len()).any(|window| window == part.as_bytes())
}

pub(crate) fn check(data: &[u8]) {
    let Some((&way, says)) = data.split_first() else { return };
    let starttls = way % 2 == 1;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let server = Server { says: says.to_vec(), said: 0, heard: Arc::clone(&heard) };
    let letter = Letter {
        id: "ntf_test".to_owned(),
        payload: MAIL.into(),
        attempt: 1,
        accepted: Vec::new(),
        only: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let delivery = runtime.block_on(channels()[usize::from(starttls)].send_over(server, &letter));
    let heard = heard.lock().expect("nobody panics with it").clone();

    assert!(
        delivery.note.len() <= 600 && !delivery.note.chars().any(char::is_control),
        "{:?}",
        delivery.note
    );
    assert!(delivery.status.is_none_or(|code| (200..600).contains(&code)), "{delivery:?}");
    let mut accepted = delivery.accepted.clone();
    accepted.dedup();
    assert!(accepted.len() == delivery.accepted.len(), "{accepted:?}");
    assert!(accepted.iter().all(|one| RECIPIENTS.contains(&one.as_str())), "{accepted:?}");
    let whole =
        contains(&heard, "alice has 5 clients online") && heard.windows(5).any(|end| end == b"\r\n.\r\n");
    if delivery.answer == Answer::Sent || !accepted.is_empty() {
        assert!(whole && contains(says, "354") && contains(says, "250"), "{delivery:?}");
    }
    assert_eq!(delivery.answer == Answer::Sent, accepted.len() == RECIPIENTS.len(), "{delivery:?}");
    if starttls {
        assert!(delivery.answer != Answer::Sent && !contains(&heard, "MAIL FROM"), "{delivery:?}");
    }
    if !contains(says, "354") {
        assert!(!contains(&heard, "alice"), "nothing of the mail goes out unasked");
    }
}
