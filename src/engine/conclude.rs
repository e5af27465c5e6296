//! What an operator concludes of an episode that is over, which is when most conclusions are drawn.
//!
//! Neighbours: `tend` asks for alerts that are closed, the agent for episodes that no alert remembers. A part of its own
//! because it changes no state and tells nobody: the episode's finding and note are replaced, the acts keep the old ones.

use super::event::Finding;
use super::outcome::{Act, Conclusion};

/// What the act says of an episode that has ended with `finding` and `note`, and the answer to the operator.
///
/// # Errors
/// Why there is nothing to be done, for the operator.
pub fn conclude(
    act: &Act,
    finding: Option<Finding>,
    note: Option<&str>,
) -> Result<(Conclusion, String), String> {
    let Act::Close { episode, finding: Some(found), note: said, .. } = act else {
        return Err(match act {
            Act::Close { .. } => {
                "the episode has ended already; with --finding you record what you concluded of it"
            }
            Act::Ack { .. } | Act::Retry { .. } | Act::Drop { .. } => "the episode has ended already",
        }
        .to_owned());
    };
    // A note explains its finding: under another one it would say what nobody said.
    let kept = note.filter(|_| finding.is_none_or(|before| before == *found));
    let note = said.as_deref().or(kept).map(str::to_owned);
    let instead = finding.filter(|before| before != found);
    let instead = instead.map_or_else(String::new, |before| format!(" in place of {}", before.word()));
    let message = format!("recorded {}{instead}; the episode had ended, so nobody is told", found.word());
    Ok((Conclusion { episode: episode.clone(), finding: *found, note }, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        said: (Option<Finding>, Option<&str>),
        before: (Option<Finding>, Option<&str>),
        expect: Result<(Finding, Option<&str>, &str), &str>,
    ) {
        let note = said.1.map(str::to_owned);
        let act = Act::Close { episode: "ep_a".to_owned(), rearm: false, finding: said.0, note };
        let found = conclude(&act, before.0, before.1);
        let found = found.as_ref().map(|(concluded, message)| {
            (concluded.finding, concluded.note.as_deref(), message.split(';').next().unwrap_or_default())
        });
        assert_eq!(found.map_err(|message| message.split(';').next().unwrap_or_default()), expect);
    }

    #[test]
    fn the_last_conclusion_replaces_the_one_before_with_its_note() {
        let (multi, hacked) = (Finding::MultiDevice, Finding::Compromised);
        check(
            (Some(multi), Some("phone")),
            (None, None),
            Ok((multi, Some("phone"), "recorded multi-device")),
        );
        check(
            (Some(multi), None),
            (None, Some("looking")),
            Ok((multi, Some("looking"), "recorded multi-device")),
        );
        check(
            (Some(multi), None),
            (Some(multi), Some("phone")),
            Ok((multi, Some("phone"), "recorded multi-device")),
        );
        let instead = "recorded compromised in place of multi-device";
        check((Some(hacked), None), (Some(multi), Some("phone")), Ok((hacked, None, instead)));
        check(
            (Some(hacked), Some("stolen")),
            (Some(multi), Some("phone")),
            Ok((hacked, Some("stolen"), instead)),
        );
        check((None, Some("hm")), (Some(multi), None), Err("the episode has ended already"));
    }
}
