//! The words of own alerts: what happened to Seatwatch itself and what to do about it.
//!
//! Neighbours: `engine::own` decides and asks for the line, `message` prints it under a title from here. A part of
//! its own because these are instructions to an operator, not accounts of users.

use super::words::Words;
use super::{Language, clean};
use crate::engine::backoff::Answer;
use crate::engine::own::{ChannelFacts, Own};
use crate::engine::reading::{Fault, FaultClass};
use crate::engine::time::Span;

use Language::{En, ZhCn};

/// What an own alert is called; `subject` is sanitised.
pub(super) fn title(own: Own, subject: &str, language: Language) -> String {
    match (own, language) {
        (Own::SourceSilent, En) => format!("{subject} is silent"),
        (Own::SourceSilent, ZhCn) => format!("{subject} 无可用数据"),
        (Own::Credentials, En) => format!("{subject} is refused by the vendor"),
        (Own::Credentials, ZhCn) => format!("{subject} 的请求被云服务拒绝"),
        (Own::Clock, En) => format!("clock trouble seen at {subject}"),
        (Own::Clock, ZhCn) => format!("{subject} 发现时钟异常"),
        (Own::NameRefused, En) => format!("user names refused in {subject}"),
        (Own::NameRefused, ZhCn) => format!("{subject} 有用户名被拒绝"),
        (Own::UserAbsent, En) => format!("users missing in {subject}"),
        (Own::UserAbsent, ZhCn) => format!("{subject} 缺少名单中的用户"),
        (Own::Channel, En) => format!("{subject} does not deliver"),
        (Own::Channel, ZhCn) => format!("{subject} 无法投递"),
        (Own::Storage, En) => format!("{subject} cannot write its database"),
        (Own::Storage, ZhCn) => format!("{subject} 无法写入数据库"),
    }
}

/// What is the case once it has ended; `subject` is sanitised.
pub(super) fn over(own: Own, subject: &str, language: Language) -> String {
    match (own, language) {
        (Own::SourceSilent, En) => format!("{subject} answers again"),
        (Own::SourceSilent, ZhCn) => format!("{subject} 已恢复应答"),
        (Own::Credentials, En) => format!("{subject} is accepted by the vendor again"),
        (Own::Credentials, ZhCn) => format!("云服务已重新接受 {subject} 的请求"),
        (Own::Clock, En) => format!("the clock seen at {subject} is right again"),
        (Own::Clock, ZhCn) => format!("{subject} 的时钟已恢复正常"),
        (Own::NameRefused, En) => format!("no user name is refused in {subject} any more"),
        (Own::NameRefused, ZhCn) => format!("{subject} 不再有用户名被拒绝"),
        (Own::UserAbsent, En) => format!("no listed user is missing in {subject} any more"),
        (Own::UserAbsent, ZhCn) => format!("{subject} 不再缺少名单中的用户"),
        (Own::Channel, En) => format!("{subject} delivers again"),
        (Own::Channel, ZhCn) => format!("{subject} 已恢复投递"),
        (Own::Storage, En) => format!("{subject} can write its database again"),
        (Own::Storage, ZhCn) => format!("{subject} 已能写入数据库"),
    }
}

/// Code, message and what to do, once.
pub(in crate::engine) fn fault(fault: &Fault, language: Language) -> String {
    let (code, message) = (clean(&fault.code, 100), clean(&fault.message, 300));
    // What is known of the very code is there in English alone.
    let of_code = fault.advice.as_deref().filter(|_| language == En);
    let advice = of_code.map_or_else(|| advice(fault.class, language).to_owned(), |text| clean(text, 300));
    match language {
        En => format!("{code}: {}; {advice}", message.trim_end_matches('.')),
        ZhCn => format!("{code}：{}；{advice}", message.trim_end_matches(['.', '。'])),
    }
}

fn advice(class: FaultClass, language: Language) -> &'static str {
    let (en, zh) = match class {
        FaultClass::Transport => (
            "check the network, DNS and proxy between this host and the endpoint",
            "请检查本机到接入点之间的网络、DNS 和代理",
        ),
        FaultClass::Server => (
            "the vendor's side has trouble; it is tried again at every poll",
            "云服务端异常；每次查询都会重试",
        ),
        FaultClass::Throttled => {
            ("lower requests_per_second, or poll less often", "请调低 requests_per_second，或降低查询频率")
        }
        FaultClass::Clock => ("set this host's clock (NTP)", "请校准本机时钟（NTP）"),
        FaultClass::Request => (
            "check instance, region and endpoint of the source",
            "请检查该来源的 instance、region 和 endpoint",
        ),
        FaultClass::Account => (
            "check in the vendor's console that the account is in good standing and the product is open",
            "请在云控制台确认账号状态正常且已开通该产品",
        ),
        FaultClass::Permission => (
            "grant the key the right to smartag:DescribeUserOnlineClientStatistics",
            "请为该密钥授予 smartag:DescribeUserOnlineClientStatistics 权限",
        ),
        FaultClass::Credentials => (
            "check the access key of the account: it may be wrong, disabled or expired",
            "请检查该账号的访问密钥：可能有误、已停用或已过期",
        ),
    };
    match language {
        En => en,
        ZhCn => zh,
    }
}

pub(in crate::engine) fn silent(polls: u32, cause: Option<&Fault>, language: Language) -> String {
    let cause = cause.map(|cause| fault(cause, language));
    match (language, cause) {
        (En, Some(cause)) => format!("{polls} polls in a row brought nothing usable; the last: {cause}"),
        (En, None) => format!("{polls} polls in a row brought nothing usable; see the log"),
        (ZhCn, Some(cause)) => format!("连续 {polls} 次查询没有得到可用结果；最近一次：{cause}"),
        (ZhCn, None) => format!("连续 {polls} 次查询没有得到可用结果；请查看日志"),
    }
}

pub(in crate::engine) fn clock(
    skew: Option<Span>,
    jump: Option<Span>,
    refused: Option<&Fault>,
    language: Language,
) -> String {
    let words = Words { language, zone: chrono_tz::Tz::UTC };
    let size = |span: Span| words.span(Span::from_millis(span.millis().saturating_abs()));
    let mut parts = Vec::new();
    if let Some(skew) = skew {
        let (size, ahead) = (size(skew), skew < Span::ZERO);
        parts.push(match (language, ahead) {
            (En, true) => format!("this host's clock is {size} ahead of the vendor's"),
            (En, false) => format!("this host's clock is {size} behind the vendor's"),
            (ZhCn, true) => format!("本机时钟比云服务端快 {size}"),
            (ZhCn, false) => format!("本机时钟比云服务端慢 {size}"),
        });
    }
    if let Some(jump) = jump {
        let (size, forward) = (size(jump), jump > Span::ZERO);
        parts.push(match (language, forward) {
            (En, true) => format!("it jumped {size} forward since the poll before"),
            (En, false) => format!("it jumped {size} back since the poll before"),
            (ZhCn, true) => format!("自上次查询以来向前跳变了 {size}"),
            (ZhCn, false) => format!("自上次查询以来向后跳变了 {size}"),
        });
    }
    if let Some(refused) = refused {
        parts.push(format!("{}: {}", clean(&refused.code, 100), clean(&refused.message, 300)));
    }
    parts.push(advice(FaultClass::Clock, language).to_owned());
    parts.join(if language == En { "; " } else { "；" })
}

pub(in crate::engine) fn refused(users: usize, language: Language) -> String {
    match language {
        En => format!(
            "the vendor refuses {} as malformed; nobody is watched under such a name until the list is corrected (tried again daily)",
            if users == 1 { "1 user name".to_owned() } else { format!("{users} user names") }
        ),
        ZhCn => format!(
            "云服务端拒绝了 {users} 个格式不合法的用户名；在更正名单之前这些用户无人监视（每天重试一次）"
        ),
    }
}

pub(in crate::engine) fn absent(users: usize, language: Language) -> String {
    match language {
        En => format!(
            "{} missing from good replies, deleted or misspelt perhaps; correct the list or the instance",
            if users == 1 { "1 listed user is".to_owned() } else { format!("{users} listed users are") }
        ),
        ZhCn => format!("正常应答中缺少名单里的 {users} 个用户，可能已被删除或拼写有误；请更正名单或实例"),
    }
}

pub(in crate::engine) fn channel(facts: &ChannelFacts, language: Language) -> String {
    let status = facts.status.map(|status| format!("{status} ")).unwrap_or_default();
    let note = clean(&facts.note, 300);
    let (en, zh) = match facts.answer {
        Answer::Misconfigured => (
            "its settings are refused; tried again hourly; check address, login and TLS of the channel",
            "渠道配置被拒绝；每小时重试一次；请检查渠道的地址、登录信息和 TLS",
        ),
        Answer::Gone => (
            "the receiver is gone; the channel is disabled and its notifications wait; give it a new address, or, once it is back, `seatwatch outbox retry` one of them",
            "接收端已不存在；渠道已停用，通知保留等待；请更换地址，或在接收端恢复后对其中一条执行 `seatwatch outbox retry`",
        ),
        Answer::Sent | Answer::Retry | Answer::Rejected => (
            "a notification was given up; see `seatwatch outbox list --all`; it can be retried with the same id",
            "有一条通知已放弃投递；请查看 `seatwatch outbox list --all`；可用相同编号重试",
        ),
    };
    match language {
        En => format!("{status}{note}: {en}"),
        ZhCn => format!("{status}{note}：{zh}"),
    }
}

pub(in crate::engine) fn channel_down(facts: &ChannelFacts, language: Language) -> String {
    let status = facts.status.map(|status| format!("{status} ")).unwrap_or_default();
    let note = clean(&facts.note, 300);
    match language {
        En => format!(
            "{status}{note}: nothing could be delivered for 30 minutes; what waits is kept and tried again, at least hourly; see `seatwatch outbox list`"
        ),
        ZhCn => format!(
            "{status}{note}：30 分钟内未能投递任何通知；等待的通知均已保留，至少每小时重试一次；请查看 `seatwatch outbox list`"
        ),
    }
}

/// `damaged`: it does not pass by itself, and the agent ends.
pub(in crate::engine) fn storage(error: &str, damaged: bool, language: Language) -> String {
    let error = clean(error, if damaged { 500 } else { 300 });
    match language {
        En if damaged => format!(
            "{error}, and start Seatwatch again; it stops now and writes nothing more, and until then nobody is watched"
        ),
        ZhCn if damaged => {
            format!(
                "{error}；Seatwatch 即将停止，不再写入；请按上述步骤用备份替换数据库后重新启动，在此之前无人监视"
            )
        }
        En => format!(
            "{error}; check disk space and permissions; until then nothing new is kept and no other alert can be told"
        ),
        ZhCn => format!("{error}；请检查磁盘空间和权限；恢复之前无法保存新数据，也无法发送其他告警"),
    }
}
