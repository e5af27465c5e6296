//! Channels as the rules file writes them: what is read, and each mistake with its place and the way out.
//! Neighbours: `channel` owns its settings, `config` the walk through the file. A part of its own because these
//! settings guard passwords.

use std::path::Path;

use seatwatch::channel::Settings;
use seatwatch::channel::email::Tls;
use seatwatch::config::Config;
use seatwatch::engine::time::{Span, Time};

const MAIL: &str = r#"kind = "email"
server = "smtp.example.com"
from = "Seatwatch <alerts@example.com>"
to = ["soc@example.com"]
"#;
const HOOK: &str = r#"kind = "webhook"
url = "https://hooks.example.com/canary"
secret = { env = "SOC_HOOK_SECRET" }
"#;

fn read(channel: &str) -> Result<Settings, Vec<(usize, String)>> {
    let text = format!("[[channel]]\nname = \"soc\"\n{channel}");
    match Config::parse(&text, "rules.toml", Path::new("/etc/seatwatch"), Time::default()) {
        Ok(mut config) => Ok(config.channels.remove(0)),
        Err(problems) => Err(problems
            .errors
            .into_iter()
            .map(|p| (p.line, format!("{}: {}; {}", p.key, p.message, p.hint.unwrap_or_default())))
            .collect()),
    }
}

/// One mistake, at this line, naming all of `words`, and never what may be a secret.
#[track_caller]
fn check(channel: &str, line: usize, words: &[&str]) {
    let mistakes = read(channel).expect_err(channel);
    let [(at, text)] = mistakes.as_slice() else { panic!("{channel}\n{mistakes:#?}") };
    assert_eq!(*at, line, "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
    assert!(!text.contains("canary"), "{text}");
}

#[test]
fn mail_settings_have_defaults() {
    for (extra, port, tls) in [
        ("", 465, Tls::Implicit),
        ("tls = \"starttls\"\n", 587, Tls::StartTls),
        ("tls = \"starttls\"\nport = 2525\n", 2525, Tls::StartTls),
    ] {
        let Settings::Email(mail) = read(&format!("{MAIL}{extra}")).unwrap() else { panic!("no mail") };
        assert_eq!((mail.port, mail.tls, mail.timeout), (port, tls, Span::from_mins(1)));
        assert!(mail.login.is_none() && mail.ca_file.is_none() && mail.helo.is_none());
    }
    let local = MAIL.replace("smtp.example.com", "127.0.0.1");
    let all = "tls = \"none\"\nusername = \"a\"\npassword = { file = \"/x\" }\ntimeout = \"5s\"\nca_file = \"ca.pem\"\n";
    let Settings::Email(mail) = read(&format!("{local}{all}")).unwrap() else { panic!("no mail") };
    assert_eq!((mail.port, mail.timeout), (25, Span::from_secs(5)));
    assert_eq!(mail.login.as_ref().unwrap().0, "a");
    assert_eq!(mail.ca_file.as_deref(), Some(Path::new("/etc/seatwatch/ca.pem")));
}

#[test]
fn each_mistake_in_mail_settings_has_its_place() {
    let with = |extra: &str| format!("{MAIL}{extra}");
    check(&with("tls = \"none\""), 7, &["tls", "loopback", "starttls"]);
    check(&with("tls = \"ssl\""), 7, &["tls", "ssl", "implicit"]);
    check(&with("port = 0"), 7, &["port"]);
    check(&with("pasword = \"canary\""), 7, &["password"]);
    check(&with("username = \"a\""), 1, &["password"]);
    check(&with("username = \"a\"\npassword = \"canary\""), 8, &["password", "env"]);
    check(&with("timeout = \"1h\""), 7, &["timeout"]);
    check(&with("helo = \"a b\""), 7, &["helo", "host name"]);
    check(&MAIL.replace("smtp.example.com", "smtp.example.com:465"), 4, &["server", "port"]);
    check(&MAIL.replace("alerts@example.com", "alerts"), 5, &["from", "no mail address"]);
    check(
        &MAIL.replace("\"soc@example.com\"", "\"soc@example.com\", \"a\\r\\nb@x.org\""),
        6,
        &["to", "no mail address"],
    );
    check(&MAIL.replace("to = [\"soc@example.com\"]\n", ""), 1, &["to"]);
    check(
        &MAIL.replace("\"soc@example.com\"", &"\"soc@example.com\",".repeat(51)),
        6,
        &["to", "mailing list"],
    );
    check(&MAIL.replace("email", "mail"), 3, &["kind", "email"]);
}

#[test]
fn webhook_settings_have_defaults_and_mistakes_their_place() {
    let Settings::Webhook(hook) = read(HOOK).unwrap() else { panic!("no webhook") };
    assert_eq!((hook.timeout, hook.allow_private, hook.secrets.len()), (Span::from_secs(15), false, 1));
    let two = HOOK.replace("{ env = \"SOC_HOOK_SECRET\" }", "[{ env = \"A\" }, { env = \"B\" }]");
    let Settings::Webhook(hook) = read(&two).unwrap() else { panic!("no webhook") };
    assert_eq!(hook.secrets.len(), 2);
    let url = |url: &str| HOOK.replace("https://hooks.example.com/canary", url);
    check(&url("http://hooks.example.com/canary"), 4, &["url", "https"]);
    check(&url("https://10.0.0.1/canary"), 4, &["url", "allow_private"]);
    check(&url("https://169.254.169.254/canary"), 4, &["url", "never"]);
    check(&url("canary"), 4, &["url", "https://host/path"]);
    check(&HOOK.replace("{ env = \"SOC_HOOK_SECRET\" }", "\"whsec_canary\""), 5, &["secret", "env"]);
    check(&format!("{HOOK}allow_privat = true"), 6, &["allow_private"]);
    check("kind = \"webhook\"\nsecret = { env = \"S\" }", 1, &["url"]);
}
