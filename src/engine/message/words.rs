//! Single words and phrases in each language, and how times, lengths and subjects are put.
//!
//! Neighbours: `headline` makes sentences of them, `facts` names and values. A part of its own so that both
//! languages stand side by side, and neither can be forgotten.

use chrono::{DateTime, Timelike as _};
use chrono_tz::Tz;

use super::{Language, clean};
use crate::engine::event::{
    EndReason, Event, EventKind, EventReading, Finding, Limit, Severity, SubjectKind,
};
use crate::engine::reading::Kind;
use crate::engine::time::{Span, Time};
use crate::engine::zone::offset_name;

/// The longest name in a message; longer ones are cut.
pub(super) const NAME: usize = 256;
/// The longest foreign sentence (a note, a fault).
pub(super) const SENTENCE: usize = 1000;

/// A language and the zone that local times are given in.
#[derive(Clone, Copy)]
pub(super) struct Words {
    pub(super) language: Language,
    pub(super) zone: Tz,
}

impl Words {
    /// The one of the two that is spoken.
    pub(super) fn say(self, en: &'static str, zh: &'static str) -> &'static str {
        match self.language {
            Language::En => en,
            Language::ZhCn => zh,
        }
    }

    fn local(self, at: Time) -> DateTime<Tz> {
        at.to_utc().with_timezone(&self.zone)
    }

    /// An instant in full, local and UTC: `2026-11-22 11:05:00 (03:05:00 UTC)`. Whoever uses it names the zone.
    pub(super) fn instant(self, at: Time) -> String {
        let (local, utc) = (self.local(at), at.to_utc());
        let text = local.format("%Y-%m-%d %H:%M:%S");
        if self.zone == Tz::UTC {
            return format!("{text} UTC");
        }
        let same = local.date_naive() == utc.date_naive();
        let utc = utc.format(if same { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" });
        format!("{text} ({utc} UTC)")
    }

    /// An instant in a sentence: local time, the date only where it is not that of `beside`, no empty seconds.
    pub(super) fn clock(self, at: Time, beside: Time) -> String {
        let (local, beside) = (self.local(at), self.local(beside));
        let time = local.format(if local.second() == 0 { "%H:%M" } else { "%H:%M:%S" });
        let date = local.date_naive();
        if date == beside.date_naive() { time.to_string() } else { format!("{date} {time}") }
    }

    /// How far local time is from UTC then: `UTC+8`.
    pub(super) fn offset(self, at: Time) -> String {
        offset_name(self.zone, at)
    }

    /// The zone that local times are in, and what it is at `at`: `Asia/Shanghai (UTC+8)`.
    pub(super) fn zone_name(self, at: Time) -> String {
        if self.zone == Tz::UTC { "UTC".to_owned() } else { format!("{} ({})", self.zone, self.offset(at)) }
    }

    /// A column of local times: without the date where it is the same for all, which is then returned; without
    /// seconds where all have none.
    pub(super) fn column(self, times: &[Time]) -> (Option<String>, Vec<String>) {
        let local: Vec<DateTime<Tz>> = times.iter().map(|at| self.local(*at)).collect();
        let date = local.first().map(DateTime::date_naive);
        let date = date.filter(|date| local.iter().all(|at| at.date_naive() == *date));
        let whole = local.iter().all(|at| at.second() == 0);
        let format = match (date.is_some(), whole) {
            (true, true) => "%H:%M",
            (true, false) => "%H:%M:%S",
            (false, true) => "%Y-%m-%d %H:%M",
            (false, false) => "%Y-%m-%d %H:%M:%S",
        };
        (date.map(|date| date.to_string()), local.iter().map(|at| at.format(format).to_string()).collect())
    }

    /// A column of UTC beside one of local times: the date where it is another day's; without seconds where all have
    /// none.
    pub(super) fn utc_beside(self, times: &[Time]) -> Vec<String> {
        let whole = times.iter().all(|at| at.to_utc().second() == 0);
        let one = |at: &Time| {
            let utc = at.to_utc();
            let same = utc.date_naive() == self.local(*at).date_naive();
            utc.format(match (same, whole) {
                (true, true) => "%H:%M",
                (true, false) => "%H:%M:%S",
                (false, true) => "%m-%d %H:%M",
                (false, false) => "%m-%d %H:%M:%S",
            })
            .to_string()
        };
        times.iter().map(one).collect()
    }

    /// The two largest units: `1 h 20 min`, `45 s`.
    pub(super) fn span(self, span: Span) -> String {
        let units = [("d", "天", 86_400), ("h", "小时", 3600), ("min", "分钟", 60), ("s", "秒", 1)];
        let mut rest = span.millis().max(0) / 1000;
        let mut parts = Vec::new();
        for (en, zh, seconds) in units {
            let count = rest / seconds;
            rest %= seconds;
            if count > 0 {
                parts.push(format!("{count} {}", self.say(en, zh)));
            }
        }
        parts.truncate(2);
        if parts.is_empty() { format!("0 {}", self.say("s", "秒")) } else { parts.join(" ") }
    }

    pub(super) fn severity(self, severity: Severity) -> &'static str {
        match severity {
            Severity::Info => self.say("info", "提示"),
            Severity::Low => self.say("low", "低"),
            Severity::Medium => self.say("medium", "中"),
            Severity::High => self.say("high", "高"),
            Severity::Critical => self.say("critical", "严重"),
        }
    }

    pub(super) fn reason(self, reason: EndReason) -> &'static str {
        match reason {
            EndReason::Cleared => self.say("the condition cleared", "条件已解除"),
            EndReason::LeftScope => self.say("no longer covered by the rule", "已不在规则适用范围内"),
            EndReason::RuleRemoved => self.say("the rule was removed", "规则已删除"),
            EndReason::Closed => self.say("closed by an operator", "由值班人员关闭"),
            EndReason::WindowEnded => self.say("the rule's hours are over", "规则生效时段已结束"),
        }
    }

    pub(super) fn finding(self, finding: Finding) -> &'static str {
        match finding {
            Finding::ConfirmedSharing => self.say("sharing confirmed", "确认共用账号"),
            Finding::MultiDevice => self.say("one person, several devices", "一人多台设备"),
            Finding::SharedByPolicy => self.say("shared by policy", "制度允许共用"),
            Finding::Compromised => self.say("account compromised", "账号被盗用"),
            Finding::DataError => self.say("error in the data", "数据有误"),
            Finding::Unsure => self.say("unsure", "无法确定"),
        }
    }

    pub(super) fn happened(self, kind: EventKind) -> &'static str {
        match kind {
            EventKind::Fired => self.say("Fired", "触发"),
            EventKind::Reminded => self.say("Reminder", "提醒"),
            EventKind::Escalated => self.say("Escalated", "升级"),
            EventKind::Changed => self.say("Changed", "规则变更"),
            EventKind::Acked => self.say("Acknowledged", "已确认"),
            EventKind::Closed => self.say("Closed", "已关闭"),
            EventKind::Ended => self.say("Ended", "已结束"),
        }
    }

    pub(super) fn fired_and_ended(self) -> &'static str {
        self.say("Fired and ended", "触发并已结束")
    }

    /// Who set a limit: `the rule`, `group contractors`, `the exception for kiosk`.
    pub(super) fn origin(self, limit: &Limit) -> String {
        let origin = &limit.origin;
        if let Some(group) = origin.strip_prefix("group:") {
            return match self.language {
                Language::En => format!("group {}", clean(group, NAME)),
                // Between Latin letters and what follows.
                Language::ZhCn => format!("分组 {} ", clean(group, NAME)),
            };
        }
        if let Some(user) = origin.strip_prefix("exception:") {
            return match self.language {
                Language::En => format!("the exception for {}", clean(user, NAME)),
                Language::ZhCn => format!("{} 的例外", clean(user, NAME)),
            };
        }
        self.say("the rule", "规则").to_owned()
    }

    /// A reading in a table: a number, or why there is none. Nobody asks for a total: it is missing where members are.
    pub(super) fn reading(self, reading: &EventReading, of: SubjectKind) -> String {
        match reading.reading.kind() {
            Kind::Failed if of != SubjectKind::User => {
                self.say("no total (members without a reading)", "无合计（有成员无读数）").to_owned()
            }
            Kind::Online(online) => online.to_string(),
            Kind::Absent => self.say("absent from a good reply", "应答中无此用户").to_owned(),
            Kind::Failed => self.say("not known (request failed)", "未知（请求失败）").to_owned(),
            Kind::NotPolled => self.say("not polled", "未查询").to_owned(),
        }
    }

    /// A number of clients, or that it is not known.
    pub(super) fn count(self, value: Option<u32>) -> String {
        value.map_or_else(|| self.say("not known", "未知").to_owned(), |value| value.to_string())
    }

    /// Whom an event is about, with the source it belongs to.
    pub(super) fn subject(self, event: &Event) -> String {
        let name = clean(&event.subject.name, NAME);
        let source = event.source.as_deref().map(|source| clean(source, NAME));
        match (event.subject.kind, source) {
            (SubjectKind::User, Some(source)) => format!("{source}/{name}"),
            (SubjectKind::User, None) => name,
            (SubjectKind::Group, Some(source)) => match self.language {
                Language::En => format!("group {name} in {source}"),
                Language::ZhCn => format!("{source} 的分组 {name}"),
            },
            (SubjectKind::Group, None) => format!("{} {name}", self.say("group", "分组")),
            (SubjectKind::Source, _) => format!("{} {name}", self.say("source", "来源")),
            (SubjectKind::Channel, _) => format!("{} {name}", self.say("channel", "渠道")),
            (SubjectKind::Agent, _) => "Seatwatch".to_owned(),
        }
    }

    /// Whom an event is about, as the name of a fact.
    pub(super) fn subject_kind(self, kind: SubjectKind) -> &'static str {
        match kind {
            SubjectKind::User => self.say("User", "用户"),
            SubjectKind::Group => self.say("Group", "分组"),
            SubjectKind::Source => self.say("Source", "来源"),
            SubjectKind::Channel => self.say("Channel", "渠道"),
            SubjectKind::Agent => self.say("Program", "程序"),
        }
    }

    /// Between two sentences.
    pub(super) fn gap(self) -> &'static str {
        self.say(" ", "")
    }
}
