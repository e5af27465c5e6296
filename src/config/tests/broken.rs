//! Files of which a part cannot be read or meant: bytes, a file cut short, values out of range, and what rests on them.
//!
//! Neighbours: every reader of a section. A part of its own because a refused part must refuse nothing else.

use super::*;

#[test]
fn bytes_that_are_no_rules_file_are_refused() {
    let why = |text: &str| {
        let problems = parse(text).unwrap_err();
        problems.errors.iter().map(|p| p.message.clone()).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(why("a = \"\0\""), "holds a NUL byte");
    assert_eq!(why(&"#".repeat(walk::LONGEST + 1)), "is longer than 1 MiB");
    assert!(why(&format!("a = {}", "[".repeat(100_000))).contains("recurs"));
    assert!(parse(&format!("\u{feff}{}", BASE.replace('\n', "\r\n"))).is_ok(), "BOM and CRLF are fine");
    let dir = tempfile::tempdir().unwrap();
    let load = |path: &Path| Config::load(path, now()).unwrap_err().errors[0].message.clone();
    assert_eq!(load(dir.path()), "is not a regular file");
    assert!(load(&dir.path().join("none")).starts_with("cannot be read"));
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("latin"), [b'#', 0xe4]).unwrap();
    assert_eq!(load(&at("latin")), "is not UTF-8 text");
    let hint = |path: &Path| Config::load(path, now()).unwrap_err().errors[0].hint.clone().unwrap();
    std::fs::write(at("line"), b"# \xc3\xa4\n# \xc3\xa4 \xe4").unwrap();
    let problem = Config::load(&at("line"), now()).unwrap_err().errors.remove(0);
    assert_eq!((problem.line, problem.column), (2, 5));
    assert_eq!(hint(&at("line")), "save it as UTF-8 text");
    assert_eq!(hint(dir.path()), "it is a directory: name the file in it");
    let wide: Vec<u8> = format!("\u{feff}{BASE}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(at("wide"), wide).unwrap();
    assert_eq!(load(&at("wide")), "is not UTF-8 text");
    // 100 MiB that take no room on the disk, and a device without an end.
    std::fs::File::create(at("huge")).unwrap().set_len(100 << 20).unwrap();
    assert_eq!(load(&at("huge")), "is longer than 1 MiB");
    assert_eq!(hint(&at("huge")), "put long lists of users into a users_file");
    assert_eq!(load(Path::new("/dev/zero")), "is not a regular file");
    let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from(0o600));
    rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), fifo, mode, 0).unwrap();
    assert_eq!(load(&at("fifo")), "is not a regular file");
}

/// One mistake is told as one: what rests on the part that was refused is not complained of.
#[test]
fn what_rests_on_a_refused_part_is_not_complained_of() {
    #[track_caller]
    fn wrong(from: &str, to: &str, expect: &str) {
        let more = "[[group]]\nname = \"g\"\nusers = [\"ali*\"]\nlimit = 2\n[[exception]]\nuser = \"bob\"\nlimit = 9\n\
                    reason = \"r\"\nowner = \"o\"\nexpires = 2999-01-01\n[[calendar]]\nname = \"office\"\n\
                    hours = [\"09:00-18:00\"]\n[[calendar]]\nname = \"night\"\noutside = \"office\"\n\
                    [[rule]]\nname = \"over\"\nwhen = \"online > limit\"\ngroups = [\"g\"]\nexcept = [\"bob\"]\nduring = \"night\"\n";
        let text = format!("{BASE}{more}");
        assert!(parse(&text).is_ok_and(|config| config.warnings.is_empty()), "{:?}", parse(&text));
        assert!(text.contains(from), "{from}");
        let problems = parse(&text.replacen(from, to, 1)).unwrap_err();
        let told = problems.errors.iter().chain(&problems.warnings);
        let told: Vec<String> = told.map(|one| format!("{}: {}", one.key, one.message)).collect();
        assert!(told.len() == 1 && told[0].starts_with(expect), "{to}: {told:#?}");
    }
    wrong("*/5 * * * *", "*/5 * * * * * *", "source \"one\".schedule: ");
    wrong("\"bob\"]", "\"bo\\tb\"]", "source \"one\".users: a user name holds");
    wrong("notify = [\"hook\"]", "notify = [\"hok\"]", "agent.notify: no channel is called");
    wrong("notify = [\"hook\"]", "notify = \"hook\"", "agent.notify: must be");
    wrong("09:00-18:00", "09:00-26:00", "calendar \"office\".hours: ");
    wrong("limit = 2", "limit = \"2\"", "group \"g\".limit: ");
    wrong("outside = \"office\"", "outside = \"ofice\"", "calendar \"night\".outside: no calendar is called");
    wrong("[[rule]]", "[[rule]]\nnotify = \"hook\"", "rule \"many\".notify: must be");
}

/// A reload may find a file that an editor has written the first part of.
#[test]
fn a_file_cut_short_means_nothing_else_than_it_says() {
    for cut in (0..BASE.len()).filter(|cut| BASE.is_char_boundary(*cut)) {
        let Ok(config) = parse(&BASE[..cut]) else { continue };
        let whole_lines = BASE[..cut].ends_with('\n') || BASE[cut..].starts_with('\n');
        assert!(whole_lines, "cut within a line: {:?}", &BASE[..cut]);
        let tables = BASE[..cut].matches("[[").count();
        assert!(tables >= config.rules.len() + config.sources.len() + config.channels.len());
    }
}

/// Each value of a duration, number or count that cannot be meant, at its line and column.
#[test]
fn zero_and_negative_values_are_refused_where_they_stand() {
    let refused = |from: &str, to: &str, line: &str| {
        let text = BASE.replace(from, to);
        let found = parse(&text).map_or_else(|problems| problems.errors, |_| Vec::new());
        let at_line = |p: &&Problem| text.lines().nth(p.line - 1) == Some(line) && p.column > 1;
        let error = found.iter().find(at_line).unwrap_or_else(|| panic!("{line}: {found:?}"));
        error.message.clone()
    };
    for (key, value) in [
        ("schedule = \"*/5 * * * *\"", "budget = \"0s\""),
        ("schedule = \"*/5 * * * *\"", "timeout = \"0s\""),
        ("schedule = \"*/5 * * * *\"", "connect_timeout = \"0ms\""),
        ("schedule = \"*/5 * * * *\"", "timeout = \"-5s\""),
        ("access_key_id = { env = \"ID\" }", "requests_per_second = 0"),
        ("access_key_id = { env = \"ID\" }", "requests_per_second = -1"),
        ("access_key_id = { env = \"ID\" }", "burst = 0"),
        ("when = \"online > 3\"", "for = \"-10m\""),
        ("when = \"online > 3\"", "repeat = \"0s\""),
        ("when = \"online > 3\"", "max_gap = \"0s\""),
        ("when = \"online > 3\"", "limit = -1"),
        ("kind = \"webhook\"", "timeout = \"0s\""),
        ("kind = \"webhook\"", "timeout = \"-1s\""),
    ] {
        let message = refused(key, &format!("{key}\n{value}"), value);
        assert!(
            message.contains("out of range") || message.contains("is not a duration"),
            "{value}: {message}"
        );
    }
    let every_second = refused("*/5 * * * *", "* * * * * *", "schedule = \"* * * * * *\"");
    assert!(every_second.contains("second"), "{every_second}");
}
