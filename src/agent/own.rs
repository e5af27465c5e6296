//! The agent's alerts about its channels and itself, as they go through the store.
//!
//! Neighbours: `tend` brings channel facts, `outage` tells when the store fails; `engine::own` judges. A part of its own
//! because these alerts belong to no source.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::alert::Moment;
use crate::engine::event::{Subject, SubjectKind};
use crate::engine::outcome::{ActRow, Alert, AlertKey, Outcome};
use crate::engine::own::{self, ChannelFacts, Own};
use crate::engine::own_alerts;
use crate::engine::tend::act_on;
use crate::engine::time::{Span, Time};
use crate::store::{Store, StoreError};

use super::Live;

/// Alerts whose subject is a channel or the agent, as the store has them.
pub(super) struct OwnAlerts(pub(super) BTreeMap<AlertKey, Alert>);

impl OwnAlerts {
    pub(super) async fn load(store: &Store) -> Result<Self, StoreError> {
        let all = store.load_alerts(None).await?;
        Ok(Self(all.into_iter().filter(|(key, _)| key.source.is_none()).collect()))
    }

    /// What a channel's last attempt says of it. Told on the other channels: the one that fails cannot say so.
    pub(super) fn channel(
        &mut self,
        live: &Live,
        channel: &str,
        facts: &ChannelFacts,
        down: bool,
        now: Time,
    ) -> Outcome {
        let subject = Subject { kind: SubjectKind::Channel, name: channel.to_owned() };
        let others =
            live.config.agent.notify.iter().filter(|name| *name != channel).cloned().collect::<Vec<_>>();
        let language = live.config.agent.language;
        let opinion =
            if down { own::of_channel_down(facts, language) } else { own::of_channel(facts, language) };
        self.take(&live.install, Own::Channel, subject, &opinion, &others, now)
    }

    /// `install` is the installation's id.
    pub(super) fn take(
        &mut self,
        install: &str,
        own: Own,
        subject: Subject,
        opinion: &own::Opinion,
        channels: &[String],
        now: Time,
    ) -> Outcome {
        let key = AlertKey { rule: own.rule().name.into(), source: None, subject };
        let before = self.0.get(&key).cloned().unwrap_or_default();
        let moment = Moment { at: now, clock: Span::from_millis(now.millis()), seq: 0, hole: false };
        let (after, event) =
            own_alerts::take(&before, own, &key, opinion, &moment, install, &channels.to_vec().into());
        let mut outcome = Outcome { now, ..Outcome::default() };
        if let Some((event, told)) = event {
            outcome.tell(event, told);
        }
        if after != before {
            self.0.insert(key.clone(), after.clone());
            outcome.alerts.push((key, Arc::new(after)));
        }
        outcome
    }

    /// Channels that left the rules file have nothing to be told about any more.
    pub(super) fn reconcile(&mut self, live: &Live, now: Time) -> Outcome {
        let gone: Vec<AlertKey> = self.0.keys().filter(|key| !self.is_there(live, key)).cloned().collect();
        let mut outcome = Outcome { now, ..Outcome::default() };
        for key in gone {
            let Some(before) = self.0.get(&key).cloned() else { continue };
            let (after, step) = crate::engine::alert::left_scope(&before);
            crate::engine::tend::settle(&live.install, key, &before, after, step, now, &mut outcome);
        }
        // They may come back, and their steps count on.
        self.0.extend(outcome.alerts.iter().map(|(key, alert)| (key.clone(), Alert::clone(alert))));
        outcome
    }

    fn is_there(&self, live: &Live, key: &AlertKey) -> bool {
        match key.subject.kind {
            SubjectKind::Channel => live.channels.contains_key(&key.subject.name),
            SubjectKind::Agent => true,
            SubjectKind::User | SubjectKind::Group | SubjectKind::Source => false,
        }
    }

    pub(super) fn act(&mut self, live: &Live, row: &ActRow, wanted: &str, now: Time) -> Option<Outcome> {
        let of_episode = |alert: &Alert| alert.episode.as_ref().is_some_and(|episode| episode.id == wanted);
        let (key, before) =
            self.0.iter().find(|(_, a)| of_episode(a)).map(|(k, a)| (k.clone(), a.clone()))?;
        let (after, outcome) = act_on(&live.install, row, key.clone(), &before, now);
        self.0.insert(key, after);
        Some(outcome)
    }
}
