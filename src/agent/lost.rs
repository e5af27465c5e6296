//! Channels that left the rules file while alerts they were told of go on.
//!
//! Neighbours: a start warns of them, and `check` does before it. A part of its own because an alert goes on telling by
//! the names it fired with, and a start knows the new file alone.

use std::collections::BTreeMap;

use super::Agent;
use crate::engine::outcome::Alert;
use crate::store::StoreError;

/// Each channel that is not `known`, with the number of open episodes that it was told of.
pub fn lost_channels<'a>(
    alerts: impl IntoIterator<Item = &'a Alert>,
    known: impl Fn(&str) -> bool,
) -> BTreeMap<&'a str, usize> {
    let open = alerts.into_iter().filter_map(|alert| alert.episode.as_ref());
    let open = open.filter(|episode| episode.ended_at.is_none());
    let mut lost = BTreeMap::new();
    for channel in open.flat_map(|episode| &episode.channels).filter(|channel| !known(channel)) {
        *lost.entry(channel.as_str()).or_default() += 1;
    }
    lost
}

impl Agent {
    pub(super) async fn warn_of_lost_channels(&self) -> Result<(), StoreError> {
        let (live, alerts) = (self.live(), self.store.load_alerts(None).await?);
        let alerts = alerts.iter().map(|(_, alert)| alert);
        for (channel, episodes) in lost_channels(alerts, |name| live.channels.contains_key(name)) {
            tracing::warn!(
                channel,
                episodes,
                "the channel left the rules file while alerts it was told of go on; it is told no more of them"
            );
        }
        Ok(())
    }
}
