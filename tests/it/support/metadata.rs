//! The metadata server of an ECS instance with the role `poller`, and keys at URIs, on a bare socket.
//! Neighbours: the tests of credentials. A part of its own so that it shares no code with the asker.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use seatwatch::engine::time::{Span, Time};

const START: &str = "2026-11-22T03:05:00Z";
const TOKEN: &str = "canary-metadata-token";
const ROLES: &str = "/latest/meta-data/ram/security-credentials/";

struct State {
    only_v1: bool,
    /// Every request is answered so.
    fail: Option<u16>,
    /// Those of the instance's paths.
    fail_instance: Option<u16>,
    /// At `/role` of a URI and, if given, of the instance.
    keys: String,
    /// How often keys were asked for at a URI.
    asked: usize,
}

pub(crate) struct Metadata {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

fn keys(id: &str, secret: &str, token: &str, expires: Time) -> String {
    serde_json::json!({ "Code": "Success", "AccessKeyId": id, "AccessKeySecret": secret,
        "SecurityToken": token, "Expiration": expires.to_string(), "LastUpdated": START })
    .to_string()
}

impl Metadata {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (fail, fail_instance) = (None, None);
        let state = State { only_v1: false, fail, fail_instance, keys: String::new(), asked: 0 };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let _ = answer(socket.unwrap(), &shared);
            }
        });
        Self { url, state }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap())
    }

    /// What `/role` and the instance give; it expires that long after `from`.
    pub(crate) fn serve(&self, id: &str, secret: &str, token: &str, from: &str, lasts: Span) {
        let expires: Time = from.parse().unwrap();
        self.with(|state| state.keys = keys(id, secret, token, expires + lasts));
    }

    /// As an instance of old: there is no token to be had.
    pub(crate) fn only_v1(&self) {
        self.with(|state| state.only_v1 = true);
    }

    pub(crate) fn fail(&self, status: u16) {
        self.with(|state| state.fail = Some(status));
    }

    pub(crate) fn fail_instance(&self, status: u16) {
        self.with(|state| state.fail_instance = Some(status));
    }

    pub(crate) fn asked(&self) -> usize {
        self.with(|state| state.asked)
    }
}

fn answer(socket: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut socket = BufReader::new(socket);
    let (mut line, mut head) = (String::new(), String::new());
    socket.read_line(&mut line)?;
    while socket.read_line(&mut head)? > 2 {}
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, body) = reply(method, target, &head.to_ascii_lowercase(), &mut state.lock().unwrap());
    let length = body.len();
    let text = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    socket.get_mut().write_all(text.as_bytes())
}

fn reply(method: &str, target: &str, head: &str, state: &mut State) -> (u16, String) {
    let path = target.split('?').next().unwrap_or_default();
    let later: Time = START.parse().unwrap();
    let later = later + Span::from_hours(6);
    if let Some(status) = state.fail.or(state.fail_instance.filter(|_| path.starts_with("/latest"))) {
        return (status, "canary".into());
    }
    let token = head.lines().find_map(|line| line.strip_prefix("x-aliyun-ecs-metadata-token: "));
    match (method, path) {
        ("PUT", "/latest/api/token") if !state.only_v1 => {
            let asks = head.contains("x-aliyun-ecs-metadata-token-ttl-seconds: 21600");
            if asks { (200, TOKEN.into()) } else { (400, "canary".into()) }
        }
        ("GET", path) if path.starts_with(ROLES) => match (state.only_v1, token) {
            (false, Some(TOKEN)) | (true, None) => match &path[ROLES.len()..] {
                "" => (200, "poller".into()),
                "poller" if !state.keys.is_empty() => (200, state.keys.clone()),
                "poller" => (200, keys("STS.canarycanary0001", "canary-ecs", "canary-ecs-token", later)),
                _ => (404, "canary".into()),
            },
            _ => (403, "canary".into()),
        },
        ("GET", "/keys") => (200, keys("STS.canarycanary0002", "canary-uri", "canary-uri-token", later)),
        ("GET", "/role") => {
            state.asked += 1;
            (200, state.keys.clone())
        }
        ("GET", "/garbage") => (200, "canary {".into()),
        _ => (404, "canary".into()),
    }
}
