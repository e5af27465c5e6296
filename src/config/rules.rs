//! One `[[rule]]`: its condition compiled, its words turned into policy, its version computed.
//!
//! Neighbours: `engine::lang` compiles conditions (its places are mapped into the file here), `scope` checks whom
//! a rule reaches. A part of its own because each table of the file has one file here.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::defaults::Defaults;
use super::fleet::globs;
use super::names::Names;
use super::section::Section;
use crate::engine::calendar::Calendar;
use crate::engine::lang::{self, Program};
use crate::engine::rule::{Mode, Per, Policy, Rule, Scope};
use crate::engine::shared::Shared;

/// Names beginning so are the agent's own.
const RESERVED: &str = "agent/";

const PERS: [(&str, Per); 3] = [("user", Per::User), ("group", Per::Group), ("source", Per::Source)];

/// What rules refer to.
#[derive(Debug)]
pub(super) struct Known<'n> {
    pub(super) channels: &'n Names,
    pub(super) groups: &'n Names,
    pub(super) sources: &'n Names,
    pub(super) calendar_names: &'n Names,
    pub(super) calendars: &'n BTreeMap<String, Arc<Calendar>>,
    /// For rules that name no channel.
    pub(super) notify: &'n [String],
}

/// Reads one rule; None if it cannot run.
pub(super) fn read(section: &mut Section<'_>, known: &Known<'_>, defaults: &Defaults) -> Option<Rule> {
    let name = section.label("name").filter(|name| !reserved(section, name));
    let per = section.choice("per", &PERS).unwrap_or_default();
    let when =
        section.has("when").then(|| condition(section, "when", per)).or_else(|| section.missing("when"));
    let clear = section.has("clear_when").then(|| condition(section, "clear_when", per));
    let own = Defaults::read(section, known.channels).or(defaults);
    let silent = own.notify.is_none();
    let notify = own.notify.unwrap_or_else(|| known.notify.to_vec());
    let mode = own.mode.unwrap_or_default();
    let during = during(section, known);
    let evidence_clients = section.choice("evidence", &[("clients", true)]).unwrap_or_default();
    if evidence_clients && per != Per::User {
        let hint = "leave it out, or write a rule about users";
        section.error_at(
            "evidence",
            "connections are listed for users, not for groups or sources",
            Some(hint),
        );
    }
    let scope = scope(section, known);
    let silent = silent && !section.misspelt("notify") && known.channels.is_whole();
    if mode == Mode::Live && notify.is_empty() && silent && !section.notes.refused("agent") {
        let place = section.own_place();
        let hint = "name channels in notify, here or in [agent]";
        section.notes.warning(section.text, &place, "tells nobody", Some(hint));
    }
    let (when_text, when) = when??;
    let (clear_when_text, clear_when) = optional(clear)?;
    let policy =
        Policy { hold: own.hold.unwrap_or_default(), clear_hold: own.clear_hold.unwrap_or_default() };
    let mut rule = Rule {
        name: name?,
        version: String::new(),
        per,
        when_text,
        clear_when_text,
        when,
        clear_when,
        limit: own.limit,
        policy,
        severity: own.severity.unwrap_or_default(),
        notify: notify.into(),
        repeat: own.repeat,
        max_gap: own.max_gap,
        absent: own.absent.unwrap_or_default(),
        during,
        on_leave: own.on_leave.unwrap_or_default(),
        mode,
        evidence_clients,
        scope,
    };
    rule.version = version(&rule);
    Some(rule)
}

/// The rule with what `section` says otherwise: all but its name and what it judges.
pub(super) fn amend(section: &mut Section<'_>, rule: &Rule, known: &Known<'_>) -> Option<Rule> {
    let when = section.has("when").then(|| condition(section, "when", rule.per));
    let clear = section.has("clear_when").then(|| condition(section, "clear_when", rule.per));
    let own = Defaults::read(section, known.channels);
    let during = during(section, known);
    let scope = scope(section, known);
    let (when_text, when) = match when {
        Some(condition) => condition?,
        None => (rule.when_text.clone(), rule.when.clone()),
    };
    let (clear_when_text, clear_when) = match clear {
        Some(condition) => optional(Some(condition))?,
        None => (rule.clear_when_text.clone(), rule.clear_when.clone()),
    };
    let list = |given: bool, new, old| if given { new } else { old };
    let old = rule.scope.clone();
    let scope = Scope {
        users: list(section.has("users"), scope.users, old.users),
        except: list(section.has("except"), scope.except, old.except),
        groups: if section.has("groups") { scope.groups } else { old.groups },
        sources: if section.has("sources") { scope.sources } else { old.sources },
    };
    let mut amended = Rule {
        when_text,
        when,
        clear_when_text,
        clear_when,
        limit: own.limit.or(rule.limit),
        policy: Policy {
            hold: own.hold.unwrap_or(rule.policy.hold),
            clear_hold: own.clear_hold.unwrap_or(rule.policy.clear_hold),
        },
        severity: own.severity.unwrap_or(rule.severity),
        notify: own.notify.map_or_else(|| rule.notify.clone(), Shared::from),
        repeat: own.repeat.or(rule.repeat),
        max_gap: own.max_gap.or(rule.max_gap),
        absent: own.absent.unwrap_or(rule.absent),
        during: during.or_else(|| rule.during.clone()),
        on_leave: own.on_leave.unwrap_or(rule.on_leave),
        mode: own.mode.unwrap_or(rule.mode),
        scope,
        ..rule.clone()
    };
    amended.version = version(&amended);
    Some(amended)
}

fn reserved(section: &Section<'_>, name: &str) -> bool {
    let reserved = name.to_lowercase().starts_with(RESERVED);
    if reserved {
        section.error_at(
            "name",
            "names beginning with agent/ are reserved for own alerts",
            Some("choose another"),
        );
    }
    reserved
}

/// A condition that was written, if it could be compiled.
type Condition = Option<(String, Program)>;

/// Not written is fine; written and wrong is None.
fn optional(clear: Option<Condition>) -> Option<(Option<String>, Option<Program>)> {
    match clear {
        None => Some((None, None)),
        Some(condition) => condition.map(|(text, program)| (Some(text), Some(program))),
    }
}

fn condition(section: &mut Section<'_>, key: &'static str, per: Per) -> Condition {
    let text = section.string(key)?;
    match lang::compile(&text, per) {
        Ok(program) => Some((text, program)),
        // Of what it would be, the key says that is misspelt.
        Err(_)
            if section.misspelt("per") && PERS.iter().any(|(_, per)| lang::compile(&text, *per).is_ok()) =>
        {
            None
        }
        Err(errors) => {
            for error in errors {
                let place = section.place_within(key, error.span);
                section.notes.error(section.text, &place, error.message, error.hint.as_deref());
            }
            None
        }
    }
}

fn during(section: &mut Section<'_>, known: &Known<'_>) -> Option<Arc<Calendar>> {
    let name = section.spanned_string("during")?;
    known.calendar_names.check(section, "during", name.span(), name.get_ref());
    known.calendars.get(name.get_ref()).cloned()
}

fn scope(section: &mut Section<'_>, known: &Known<'_>) -> Scope {
    let users = section.strings("users");
    let users = globs(section, "users", users);
    let groups = section.strings("groups");
    let groups = known.groups.check_all(section, "groups", groups);
    let sources = section.strings("sources");
    let sources = known.sources.check_all(section, "sources", sources);
    let except = section.strings("except");
    let except = globs(section, "except", except);
    for key in ["users", "groups", "sources"] {
        if section.is_empty_list(key) {
            section.error_at(
                key,
                "is an empty list, which matches nobody",
                Some("leave it out to mean everyone"),
            );
        }
    }
    Scope { users, groups, sources, except }
}

/// A hash of what the rule does, however the file is laid out.
pub(super) fn version(rule: &Rule) -> String {
    let globs = |list: &[globset::GlobMatcher]| sorted(list.iter().map(|glob| glob.glob().to_string()));
    let clear = rule.clear_when.as_ref().map(Program::canonical);
    let form = format!(
        "{:?}",
        (
            (&rule.name, rule.per, rule.when.canonical(), clear, rule.limit, rule.policy),
            (rule.severity, sorted(rule.notify.iter().cloned()), rule.repeat, rule.max_gap, rule.absent),
            (rule.during.as_ref().map(|calendar| calendar.canonical()), rule.on_leave, rule.mode),
            (rule.evidence_clients, globs(&rule.scope.users), globs(&rule.scope.except)),
            (sorted(rule.scope.groups.iter().cloned()), sorted(rule.scope.sources.iter().cloned())),
        )
    );
    let hash = Sha256::digest(form.as_bytes());
    data_encoding::HEXLOWER.encode(&hash[..6])
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names
}
