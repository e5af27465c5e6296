//! When a notification is tried again, and when it is given up.
//!
//! Neighbours: channels sort answers into [`Answer`]s, `deliver` asks for the next time. A part of its own, and
//! pure, so that three days of retries are a table in a test.

use serde::{Deserialize, Serialize};

/// What an attempt's answer means for the notification.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// Taken over by the receiver.
    Sent,
    /// 408, 425, 429, 5xx, 3xx, transport, SMTP 4xx: tried again up to 75 h.
    Retry,
    /// The receiver refuses this message (400, 413, 422, SMTP 5xx at DATA): three tries over an hour.
    Rejected,
    /// The channel's settings are wrong (401, 403, 404, 407, 535, TLS, unknown host): hourly without end.
    Misconfigured,
    /// 410: the channel is disabled and its rows wait.
    Gone,
}
