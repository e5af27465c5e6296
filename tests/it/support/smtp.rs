//! Mail servers: one that follows a script, for faults, and aiosmtpd, for everything that should work.
//!
//! The script is played on a bare socket by a thread; what the client said is returned, so that a test can look for
//! what must never have been sent.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Waiting for a condition ends here at the latest.
const DEADLINE: Duration = Duration::from_secs(20);

/// A step of a script: text to send, a line to wait for by its beginning, the mail up to its dot, silence, a reset.
#[derive(Clone, Copy)]
pub(crate) enum Step {
    Say(&'static str),
    Hear(&'static str),
    HearMail,
    /// Keeps the connection open and silent until the client goes.
    Hang,
    Close,
}

pub(crate) struct Scripted {
    pub(crate) port: u16,
    heard: Receiver<String>,
}

impl Scripted {
    /// Plays the script for one client.
    pub(crate) fn play(script: Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, heard) = channel();
        std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            socket.set_read_timeout(Some(DEADLINE)).unwrap();
            let mut said = String::new();
            for step in script {
                if !perform(step, &mut socket, &mut said) {
                    break;
                }
            }
            let _ = tell.send(said);
        });
        Self { port, heard }
    }

    /// Everything the client said.
    pub(crate) fn heard(self) -> String {
        self.heard.recv_timeout(DEADLINE).expect("the script was not played to its end")
    }
}

fn perform(step: Step, socket: &mut TcpStream, said: &mut String) -> bool {
    match step {
        Step::Say(text) => socket.write_all(text.as_bytes()).is_ok(),
        Step::Hear(beginning) => {
            let line = read_until(socket, b"\n");
            said.push_str(&line);
            line.starts_with(beginning)
        }
        Step::HearMail => {
            let mail = read_until(socket, b"\r\n.\r\n");
            said.push_str(&mail);
            mail.ends_with("\r\n.\r\n")
        }
        Step::Hang => {
            said.push_str(&read_until(socket, b"\0never"));
            true
        }
        Step::Close => {
            let _ = socket.shutdown(Shutdown::Both);
            false
        }
    }
}

fn read_until(socket: &mut TcpStream, end: &[u8]) -> String {
    let (mut all, mut byte) = (Vec::new(), [0]);
    while !all.ends_with(end) && matches!(socket.read(&mut byte), Ok(1)) {
        all.push(byte[0]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// A certificate for the loopback, and the file that makes it trusted.
pub(crate) struct Certificate {
    pub(crate) directory: tempfile::TempDir,
}

impl Certificate {
    pub(crate) fn new() -> Self {
        let made =
            rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(directory.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { directory }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("cert.pem")
    }
}

/// aiosmtpd in the virtual environment that `tests/run` makes.
pub(crate) struct Aiosmtpd {
    child: Child,
    lines: Receiver<serde_json::Value>,
    pub(crate) implicit: u16,
    pub(crate) starttls: u16,
}

impl Aiosmtpd {
    pub(crate) fn start(certificate: &Certificate) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = root.join("target/venv/bin/python");
        assert!(python.exists(), "run tests/run first: there is no {}", python.display());
        let mut child = Command::new(python)
            .arg(root.join("tests/data/smtpd.py"))
            .arg(certificate.path())
            .arg(certificate.directory.path().join("key.pem"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let _ = tell.send(serde_json::from_str(&line).unwrap());
            }
        });
        let ports: serde_json::Value =
            lines.recv_timeout(DEADLINE).expect("run tests/run first: aiosmtpd did not start");
        let port = |name: &str| u16::try_from(ports[name].as_u64().unwrap()).unwrap();
        Self { child, implicit: port("implicit"), starttls: port("starttls"), lines }
    }

    /// The next mail it took.
    pub(crate) fn mail(&self) -> serde_json::Value {
        self.lines.recv_timeout(DEADLINE).expect("no mail arrived")
    }
}

impl Drop for Aiosmtpd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
