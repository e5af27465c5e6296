//! Where the program is killed: emulator, a receiver of webhooks, a mail server, a rules file, and a start at will.
//!
//! Neighbours: `world` and `support` are those of the other integration tests; every part of this program plays here. A
//! part of its own so that each of them says only what it does to the agent.

use std::fmt::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use seatwatch::agent::clock;
use seatwatch::engine::outcome::Act;
use seatwatch::engine::time::{Span, Time};
use seatwatch::store::{OutboxState, Reader, add_act};

use crate::mailbox::Mailbox;
use crate::relay::Relay;
use crate::support::http::Posted;
use crate::support::program::Agent;
use crate::world::{World, counts};

/// Waiting for anything ends here at the latest; the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// The channels of every stage.
pub(crate) const CHANNELS: [&str; 2] = ["mail", "soc"];

/// The rule that the script makes fire and end.
pub(crate) const RULE: &str = "shared";

pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) mail: Mailbox,
    pub(crate) relay: Relay,
    pub(crate) began: Time,
}

/// A message as it came, at whichever channel.
pub(crate) struct Arrival {
    pub(crate) channel: &'static str,
    /// The notification's.
    pub(crate) id: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) accepted: bool,
}

/// A user's counts, a word a second.
pub(crate) fn seconds(user: &str, timeline: &str) -> String {
    counts(user, timeline).replace("m\",", "s\",")
}

impl Stage {
    /// Its clock is the real one, so that signatures are in time; the emulator's script begins now.
    pub(crate) fn new(scenario: &str) -> Self {
        Self::by(scenario, Arc::new(AtomicI64::new(clock::now().millis())), Arc::new(clock::now))
    }

    /// By a clock that shows what `hand` does.
    pub(crate) fn by(scenario: &str, hand: Arc<AtomicI64>, clock: seatwatch::emulator::Clock) -> Self {
        let began = clock();
        let mut world = World::around(scenario, &["soc"], hand, clock);
        let relay = Relay::before(&world.endpoint);
        world.endpoint.clone_from(&relay.endpoint);
        let stage = Self { world, mail: Mailbox::new(), relay, began };
        stage.write_rules();
        stage
    }

    /// Two sources, so that a poll comes every second; every alert goes to both channels.
    fn write_rules(&self) {
        let sources = "source shanghai 'alice', 'bob' every */2 * * * * *\n\
                       source beijing 'alice', 'bob' every 1-59/2 * * * * *\n";
        let rule = format!("[[rule]]\nname = '{RULE}'\nwhen = 'online > 2'\n");
        let mut text = self.world.rules(&format!("{sources}{rule}"));
        text = text.replace("notify = [\"soc\"]", &format!("notify = {CHANNELS:?}"));
        let port = self.mail.port;
        let _ = write!(
            text,
            "[[channel]]\nname = \"mail\"\nkind = \"email\"\nserver = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n\
             from = \"seatwatch@example.com\"\nto = [\"soc@example.com\"]\ntimeout = \"5s\"\n"
        );
        std::fs::write(self.world.rules_file(), text).unwrap();
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.world.database()
    }

    pub(crate) fn start(&self) -> Agent {
        Agent::start(&self.world, |_| ())
    }

    /// From now on both receivers take what comes.
    pub(crate) fn receivers_work(&self) {
        self.world.inboxes["soc"].answers(200);
        self.mail.replies(250);
    }

    /// Everything that ever came.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        // Where the port was another stage's a moment ago, a late request of that one may come.
        let ours = |(posted, _): &(Posted, u16)| posted.headers.iter().any(|(name, _)| name == "webhook-id");
        let posted =
            self.world.inboxes["soc"].all().into_iter().filter(ours).map(|(posted, status)| Arrival {
                channel: "soc",
                id: posted.header("webhook-id").to_owned(),
                bytes: posted.body,
                accepted: status == 200,
            });
        let mails = self.mail.all().into_iter().map(|(mail, reply)| {
            let text = String::from_utf8_lossy(&mail);
            let id = text.lines().find_map(|line| line.strip_prefix("Message-ID: <")?.split('@').next());
            let id = id.unwrap_or_else(|| panic!("no Message-ID in {text}")).to_owned();
            Arrival { channel: "mail", id, bytes: mail, accepted: reply == 250 }
        });
        posted.chain(mails).collect()
    }

    /// Lets the agent go on until the script is over by `over`, every alert has ended and everything is told.
    /// What was given up, or waits long, is sent again as an operator would have it.
    pub(crate) fn settle(&self, agent: &Agent, over: Span) {
        self.receivers_work();
        let over = self.began + over;
        let mut asked = Instant::now();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left: Vec<_> = match Reader::open(&self.database()) {
                Ok(reader) if self.is_over(&reader, over) => {
                    let rows = self.world.outbox(true).into_iter();
                    rows.filter(|row| !matches!(row.state, OutboxState::Sent | OutboxState::Superseded))
                        .collect()
                }
                Ok(_) | Err(_) if Instant::now() < deadline => {
                    let _ = agent.log.recv_timeout(Duration::from_millis(50));
                    continue;
                }
                Ok(_) => panic!("the script's alerts do not end"),
                Err(error) => panic!("{error}"),
            };
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "never told: {left:#?}");
            if asked.elapsed() > Duration::from_millis(1500) {
                asked = Instant::now();
                for row in left {
                    // Another pass may have finished it meanwhile.
                    let _ =
                        add_act(&self.database(), "test", clock::now(), Act::Retry { notification: row.id });
                }
            }
            let _ = agent.log.recv_timeout(Duration::from_millis(50));
        }
    }

    fn is_over(&self, reader: &Reader, over: Time) -> bool {
        let open = reader.episodes(&Default::default()).unwrap().iter().any(|row| row.rule == RULE);
        let polled = |source| reader.last_poll(source).unwrap().is_some_and(|poll| poll.at > over);
        !open && polled("shanghai") && polled("beijing")
    }
}

/// Kills it; whether that was its end, and not one of its own before.
pub(crate) fn kills(child: &mut Child) -> bool {
    child.kill().unwrap();
    child.wait().unwrap().signal() == Some(Signal::KILL.as_raw())
}

/// Ends it as a service manager does.
#[track_caller]
pub(crate) fn stop(mut agent: Agent) {
    agent.signal(Signal::TERM);
    let (code, log) = agent.ends(PATIENCE);
    assert_eq!(code, Some(0), "{log}");
}
