//! Secrets: a reference in the rules file, a value in memory, never a word in print.
//!
//! Neighbours: `config` reads references, accounts and channels resolve them, whoever quotes foreign text (a
//! vendor's error, a log line) passes it through [`redact`] or [`scrub`]. A part of its own because it is the
//! only file that reads the environment and secret files, and the only type that holds what must not be shown.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use secrecy::{ExposeSecret, SecretString};

/// The longest value, in bytes.
pub const LONGEST: u64 = 64 * 1024;

/// Where systemd puts credentials.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// What people leave in a file they meant to fill in.
const PLACEHOLDERS: [&str; 8] =
    ["changeme", "change-me", "change_me", "replaceme", "replace-me", "placeholder", "todo", "xxx"];

/// What stands in the place of a secret.
const MASK: &str = "***";

/// A value that is wiped when dropped and does not print.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(SecretString::from(value.into()))
    }

    /// The value itself, for signing or sending; never for a message.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// To see whether a reload changed something; values are never compared with what a stranger sent.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

/// Where a secret is to be found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SecretRef {
    Env(String),
    File(PathBuf),
    /// A systemd credential, by its name in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// Written in the rules file itself, where that is accepted (a webhook's URL).
    Plain(Secret),
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable {name:?}"),
            Self::File(path) => write!(f, "file {:?}", path.display().to_string()),
            Self::Credential(name) => write!(f, "systemd credential {name:?}"),
            Self::Plain(_) => f.write_str("the value in the rules file"),
        }
    }
}

/// Why a reference gives no secret. Names the reference, never the value.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{reference}: {reason}")]
pub struct SecretError {
    pub reference: String,
    pub reason: Unusable,
}

/// What is wrong with what a reference points to, and the way out.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unusable {
    #[error("is not set")]
    NotSet,
    #[error("cannot be opened: {0}")]
    Unreadable(String),
    #[error("is a symbolic link; name the file it points to")]
    Link,
    #[error("is not a regular file")]
    NotRegular,
    #[error("belongs to another user (uid {0}); give it to the user Seatwatch runs as, or to root")]
    ForeignOwner(u32),
    #[error("can be read by others (mode {0:04o}); run chmod 600 on it")]
    TooOpen(u32),
    #[error("is longer than 64 KiB")]
    TooLong,
    #[error("is not UTF-8 text")]
    NotText,
    #[error("is empty")]
    Empty,
    #[error("holds a line break or another control character")]
    Control,
    #[error("still holds a placeholder")]
    Placeholder,
    #[error("systemd passed no credentials (no $CREDENTIALS_DIRECTORY); add LoadCredential= to the unit")]
    NoCredentials,
    #[error("is not a credential's name: it may hold no / and be neither . nor ..")]
    BadName,
}

impl SecretRef {
    /// Fetches the value, and remembers it for [`scrub`]. Reads a file or the environment each time, so that a
    /// reload sees a rotated secret.
    ///
    /// # Errors
    /// Whatever makes the value missing, unsafe or plainly not a secret; see [`Unusable`].
    pub fn resolve(&self) -> Result<Secret, SecretError> {
        let secret = match self {
            Self::Env(name) => variable(name).ok_or(Unusable::NotSet),
            Self::File(path) => read(path, is_credential(path)),
            Self::Credential(name) => read_credential(name),
            Self::Plain(secret) => Ok(secret.expose().to_owned()),
        };
        let secret = secret.and_then(accept);
        let secret = secret.map_err(|reason| SecretError { reference: self.to_string(), reason })?;
        remember(&secret);
        Ok(secret)
    }
}

/// Keeps what this process holds out of core dumps, and from other programs of the same user. To be called before the
/// first secret is read. Where the system does not let it, nothing else is lost.
pub fn forbid_dumps() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// An environment variable, for the few settings that are no secrets; None also where it is not UTF-8.
#[expect(clippy::disallowed_methods, reason = "this is the one door to the environment")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn is_credential(path: &Path) -> bool {
    variable(CREDENTIALS).is_some_and(|dir| path.parent() == Some(Path::new(&dir)))
}

fn read_credential(name: &str) -> Result<String, Unusable> {
    let dir = variable(CREDENTIALS).ok_or(Unusable::NoCredentials)?;
    if name.is_empty() || name.contains('/') || name == "." || name == ".." {
        return Err(Unusable::BadName);
    }
    read(&Path::new(&dir).join(name), true)
}

/// Reads a secret file. What is checked is the opened file, not the path, so nobody can swap it in between.
/// `credential` files were placed by systemd, which gives them an owner and a mode of its own.
fn read(path: &Path, credential: bool) -> Result<String, Unusable> {
    // NONBLOCK: opening a FIFO must not wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = rustix::fs::open(path, flags, Mode::empty());
    let file: OwnedFd = opened.map_err(|error| match error {
        Errno::LOOP => Unusable::Link,
        other => Unusable::Unreadable(std::io::Error::from(other).to_string()),
    })?;
    let unreadable = |error: std::io::Error| Unusable::Unreadable(error.to_string());
    let stat = rustix::fs::fstat(&file).map_err(|error| unreadable(error.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Unusable::NotRegular);
    }
    if !credential {
        private(stat.st_uid, stat.st_mode, rustix::process::geteuid().as_raw())?;
    }
    let mut bytes = Vec::new();
    std::fs::File::from(file).take(LONGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LONGEST {
        return Err(Unusable::TooLong);
    }
    String::from_utf8(bytes).map_err(|_| Unusable::NotText)
}

/// A secret file is ours or root's, and nobody else's to read.
fn private(owner: u32, mode: u32, me: u32) -> Result<(), Unusable> {
    if owner != 0 && owner != me {
        return Err(Unusable::ForeignOwner(owner));
    }
    if mode & 0o077 != 0 {
        return Err(Unusable::TooOpen(mode & 0o7777));
    }
    Ok(())
}

/// The value without the newline that editors add, if it can be a secret at all.
fn accept(text: String) -> Result<Secret, Unusable> {
    let value = text.strip_suffix('\n').map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t));
    if value.len() as u64 > LONGEST {
        return Err(Unusable::TooLong);
    }
    if value.trim().is_empty() {
        return Err(Unusable::Empty);
    }
    if value.chars().any(char::is_control) {
        return Err(Unusable::Control);
    }
    if PLACEHOLDERS.contains(&value.trim().to_ascii_lowercase().as_str()) {
        return Err(Unusable::Placeholder);
    }
    Ok(Secret::new(value))
}

/// `text` with every one of `secrets` masked, also where it stands percent-encoded, JSON-escaped or in base64
/// (alone, or inside something longer that was encoded as a whole).
pub fn redact(text: &str, secrets: &[&Secret]) -> String {
    Forms::of(secrets).mask(text, &Forms::default()).into_owned()
}

/// Secrets in all the forms that [`redact`] looks for, made once for many texts.
#[derive(Debug, Default)]
pub struct Forms(Vec<Secret>);

impl Forms {
    pub fn of(secrets: &[&Secret]) -> Self {
        Self(longest_first(secrets.iter().flat_map(|secret| forms(secret)).collect()))
    }

    /// `text` with these and `others` masked.
    pub fn mask<'t>(&self, text: &'t str, others: &Self) -> Cow<'t, str> {
        if others.0.is_empty() {
            return mask(text, &self.0);
        }
        mask(text, &longest_first(self.0.iter().chain(&others.0).cloned().collect()))
    }
}

/// Every form of every secret this process has resolved.
static KNOWN: RwLock<Vec<Secret>> = RwLock::new(Vec::new());

/// Secrets that come and go, each with its forms; the newest last.
static PASSING: RwLock<VecDeque<Vec<Secret>>> = RwLock::new(VecDeque::new());

/// How many secrets that come and go are remembered: enough for what is in use and what was a little ago.
const MOST_PASSING: usize = 48;

/// `text` with every secret masked that this process has resolved, and the latest that came to it otherwise: the
/// last line of defence, for the log.
pub fn scrub(text: &str) -> Cow<'_, str> {
    let mut shown = mask(text, &KNOWN.read().unwrap_or_else(PoisonError::into_inner));
    for forms in PASSING.read().unwrap_or_else(PoisonError::into_inner).iter() {
        if let Cow::Owned(masked) = mask(&shown, forms) {
            shown = Cow::Owned(masked);
        }
    }
    shown
}

/// A secret that came otherwise than by a reference (a vendor's file, a reply), checked as all are. Temporary keys
/// come every hour for years, so [`scrub`] remembers only the latest of these. `place` names where it came from.
///
/// # Errors
/// It is plainly not a secret; see [`Unusable`].
pub fn taken(place: &str, text: String) -> Result<Secret, SecretError> {
    let secret = accept(text).map_err(|reason| SecretError { reference: place.to_owned(), reason })?;
    let mut passing = PASSING.write().unwrap_or_else(PoisonError::into_inner);
    let known = passing.iter().position(|forms| forms.contains(&secret));
    let forms = known.and_then(|at| passing.remove(at));
    passing.push_back(forms.unwrap_or_else(|| longest_first(self::forms(&secret))));
    if passing.len() > MOST_PASSING {
        passing.pop_front();
    }
    Ok(secret)
}

fn remember(secret: &Secret) {
    if KNOWN.read().unwrap_or_else(PoisonError::into_inner).contains(secret) {
        return;
    }
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    let mut all = std::mem::take(&mut *known);
    all.extend(forms(secret));
    *known = longest_first(all);
}

/// Longest first, so that a form that is part of another does not spoil it.
fn longest_first(mut forms: Vec<Secret>) -> Vec<Secret> {
    forms.retain(|form| !form.expose().is_empty());
    forms.sort_by(|a, b| (b.expose().len(), b.expose()).cmp(&(a.expose().len(), a.expose())));
    forms.dedup();
    forms
}

fn mask<'t>(text: &'t str, forms: &[Secret]) -> Cow<'t, str> {
    let mut shown = Cow::Borrowed(text);
    for form in forms {
        if shown.contains(form.expose()) {
            shown = Cow::Owned(shown.replace(form.expose(), MASK));
        }
    }
    shown
}

/// What RFC 3986 leaves as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Encoded forms shorter than this would mask ordinary words.
const SHORTEST_FORM: usize = 6;

/// A URL that names a server and nothing else keeps nothing secret, and masking it would hide who answered.
fn is_bare_origin(value: &str) -> bool {
    let rest = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.trim_end_matches('/').contains(['/', '?', '#', '@']))
}

fn forms(secret: &Secret) -> Vec<Secret> {
    let value = secret.expose();
    if is_bare_origin(value) {
        return Vec::new();
    }
    let encoded = utf8_percent_encode(value, UNRESERVED).to_string();
    let mut others = vec![encoded.to_ascii_lowercase(), encoded.replace("%20", "+"), encoded];
    if let Ok(json) = serde_json::to_string(value) {
        others.push(json.trim_matches('"').to_owned());
    }
    // Base64 turns 3 bytes into 4 characters, so a value inside a longer one has three possible spellings; the
    // characters it shares with its neighbours are left out.
    for before in 0..3 {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(value.as_bytes());
        let (from, to) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
        for text in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            others.push(text.get(from..to).unwrap_or_default().to_owned());
        }
    }
    others.push(STANDARD_NO_PAD.encode(value));
    others.push(URL_SAFE_NO_PAD.encode(value));
    others.retain(|form| form.len() >= SHORTEST_FORM);
    let others = others.into_iter().map(Secret::new);
    std::iter::once(secret.clone()).chain(others).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// Puts `bytes` into a file of the given mode and resolves a reference to it.
    #[track_caller]
    fn check(mode: u32, bytes: &[u8], expect: Result<&str, Unusable>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let got = SecretRef::File(path).resolve();
        let got = got.map(|s| s.expose().to_owned()).map_err(|e| e.reason);
        assert_eq!(got, expect.map(str::to_owned));
    }

    #[test]
    fn a_file_gives_its_text_without_the_last_newline() {
        check(0o600, b"hunter2-file", Ok("hunter2-file"));
        check(0o400, b"hunter2-file\n", Ok("hunter2-file"));
        check(0o600, b"hunter2-file\r\n", Ok("hunter2-file"));
        check(0o600, " schlüssel wört ".as_bytes(), Ok(" schlüssel wört "));
        check(0o600, b"two\nlines\n", Err(Unusable::Control));
        check(0o600, b"two-newlines\n\n", Err(Unusable::Control));
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        check(0o600, b"", Err(Unusable::Empty));
        check(0o600, b"\n", Err(Unusable::Empty));
        check(0o600, b"  ", Err(Unusable::Empty));
        check(0o600, b"ChangeMe\n", Err(Unusable::Placeholder));
        check(0o600, &[0xff, 0xfe], Err(Unusable::NotText));
        check(0o600, &vec![b'a'; 65_536], Ok(&"a".repeat(65_536)));
        check(0o600, &vec![b'a'; 65_537], Err(Unusable::TooLong));
        check(0o640, b"hunter2-file", Err(Unusable::TooOpen(0o640)));
        check(0o604, b"hunter2-file", Err(Unusable::TooOpen(0o604)));
    }

    #[test]
    fn a_secret_file_is_ours_or_roots() {
        assert_eq!(private(0, 0o100_600, 1000), Ok(()));
        assert_eq!(private(1000, 0o100_400, 1000), Ok(()));
        assert_eq!(private(1001, 0o100_600, 1000), Err(Unusable::ForeignOwner(1001)));
        assert_eq!(
            private(1001, 0o100_600, 0),
            Err(Unusable::ForeignOwner(1001)),
            "root does not read it either"
        );
        assert_eq!(private(1000, 0o100_640, 1000), Err(Unusable::TooOpen(0o640)));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "hunter2-owned").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        // Only root may give files away.
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(12_345), None).unwrap();
            let reason = SecretRef::File(path).resolve().unwrap_err().reason;
            assert_eq!(reason, Unusable::ForeignOwner(12_345));
        }
    }

    #[test]
    fn only_regular_files_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let reason = |path: PathBuf| SecretRef::File(path).resolve().unwrap_err().reason;
        std::fs::write(at("real"), "hunter2-link").unwrap();
        std::os::unix::fs::symlink(at("real"), at("link")).unwrap();
        assert_eq!(reason(at("link")), Unusable::Link);
        assert_eq!(reason(dir.path().to_owned()), Unusable::NotRegular);
        assert_eq!(reason("/dev/zero".into()), Unusable::NotRegular);
        // Without O_NONBLOCK this would wait for a writer for ever.
        rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), FileType::Fifo, Mode::from(0o600), 0).unwrap();
        assert_eq!(reason(at("fifo")), Unusable::NotRegular);
        assert!(matches!(reason(at("none")), Unusable::Unreadable(_)));
    }

    #[test]
    fn the_environment_and_credentials_are_named_in_errors() {
        let unset = SecretRef::Env("SEATWATCH_TEST_NEVER_SET".into()).resolve().unwrap_err();
        assert_eq!(unset.to_string(), "environment variable \"SEATWATCH_TEST_NEVER_SET\": is not set");
        assert!(SecretRef::Env("PATH".into()).resolve().is_ok());
        let none = SecretRef::Credential("smtp".into()).resolve().unwrap_err();
        assert_eq!(none.reason, Unusable::NoCredentials);
    }

    #[test]
    fn secrets_do_not_print() {
        let plain = SecretRef::Plain(Secret::new("hunter2-plain"));
        assert_eq!(format!("{plain} {plain:?}"), "the value in the rules file Plain([redacted])");
        let error = SecretRef::Plain(Secret::new("changeme")).resolve().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("changeme"));
    }

    #[test]
    fn redacting_finds_every_spelling() {
        let secret = Secret::new("p\"ss w/rd+12");
        let value = secret.expose();
        let spellings = [
            value.to_owned(),
            "p%22ss%20w%2Frd%2B12".to_owned(),
            "p%22ss%20w%2frd%2b12".to_owned(),
            "p%22ss+w%2Frd%2B12".to_owned(),
            serde_json::to_string(value).unwrap(),
            STANDARD_NO_PAD.encode(value),
            STANDARD_NO_PAD.encode(format!("a{value}")),
            STANDARD_NO_PAD.encode(format!("\0user\0{value}!")),
            URL_SAFE_NO_PAD.encode(format!("me:{value}")),
        ];
        for text in spellings {
            let shown = redact(&format!("before {text} after"), &[&secret]);
            assert!(shown.contains("before ") && shown.contains(" after"), "{shown}");
            assert!(shown.contains(MASK) && !shown.contains(&text), "{text} -> {shown}");
        }
        assert_eq!(redact("nothing here", &[&secret]), "nothing here");
        let url = |url: &str| redact("http://127.0.0.1:80/… answered 204", &[&Secret::new(url)]);
        assert_eq!(url("http://127.0.0.1:80/"), "http://127.0.0.1:80/… answered 204");
        assert_eq!(url("http://127.0.0.1:80/…"), "*** answered 204");
    }

    #[test]
    fn what_was_resolved_is_scrubbed_from_then_on() {
        let text = "token=hunter2-scrubbed!";
        assert_eq!(scrub(text), text);
        SecretRef::Plain(Secret::new("hunter2-scrubbed")).resolve().unwrap();
        assert_eq!(scrub(text), "token=***!");
    }

    #[test]
    fn what_comes_and_goes_is_scrubbed_while_it_is_new() {
        let scrubbed = |n: usize| scrub(&format!("<comes-and-goes-{n:04}>")) == "<***>";
        for n in 0..MOST_PASSING + 10 {
            taken("a reply", format!("comes-and-goes-{n:04}")).unwrap();
            taken("a reply", "comes-and-goes-kept".into()).unwrap();
            assert!(scrubbed(n));
        }
        assert!(!scrubbed(0), "the oldest is forgotten");
        assert_eq!(scrub("<comes-and-goes-kept>"), "<***>");
        let error = taken("the reply", "changeme".into()).unwrap_err();
        assert_eq!(error.to_string(), "the reply: still holds a placeholder");
    }
}
