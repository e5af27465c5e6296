//! Names that would do something if anybody obeyed them: through the whole agent and out of every door.
//!
//! Neighbours: `engine::message::clean` shows what acts, `mail` and `webhook` have the single formats. A part of its
//! own because a name is harmless only if it is so everywhere: in bodies, tables, files and addresses.

use std::collections::BTreeSet;

use crate::client::{Neighbour, http};
use crate::support::http::Hook;
use crate::world::{START, World, body};

/// Templates, shells, SQL, JSON, formulas, markup, mentions, paths, and letters that pose as others.
const NAMES: [&str; 21] = [
    "{{7*7}}",
    "{% include '/etc/passwd' %}",
    "${HOME}",
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned;",
    "%s%n%x",
    "%00",
    "'; DROP TABLE notification; --",
    "\"}],\"more\":99,\"x\":[{\"",
    "=1+1",
    "@SUM(A1:A9)",
    "<img src=x onerror=alert(1)>",
    "<!channel> @all [click](http://example.com)",
    "../../../../etc/passwd",
    "/etc/passwd",
    "file:///etc/passwd",
    "\u{430}lice",
    "MESSAGE=forged PRIORITY=0",
    "ext-\u{1f642}\u{1f642}",
    "-rf",
];

/// What no rules file may name, or hardly could, and the instance's own list may hold: it ends a line, colours or clears
/// a terminal, rings, steps back, turns text round or is not seen.
const ON_ROSTER: [&str; 8] = [
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "alice\r\nbob  99",
    "\u{9b}2J",
    "bob\x08\x08\x08eve",
    "\u{202e}ecila",
    "ali\u{200b}ce",
    "\ttab",
];

fn in_toml(names: &[String]) -> String {
    names.iter().map(|name| format!("{name:?}").replace("\\'", "'")).collect::<Vec<_>>().join(", ")
}

/// An endpoint where everybody has three clients online, and whose own list of users is [`ON_ROSTER`].
async fn with_its_own_list() -> Neighbour {
    let three = |name: &String| serde_json::json!({"UserName": name, "OnlineCount": 3});
    Neighbour::start(move |seen, _| {
        if seen.action() == "DescribeSmartAccessGatewayClientUsers" {
            let list = ON_ROSTER.map(|name| serde_json::json!({"UserName": name, "State": "normal"}));
            let total = ON_ROSTER.len();
            let body = serde_json::json!({"RequestId": "R", "TotalCount": total, "Users": {"User": list}});
            return http(200, "", &body.to_string());
        }
        let list: Vec<_> = seen.names().iter().map(three).collect();
        let body = serde_json::json!({"RequestId": "R", "UserStatistics": {"Statistics": list}});
        http(200, "", &body.to_string())
    })
    .await
}

fn commands_show_names_and_obey_none(world: &World, names: &[String]) {
    let harmless = |said: &str, words: &[&str]| {
        let acts = |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{200b}' | '\u{202e}'));
        assert!(!said.contains(acts), "{words:?}: {said:?}");
        assert!(!said.contains('\u{430}'), "{words:?}: a letter that poses is shown as what it is: {said}");
    };
    for words in [&["users"][..], &["alerts", "list"], &["outbox", "list", "--all"], &["rules", "list"]] {
        let said = world.prints(words);
        harmless(&said, words);
        if ["users", "alerts"].contains(&words[0]) {
            for shown in [r"\u{1b}[31mred\u{1b}[0m", r"alice\r\nbob  99", r"\u{202e}ecila", r"\u{9b}2J"] {
                assert!(said.contains(shown), "{words:?}: no {shown} in {said}");
            }
        }
    }
    for name in names {
        let words = ["why-not", "--", "shared", name];
        harmless(&world.prints(&words), &words);
        let words = ["history", "--since", &START.to_string(), "--", name];
        harmless(&world.prints(&words), &words);
        let said = world.prints(&["history", "--since", &START.to_string(), "--json", "--", name]);
        let history: serde_json::Value =
            serde_json::from_str(&said).unwrap_or_else(|error| panic!("{name}: {error}: {said}"));
        assert_eq!(history["user"], name.as_str());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_name_is_nothing_but_a_name() {
    let trap = Hook::answer("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 0);
    let mut names: Vec<String> = NAMES.map(str::to_owned).to_vec();
    names.push(format!("http://127.0.0.1:{}/fetched", trap.port));
    let vendor = with_its_own_list().await;
    let mut world = World::idle("", &["soc"]);
    world.endpoint = vendor.url.clone();
    let source = format!("source shanghai {}\nroster = true\n", in_toml(&names));
    names.extend(ON_ROSTER.map(str::to_owned));
    world.write(&format!("{source}[[rule]]\nname = 'shared'\nwhen = 'online > limit'\nlimit = 2\n"));
    world.start().await;
    world.poll(0).await;
    world.deliver().await;

    let posted = world.inboxes["soc"].take();
    let told = body(&posted[0]);
    assert_eq!(told["data"]["more"], names.len() - 20, "the body's own fields are the serialiser's");
    let shown: BTreeSet<&str> = told["data"]["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["subject"]["name"].as_str().unwrap())
        .collect();
    assert!(shown.iter().all(|name| names.iter().any(|known| known == name)), "{shown:?}");
    assert!(shown.contains("{{7*7}}") && shown.contains("\"}],\"more\":99,\"x\":[{\""));
    let text = told["data"]["text"].as_str().unwrap();
    assert!(!text.contains("49"), "{text}");

    let events = world.events();
    let kept: BTreeSet<&str> =
        events.iter().filter(|e| e.rule == "shared").map(|event| event.subject.name.as_str()).collect();
    assert_eq!(kept, names.iter().map(String::as_str).collect(), "each of them is watched");

    commands_show_names_and_obey_none(&world, &names);
    let files: BTreeSet<String> = std::fs::read_dir(&world.dir.0)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    let known = [
        "id",
        "key",
        "rules.toml",
        "seatwatch.db",
        "seatwatch.db-shm",
        "seatwatch.db-wal",
        "seatwatch.db.lock",
    ];
    assert!(files.iter().all(|file| known.contains(&file.as_str())), "{files:?}");
    assert!(trap.untouched(), "a name was fetched");
}
