//! Every kind of secret, planted everywhere where one can stand, and looked for in everything that comes out.
//!
//! Neighbours: `support::echo` says back what it hears, `process` starts the agent. A part of its own because one
//! output that shows a secret is enough: all kinds of secrets meet all kinds of outputs here.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustix::process::Signal;
use seatwatch::engine::event::EventKind;
use seatwatch::store::Reader;

use crate::process::{EVERY_2_S, STOP, world};
use crate::support::door::Door;
use crate::support::echo;
use crate::support::metadata::Metadata;
use crate::support::program::Agent;
use crate::world::{World, counts};

/// A word that every planted secret holds.
const CANARY: &str = "canary";
/// What keys of a role begin with that the emulator hands out.
const OF_A_ROLE: &str = "CAIS";
/// The key that the emulator knows.
const KEY: &str = "testsecret";
/// A webhook's signing secret, after its `whsec_`.
const SIGNING: &str = "Y2FuYXJ5LXdlYmhvb2stc2VjcmV0LTAxMjM0NTY3ODk=";

/// What a chain may find, by the account that stands for it; `HOME` is the world's directory.
const CHAINS: [&[(&str, &str)]; 5] = [
    &[
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", "canary-env-id"),
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "canary-env-key"),
        ("ALIBABA_CLOUD_SECURITY_TOKEN", "canary-env-token"),
    ],
    &[("ALIBABA_CLOUD_PROFILE", "sts")],
    &[("ALIBABA_CLOUD_PROFILE", "ini"), ("ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "true")],
    &[("ALIBABA_CLOUD_PROFILE", "broken"), ("ALIBABA_CLOUD_CONFIG_FILE", "torn.json")],
    &[
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "canary-env-key"),
        ("ALIBABA_CLOUD_SECURITY_TOKEN", "canary-env-token"),
    ],
];

/// The forms of the word in base64, wherever in a text it begins; what its neighbours change is left out.
fn encoded() -> [String; 3] {
    [0, 1, 2].map(|ahead| {
        let coded = BASE64_STANDARD.encode("x".repeat(ahead) + CANARY);
        coded[(ahead * 8).div_ceil(6)..(ahead + CANARY.len()) * 8 / 6].to_owned()
    })
}

#[track_caller]
fn holds_none(place: &str, text: &str) {
    let words = [CANARY, OF_A_ROLE, KEY, SIGNING].map(str::to_owned);
    for word in words.into_iter().chain(encoded()) {
        if let Some(at) = text.find(&word) {
            let before = text[..at].lines().last().unwrap_or_default();
            let after: String = text[at..].chars().take(60).collect();
            panic!("{place}: {word} in …{before}{after}…");
        }
    }
}

/// All of the log up to a line with `part`.
fn heard(agent: &Agent, part: &str) -> String {
    let (deadline, mut seen) = (Instant::now() + Duration::from_secs(20), String::new());
    while !seen.contains(part) {
        let left = deadline.saturating_duration_since(Instant::now());
        let line = agent.log.recv_timeout(left);
        let line = line.unwrap_or_else(|error| panic!("{error}: no {part:?} in\n{seen}"));
        seen = seen + &line + "\n";
    }
    seen
}

struct Planted {
    world: World,
    echo: Door,
    mail: Door,
    metadata: Metadata,
}

impl Planted {
    fn new() -> Self {
        let world = world(&(counts("alice", "3") + &counts("bob", "1")));
        for (file, secret) in [
            ("typed-id", "canary-typed-id"),
            ("typed-key", "canary-typed-key"),
            ("typed-token", "canary-typed+token/=="),
            ("password", "canary pass/word+1"),
            ("hook-secret", &format!("whsec_{SIGNING}")),
            ("older-secret", "whsec_Y2FuYXJ5LW9sZGVyLXNlY3JldC0wMTIzNDU2Nzg5"),
            ("jwt", "canary.web.identity"),
            ("torn.json", "{ \"current\": \"broken\", \"profiles\": [ canary"),
        ] {
            world.dir.secret(file, secret);
        }
        for folder in [".aliyun", ".alibabacloud"] {
            std::fs::create_dir(world.dir.path(folder)).unwrap();
        }
        let profile = r#"{"current":"sts","profiles":[{"name":"sts","mode":"StsToken","access_key_id":"canary-cli-id",
            "access_key_secret":"canary-cli-key","sts_token":"canary-cli-token","region_id":"cn-shanghai"}]}"#;
        world.dir.secret(".aliyun/config.json", profile);
        let ini =
            "[ini]\ntype = access_key\naccess_key_id = canary-ini-id\naccess_key_secret = canary-ini-key\n";
        world.dir.secret(".alibabacloud/credentials", ini);
        let planted = Self { world, echo: echo::http(), mail: echo::mail(), metadata: Metadata::start() };
        std::fs::write(planted.world.rules_file(), planted.rules()).unwrap();
        planted
    }

    /// An account of each kind; one source of it that is heard, and one whose endpoint says everything back.
    fn rules(&self) -> String {
        let (echo, good) = (format!("http://127.0.0.1:{}", self.echo.port), &self.world.endpoint);
        let known = "access_key_id = { file = 'id' }\naccess_key_secret = { file = 'key' }\n";
        let role = "role_arn = 'acs:ram::1234567890123456:role/reader'\n";
        let accounts = [
            ("known", known.to_owned()),
            ("typed", "access_key_id = { file = 'typed-id' }\naccess_key_secret = { file = 'typed-key' }\nsecurity_token = { file = 'typed-token' }\n".to_owned()),
            ("role", format!("{known}{role}sts_endpoint = '{good}'\n")),
            ("refused-role", format!("access_key_id = {{ file = 'typed-id' }}\naccess_key_secret = {{ file = 'typed-key' }}\n{role}sts_endpoint = '{echo}'\n")),
            ("uri", format!("credentials_uri = '{}/keys?canary-uri'\n", self.metadata.url)),
            ("bad-uri", format!("credentials_uri = '{echo}/keys?canary-uri'\n")),
            ("web", format!("oidc_provider_arn = 'p'\noidc_token_file = 'jwt'\n{role}sts_endpoint = '{good}'\n")),
            ("refused-web", format!("oidc_provider_arn = 'p'\noidc_token_file = 'jwt'\n{role}sts_endpoint = '{echo}'\n")),
            ("chained", "chain = true\n".to_owned()),
        ];
        let mut text = String::from("[agent]\nnotify = ['hook', 'mail', 'soc']\n");
        for (account, keys) in &accounts {
            for (end, endpoint, signature) in
                [("", good.as_str(), "v3"), ("-v3", &echo, "v3"), ("-v1", &echo, "v1")]
            {
                let _ = write!(
                    text,
                    "[[source]]\nname = '{account}{end}'\nkind = 'aliyun-sag'\naccount = '{account}'\n\
                     region = 'cn-shanghai'\ninstance = 'sag-demo'\nendpoint = '{endpoint}'\nbudget = '1s'\n\
                     signature = '{signature}'\nschedule = '{}'\nusers = ['alice', 'bob']\n",
                    EVERY_2_S.trim_start_matches("every ")
                );
            }
            let _ = write!(
                text,
                "[[account]]\nname = '{account}'\nrequests_per_second = 100\nburst = 1000\n{keys}"
            );
        }
        let _ = write!(
            text,
            "[[rule]]\nname = 'shared'\nwhen = 'online > 2'\n\
             [[channel]]\nname = 'hook'\nkind = 'webhook'\nurl = '{echo}/canary-path?token=canary'\nallow_private = true\n\
             secret = [{{ file = 'hook-secret' }}, {{ file = 'older-secret' }}]\ntimeout = '5s'\n\
             [[channel]]\nname = 'soc'\nkind = 'webhook'\nurl = 'http://127.0.0.1:{}/canary-path'\nallow_private = true\n\
             [[channel]]\nname = 'mail'\nkind = 'email'\nserver = '127.0.0.1'\nport = {}\ntls = 'none'\ntimeout = '5s'\n\
             username = 'alerts'\npassword = {{ file = 'password' }}\nfrom = 'alerts@example.com'\nto = ['soc@example.com']\n",
            self.world.inboxes["soc"].port, self.mail.port
        );
        text
    }

    fn around(&self, command: &mut Command, chain: usize) {
        command.current_dir(&self.world.dir.0).env("RUST_LOG", "trace").env("HOME", &self.world.dir.0);
        command.envs(CHAINS[chain].iter().copied());
    }

    /// Runs a command; everything that it printed and logged.
    fn says(&self, words: &[&str], chain: usize) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seatwatch"));
        self.around(&mut command, chain);
        let Output { stdout, stderr, .. } = command.args(words).output().unwrap();
        assert!(!stdout.is_empty() || !stderr.is_empty(), "{words:?} says nothing");
        String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned()
    }

    /// Runs the agent until every source was polled and both channels that echo were tried; its log, and whatever
    /// can be seen of its process.
    fn run(&self, format: &str) -> String {
        let mut agent = Agent::start(&self.world, |command| {
            command.args(["--log", format]);
            self.around(command, 0);
        });
        let start = heard(&agent, "running");
        let polled =
            |reader: &Reader, source: &str| reader.last_poll(source).is_ok_and(|poll| poll.is_some());
        let whole = || {
            let Ok(reader) = Reader::open(&self.world.database()) else { return false };
            let health = reader.channel_health().unwrap_or_default();
            let tried = |channel: &str| health.iter().any(|one| one.channel == channel && one.failing > 0);
            let sources = self.rules();
            let mut sources =
                sources.split("[[source]]\nname = '").skip(1).filter_map(|rest| rest.split('\'').next());
            tried("hook") && tried("mail") && sources.all(|source| polled(&reader, source))
        };
        let deadline = Instant::now() + Duration::from_secs(40);
        while !whole() {
            assert!(Instant::now() < deadline, "never: polled and told");
            std::thread::sleep(Duration::from_millis(50)); // until all of it was polled and told
        }
        let command_line = std::fs::read(format!("/proc/{}/cmdline", agent.child.id())).unwrap();
        std::fs::write(
            self.world.rules_file(),
            self.rules().replace("{ file = 'password' }", "'canary-typed'"),
        )
        .unwrap();
        agent.signal(Signal::HUP);
        let refused = heard(&agent, "the rules file is refused");
        std::fs::write(self.world.rules_file(), self.rules()).unwrap();
        agent.signal(Signal::HUP);
        agent.signal(Signal::TERM);
        let (code, log) = agent.ends(STOP);
        assert_eq!(code, Some(0), "{log}");
        start + &refused + &log + &String::from_utf8_lossy(&command_line)
    }
}

/// The commands that end by themselves and print what is there, each in words and as JSON; every one of them.
fn commands(world: &World) -> Vec<Vec<String>> {
    let fired = world.events().into_iter().find(|event| event.kind == EventKind::Fired).unwrap();
    let rows = world.outbox(true);
    let of = |channel: &str| rows.iter().find(|row| row.channel == channel).unwrap().id.clone();
    let (mail, hook) = (of("mail"), of("hook"));
    let mut lines: Vec<String> = [
        "check",
        "check --resolve",
        "poll",
        "api DescribeUserOnlineClientStatistics --dry-run --source typed-v3",
        "api DescribeUserOnlineClientStatistics --dry-run --source typed-v1",
        "rules list",
        "rules test",
        "rules backtest --since 1d",
        "rules suggest --since 1d",
        "alerts list --all",
        "outbox list --all",
        "users",
        "history known/alice",
        "db backup copy.db",
        "db check",
        "db stats",
    ]
    .map(str::to_owned)
    .into();
    for episode in ["alerts show", "why", "alerts ack", "alerts close"] {
        lines.push(format!("{episode} {}", fired.episode));
    }
    lines.push(format!("why-not shared {}/bob", fired.source.unwrap()));
    for verb in ["show", "retry", "drop"] {
        lines.extend([&mail, &hook].map(|id| format!("outbox {verb} {id}")));
    }
    // Each time the echo says it in another way.
    for _ in 0..3 {
        lines.extend(["notify test hook", "notify test mail"].map(str::to_owned));
        for source in
            ["typed-v3", "typed-v1", "role-v3", "refused-role", "bad-uri", "refused-web", "chained-v1"]
        {
            lines.push(format!("api DescribeUserOnlineClientStatistics --source {source}"));
        }
    }
    lines.iter().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
}

/// The names of all commands, a word a step.
fn names(command: &clap::Command, before: &str, found: &mut BTreeSet<String>) {
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        let name = format!("{before} {}", inner.get_name()).trim().to_owned();
        match inner.get_subcommands().next() {
            Some(_) => names(inner, &name, found),
            None => drop(found.insert(name)),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_any_kind_comes_out_anywhere() {
    let planted = Planted::new();
    for format in ["text", "json"] {
        // Each from the beginning.
        for file in ["seatwatch.db", "seatwatch.db-wal", "seatwatch.db-shm"] {
            let _ = std::fs::remove_file(planted.world.dir.path(file));
        }
        let log = planted.run(format);
        assert!(log.contains("SignatureDoesNotMatch") && log.contains("535"), "{log}");
        holds_none(&format!("the log as {format}"), &log);
    }
    let posted = planted.world.inboxes["soc"].all();
    assert!(!posted.is_empty());
    for (posted, _) in posted {
        holds_none("a webhook's body", &String::from_utf8_lossy(&posted.body));
    }
    let lines = commands(&planted.world);
    let mut all = BTreeSet::new();
    names(&seatwatch::cli::command(), "", &mut all);
    let goes_on = ["run", "demo", "emulate", "completions"];
    all.retain(|name| {
        let said = lines.iter().any(|line| (line.join(" ") + " ").starts_with(&format!("{name} ")));
        !said && !goes_on.contains(&name.as_str())
    });
    assert_eq!(all, BTreeSet::new(), "not looked at");
    for line in &lines {
        let words: Vec<&str> = line.iter().map(String::as_str).collect();
        for more in [&[][..], &["--json", "--log", "json"]] {
            let words = [&words[..], more].concat();
            holds_none(&words.join(" "), &planted.says(&words, 0));
        }
    }
    for chain in 1..CHAINS.len() {
        for source in ["chained", "chained-v3", "chained-v1"] {
            let said = planted.says(&["poll", "--source", source, "--log", "json"], chain);
            holds_none(&format!("chain {chain}, {source}"), &said);
        }
        holds_none(&format!("chain {chain}"), &planted.says(&["check", "--resolve"], chain));
    }
    for file in ["seatwatch.db", "seatwatch.db-wal", "copy.db"] {
        if let Ok(bytes) = std::fs::read(planted.world.dir.path(file)) {
            holds_none(file, &String::from_utf8_lossy(&bytes));
        }
    }
    planted.world.leaves("two receivers take nothing");
}

/// A secret in the place of another one, or of a reference, or misspelt: the mistake is told, the value is not.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_secret_is_said_without_it() {
    let planted = Planted::new();
    let right = planted.rules();
    let plain = [
        "'canary-plain'",
        "\"canary-torn",
        "canary-bare",
        "{ value = 'canary' }",
        "['canary']",
        "{ env = ['canary'] }",
        "{ file = 'a', value = 'canary' }",
        "{ file = 'a' canary }",
        "'''\ncanary'''",
        "7 canary",
    ];
    let places = [
        ("security_token = { file = 'typed-token' }", "security_token"),
        ("access_key_secret = { file = 'typed-key' }", "access_key_secret"),
        ("password = { file = 'password' }", "password"),
        ("secret = [{ file = 'hook-secret' }, { file = 'older-secret' }]", "secret"),
    ];
    let mut wrong = Vec::new();
    for (place, key) in places {
        assert!(right.contains(place), "{place}");
        wrong.extend(plain.map(|value| right.replacen(place, &format!("{key} = {value}"), 1)));
        wrong.push(right.replacen(place, &format!("{place}\n{key} = 'canary-twice'"), 1));
        wrong.push(right.replacen(place, &format!("{place}\n{key}s = 'canary-misspelt'"), 1));
    }
    let urls = ["canary", "ftp://x/canary", "http://user:canary@127.0.0.1/", "http://127.0.0.1:99999/canary"];
    for url in urls.into_iter().chain(["//canary", "http://example.com/canary"]) {
        for key in ["url", "credentials_uri"] {
            let line = right.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
            wrong.push(right.replacen(line, &format!("{key} = '{url}'"), 1));
        }
    }
    for text in &wrong {
        std::fs::write(planted.world.rules_file(), text).unwrap();
        for words in [&["check"][..], &["users", "--log", "json"]] {
            holds_none(&format!("{words:?}"), &planted.says(words, 0));
        }
    }
    std::fs::write(planted.world.rules_file(), &right).unwrap();
    let contents = [
        ("hook-secret", "canary"),
        ("hook-secret", "whsec_canary!"),
        ("password", "canary\ncanary"),
        ("password", "canary\u{7}"),
        ("typed-token", "canary\r\n\r\ncanary"),
        ("jwt", "canary canary"),
    ];
    for (file, content) in contents {
        let before = std::fs::read(planted.world.dir.path(file)).unwrap();
        planted.world.dir.secret(file, content);
        for words in [
            "check --resolve",
            "notify test hook",
            "notify test mail",
            "poll --source typed-v3",
            "poll --source web-v3",
        ] {
            let words: Vec<&str> = words.split(' ').collect();
            holds_none(&format!("{file}: {words:?}"), &planted.says(&words, 0));
        }
        std::fs::write(planted.world.dir.path(file), before).unwrap();
    }
    assert!(!planted.world.database().exists(), "nothing was begun");
}
