//! What is shipped beside the program: the unit, its user and directories, the Debian package, the list of what
//! dependencies may be.
//!
//! Neighbours: `dist/`, `Cargo.toml`, `.deny.toml`; systemd's own tools judge the unit. A part of its own because these
//! files name commands, paths and calls of the program that no compiler compares with it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use seatwatch::agent::clock;
use seatwatch::cli::{self, Exit};

use crate::world::{Dir, World, counts};

const UNIT: &str = include_str!("../../dist/seatwatch.service");
const PROGRAM: &str = "/usr/bin/seatwatch";

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[track_caller]
fn ran(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|e| panic!("{:?}: {e}; tests/run installs it", command.get_program()))
}

/// Every value of a key of the unit, in order.
fn values(key: &str) -> Vec<&'static str> {
    let pairs = UNIT.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    pairs.filter(|(name, _)| *name == key).map(|(_, value)| value).collect()
}

fn value(key: &str) -> &'static str {
    let all = values(key);
    assert_eq!(all.len(), 1, "{key}: {all:?}");
    all[0]
}

/// What the unit sets a variable to.
fn environment(name: &str) -> &'static str {
    let all = values("Environment").into_iter().filter_map(|pair| pair.split_once('='));
    all.filter(|(of, _)| *of == name).map(|(_, value)| value).next().unwrap_or_else(|| panic!("no {name}"))
}

/// What is said of the program's speed and size is measured as the unit runs it.
#[test]
fn benchmarks_are_set_up_as_the_unit_sets_up() {
    let setup = format!("(\"GLIBC_TUNABLES\", \"{}\")", environment("GLIBC_TUNABLES"));
    let benches = include_str!("../../benches/measure.rs");
    assert!(benches.contains(&setup), "benches/measure.rs has no {setup}");
}

#[test]
fn the_unit_leaves_little_open() {
    let judged = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(root("dist/seatwatch.service"))
        .env("LANG", "C.UTF-8")
        .output()
        .expect("systemd-analyze; tests/run installs it");
    let out = String::from_utf8_lossy(&judged.stdout).into_owned();
    let last = out.lines().last().unwrap_or_else(|| panic!("{judged:?}"));
    let score = last.split(": ").nth(1).and_then(|rest| rest.split(' ').next());
    let score: f64 = score.and_then(|score| score.parse().ok()).unwrap_or_else(|| panic!("{last}"));
    assert!(score <= 2.0, "{out}");
    fs::create_dir_all(root("target/proven")).unwrap();
    fs::write(root("target/proven/service"), format!("service: exposure {score} of 10\n")).unwrap();
}

#[test]
fn systemd_understands_every_line_of_the_unit() {
    let dir = Dir::new();
    let unit = dir.path("seatwatch.service");
    fs::write(&unit, UNIT.replace(PROGRAM, env!("CARGO_BIN_EXE_seatwatch"))).unwrap();
    let judged = ran(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit));
    let said = String::from_utf8_lossy(&judged.stderr).into_owned();
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("seatwatch")).collect();
    assert!(judged.status.success() && ours.is_empty(), "{said}");
}

#[test]
fn the_unit_calls_the_program_as_it_is() {
    let calls = [values("ExecStart"), values("ExecReload")].concat();
    let ours = calls.iter().filter_map(|call| call.strip_prefix(PROGRAM));
    let ours: Vec<Vec<&str>> = ours.map(|rest| rest.split_whitespace().collect()).collect();
    assert_eq!(ours, [["run"], ["check"]]);
    for arguments in ours {
        let call = std::iter::once("seatwatch").chain(arguments);
        cli::command().try_get_matches_from(call).unwrap();
    }
    assert_eq!(calls[2], "/bin/kill -HUP $MAINPID", "after the check");
    // Only what nothing but another unit can mend is not tried again.
    assert_eq!(value("RestartPreventExitStatus"), (Exit::Usage as u8).to_string());
    assert_eq!((value("Restart"), value("StartLimitIntervalSec")), ("always", "0"));
    assert!(value("RestartSec").parse::<u32>().unwrap() >= 5, "not in a tight loop");
    // More than twice what ten thousand alerts in one poll may take.
    assert_eq!(value("MemoryMax"), "256M");
    // `agent::clock` reads the id of this boot under /proc/sys, which that would hide.
    assert_eq!(values("ProcSubset"), Vec::<&str>::new());
    assert!(
        fs::read_to_string(root("src/agent/clock.rs")).unwrap().contains("/proc/sys/kernel/random/boot_id")
    );
}

#[test]
fn unit_user_and_directories_agree() {
    let user = value("User");
    let sysusers = fs::read_to_string(root("dist/sysusers.conf")).unwrap();
    assert!(sysusers.lines().any(|line| line.starts_with(&format!("u {user} "))), "{sysusers}");
    let tmpfiles = fs::read_to_string(root("dist/tmpfiles.conf")).unwrap();
    let lines = tmpfiles.lines().filter(|line| !line.starts_with('#'));
    let lines: Vec<Vec<&str>> = lines.map(|line| line.split_whitespace().collect()).collect();
    let of = |path: &str| -> Vec<&str> {
        lines.iter().find(|line| line[1] == path).unwrap_or_else(|| panic!("no {path}"))[2..5].to_vec()
    };
    let state = format!("/var/lib/{}", value("StateDirectory"));
    assert_eq!(of(&state), [value("StateDirectoryMode"), user, user]);
    assert_eq!(of("/etc/seatwatch"), ["0750", "root", user]);
    let (name, place) = value("LoadCredential").split_once(':').unwrap();
    assert_eq!(of(place), ["0700", "root", "root"], "secrets are nobody's but root's");
    let config = environment("SEATWATCH_CONFIG");
    assert_eq!(of(config), ["0640", "root", user]);
    for page in ["README.md", "README.zh-CN.md"] {
        let text = fs::read_to_string(root(page)).unwrap();
        let paths = [
            config,
            place,
            &format!("{state}/seatwatch.db"),
            &format!("\"{name}_"),
            "dist/seatwatch.service",
        ];
        let missing = paths.iter().find(|path| !text.contains(**path));
        assert_eq!(missing, None, "{page}");
    }
}

/// Names of calls that a set allows, with the sets in it.
fn calls(set: &str) -> BTreeSet<String> {
    let shown = ran(Command::new("systemd-analyze").args(["syscall-filter", "--no-pager", set]));
    assert!(shown.status.success(), "{set}: {}", String::from_utf8_lossy(&shown.stderr));
    let text = String::from_utf8(shown.stdout).unwrap();
    let names = text.lines().skip(1).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut all = BTreeSet::new();
    for name in names {
        if name.starts_with('@') { all.extend(calls(name)) } else { _ = all.insert(name.to_owned()) }
    }
    all
}

/// The unit's lists, in order: the first allows, those with `~` take away.
fn allowed() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for list in values("SystemCallFilter") {
        let (takes, sets) = list.strip_prefix('~').map_or((false, list), |rest| (true, rest));
        for name in sets.split(' ').flat_map(calls) {
            if takes { _ = all.remove(&name) } else { _ = all.insert(name) }
        }
    }
    assert!(all.len() > 100 && all.contains("connect") && !all.contains("chown"), "{all:?}");
    all
}

/// A poll, an alert and its webhook, a reload, a stop; with the calls that it makes counted.
#[tokio::test(flavor = "multi_thread")]
async fn the_agent_makes_no_call_that_the_unit_forbids() {
    let now = clock::now();
    let scenario = counts("alice", "3");
    let world =
        World::around(&scenario, &["soc"], Arc::new(AtomicI64::new(now.millis())), Arc::new(clock::now));
    world.write(
        "source shanghai 'alice' every */2 * * * * *\n[[rule]]\nname = 'shared'\nwhen = 'online > 2'\n",
    );
    let seen = world.dir.path("calls");
    // With -D it is the tracer that is the child, so that signals meet the agent.
    let mut agent = Command::new("strace")
        .args(["-D", "-f", "-qq", "-c", "-U", "name", "-o"])
        .arg(&seen)
        .arg(env!("CARGO_BIN_EXE_seatwatch"))
        .arg("-c")
        .arg(world.rules_file())
        .arg("run")
        .env_remove("NOTIFY_SOCKET")
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("strace; tests/run installs it");
    world.inboxes["soc"].wait(40, |posted| !posted.is_empty());
    let pid = Pid::from_child(&agent);
    kill_process(pid, Signal::HUP).unwrap();
    let deadline = Instant::now() + Duration::from_secs(40);
    while !world.outbox(false).is_empty() {
        assert!(Instant::now() < deadline, "the delivery is not written down");
        std::thread::sleep(Duration::from_millis(50)); // until it is
    }
    kill_process(pid, Signal::TERM).unwrap();
    assert!(agent.wait().unwrap().success());
    let text = loop {
        let text = fs::read_to_string(&seen).unwrap_or_default();
        if text.lines().count() > 20 {
            break text;
        }
        assert!(Instant::now() < deadline, "no list of calls: {text}");
        std::thread::sleep(Duration::from_millis(50)); // until the tracer has written it
    };
    // Between its head and its sum.
    let made: BTreeSet<&str> = text.lines().map(str::trim).filter(|line| !line.starts_with('-')).collect();
    assert!(made.contains("connect") && made.contains("fsync"), "{text}");
    let allowed = allowed();
    let no_call = ["syscall", "total"];
    // SQLite gives files to the database's owner where root runs it, and nowhere else.
    let of_root = rustix::process::geteuid().is_root().then_some("fchown");
    let known = |name: &str| allowed.contains(name) || no_call.contains(&name) || of_root == Some(name);
    let forbidden: Vec<&str> = made.into_iter().filter(|name| !known(name)).collect();
    assert_eq!(forbidden, Vec::<&str>::new());
}

/// The package's assets: source, target, mode.
fn assets() -> Vec<[String; 3]> {
    let manifest: toml::Table = fs::read_to_string(root("Cargo.toml")).unwrap().parse().unwrap();
    let deb = &manifest["package"]["metadata"]["deb"];
    deb["assets"].as_array().unwrap().iter().map(|asset| asset.clone().try_into().unwrap()).collect()
}

#[test]
fn the_package_holds_what_there_is() {
    let assets = assets();
    let script = fs::read_to_string(root("dist/package")).unwrap();
    for [from, to, mode] in &assets {
        assert!(!to.starts_with('/') && (mode == "755") == to.starts_with("usr/bin"), "{to} {mode}");
        match from.strip_prefix("target/dist/seatwatch.") {
            // `dist/package` makes these.
            Some(shell) => {
                let made = script.contains("completions") && script.contains(&format!(" {shell}"));
                assert!(made, "{from}");
            }
            None => assert!(from == "target/release/seatwatch" || root(from).is_file(), "{from}"),
        }
    }
    let shipped: BTreeSet<&str> = assets.iter().map(|[from, ..]| from.as_str()).collect();
    for name in ["dist/seatwatch.service", "dist/sysusers.conf", "dist/tmpfiles.conf", "rules.example.toml"] {
        assert!(shipped.contains(name), "{name} is not in the package");
    }
    assert!(
        assets.iter().all(|[_, to, _]| !to.starts_with("etc/")),
        "the rules file is the administrator's own"
    );
}

/// Runs a maintainer script in an empty root, or in no root with stand-ins for what it calls; what it called.
fn script(dir: &Dir, name: &str, arguments: &[&str], rooted: bool) -> (String, String) {
    let tools = dir.path("tools");
    let _ = fs::create_dir(&tools);
    for tool in ["systemctl", "systemd-sysusers", "systemd-tmpfiles"] {
        let path = tools.join(tool);
        fs::write(&path, format!("#!/bin/sh\necho \"{tool} $*\" >>\"{}\"\n", dir.path("called").display()))
            .unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut text = fs::read_to_string(root("dist/debian").join(name)).unwrap();
    if !rooted {
        // As on a host that runs systemd.
        text = text.replace("[ -d /run/systemd/system ]", "true");
    }
    let path = std::env::join_paths([tools, "/usr/bin".into(), "/bin".into()]).unwrap();
    let _ = fs::remove_file(dir.path("called"));
    let ran = Command::new("sh")
        .args(["-c", &text, name])
        .args(arguments)
        .env("PATH", path)
        .env("DPKG_ROOT", if rooted { dir.path("root") } else { PathBuf::new() })
        .output()
        .unwrap();
    assert!(ran.status.success(), "{name} {arguments:?}: {ran:?}");
    let called = fs::read_to_string(dir.path("called")).unwrap_or_default();
    (called.replace(&dir.path("").display().to_string(), "/"), String::from_utf8(ran.stdout).unwrap())
}

#[test]
fn installing_starts_nothing_and_upgrading_only_what_runs() {
    let dir = Dir::new();
    let made = "systemd-sysusers seatwatch.conf\nsystemd-tmpfiles --create seatwatch.conf\n";
    let (called, said) = script(&dir, "postinst", &["configure", ""], false);
    assert_eq!(called, format!("{made}systemctl daemon-reload\n"));
    assert!(said.contains("systemctl enable --now seatwatch"), "{said}");
    let (called, _) = script(&dir, "postinst", &["configure", "0.1.0-1"], false);
    assert_eq!(called, format!("{made}systemctl daemon-reload\nsystemctl try-restart seatwatch.service\n"));
    assert_eq!(
        script(&dir, "prerm", &["upgrade", "0.2.0-1"], false).0,
        "",
        "it runs on until the new one is there"
    );
    assert_eq!(script(&dir, "prerm", &["remove"], false).0, "systemctl disable --now seatwatch.service\n");
    let (called, _) = script(&dir, "postinst", &["configure", ""], true);
    assert!(
        called.contains("systemd-sysusers --root=/root seatwatch.conf") && !called.contains("systemctl"),
        "{called}"
    );
}

#[test]
fn readings_stay_until_the_package_is_purged() {
    let dir = Dir::new();
    let kept = [dir.path("root/var/lib/seatwatch"), dir.path("root/etc/seatwatch")];
    kept.iter().for_each(|path| fs::create_dir_all(path).unwrap());
    for how in ["remove", "upgrade", "abort-install"] {
        script(&dir, "postrm", &[how], true);
        assert!(kept.iter().all(|path| path.exists()), "{how}");
    }
    script(&dir, "postrm", &["purge"], true);
    assert!(!kept.iter().any(|path| path.exists()));
    assert!(dir.path("root/var/lib").exists());
}

#[test]
fn every_exception_for_a_dependency_has_a_date_and_is_still_one() {
    let deny: toml::Table = fs::read_to_string(root(".deny.toml")).unwrap().parse().unwrap();
    let lock: toml::Table = fs::read_to_string(root("Cargo.lock")).unwrap().parse().unwrap();
    let packages = lock["package"].as_array().unwrap().iter();
    let locked: BTreeSet<String> = packages
        .map(|p| format!("{}@{}", p["name"].as_str().unwrap(), p["version"].as_str().unwrap()))
        .collect();
    let list = |table: &str, key: &str| deny[table][key].as_array().unwrap().clone();
    let skipped = list("bans", "skip");
    for entry in [list("bans", "deny"), skipped.clone(), list("advisories", "ignore")].concat() {
        let (date, why) = entry["reason"].as_str().and_then(|reason| reason.split_once(": ")).unwrap();
        let date: chrono::NaiveDate = date.parse().unwrap_or_else(|e| panic!("{entry}: {e}"));
        assert!(
            date.and_time(Default::default()).and_utc() <= clock::now().to_utc() && why.len() > 10,
            "{entry}"
        );
    }
    for entry in skipped {
        let name = entry["crate"].as_str().unwrap();
        assert!(locked.contains(name), "{name} is gone from Cargo.lock; it needs no exception");
    }
}
