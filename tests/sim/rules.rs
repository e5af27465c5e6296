//! The rules files that simulated agents live with, and what a reload may make of them.
//!
//! Neighbours: `life` swaps them. A part of its own because what is in them decides what can happen at all: holds,
//! counts of polls, groups, windows, absence, reminders, two channels of which one may go.

use std::path::Path;

use seatwatch::config::Config;

use crate::START;

pub(crate) const USERS: [&str; 6] = ["alice", "bob", "carol", "ext-1", "ext-2", "gateway-1"];
pub(crate) const SOURCES: [&str; 2] = ["east", "west"];
pub(crate) const CHANNELS: [&str; 2] = ["boss", "soc"];

/// What a reload may change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Variant {
    First,
    /// Another limit, so that episodes go on and pending ones start over.
    Stricter,
    /// Two rules and a user less.
    Fewer,
    /// One channel less.
    WithoutBoss,
}

pub(crate) const VARIANTS: [Variant; 4] =
    [Variant::First, Variant::Stricter, Variant::Fewer, Variant::WithoutBoss];

/// The rules whose alerts rest on a reading of their user at that very poll.
pub(crate) const ON_A_READING: [&str; 3] = ["shared", "held", "often"];

fn rule(name: &str, rest: &str, notify: &str) -> String {
    format!("[[rule]]\nname = '{name}'\n{rest}\nnotify = {notify}\n")
}

pub(crate) fn config(variant: Variant, schedule: &str, zone: &str) -> Config {
    let both = if variant == Variant::WithoutBoss { "['soc']" } else { "['soc', 'boss']" };
    let limit = if variant == Variant::Stricter { 1 } else { 2 };
    let fewer = variant == Variant::Fewer;
    let users = if fewer { &USERS[1..] } else { &USERS[..] };
    let mut text = format!(
        "[agent]\ntimezone = '{zone}'\nnotify = {both}\n[[account]]\nname = 'main'\n\
         access_key_id = {{ env = 'ID' }}\naccess_key_secret = {{ env = 'KEY' }}\n\
         [[group]]\nname = 'ext'\nusers = ['ext-*']\nlimit = 1\n"
    );
    for source in SOURCES {
        text += &format!(
            "[[source]]\nname = '{source}'\nkind = 'aliyun-sag'\nregion = 'cn-shanghai'\ninstance = 'sag'\n\
             schedule = '{schedule}'\nusers = {users:?}\n"
        );
    }
    for channel in CHANNELS {
        if channel == "soc" || variant != Variant::WithoutBoss {
            text +=
                &format!("[[channel]]\nname = '{channel}'\nkind = 'webhook'\nurl = 'https://example.com/'\n");
        }
    }
    text += "[[calendar]]\nname = 'day'\ntimezone = 'UTC'\ndays = ['Mon-Sun']\nhours = ['06:00-18:00']\n";
    text += &rule("shared", &format!("when = 'online > limit'\nlimit = {limit}"), both);
    text += &rule(
        "held",
        &format!("when = 'online > limit'\nlimit = {limit}\nfor = '3m'\nclear_for = '2m'\nrepeat = '30m'"),
        both,
    );
    text +=
        &rule("often", "when = 'online >= 3'\nfor = '2 of 4 polls'\nclear_for = '2 of 3 polls'", "['soc']");
    text += &rule("missing", "when = 'absent_time > 2m'\nabsent = 'breach'\nusers = ['gateway-*']", both);
    if !fewer {
        text += &rule(
            "seats",
            "per = 'source'\nwhen = 'total > 12'\nclear_when = 'total <= 9'\nsources = ['east']",
            both,
        );
        text += &rule(
            "busy",
            "when = 'peak(10m) >= 4 and changes(5m) > 1'\nduring = 'day'\non_leave = 'end'",
            "['soc']",
        );
    }
    text += &rule("crowd", "per = 'group'\ngroups = ['ext']\nwhen = 'total > 3'\nfor = '1m'", both);
    Config::parse(&text, "rules.toml", Path::new(""), START).unwrap_or_else(|e| panic!("{}", e.draw(false)))
}

/// The channels that a rule's *fired* goes to.
pub(crate) fn notify(config: &Config, rule: &str, subject: &str) -> Vec<String> {
    let of_rule = config.rules.iter().find(|known| known.name == rule).map(|known| known.notify.to_vec());
    let all = of_rule.unwrap_or_else(|| config.agent.notify.clone());
    // A channel in trouble is told of on the others.
    all.into_iter().filter(|channel| rule != "agent/channel" || channel != subject).collect()
}
