//! The rules about Seatwatch itself: when they begin and end, how grave they are.
//!
//! Neighbours: `judge` and `tend` turn what happened into plain facts and take the verdicts down the same road as
//! any rule's; `message` has the words. A part of its own so that all of them stand in one table, which the README repeats.

use super::backoff::{Answer, LONGEST_WAIT};
use super::event::{Severity, SubjectKind};
use super::outcome::Stamp;
use super::reading::{Fault, FaultClass};
use super::rule::{Hold, Policy};
use super::shared::Shared;
use super::time::{Span, Time};

use super::alert::Verdict;
use super::message::{Language, own};

/// Polls in a row without a usable one before a source counts as silent.
pub const SILENT_POLLS: u32 = 3;
/// Good replies in a row without a name before its user counts as absent.
pub const ABSENT_REPLIES: u32 = 3;
/// A clock further off than this is told of; the vendor refuses requests from 15 minutes on.
pub const SKEW_BREACH: Span = Span::from_secs(60);
/// A clock this near is right again.
pub const SKEW_CLEAR: Span = Span::from_secs(30);

/// Own alerts begin and end at once: their facts count polls themselves.
pub const POLICY: Policy = Policy { hold: Hold::For(Span::ZERO), clear_hold: Hold::For(Span::ZERO) };

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Own {
    SourceSilent,
    Credentials,
    Clock,
    NameRefused,
    UserAbsent,
    Channel,
    Storage,
}

/// A reserved rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OwnRule {
    pub own: Own,
    pub name: &'static str,
    pub subject: SubjectKind,
    pub severity: Severity,
    pub begins: &'static str,
    pub ends: &'static str,
}

/// All of them; the README's table is this one.
pub const RULES: [OwnRule; 7] = [
    OwnRule {
        own: Own::SourceSilent,
        name: "agent/source-silent",
        subject: SubjectKind::Source,
        severity: Severity::High,
        begins: "3 polls in a row without a usable one",
        ends: "the next usable poll",
    },
    OwnRule {
        own: Own::Credentials,
        name: "agent/credentials",
        subject: SubjectKind::Source,
        severity: Severity::Critical,
        begins: "a poll learns nothing because the key, its rights, the account or the request is refused",
        ends: "the next usable poll",
    },
    OwnRule {
        own: Own::Clock,
        name: "agent/clock",
        subject: SubjectKind::Source,
        severity: Severity::Medium,
        begins: "our clock and the vendor's differ by more than 60 s, or ours jumped by more than 60 s",
        ends: "a reply shows less than 30 s",
    },
    OwnRule {
        own: Own::NameRefused,
        name: "agent/name-refused",
        subject: SubjectKind::Source,
        severity: Severity::Low,
        begins: "the vendor refuses a user name as such; it is asked about again daily",
        ends: "no name is refused any more",
    },
    OwnRule {
        own: Own::UserAbsent,
        name: "agent/user-absent",
        subject: SubjectKind::Source,
        severity: Severity::Low,
        begins: "3 good replies in a row without a listed user",
        ends: "every listed user is in the replies again, or is no longer listed",
    },
    OwnRule {
        own: Own::Channel,
        name: "agent/channel",
        subject: SubjectKind::Channel,
        severity: Severity::High,
        begins: "a notification is given up, or the channel's settings are refused, or it is gone, or one waits and nothing could be delivered for 30 minutes; told on the other channels",
        ends: "the next notification that the channel takes",
    },
    OwnRule {
        own: Own::Storage,
        name: "agent/storage",
        subject: SubjectKind::Agent,
        severity: Severity::Critical,
        begins: "the database cannot be written, or is found damaged; told from memory, once per outage and channel",
        ends: "the next transaction that commits",
    },
];

impl Own {
    pub fn rule(self) -> &'static OwnRule {
        &RULES[self as usize]
    }

    /// The reserved rule of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        RULES.iter().find(|rule| rule.name == name).map(|rule| rule.own)
    }
}

/// What an own rule says, and what its message is to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opinion {
    pub verdict: Verdict,
    /// One line: what happened and what to do.
    pub detail: Option<String>,
    pub users: Shared<String>,
    /// Where it began before this moment: an alert that begins now is dated back.
    pub since: Option<Stamp>,
}

impl Opinion {
    pub(super) fn bare(verdict: Verdict) -> Self {
        Self { verdict, detail: None, users: Shared::default(), since: None }
    }

    fn breach(detail: String) -> Self {
        Self { detail: Some(detail), ..Self::bare(Verdict::Breach) }
    }
}

/// What one poll says of its source.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SourceFacts {
    /// The poll was complete or partial.
    pub usable: bool,
    /// Polls in a row without a usable one, this one included.
    pub unusable: u32,
    pub fault: Option<Fault>,
    /// The vendor's clock minus ours.
    pub skew: Option<Span>,
    /// How far our clock jumped before this poll.
    pub jump: Option<Span>,
    /// Names the vendor refuses, sorted.
    pub refused: Vec<String>,
    /// Listed users whom at least [`ABSENT_REPLIES`] good replies in a row left out, sorted.
    pub absent: Vec<String>,
}

/// What the alerts about a source say after a poll, in the order of [`RULES`].
pub fn of_source(facts: &SourceFacts, language: Language) -> [(Own, Opinion); 5] {
    [
        (Own::SourceSilent, silent(facts, language)),
        (Own::Credentials, credentials(facts, language)),
        (Own::Clock, clock(facts, language)),
        (Own::NameRefused, names(&facts.refused, true, || own::refused(facts.refused.len(), language))),
        (Own::UserAbsent, names(&facts.absent, facts.usable, || own::absent(facts.absent.len(), language))),
    ]
}

fn silent(facts: &SourceFacts, language: Language) -> Opinion {
    if facts.usable {
        Opinion::bare(Verdict::Clear)
    } else if facts.unusable >= SILENT_POLLS {
        Opinion::breach(own::silent(facts.unusable, facts.fault.as_ref(), language))
    } else {
        Opinion::bare(Verdict::Unknown)
    }
}

fn credentials(facts: &SourceFacts, language: Language) -> Opinion {
    match &facts.fault {
        _ if facts.usable => Opinion::bare(Verdict::Clear),
        Some(fault) => match fault.class {
            FaultClass::Credentials | FaultClass::Permission | FaultClass::Account | FaultClass::Request => {
                Opinion::breach(own::fault(fault, language))
            }
            FaultClass::Transport | FaultClass::Server | FaultClass::Throttled | FaultClass::Clock => {
                Opinion::bare(Verdict::Unknown)
            }
        },
        None => Opinion::bare(Verdict::Unknown),
    }
}

fn clock(facts: &SourceFacts, language: Language) -> Opinion {
    let size = |span: Span| span.millis().saturating_abs();
    let jump = facts.jump.filter(|jump| size(*jump) > SKEW_BREACH.millis());
    let refused = facts.fault.as_ref().filter(|fault| fault.class == FaultClass::Clock);
    let skewed = facts.skew.filter(|skew| size(*skew) > SKEW_BREACH.millis());
    if skewed.is_some() || refused.is_some() || jump.is_some() {
        return Opinion::breach(own::clock(facts.skew, jump, refused, language));
    }
    Opinion::bare(match facts.skew {
        Some(skew) if size(skew) < SKEW_CLEAR.millis() => Verdict::Clear,
        Some(_) => Verdict::Between,
        // A reply without a date shows nothing either way.
        None => Verdict::Unknown,
    })
}

fn names(users: &[String], told: bool, detail: impl FnOnce() -> String) -> Opinion {
    match (users.is_empty(), told) {
        (false, _) => Opinion { users: users.to_vec().into(), ..Opinion::breach(detail()) },
        (true, true) => Opinion::bare(Verdict::Clear),
        (true, false) => Opinion::bare(Verdict::Unknown),
    }
}

/// Whether a firing list of users has grown: tell of it by a *changed* event.
pub fn names_added(told: &[String], now: &[String]) -> bool {
    now.iter().any(|user| !told.contains(user))
}

/// What a delivery says of its channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChannelFacts {
    pub answer: Answer,
    /// The notification is given up.
    pub dead: bool,
    pub status: Option<u16>,
    /// What the receiver said, in one line.
    pub note: String,
}

/// `agent/channel` after an attempt. A retry says nothing either way.
pub fn of_channel(facts: &ChannelFacts, language: Language) -> Opinion {
    match facts.answer {
        Answer::Sent => Opinion::bare(Verdict::Clear),
        Answer::Misconfigured | Answer::Gone => Opinion::breach(own::channel(facts, language)),
        Answer::Retry | Answer::Rejected if facts.dead => Opinion::breach(own::channel(facts, language)),
        Answer::Retry | Answer::Rejected => Opinion::bare(Verdict::Unknown),
    }
}

/// What waits for a channel that took nothing for this long is somebody's business.
const DOWN_AFTER: Span = Span::from_mins(30);

/// Whether a channel with a notification waiting is down: every attempt failed from `failing_since` to `last_attempt`, and
/// for long enough until `now`. One that was not tried for hours, because the agent was off, is tried first.
pub fn is_down(failing_since: Time, last_attempt: Time, now: Time) -> bool {
    now.since(failing_since) >= DOWN_AFTER && now.since(last_attempt) <= LONGEST_WAIT + DOWN_AFTER
}

/// `agent/channel` of a channel that [`is_down`].
pub fn of_channel_down(facts: &ChannelFacts, language: Language) -> Opinion {
    Opinion::breach(own::channel_down(facts, language))
}

/// `agent/storage` after a transaction: the error it failed with and whether the database is damaged, or none.
pub fn of_storage(error: Option<(&str, bool)>, language: Language) -> Opinion {
    match error {
        Some((error, damaged)) => Opinion::breach(own::storage(error, damaged, language)),
        None => Opinion::bare(Verdict::Clear),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(class: FaultClass) -> Option<Fault> {
        Some(Fault {
            class,
            code: "Code".to_owned(),
            message: "what the vendor says".to_owned(),
            advice: None,
        })
    }

    #[test]
    fn the_table_is_in_the_order_of_its_names() {
        for (index, rule) in RULES.iter().enumerate() {
            assert_eq!(rule.own as usize, index);
            assert_eq!(Own::of_name(rule.name), Some(rule.own));
            assert_eq!(rule.own.rule(), rule);
        }
        assert_eq!(Own::of_name("shared-account"), None);
    }

    #[track_caller]
    fn check(facts: &SourceFacts, expect: [Verdict; 5]) {
        for language in [Language::En, Language::ZhCn] {
            let opinions = of_source(facts, language);
            assert_eq!(opinions.clone().map(|(_, opinion)| opinion.verdict), expect, "{facts:?}");
            for (_, opinion) in opinions {
                assert_eq!(opinion.detail.is_some(), opinion.verdict == Verdict::Breach);
                assert!(opinion.detail.is_none_or(|detail| !detail.contains('\n')));
            }
        }
    }

    #[test]
    fn what_a_poll_says() {
        use Verdict::{Between, Breach, Clear, Unknown};
        let good = SourceFacts { usable: true, skew: Some(Span::from_secs(2)), ..SourceFacts::default() };
        check(&good, [Clear; 5]);
        let failed =
            |unusable, class| SourceFacts { unusable, fault: fault(class), ..SourceFacts::default() };
        check(&failed(2, FaultClass::Transport), [Unknown, Unknown, Unknown, Clear, Unknown]);
        check(&failed(3, FaultClass::Transport), [Breach, Unknown, Unknown, Clear, Unknown]);
        for class in
            [FaultClass::Credentials, FaultClass::Permission, FaultClass::Account, FaultClass::Request]
        {
            check(&failed(1, class), [Unknown, Breach, Unknown, Clear, Unknown]);
        }
        check(&failed(1, FaultClass::Clock), [Unknown, Unknown, Breach, Clear, Unknown]);
        let part = SourceFacts { fault: fault(FaultClass::Permission), ..good.clone() };
        check(&part, [Clear; 5]);
        let skew = |skew: i64| SourceFacts { skew: Some(Span::from_secs(skew)), ..good.clone() };
        check(&skew(-61), [Clear, Clear, Breach, Clear, Clear]);
        check(&skew(45), [Clear, Clear, Between, Clear, Clear]);
        check(&skew(60), [Clear, Clear, Between, Clear, Clear]);
        check(&skew(30), [Clear, Clear, Between, Clear, Clear]);
        check(&skew(-29), [Clear; 5]);
        check(&SourceFacts { skew: None, ..good.clone() }, [Clear, Clear, Unknown, Clear, Clear]);
        let jump = |jump: i64| SourceFacts { jump: Some(Span::from_secs(jump)), ..good.clone() };
        check(&jump(-3600), [Clear, Clear, Breach, Clear, Clear]);
        check(&jump(7), [Clear; 5]);
        let names = vec!["alice".to_owned()];
        let facts = SourceFacts { refused: names.clone(), absent: names.clone(), ..good };
        check(&facts, [Clear, Clear, Clear, Breach, Breach]);
        assert_eq!(*of_source(&facts, Language::En)[4].1.users, names);
        assert!(names_added(&[], &names) && !names_added(&names, &names) && !names_added(&names, &[]));
    }

    #[track_caller]
    fn check_down(failing: &str, tried: &str, expect: bool) {
        let now = Time::from_millis(1_795_392_000_000);
        let ago = |text: &str| now - text.parse().unwrap();
        assert_eq!(
            is_down(ago(failing), ago(tried), now),
            expect,
            "failing for {failing}, tried {tried} ago"
        );
    }

    #[test]
    fn a_channel_is_down_when_it_took_nothing_for_half_an_hour() {
        check_down("29m", "1m", false);
        check_down("30m", "1m", true);
        check_down("9h", "90m", true);
        check_down("9h", "91m", false);
    }

    #[test]
    fn what_a_delivery_says() {
        let verdict = |answer, dead| {
            let facts = ChannelFacts { answer, dead, status: None, note: "refused".to_owned() };
            of_channel(&facts, Language::En).verdict
        };
        assert_eq!(verdict(Answer::Sent, false), Verdict::Clear);
        assert_eq!(verdict(Answer::Retry, false), Verdict::Unknown);
        assert_eq!(verdict(Answer::Rejected, false), Verdict::Unknown);
        for (answer, dead) in [
            (Answer::Retry, true),
            (Answer::Rejected, true),
            (Answer::Misconfigured, false),
            (Answer::Gone, false),
        ] {
            assert_eq!(verdict(answer, dead), Verdict::Breach, "{answer:?}");
        }
        assert_eq!(of_storage(Some(("full", false)), Language::En).verdict, Verdict::Breach);
        assert_eq!(of_storage(None, Language::En).verdict, Verdict::Clear);
    }
}
