//! Single words and phrases in each language, and how times, lengths and subjects are put.
//!
//! Neighbours: `headline` makes sentences of them, `facts` names and values. A part of its own so that both
//! languages stand side by side, and neither can be forgotten.

use chrono_tz::Tz;

use super::{Language, clean};
use crate::engine::event::{
    EndReason, Event, EventKind, EventReading, Finding, Limit, Severity, SubjectKind,
};
use crate::engine::time::{Span, Time};

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

    /// Local time with its zone's name, and UTC beside it.
    pub(super) fn time(self, at: Time) -> String {
        let local = at.to_utc().with_timezone(&self.zone).format("%Y-%m-%d %H:%M:%S");
        if self.zone == Tz::UTC { format!("{local} UTC") } else { format!("{local} {} ({at})", self.zone) }
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
            EndReason::LeftScope => self.say("no longer covered by the rule", "已不在规则范围内"),
            EndReason::RuleRemoved => self.say("the rule was removed", "规则已删除"),
            EndReason::Closed => self.say("closed by an operator", "由操作人员关闭"),
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
            EventKind::Changed => self.say("Changed", "变更"),
            EventKind::Acked => self.say("Acknowledged", "已确认"),
            EventKind::Closed => self.say("Closed", "已关闭"),
            EventKind::Ended => self.say("Ended", "结束"),
        }
    }

    pub(super) fn fired_and_ended(self) -> &'static str {
        self.say("Fired and ended", "触发后已结束")
    }

    /// Who a limit comes from.
    pub(super) fn origin(self, limit: &Limit) -> String {
        let origin = &limit.origin;
        if let Some(group) = origin.strip_prefix("group:") {
            return format!("{} {}", self.say("limit of group", "分组限额"), clean(group, NAME));
        }
        if let Some(user) = origin.strip_prefix("exception:") {
            return format!("{} {}", self.say("exception for", "例外"), clean(user, NAME));
        }
        self.say("limit of the rule", "规则限额").to_owned()
    }

    /// A reading in a table: a number, or why there is none.
    pub(super) fn reading(self, reading: &EventReading) -> String {
        if let Some(online) = reading.online {
            return online.to_string();
        }
        match reading.reading.as_str() {
            "absent" => self.say("absent from a good reply", "正常应答中无此用户").to_owned(),
            "failed" => self.say("not known (request failed)", "未知（请求失败）").to_owned(),
            "not-polled" => self.say("not polled", "未查询").to_owned(),
            other => clean(other, NAME),
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
            (SubjectKind::Channel, _) => format!("{} {name}", self.say("channel", "通道")),
            (SubjectKind::Agent, _) => "Seatwatch".to_owned(),
        }
    }

    /// Between two sentences.
    pub(super) fn gap(self) -> &'static str {
        self.say(" ", "")
    }
}
