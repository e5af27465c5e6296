//! What the demo prints while it runs, and its verdict on itself at the end.
//!
//! Neighbours: reads the store like any command, and hears what arrived in the mailbox and at the webhook. A part of
//! its own because it must see only what a user of the agent could see.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use chrono_tz::Tz;
use tokio::sync::mpsc::UnboundedReceiver;

use super::mail::readable;
use super::stage::PLANTED;
use crate::agent::clock;
use crate::cli::layout::laid_out;
use crate::cli::{Failure, print};
use crate::engine::message::clean;
use crate::engine::outcome::{Alert, AlertKey, State};
use crate::store::{EpisodeFilter, Reader};

/// The store is looked at this often.
const LOOK: Duration = Duration::from_millis(200);

pub(super) struct Watcher {
    reader: Reader,
    zone: Tz,
    states: BTreeMap<AlertKey, State>,
    mails: usize,
    bodies: usize,
}

impl Watcher {
    pub(super) fn new(reader: Reader, zone: Tz) -> Self {
        Self { reader, zone, states: BTreeMap::new(), mails: 0, bodies: 0 }
    }

    /// Prints until `end`.
    pub(super) async fn watch(
        &mut self,
        mut mails: UnboundedReceiver<String>,
        mut bodies: UnboundedReceiver<String>,
        end: impl Future<Output = ()>,
    ) -> Result<(), Failure> {
        let mut look = tokio::time::interval(LOOK);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return Ok(()),
                _ = look.tick() => self.look()?,
                Some(mail) = mails.recv() => self.mail(&mail)?,
                Some(body) = bodies.recv() => self.body(&body)?,
            }
        }
    }

    /// One line for each alert that changed its state.
    fn look(&mut self) -> Result<(), Failure> {
        let alerts = self.reader.load_alerts(None)?;
        let now = clock::now().to_utc().with_timezone(&self.zone).format("%H:%M:%S");
        for (key, alert) in &alerts {
            let before = self.states.insert(key.clone(), alert.state);
            if before.unwrap_or_default() != alert.state {
                print::line(&format!("{now}  {}", line(key, alert)));
            }
        }
        self.states.retain(|key, _| alerts.iter().any(|(kept, _)| kept == key));
        Ok(())
    }

    /// What happened before it was sent is told before it is shown.
    fn mail(&mut self, mail: &str) -> Result<(), Failure> {
        self.mails += 1;
        if self.mails == 1 {
            self.look()?;
            print::line(&boxed("the first mail, as it arrived (text part decoded)", &readable(mail)));
        }
        Ok(())
    }

    fn body(&mut self, body: &str) -> Result<(), Failure> {
        self.bodies += 1;
        if self.bodies == 1 {
            self.look()?;
            print::line(&boxed("the first webhook body, as it arrived", &laid_out(body)));
        }
        Ok(())
    }

    /// Prints what happened in numbers; whether everything planted fired and ended.
    pub(super) fn summary(&self, dir: &Path) -> Result<bool, Failure> {
        let episodes = self.reader.episodes(&EpisodeFilter { all: true, ..EpisodeFilter::default() })?;
        let stats = self.reader.stats()?;
        let mut missing = Vec::new();
        for (rule, user) in PLANTED {
            let told = |ended: bool| {
                episodes
                    .iter()
                    .any(|e| e.rule == rule && e.subject.name == user && e.ended_at.is_some() == ended)
            };
            if !told(true) {
                missing.push(format!(
                    "{rule} {user} {}",
                    if told(false) { "has not ended" } else { "did not fire" }
                ));
            }
        }
        let ended = episodes.iter().filter(|e| e.ended_at.is_some()).count();
        let mut text = String::new();
        let _ =
            writeln!(text, "\n{} polls of {} users kept in {} bytes", stats.polls, stats.users, stats.bytes);
        let _ = writeln!(text, "{} fired, {ended} of them ended", print::count(episodes.len(), "episode"));
        let (mails, bodies) = (print::count(self.mails, "mail"), self.bodies);
        let _ = writeln!(
            text,
            "{mails} and {bodies} webhook {} arrived",
            if bodies == 1 { "body" } else { "bodies" }
        );
        match missing.is_empty() {
            true => text.push_str("everything planted fired and ended\n"),
            false => {
                let _ = writeln!(text, "not as planned: {}", missing.join(", "));
            }
        }
        let _ = write!(
            text,
            "\nlook around: seatwatch alerts list --all -c {0}/rules.toml\nclean up:    rm -r {0}",
            dir.display()
        );
        print::line(&text);
        Ok(missing.is_empty())
    }
}

fn line(key: &AlertKey, alert: &Alert) -> String {
    let state = match alert.state {
        State::Ok => "ended",
        State::Pending => "pending",
        State::Firing => "FIRING",
        State::Recovering => "recovering",
        State::Closed => "closed",
    };
    let now = alert.value.and_then(|value| value.now).map(|now| format!("{now} online")).unwrap_or_default();
    let name = clean(&key.subject.name, 40);
    format!("{:<16} {name:<12} {state:<10} {now}", key.rule).trim_end().to_owned()
}

fn boxed(title: &str, text: &str) -> String {
    let lines: String = text.lines().map(|line| format!("  │ {line}\n")).collect();
    format!("\n  ┌ {title}\n{lines}  └\n")
}
