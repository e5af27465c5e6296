//! The rules of the house: who may name whom, how long files are, what they begin with, what names may say.
//!
//! Neighbours: every file of the repository; it is read as text. A part of its own because a rule that only stands
//! in prose is broken within a month.

use std::fs;
use std::path::{Path, PathBuf};

struct File {
    /// From the repository's root, with `/`.
    path: String,
    text: String,
}

impl File {
    fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|ending| ending == "rs")
    }

    /// A file of tests only.
    fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// What ships: without the tests at the end, and without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = parts(&self.text).0.lines().enumerate().map(|(index, line)| (index + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

/// What ships, and the tests at the end. A `mod tests;` among the declarations ends nothing.
fn parts(text: &str) -> (&str, &str) {
    let mark = "#[cfg(test)]\nmod ";
    let inline = |at: &usize| text[at + mark.len()..].lines().next().is_some_and(|line| line.ends_with('{'));
    let at = text.match_indices(mark).map(|(at, _)| at).find(inline);
    text.split_at(at.unwrap_or(text.len()))
}

#[test]
fn a_declaration_of_tests_hides_nothing() {
    let text = "#[cfg(test)]\nmod tests;\nmod a;\nfn f() {}\n#[cfg(test)]\nmod more {\n}\n";
    assert!(parts(text).0.ends_with("fn f() {}\n") && parts(text).1.starts_with("#[cfg(test)]\nmod more {"));
}

/// Every file that is kept under version control, or would be.
fn files() -> Vec<File> {
    fn walk(root: &Path, folder: &Path, found: &mut Vec<File>) {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_symlink() || [".git", "target", ".venv", "node_modules"].contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                walk(root, &path, found);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let path = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
                found.push(File { path, text });
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    walk(root, root, &mut found);
    found.retain(|file| file.path != "tests/it/tidy.rs");
    assert!(found.len() > 20, "the repository is at {}", root.display());
    found
}

fn rust(under: &str) -> Vec<File> {
    files().into_iter().filter(|file| file.is_rust() && file.path.starts_with(under)).collect()
}

/// Whether the word stands in the line, not as a part of a longer one.
fn names(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        !before.ends_with(part) && !after.starts_with(part)
    })
}

#[track_caller]
fn none(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n{}", broken.join("\n"));
}

/// Lines of shipped code in `files` that name one of `words`.
fn naming(files: &[File], words: &[&str]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| !file.is_test()) {
        for (number, line) in file.code() {
            for word in words.iter().filter(|word| names(line, word)) {
                broken.push(format!("{}:{number}: {word}", file.path));
            }
        }
    }
    broken
}

fn outside(allowed: &[&str]) -> Vec<File> {
    let mut files = rust("src/");
    files.retain(|file| !allowed.iter().any(|place| file.path.starts_with(place)));
    files
}

#[test]
fn invariant_1_the_engine_is_pure() {
    let words = [
        "tokio",
        "rusqlite",
        "reqwest",
        "lettre",
        "axum",
        "async",
        "await",
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "std::thread",
        "SystemTime",
        "Instant::now",
        "Utc::now",
        "Local::now",
        "rand",
        "tracing",
    ];
    none("engine performs no I/O, reads no clock and awaits nothing", &naming(&rust("src/engine/"), &words));
    let others = ["agent", "aliyun", "channel", "cli", "config", "emulator", "secret", "source", "store"];
    let paths: Vec<String> = others.iter().map(|part| format!("crate::{part}")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    none("engine uses nothing else of the crate", &naming(&rust("src/engine/"), &paths));
}

#[test]
fn parts_depend_in_one_direction() {
    for (part, not) in [
        ("src/source/", &["crate::store", "crate::channel", "crate::agent", "crate::cli", "crate::web"][..]),
        (
            "src/store/",
            &["crate::source", "crate::channel", "crate::agent", "crate::cli", "crate::aliyun"][..],
        ),
        (
            "src/channel/",
            &["crate::source", "crate::store", "crate::agent", "crate::cli", "crate::aliyun"][..],
        ),
        (
            "src/aliyun/",
            &["crate::store", "crate::channel", "crate::agent", "crate::cli", "crate::source"][..],
        ),
        ("src/config/", &["crate::store", "crate::agent", "crate::cli", "crate::aliyun"][..]),
        ("src/agent/", &["crate::cli", "crate::aliyun"][..]),
        ("src/emulator/", &["crate::store", "crate::channel", "crate::cli", "crate::source"][..]),
    ] {
        none(&format!("{part} names none of {not:?}"), &naming(&rust(part), not));
    }
    let aliyun = outside(&["src/aliyun/", "src/source/", "src/emulator/", "src/cli/"]);
    none("aliyun is used by source, emulator and cli alone", &naming(&aliyun, &["crate::aliyun"]));
}

#[test]
fn each_library_has_its_place() {
    none("rusqlite stays in the store", &naming(&outside(&["src/store/"]), &["rusqlite"]));
    none("cron stays in the schedule", &naming(&outside(&["src/engine/schedule/"]), &["cron"]));
    none("lettre stays in the channels", &naming(&outside(&["src/channel/"]), &["lettre"]));
    let statements = ["SELECT ", "INSERT INTO", "DELETE FROM", "CREATE TABLE", "PRAGMA "];
    let mut broken = Vec::new();
    for file in outside(&["src/store/"]).iter().filter(|file| !file.is_test()) {
        for (number, line) in file.code() {
            for statement in statements.iter().filter(|statement| line.contains(**statement)) {
                broken.push(format!("{}:{number}: {statement}", file.path));
            }
        }
    }
    none("SQL stays in the store", &broken);
}

#[test]
fn invariant_2_clock_and_environment_are_read_in_one_place_each() {
    let clock = ["Utc::now", "Local::now", "SystemTime::now", "clock_gettime"];
    none("agent/clock.rs reads the clock", &naming(&outside(&["src/agent/clock.rs"]), &clock));
    let environment = ["env::var", "env::var_os", "env::vars"];
    none("secret.rs reads the environment", &naming(&outside(&["src/secret.rs"]), &environment));
}

#[test]
fn nothing_starts_another_program() {
    let programs = ["process::Command", "execve", "posix_spawn"];
    none("no name ever reaches a shell", &naming(&rust("src/"), &programs));
}

#[test]
fn files_are_short() {
    let lengths = rust("src/").into_iter().filter(|file| !file.is_test()).map(|file| {
        let lines = parts(&file.text).0.lines().count();
        (file.path, lines)
    });
    let broken: Vec<String> = lengths
        .filter(|(_, lines)| *lines > 400)
        .map(|(path, lines)| format!("{path}: {lines} lines"))
        .collect();
    none("a file has at most 400 lines without its tests", &broken);
}

#[test]
fn files_say_what_they_are() {
    let mut broken = Vec::new();
    for file in files().iter().filter(|file| file.is_rust() && !file.path.starts_with("fuzz/")) {
        // A `tests.rs` is the tail of the file that it tests.
        if file.path.starts_with("src/") && file.is_test() {
            continue;
        }
        // The map of the whole: as long as it must be.
        if file.path == "src/lib.rs" {
            continue;
        }
        let header = file.text.lines().take_while(|line| line.starts_with("//!")).count();
        if !(2..=10).contains(&header) {
            broken.push(format!("{}: {header} lines", file.path));
        }
    }
    none(
        "a file begins with a header of 2 to 10 lines: what it is, its neighbours, why a part of its own",
        &broken,
    );
}

#[test]
fn names_say_something() {
    let empty = ["Manager", "Handler", "Service", "Helper", "Util", "Utils", "Data", "Info"];
    let mut broken = Vec::new();
    for file in rust("") {
        for (number, line) in file.text.lines().enumerate() {
            let declares = ["struct ", "enum ", "trait ", "type "];
            let named = declares.iter().find_map(|word| {
                let (before, after) = line.split_once(word)?;
                let opens = before.trim().is_empty() || before.trim().starts_with("pub");
                opens.then(|| after.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default())
            });
            if let Some(name) = named {
                // A word of the name begins with a capital and ends before the next.
                let is_word = |word: &&&str| {
                    name.match_indices(**word)
                        .any(|(at, _)| !name[at + word.len()..].starts_with(|c: char| c.is_lowercase()))
                };
                if let Some(word) = empty.iter().find(is_word) {
                    broken.push(format!("{}:{}: {name} ({word})", file.path, number + 1));
                }
            }
        }
        let stem = file.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned();
        if ["manager", "handler", "service", "helper", "helpers", "util", "utils", "info"]
            .contains(&stem.as_str())
        {
            broken.push(file.path.clone());
        }
    }
    none("a name says what the thing is", &broken);
}

#[test]
fn nothing_is_left_for_later() {
    let left = ["todo!(", "unimplemented!(", "#[ignore", "FIXME", "TODO", "XXX"];
    let mut broken = Vec::new();
    for file in rust("") {
        for (number, line) in file.text.lines().enumerate() {
            for word in left.iter().filter(|word| line.contains(**word)) {
                broken.push(format!("{}:{}: {word}", file.path, number + 1));
            }
        }
    }
    none("what is there is whole", &broken);
}

#[test]
fn no_test_sleeps() {
    let mut broken = Vec::new();
    for file in rust("") {
        let tests = if file.is_test() { file.text.as_str() } else { parts(&file.text).1 };
        for line in tests.lines() {
            for word in ["thread::sleep", "time::sleep"].iter().filter(|word| line.contains(**word)) {
                // A wait for a condition, with a deadline, says so in its line.
                if !line.contains("// until ") {
                    broken.push(format!("{}: {word}", file.path));
                }
            }
        }
    }
    none(
        "no test waits a fixed time; a wait for a condition has a deadline and ends its line with `// until …`",
        &broken,
    );
}

#[test]
fn migrations_are_listed_once_in_order() {
    let all = files();
    let listed: Vec<&str> = all
        .iter()
        .filter(|file| file.path.starts_with("src/store/"))
        .flat_map(|file| file.text.lines())
        .flat_map(|line| line.split("migrations/").skip(1))
        .filter_map(|rest| Some(rest.split_once(".sql")?.0))
        .collect();
    let present: Vec<&str> =
        all.iter().filter_map(|file| file.path.strip_prefix("migrations/")?.strip_suffix(".sql")).collect();
    assert_eq!(listed, present, "src/store lists every file of migrations/ once, in order");
    for (index, name) in present.iter().enumerate() {
        assert!(name.starts_with(&format!("{:04}_", index + 1)), "{name} is number {}", index + 1);
    }
}

#[test]
fn the_project_knows_nothing_of_the_machine_it_is_written_on() {
    let mut broken = Vec::new();
    // Put together here, so that this file does not name them either.
    let places = ["root", "home", "Users", "work"].map(|owner| format!("/{owner}/"));
    for file in files() {
        for (number, line) in file.text.lines().enumerate() {
            for place in places.iter().filter(|place| line.contains(*place)) {
                broken.push(format!("{}:{}: {place}", file.path, number + 1));
            }
        }
    }
    none("no file names a path of the machine it is written on", &broken);
}
