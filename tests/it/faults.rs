//! Whether `FAULTS.md` is complete and true: each fault once and in order, each with tests that exist, or an honest gap.
//!
//! Neighbours: every test of the project, whose names are read from the sources. A part of its own because a table of
//! proofs that nobody checks is a list of wishes. What it counts is printed at the end of `tests/run`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The sections of the catalogue, in order, and how many faults each has.
const SECTIONS: [(char, usize); 8] =
    [('P', 27), ('N', 21), ('A', 25), ('S', 21), ('D', 32), ('C', 16), ('W', 15), ('I', 15)];

/// Words that would let a gap look smaller than it is.
const VAGUE: [&str; 12] = [
    "todo",
    "tbd",
    "later",
    "mostly",
    "partly",
    "largely",
    "somehow",
    "various",
    "etc",
    "soon",
    "basically",
    "should",
];

/// The last cell of a row.
#[derive(PartialEq, Eq, Debug)]
enum Proof {
    Tests(Vec<String>),
    Open(String),
    Web,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Number, fault and proof of each row.
fn rows(page: &str) -> Vec<(String, String, Proof)> {
    let is_row = |line: &&str| {
        let number = line.strip_prefix("| ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
        number.len() > 1 && number.chars().skip(1).all(|c| c.is_ascii_digit())
    };
    page.lines().filter(is_row).map(row).collect()
}

fn row(line: &str) -> (String, String, Proof) {
    let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
    let [number, fault, proof] = cells.as_slice() else { panic!("three cells, not {}: {line}", cells.len()) };
    ((*number).to_owned(), (*fault).to_owned(), read(proof))
}

fn read(cell: &str) -> Proof {
    if cell == "web" {
        return Proof::Web;
    }
    if let Some(reason) = cell.strip_prefix("open: ") {
        return Proof::Open(reason.to_owned());
    }
    let name = |part: &str| {
        let name = part.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
        name.unwrap_or_else(|| panic!("neither `a::test`, nor open: …, nor web: {part:?}")).to_owned()
    };
    Proof::Tests(cell.split(", ").map(name).collect())
}

/// The names of all tests: of `tests/it` by module, of other test programs after their own name, of the library by
/// their whole path, as `cargo test -- --list` shows them.
fn names() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    walk(&root().join("src"), &[], &mut found);
    let programs = fs::read_dir(root().join("tests")).unwrap().map(|entry| entry.unwrap().path());
    for path in programs {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.join("main.rs").exists() {
            let own = if stem == "it" { Vec::new() } else { vec![stem.clone()] };
            walk(&path, &own, &mut found);
            let main = fs::read_to_string(path.join("main.rs")).unwrap();
            found.extend(parts(&main).map(|part| format!("{stem}::{part}")));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.extend(tests_in(&fs::read_to_string(&path).unwrap(), &[stem]));
        }
    }
    found
}

/// What a program without the usual harness lists as its tests: rows `("name", …` of its table `PARTS`.
fn parts(main: &str) -> impl Iterator<Item = &str> {
    let table = main.split_once("const PARTS").and_then(|(_, rest)| rest.split_once("];"));
    table.map_or("", |(table, _)| table).split("(\"").skip(1).filter_map(|row| row.split('"').next())
}

fn walk(folder: &Path, module: &[String], found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut inner = module.to_vec();
        if !["mod", "main", "lib"].contains(&stem.as_str()) {
            inner.push(stem);
        }
        if path.is_dir() {
            walk(&path, &inner, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.extend(tests_in(&fs::read_to_string(&path).unwrap(), &inner));
        }
    }
}

/// Functions with a test's attribute; those below a `mod` of the same file belong to it.
fn tests_in(text: &str, module: &[String]) -> Vec<String> {
    let mut path = module.join("::");
    let (mut found, mut is_test) = (Vec::new(), false);
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(" {")) {
            path = [module, &[name.to_owned()]].concat().join("::");
        } else if line == "}" {
            path = module.join("::");
        }
        let line = line.trim();
        is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let signature = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        if let (true, Some((name, _))) = (is_test, signature.and_then(|rest| rest.split_once('('))) {
            found.push(if path.is_empty() { name.to_owned() } else { format!("{path}::{name}") });
            is_test = false;
        }
    }
    found
}

/// What is wrong with a gap's reason, if anything.
fn hides(reason: &str) -> Option<String> {
    let lower = reason.to_lowercase();
    let word = VAGUE.iter().find(|word| lower.split(|c: char| !c.is_alphabetic()).any(|w| w == **word));
    match word {
        Some(word) => Some(format!("{word:?} hides what is missing")),
        None if reason.split_whitespace().count() < 4 => Some("says too little".to_owned()),
        None => None,
    }
}

#[test]
fn every_fault_is_listed_once_and_in_order() {
    let page = fs::read_to_string(root().join("tests/it/FAULTS.md")).unwrap();
    let all = |(letter, count): &(char, usize)| {
        let letter = *letter;
        (1..=*count).map(move |n| format!("{letter}{n:02}"))
    };
    let expect: Vec<String> = SECTIONS.iter().flat_map(all).collect();
    let found: Vec<String> = rows(&page).into_iter().map(|(number, ..)| number).collect();
    assert_eq!(found, expect);
    assert_eq!(found.len(), 172);
}

#[test]
fn every_proof_exists_and_no_gap_is_hidden() {
    let page = fs::read_to_string(root().join("tests/it/FAULTS.md")).unwrap();
    let names = names();
    let (mut proved, mut web, mut open, mut wrong) = (0, 0, Vec::new(), Vec::new());
    for (number, fault, proof) in rows(&page) {
        if fault.split_whitespace().count() < 4 {
            wrong.push(format!("{number}: says neither fault nor consequence"));
        }
        match proof {
            Proof::Tests(tests) => {
                proved += 1;
                let missing = tests.iter().filter(|test| !names.contains(*test));
                wrong.extend(missing.map(|test| format!("{number}: there is no test {test}")));
                if tests.iter().collect::<BTreeSet<_>>().len() != tests.len() {
                    wrong.push(format!("{number}: names a test twice"));
                }
            }
            Proof::Web => {
                web += 1;
                if !number.starts_with('W') {
                    wrong.push(format!("{number}: is no fault of the web page"));
                }
            }
            Proof::Open(reason) => {
                wrong.extend(hides(&reason).map(|why| format!("{number}: {why}")));
                open.push(number);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let count = open.len();
    let mut line = format!("faults proved {proved} of 172, {web} belong to the web page, {count} open");
    if count > 0 {
        line = format!("{line}: {}", open.join(" "));
    }
    let place = root().join("target/proven");
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("faults"), line + "\n").unwrap();
}

/// What is read from the sources is what the test program knows of itself.
#[test]
fn the_names_are_those_of_the_test_program() {
    let listed = std::process::Command::new(std::env::current_exe().unwrap()).arg("--list").output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let listed: BTreeSet<String> =
        listed.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect();
    let mut read = BTreeSet::new();
    walk(&root().join("tests/it"), &[], &mut read);
    assert!(read.len() > 200, "{}", read.len());
    assert_eq!(read.symmetric_difference(&listed).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn a_cell_is_tests_or_a_gap() {
    assert_eq!(read("`a::b`, `c`"), Proof::Tests(vec!["a::b".to_owned(), "c".to_owned()]));
    assert_eq!(read("web"), Proof::Web);
    assert_eq!(read("open: nobody looked"), Proof::Open("nobody looked".to_owned()));
    assert!(std::panic::catch_unwind(|| read("proved elsewhere")).is_err());
    assert!(hides("mostly proved by other tests").is_some() && hides("not yet").is_some());
    assert_eq!(hides("no test kills at a chosen system call"), None);
}
