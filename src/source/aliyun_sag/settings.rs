//! A `[[source]]` of kind `aliyun-sag`, as the rules file has it.
//!
//! Neighbours: `config` settles what needs the rest of the file: the account's name, the schedule's zone, the lists
//! of users. A part of its own because every key of a source is read, checked and explained in one place.

use std::path::PathBuf;

use crate::aliyun::endpoint::{self, Endpoint};
use crate::aliyun::request::Signature;
use crate::aliyun::transport::Options;
use crate::config::section::Spanned;
use crate::config::{Form, Section};
use crate::engine::time::Span;

#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    pub name: String,
    /// None: the only account of the file, or the default chain.
    pub account: Option<Spanned<String>>,
    pub region: String,
    /// `SmartAGId`
    pub instance: String,
    /// Crontab text.
    pub schedule: Spanned<String>,
    /// An IANA zone; None: the agent's.
    pub timezone: Option<Spanned<String>>,
    pub users: Vec<Spanned<String>>,
    pub users_file: Option<PathBuf>,
    /// How old the instance's own list of users may get; None: it is not asked for.
    pub roster: Option<Span>,
    pub endpoint: Endpoint,
    pub signature: Signature,
    /// None: 80 % of the schedule's interval.
    pub budget: Option<Span>,
    pub connect_timeout: Span,
    pub timeout: Span,
    pub ca_file: Option<PathBuf>,
}

impl Settings {
    pub fn read(section: &mut Section<'_>) -> Option<Self> {
        let name = section.name("name");
        let account = section.spanned_string("account");
        let endpoint = read_endpoint(section);
        let region = section.required_string("region");
        let instance = section.required_string("instance");
        section.form("schedule", Form::Crontab);
        let schedule = section.spanned_string("schedule");
        if !section.has("schedule") {
            section.missing::<()>("schedule");
        }
        let timezone = section.spanned_string("timezone");
        let users = section.strings("users");
        let users_file = section.path("users_file");
        let roster = read_roster(section);
        let none = !section.has("users") && !section.has("users_file") && roster.is_none();
        if none && !section.misspelt("users_file") && !section.misspelt("roster") {
            let hint =
                "add users = [\"…\"], users_file = \"users.txt\" with one name a line, or roster = true";
            section.lacks::<()>("users", hint);
        }
        let signature = section.choice("signature", &[("v3", Signature::V3), ("v1", Signature::V1)]);
        let budget = section.duration_in("budget", Span::from_secs(1)..=Span::from_days(1));
        let bounds = Span::from_millis(100)..=Span::from_mins(5);
        let connect_timeout = section.duration_in("connect_timeout", bounds.clone());
        let timeout = section.duration_in("timeout", bounds);
        let ca_file = section.path("ca_file");
        Some(Self {
            name: name?,
            account,
            region: region?,
            instance: instance?,
            schedule: schedule?,
            timezone,
            users,
            users_file,
            roster,
            endpoint: endpoint?,
            signature: signature.unwrap_or_default(),
            budget,
            connect_timeout: connect_timeout.unwrap_or(Span::from_secs(5)),
            timeout: timeout.unwrap_or(Span::from_secs(15)),
            ca_file,
        })
    }

    /// How requests are sent.
    pub fn options(&self) -> Options {
        Options {
            connect_timeout: self.connect_timeout.to_std(),
            timeout: self.timeout.to_std(),
            ca_file: self.ca_file.clone(),
            ..Options::default()
        }
    }
}

/// `roster`, and how often it is asked for.
fn read_roster(section: &mut Section<'_>) -> Option<Span> {
    let wanted = section.boolean("roster").unwrap_or_default();
    let refresh = section.duration_in("roster_refresh", Span::from_mins(1)..=Span::from_days(7));
    if !wanted && section.has("roster_refresh") {
        section.warning_at("roster_refresh", "does nothing without roster = true", None);
    }
    wanted.then(|| refresh.unwrap_or(Span::from_hours(1)))
}

/// The endpoint given, or the region's. A region that is not known needs an endpoint of its own.
fn read_endpoint(section: &mut Section<'_>) -> Option<Endpoint> {
    let region = section.string("region");
    let given = section.has("endpoint");
    let known = region.as_deref().map(endpoint::known);
    if let Some(note) = known.flatten().and_then(|region| region.note) {
        section.warning_at("region", note, None);
    }
    if given && known == Some(None) {
        let message = "is none of the regions that are known; it is signed and sent as it stands";
        section.warning_at(
            "region",
            message,
            Some("right for a new region; else compare it with the endpoint"),
        );
    }
    let (key, found) = match (section.string("endpoint"), region) {
        (Some(url), _) => ("endpoint", Endpoint::parse(&url)),
        (None, Some(region)) if !given => ("region", Endpoint::of_region(&region)),
        (None, _) => return None,
    };
    match found {
        Ok(endpoint) => Some(endpoint),
        Err(error) => {
            section.error_at(key, &error.message, Some(&error.hint));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::walk;
    use crate::source;

    const WHOLE: &str = "name='shanghai'\nkind='aliyun-sag'\naccount='main'\nregion='cn-shanghai'\n\
        instance='sag-abc123'\nschedule='*/5 * * * *'\nusers=['alice','bob']\n";

    #[track_caller]
    fn check(text: &str, expect: &[&str]) {
        let (settings, problems) = walk("rules.toml", text, Path::new("/etc"), |mut section| {
            let settings = source::Settings::read(&mut section);
            section.finish();
            settings
        });
        let all = format!("{:?} {problems:?}", settings.flatten());
        for expect in expect {
            assert!(all.contains(expect), "no {expect:?} in {all}");
        }
    }

    #[test]
    fn every_key_is_read() {
        check(
            WHOLE,
            &["scheme: \"https\", authority: \"smartag.cn-shanghai.aliyuncs.com\"", "signature: V3"],
        );
        let more = "timezone='Asia/Shanghai'\nusers_file='users.txt'\nendpoint='http://127.0.0.1:18080'\n\
            roster=true\nroster_refresh='30m'\nsignature='v1'\nbudget='30s'\nconnect_timeout='2s'\ntimeout='4s'\nca_file='ca.pem'\n";
        let expect = [
            "authority: \"127.0.0.1:18080\"",
            "signature: V1",
            "budget: Some(Span(30000))",
            "roster: Some(Span(1800000))",
            "connect_timeout: Span(2000), timeout: Span(4000)",
            "ca_file: Some(\"/etc/ca.pem\")",
            "users_file: Some(\"/etc/users.txt\")",
        ];
        check(&format!("{WHOLE}{more}"), &expect);
    }

    #[test]
    fn a_roster_can_stand_alone() {
        let whole = WHOLE.replace("users=['alice','bob']", "roster=true");
        check(&whole, &["users: [], users_file: None, roster: Some(Span(3600000))", "[]"]);
        check(&whole.replace("true", "false"), &["\"users\"", "roster = true"]);
        check(&format!("{WHOLE}roster_refresh='2h'"), &["roster: None", "without roster = true"]);
        check(&format!("{whole}roster_refresh='1s'"), &["roster_refresh"]);
    }

    #[test]
    fn mistakes_are_told_together_and_with_a_way_out() {
        let nothing = ["\"kind\"", "\"name\"", "\"region\"", "\"instance\"", "\"schedule\"", "users_file = "];
        check("", &nothing);
        check(
            &WHOLE.replace("cn-shanghai", "cn-shangai"),
            &["unknown region", "did you mean \\\"cn-shanghai\\\""],
        );
        let new = WHOLE.replace("cn-shanghai", "mars-1");
        check(
            &format!("{new}endpoint='https://smartag.mars-1.aliyuncs.com'"),
            &["region: \"mars-1\"", "none of the regions"],
        );
        check(&format!("{WHOLE}endpoint='http://example.com'"), &["loopback", "use https"]);
        check(&WHOLE.replace("cn-shanghai", "ap-southeast-2"), &["closed", "region: \"ap-southeast-2\""]);
        check(&format!("{WHOLE}signature='v4'"), &["is not a value of signature"]);
        check(&WHOLE.replace("aliyun-sag", "aliyun-sgg"), &["aliyun-sag"]);
        check(&format!("{WHOLE}ruster=true"), &["unknown key"]);
    }
}
