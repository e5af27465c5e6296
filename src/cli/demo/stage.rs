//! The demo's stage: a directory, a rules file, the emulator with its script, a mailbox and a webhook receiver.
//!
//! Neighbours: the demo's `run`. A part of its own because everything the demo makes up is written here, and the
//! agent gets it the way it gets everything: from a rules file and over sockets.

use std::fmt::Write as _;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono_tz::Tz;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{hook, mailbox};
use crate::agent::clock;
use crate::cli::Failure;
use crate::emulator::{Emulator, Population, Settings};

/// What is planted, in seconds from the start of each round and clients online.
const SCRIPT: [(&str, &[(u32, u32)]); 3] = [
    ("alice", &[(0, 1), (6, 3), (8, 5), (22, 1)]),
    ("carol", &[(0, 0), (14, 4), (30, 1)]),
    ("gateway-01", &[(0, 1), (10, 0), (26, 1)]),
];
/// A round's length; rounds repeat for an hour and a half.
const ROUND: u32 = 60;
const ROUNDS: u32 = 90;
/// Made-up people beside the planted ones.
const PEOPLE: u32 = 200;

/// Who there is, and where it is kept. Gathered before the stage is set, because making up their past takes a while
/// and the script begins with the stage.
pub(super) struct Cast {
    pub dir: PathBuf,
    pub zone: Tz,
    pub population: Population,
    /// All users the source asks for.
    pub users: Vec<String>,
}

pub(super) struct Stage {
    pub rules: PathBuf,
    pub mails: UnboundedReceiver<String>,
    pub bodies: UnboundedReceiver<String>,
}

/// Who is planted, and the rule that must tell of it.
pub(super) const PLANTED: [(&str, &str); 3] =
    [("shared-account", "alice"), ("shared-account", "carol"), ("gateway-offline", "gateway-01")];

impl Cast {
    pub(super) fn gather(seed: u64) -> Result<Self, Failure> {
        let ours = std::fs::Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().prefix("seatwatch-demo-").permissions(ours).tempdir()?.keep();
        let population = Population::new(seed, PEOPLE);
        let planted = SCRIPT.iter().map(|(user, _)| (*user).to_owned());
        let users = planted.chain(population.names()).collect();
        Ok(Self { dir, zone: chrono_tz::Asia::Shanghai, population, users })
    }

    /// Where the rules file says that it is.
    pub(super) fn database(&self) -> PathBuf {
        self.dir.join("seatwatch.db")
    }
}

impl Stage {
    /// Opens the neighbours and writes the rules file; the script begins now.
    pub(super) async fn set(cast: &Cast, seed: u64) -> Result<Self, Failure> {
        let dir = &cast.dir;
        let (mail_in, mails) = unbounded_channel();
        let (body_in, bodies) = unbounded_channel();
        let mailbox = mailbox::open(mail_in).await?;
        let hook = hook::open(body_in).await?;
        let scenario = script().parse().map_err(anyhow::Error::from)?;
        let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let settings = Settings { listen, seed, users: PEOPLE, scenario, ..Settings::default() };
        let (id, secret) = (settings.access_key_id.clone(), settings.access_key_secret.clone());
        let (address, emulator) = Emulator::bind(settings, clock::now(), Arc::new(clock::now))?;
        tokio::spawn(emulator.serve(std::future::pending()));
        private(&dir.join("key-id"), &id)?;
        private(&dir.join("key-secret"), secret.expose())?;
        private(&dir.join("hook-secret"), "whsec_c2VhdHdhdGNoLWRlbW8tc2VjcmV0LWZvci1ob29rcw==")?;
        private(&dir.join("users.txt"), &cast.users.join("\n"))?;
        let rules = dir.join("rules.toml");
        private(&rules, &rules_file(&address.to_string(), mailbox.port(), &hook.to_string()))?;
        Ok(Self { rules, mails, bodies })
    }
}

fn private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    std::io::Write::write_all(&mut file, text.as_bytes())
}

fn script() -> String {
    let mut text = String::new();
    for (user, steps) in SCRIPT {
        let at =
            |round: u32, (second, count): &(u32, u32)| format!("[\"{}s\", {count}]", round * ROUND + second);
        let steps: Vec<String> =
            (0..ROUNDS).flat_map(|round| steps.iter().map(move |step| at(round, step))).collect();
        let _ = writeln!(text, "[[user]]\nname = \"{user}\"\nonline = [{}]\n", steps.join(", "));
    }
    text
}

fn rules_file(endpoint: &str, mail_port: u16, hook: &str) -> String {
    format!(
        r#"# The rules of the demo. `seatwatch check -c` on this file shows what it says.
[agent]
timezone = "Asia/Shanghai"
notify = ["mail", "hook"]

[[account]]
name = "demo"
access_key_id = {{ file = "key-id" }}
access_key_secret = {{ file = "key-secret" }}
requests_per_second = 50

[[source]]
name = "demo"
kind = "aliyun-sag"
region = "cn-shanghai"
instance = "sag-demo"
endpoint = "http://{endpoint}"
schedule = "*/2 * * * * *"
users_file = "users.txt"

[[rule]]
name = "shared-account"
when = "online > limit"
limit = 2
for = "6s"
clear_for = "4s"
max_gap = "15m" # the two weeks of history have a poll every five minutes
severity = "high"

[[rule]]
name = "gateway-offline"
when = "online == 0"
users = ["gateway-*"]
absent = "zero"
for = "6s"
clear_for = "2s"
max_gap = "15m"
severity = "critical"

[[channel]]
name = "mail"
kind = "email"
server = "127.0.0.1"
port = {mail_port}
tls = "none"
from = "Seatwatch <alerts@example.com>"
to = ["soc@example.com"]

[[channel]]
name = "hook"
kind = "webhook"
url = "http://{hook}/"
allow_private = true
secret = {{ file = "hook-secret" }}
"#
    )
}
