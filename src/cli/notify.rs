//! `seatwatch notify test`: one test message through a channel, and what its receiver said.
//!
//! Neighbours: `channel` sends as it does for the agent. A part of its own because it needs neither database nor
//! agent: it is tried while a channel is being set up.

use std::time::Instant;

use serde::Serialize;

use super::busy::Busy;
use super::{Common, Exit, Failure, open, pick, poll, print};
use crate::agent::clock;
use crate::channel::{Channel, Letter, Settings};
use crate::engine::backoff::Answer;
use crate::engine::message::{clean, compose};
use crate::engine::notify::Notice;
use crate::engine::time::Span;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand, Debug)]
enum Verb {
    /// Send one test message now, once; exit code 1 if it was not taken
    Test {
        /// The channel's name in the rules file
        #[arg(value_name = "CHANNEL")]
        channel: String,
    },
}

/// What `--json` prints.
#[derive(Serialize)]
struct Tested<'a> {
    channel: &'a str,
    kind: &'static str,
    notification: &'a str,
    outcome: Answer,
    status: Option<u16>,
    note: &'a str,
    #[serde(rename = "duration_ms")]
    took: Span,
}

pub(super) fn run(common: &Common, args: &Args) -> Result<Exit, Failure> {
    let Verb::Test { channel: name } = &args.verb;
    let config = open::config(common)?;
    let found = config.channels.iter().find(|channel| channel.name() == name);
    let names = config.channels.iter().map(Settings::name);
    let settings = found.ok_or_else(|| pick::unknown("channel", name, names))?;
    let channel = Channel::open(settings);
    let channel =
        channel.map_err(|error| poll::unresolved(&config, &format!("channel {name:?}."), error.into()))?;
    let now = clock::now();
    let notice = Notice::test(name, &now.millis().to_string());
    let message = compose(&notice, config.agent.language, config.agent.timezone);
    let payload = channel.payload(&notice, &message, now);
    let letter = Letter { id: notice.id.clone(), payload, attempt: 1, accepted: Vec::new(), only: None };
    let busy = Busy::with(format!("sending through {name}"));
    let started = Instant::now();
    let delivery = open::block_on(async { Ok(channel.send(&letter, now).await) });
    drop(busy);
    let delivery = delivery?;
    let tested = Tested {
        channel: name,
        kind: settings.kind(),
        notification: &notice.id,
        outcome: delivery.answer,
        status: delivery.status,
        note: &delivery.note,
        took: Span::from_std(started.elapsed()),
    };
    if common.json {
        print::json(&tested)?;
    } else {
        print::raw(text(&tested).as_bytes());
    }
    Ok(if delivery.answer == Answer::Sent { Exit::Fine } else { Exit::Problem })
}

fn text(tested: &Tested<'_>) -> String {
    let meaning = match tested.outcome {
        Answer::Sent => "the test was taken",
        Answer::Retry => "the test was not taken; an alert would be tried again",
        Answer::Rejected => "the receiver refused the message; an alert would be tried three times",
        Answer::Misconfigured => "the settings do not fit the receiver; an alert would be tried hourly",
        Answer::Gone => "the receiver says it is gone; the channel would be disabled",
    };
    let status = tested.status.map(|status| format!(", status {status}")).unwrap_or_default();
    let (channel, kind, took) = (tested.channel, tested.kind, tested.took);
    format!(
        "{channel} ({kind}): {meaning}{status}, {took}\n{}\nid {}\n",
        clean(tested.note, 1000),
        tested.notification
    )
}
