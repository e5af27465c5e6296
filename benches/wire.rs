//! A whole poll over HTTP on loopback, beside the same requests by the bare HTTP client.
//!
//! Neighbours: `people` writes the replies. A part of its own because the server must be another process: only what the
//! asking side spends is counted.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::Arc;

use seatwatch::aliyun::Account;
use seatwatch::aliyun::account;
use seatwatch::aliyun::credentials::Provider;
use seatwatch::config::walk;
use seatwatch::engine::judge::judge;
use seatwatch::engine::names::Asked;
use seatwatch::engine::time::Span;
use seatwatch::engine::watch::{Remembered, Watch, When};
use seatwatch::secret::{Secret, SecretRef};
use seatwatch::source::{Settings, Source};
use seatwatch::store::Store;
use tokio::task::JoinSet;

use crate::measure::{Row, child, command, median, timed};
use crate::people::{BATCH, MINUTE, SOURCE, START, names, population, reply, rules, setup};
use crate::poll::{MEASURED, WARM};

const USERS: u32 = 100_000;
/// Requests under way at once, as a source makes them.
const WORKERS: usize = 4;

pub(crate) fn rows() -> Vec<Row> {
    let [fetch, rest, bare] = child("wire-client", &[&USERS]);
    let [parse, judged, commit, _] = child("poll-time", &[&USERS]);
    let row = parse + judged + commit;
    let requests = USERS.div_ceil(BATCH);
    let (reached, floor) = (fetch + rest, Some((bare + row, 1.5)));
    let name = format!("whole poll of {USERS} over HTTP, {requests} requests");
    let note = format!(
        "sign, send, parse {fetch:.1}, judge and commit {rest:.1}; floor: bare reqwest {bare:.1} and the poll without the wire {row:.1}"
    );
    vec![Row { name, unit: "ms", reached, floor, most: None, note }]
}

/// Answers every request about users with their counts; prints its port. Polls are told apart by how often the first
/// batch was asked for.
pub(crate) fn server(args: &[String]) -> Vec<f64> {
    let users: u32 = args.first().and_then(|text| text.parse().ok()).expect("a number of users");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    println!("{}", listener.local_addr().expect("an address").port());
    for socket in listener.incoming() {
        let socket = socket.expect("a connection");
        std::thread::spawn(move || answer(&socket, users));
    }
    Vec::new()
}

fn answer(socket: &TcpStream, users: u32) {
    let (mut requests, mut socket) = (BufReader::new(socket), socket);
    let (population, mut line, mut text) = (population(users), String::new(), String::new());
    loop {
        line.clear();
        if requests.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let first = line.split("UserNames.1=user-").nth(1).expect("a first user");
        let first: u32 = first.split(['&', ' ']).next().and_then(|n| n.parse().ok()).expect("a number");
        let (mut minute, mut length) = (0, 0);
        loop {
            let mut header = String::new();
            requests.read_line(&mut header).expect("a header");
            let Some((name, value)) = header.trim().split_once(": ") else { break };
            match name {
                "content-length" => length = value.parse().expect("a length"),
                // Whole polls go by the minute that they sign for.
                "x-acs-date" => minute = value[14..16].parse().expect("a minute"),
                _ => {}
            }
        }
        requests.by_ref().take(length).read_to_end(&mut Vec::new()).expect("a body");
        let at = START + MINUTE.times(minute);
        reply(&population, users, (first - 1) / BATCH, at, &mut text);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            text.len()
        );
        if socket.write_all((head + &text).as_bytes()).is_err() {
            return;
        }
    }
}

/// A server in another process; it ends with this value.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start(users: u32) -> Self {
        let mut process = command("wire-server", &[&users]).stdout(Stdio::piped()).spawn().expect("a server");
        let mut port = String::new();
        let said = process.stdout.as_mut().map(|out| BufReader::new(out).read_line(&mut port));
        assert!(said.is_some_and(|said| said.is_ok()), "the server prints its port");
        Self { process, url: format!("http://127.0.0.1:{}", port.trim()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn source(url: &str) -> Source {
    let text = format!(
        "name='{SOURCE}'\nkind='aliyun-sag'\nregion='cn-shanghai'\ninstance='sag-bench'\nschedule='* * * * *'\n\
         users=['a']\nendpoint='{url}'\n"
    );
    let read = |mut section: seatwatch::config::Section<'_>| Settings::read(&mut section);
    let (settings, problems) = walk("bench.toml", &text, std::path::Path::new("/"), read);
    let settings = settings.flatten().unwrap_or_else(|| panic!("{problems:?}"));
    let plain = |text: &str| SecretRef::Plain(Secret::new(text));
    let provider = Provider::Keys { id: plain("LTAIbench"), secret: plain("bench-secret"), token: None };
    let account =
        account::Settings { name: "main".into(), provider, requests_per_second: 1e6, burst: 1_000_000 };
    let account = Arc::new(Account::open(&account).expect("an account"));
    Source::open(&settings, account).expect("a source")
}

/// The same requests by the HTTP client alone: as long, as many at once, signed for nobody; the replies are read.
async fn bare(client: &reqwest::Client, requests: Arc<Vec<String>>) {
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let (client, requests) = (client.clone(), Arc::clone(&requests));
        workers.spawn(async move {
            for url in requests.iter().skip(worker).step_by(WORKERS) {
                let sent = client
                    .post(url)
                    .header("x-acs-action", "DescribeUserOnlineClientStatistics")
                    .header("x-acs-version", "2018-03-13")
                    .header("x-acs-date", "2026-11-23T02:00:00Z")
                    .header("x-acs-signature-nonce", "00000000000000000000000000000000")
                    .header("x-acs-content-sha256", "0".repeat(64))
                    .header("authorization", "0".repeat(230))
                    .send();
                let reply = sent.await.expect("a reply").bytes().await.expect("a body");
                assert!(reply.len() > 100);
            }
        });
    }
    workers.join_all().await;
}

/// Milliseconds of CPU to fetch, to judge and commit, and for the bare requests.
pub(crate) fn client(args: &[String]) -> Vec<f64> {
    let users: u32 = args.first().and_then(|text| text.parse().ok()).expect("a number of users");
    let server = Server::start(users);
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(&dir.path().join("bench.db"), START).expect("a store");
    let names = names(users);
    let mut watch = Watch::new(setup(store.install_id(), Arc::clone(&names), rules()), Remembered::default());
    let source = source(&server.url);
    let all = Asked::all(names);
    let url = |batch: u32| {
        let places = (batch * BATCH) as usize..((batch + 1) * BATCH).min(users) as usize;
        let named: Vec<String> =
            (1..).zip(places).map(|(n, at)| format!("&UserNames.{n}={}", all.name(at))).collect();
        format!("{}/?RegionId=cn-shanghai&SmartAGId=sag-bench{}", server.url, named.concat())
    };
    let requests: Arc<Vec<String>> = Arc::new((0..users.div_ceil(BATCH)).map(url).collect());
    let http =
        reqwest::Client::builder().no_proxy().tls_certs_only([]).http1_only().build().expect("a client");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let mut figures = [const { Vec::new() }; 3];
    // The same polls as without the wire: how much there is to judge and to keep differs from one to the next.
    for n in 0..WARM + MEASURED {
        let at = START + MINUTE.times(n);
        let asked = watch.asked(at);
        let (fetched, fetching) = timed(|| runtime.block_on(source.fetch(&asked, at, Span::from_secs(300))));
        assert_eq!(fetched.fault, None);
        let elapsed = if n == 0 { Span::ZERO } else { MINUTE };
        let ((), rest) = timed(|| {
            let poll = watch.poll(fetched, &asked, When { at, elapsed, jump: None, took: Span::ZERO });
            store.commit(judge(&mut watch, poll, at)).wait().expect("a commit");
        });
        watch.names_saved();
        let ((), alone) = timed(|| runtime.block_on(bare(&http, Arc::clone(&requests))));
        if n >= WARM {
            for (all, one) in figures.iter_mut().zip([fetching, rest, alone]) {
                all.push(one);
            }
        }
    }
    figures.map(median).to_vec()
}
