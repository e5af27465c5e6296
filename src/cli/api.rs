//! `seatwatch api`: signs one action of the vendor's API, calls it, and shows both sides of the exchange.
//!
//! Neighbours: `aliyun` signs and sends as it does for a source. A part of its own because it is how a refusal is
//! looked into: it needs no database, and with `--dry-run` no network and no keys.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::busy::Busy;
use super::{Common, Exit, Failure, open, pick, poll, print};
use crate::agent::clock;
use crate::aliyun::credentials::{Credentials, Provider};
use crate::aliyun::request::{Prepared, Shown};
use crate::aliyun::sign::Pairs;
use crate::aliyun::transport::Answer;
use crate::aliyun::{Account, Deadline, account, codes, wire};
use crate::config::{Config, Source};
use crate::engine::message::clean;
use crate::engine::reading::Fault;
use crate::engine::time::Span;
use crate::secret::{Secret, SecretRef};
use crate::source::Settings;
use crate::source::aliyun_sag::AliyunSag;

/// How long one call may take, its turn included.
const PATIENCE: Duration = Duration::from_secs(60);
/// The most characters of a line of a reply.
const WIDEST_LINE: usize = 20_000;

/// Parameters that belong to the signature.
const OURS: [&str; 10] = [
    "Action",
    "Version",
    "Format",
    "AccessKeyId",
    "SignatureMethod",
    "SignatureVersion",
    "SignatureNonce",
    "Timestamp",
    "SecurityToken",
    "Signature",
];

const MORE: &str = "Shows the request (method, URL, headers, body, what was signed, the same as curl) and the reply as it \
                    came. Keys, tokens and signatures are shown as ***. RegionId and SmartAGId are those of the source \
                    unless given. A dry run needs neither network nor keys: if one of the account's keys is out of \
                    reach, made-up ones sign, and a note says so. Exit code 1 if the call failed or was refused.";

#[derive(clap::Args, Debug)]
#[command(after_help = MORE)]
pub(super) struct Args {
    /// The action, such as `DescribeUserOnlineClientStatistics`
    #[arg(value_name = "ACTION", value_parser = action)]
    action: String,
    /// A parameter, such as UserNames.1=alice; may be given several times
    #[arg(long = "param", value_name = "K=V", value_parser = param)]
    params: Vec<(String, String)>,
    /// Sign and show; send nothing
    #[arg(long)]
    dry_run: bool,
    /// Let an action through that is not a Describe…, Get…, List… or View…
    #[arg(long)]
    write: bool,
    /// Whose endpoint, account and instance; may be left out when there is one source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Exchange<'a> {
    action: &'a str,
    /// Which place gave the keys, with the id shortened.
    keys: &'a str,
    request: Request,
    /// Null where there was none.
    reply: Option<Reply>,
    error: Option<Trouble>,
    note: Option<String>,
}

#[derive(Serialize)]
struct Request {
    method: String,
    url: String,
    headers: BTreeMap<String, String>,
    body: String,
    canonical: String,
    string_to_sign: String,
    curl: String,
}

#[derive(Serialize)]
struct Reply {
    status: u16,
    headers: BTreeMap<String, String>,
    /// JSON as JSON, anything else as text.
    body: Value,
}

#[derive(Serialize)]
struct Trouble {
    code: String,
    message: String,
}

fn action(text: &str) -> Result<String, String> {
    let fine = text.len() <= 100 && text.starts_with(|c: char| c.is_ascii_alphabetic());
    if fine && text.bytes().all(|c| c.is_ascii_alphanumeric()) {
        return Ok(text.to_owned());
    }
    Err("an action is one word of letters and digits".to_owned())
}

fn param(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, _)) if OURS.contains(&name) => {
            Err(format!("{name} is set when the request is signed; leave it out"))
        }
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err("write it as NAME=VALUE, as in UserNames.1=alice".to_owned()),
    }
}

/// How the vendor's actions begin that change nothing; one of them is misspelt.
const READS: [&str; 5] = ["Describe", "Discribe", "Get", "List", "View"];

/// An action whose name says that it changes nothing.
fn reads(action: &str) -> bool {
    let rest = READS.iter().find_map(|verb| action.strip_prefix(verb));
    rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
}

pub(super) fn run(common: &Common, args: &Args) -> Result<Exit, Failure> {
    let config = open::config(common)?;
    if !reads(&args.action) && !args.write && !args.dry_run {
        let action = &args.action;
        let message =
            format!("{action} may change something: add --write if that is meant, or --dry-run to look");
        return Err(Failure::usage(message));
    }
    let source = pick::source(&config, args.source.as_deref())?;
    let Signer { source: opened, keys, origin, note } = signer(&config, source, args.dry_run)?;
    let params = params(&opened, &args.params)?;
    let request = opened.client().prepare(&args.action, &params, clock::now(), &keys);
    let answer = if args.dry_run {
        None
    } else {
        let busy = Busy::with(format!("calling {}", args.action));
        let answer = open::block_on(async { Ok(opened.client().execute(&request, PATIENCE).await) });
        drop(busy);
        Some(answer?)
    };
    let error = answer.as_ref().and_then(|answer| trouble(&request, answer));
    let reply = answer.and_then(Result::ok).map(|answer| reply(&request, &answer));
    let exit = if error.is_some() { Exit::Problem } else { Exit::Fine };
    let request = shown(request.shown());
    let exchange = Exchange { action: &args.action, keys: &origin, request, reply, error, note };
    if common.json {
        print::json(&exchange)?;
    } else {
        print::raw(text(&exchange).as_bytes());
    }
    Ok(exit)
}

/// What a request is signed for and with.
struct Signer {
    source: AliyunSag,
    keys: Credentials,
    origin: String,
    note: Option<String>,
}

/// The source with its account's keys. A dry run asks nobody: made-up keys sign in the place of those that are not
/// on this machine.
fn signer(config: &Config, source: &Source, dry_run: bool) -> Result<Signer, Failure> {
    let name = source.account.as_deref();
    let found = config.accounts.iter().find(|account| Some(account.name.as_str()) == name);
    let settings = found.cloned().unwrap_or_else(account::Settings::of_chain);
    let account = match Account::open(&settings) {
        Ok(account) => account,
        Err(error) if dry_run => return made_up(source, settings, &error.to_string()),
        Err(error) => return Err(poll::refused(config, anyhow::Error::from(error))),
    };
    let held = match account.at_hand() {
        Some(held) => held,
        None if dry_run => return made_up(source, settings, &account.origin()),
        None => {
            let deadline = Deadline::new(clock::now(), Span::from_std(PATIENCE));
            let held = open::block_on(async { Ok(account.keys(&deadline).await) })?;
            held.map_err(|fault| {
                Failure::Other(anyhow::anyhow!("account {}: {}", settings.name, fault.told()))
            })?
        }
    };
    let (keys, origin) = (held.keys.clone(), held.origin.clone());
    Ok(Signer { source: sag(source, account)?, keys, origin, note: None })
}

fn made_up(source: &Source, settings: account::Settings, why: &str) -> Result<Signer, Failure> {
    let plain = |text: &str| SecretRef::Plain(Secret::new(text));
    let (id, secret) = ("EXAMPLE-KEY-ID", "EXAMPLE-KEY-SECRET");
    let provider = Provider::Keys { id: plain(id), secret: plain(secret), token: None };
    let account = Account::open(&account::Settings { provider, ..settings }).map_err(anyhow::Error::from)?;
    let keys = Credentials {
        access_key_id: id.to_owned(),
        access_key_secret: Secret::new(secret),
        security_token: None,
    };
    let note = Some(format!("signed with a made-up key: {why}"));
    Ok(Signer { source: sag(source, account)?, keys, origin: "made up".to_owned(), note })
}

fn sag(source: &Source, account: Account) -> Result<AliyunSag, Failure> {
    let Settings::AliyunSag(settings) = &source.settings;
    Ok(AliyunSag::open(settings, Arc::new(account)).map_err(anyhow::Error::from)?)
}

/// What was given, and the source's own where nothing was.
fn params(source: &AliyunSag, given: &[(String, String)]) -> Result<Pairs, Failure> {
    let mut params: Pairs = Vec::new();
    for (name, value) in given {
        if params.iter().any(|(other, _)| other == name) {
            return Err(Failure::usage(format!(
                "--param {name:?} is given twice; lists are numbered: Name.1, Name.2"
            )));
        }
        params.push((name.clone(), value.clone()));
    }
    let own = source.params().into_iter().filter(|(name, _)| given.iter().all(|(other, _)| other != name));
    Ok(own.chain(params.clone()).collect())
}

/// What is wrong with the answer, if anything.
fn trouble(request: &Prepared, answer: &Result<Answer, Fault>) -> Option<Trouble> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(fault) => {
            return Some(Trouble { code: fault.code.clone(), message: request.redact(&fault.told()) });
        }
    };
    let code = wire::envelope(&answer.body).ok().and_then(|envelope| envelope.code);
    if code.is_none() && (200..300).contains(&answer.status) {
        return None;
    }
    let advice = codes::classify(code.as_deref().unwrap_or_default(), answer.status).advice;
    let code = code.map_or_else(|| format!("http-{}", answer.status), |code| request.redact(&code));
    Some(Trouble { code, message: advice.to_owned() })
}

fn reply(request: &Prepared, answer: &Answer) -> Reply {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in &answer.headers {
        let value = request.mask(&String::from_utf8_lossy(value.as_bytes()));
        headers.entry(name.to_string()).and_modify(|all| *all = format!("{all}, {value}")).or_insert(value);
    }
    let body = request.mask(&String::from_utf8_lossy(&answer.body));
    let body = serde_json::from_str(&body).unwrap_or(Value::String(body));
    Reply { status: answer.status, headers, body }
}

fn shown(shown: Shown) -> Request {
    let Shown { method, url, headers, body, canonical, string_to_sign, curl } = shown;
    Request { method, url, headers: headers.into_iter().collect(), body, canonical, string_to_sign, curl }
}

fn text(exchange: &Exchange<'_>) -> String {
    let mut text = format!("Keys: {}\n\n", clean(exchange.keys, WIDEST_LINE));
    let request = &exchange.request;
    let _ = writeln!(text, "{} {}", request.method, clean(&request.url, WIDEST_LINE));
    for (name, value) in &request.headers {
        let _ = writeln!(text, "{name}: {}", clean(value, WIDEST_LINE));
    }
    let parts = [
        ("", &request.body),
        ("Canonical request:\n", &request.canonical),
        ("String to sign:\n", &request.string_to_sign),
        ("The same as curl:\n", &request.curl),
    ];
    for (heading, part) in parts.iter().filter(|(_, part)| !part.is_empty()) {
        let _ = write!(text, "\n{heading}{}", lines(part));
    }
    match &exchange.reply {
        Some(reply) => {
            let _ = writeln!(text, "\nReply: HTTP {}", reply.status);
            for (name, value) in &reply.headers {
                let _ = writeln!(text, "{}: {}", clean(name, 200), clean(value, WIDEST_LINE));
            }
            let as_it_came = reply.body.as_str().map(str::to_owned);
            let body =
                as_it_came.or_else(|| serde_json::to_string_pretty(&reply.body).ok()).unwrap_or_default();
            let _ = write!(text, "\n{}", lines(&body));
        }
        None if exchange.error.is_none() => text += "\nNothing was sent (--dry-run).\n",
        None => {}
    }
    if let Some(Trouble { code, message }) = &exchange.error {
        let _ = writeln!(text, "\nFailed: {}: {}", clean(code, 200), clean(message, 1000));
    }
    if let Some(note) = &exchange.note {
        let _ = writeln!(text, "\nNote: {}", clean(note, 1000));
    }
    text
}

/// Foreign text of several lines, each made harmless.
fn lines(text: &str) -> String {
    text.lines().map(|line| clean(line, WIDEST_LINE) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::reads;

    #[test]
    fn what_reads_needs_no_leave() {
        for action in [
            "DescribeSmartAccessGatewayClientUsers",
            "DiscribeSmartAccessGatewayDiagnosisReport",
            "GetAclAttribute",
            "ListProbeTask",
            "ViewSmartAccessGatewayRoutes",
        ] {
            assert!(reads(action), "{action}");
        }
        for action in ["KickOutClients", "DisableSmartAccessGatewayUser", "Viewpoint", "List", "UnlockX"] {
            assert!(!reads(action), "{action}");
        }
    }
}
