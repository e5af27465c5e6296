//! `rules test`: what it says of tests that hold, that fail, and that are wrong themselves.
//! Neighbours: the world in `mod`. A part of its own as each command's tests are.

use super::{RULES, World};

/// Tests that hold: each form of reading, of instant and of expectation, and each kind of subject.
const GOOD: &str = r#"
[[test]]
name = "a breach fires once it has held, and the window of the test is local"
source = "shanghai"
start = 2026-11-23T09:00:00
[test.readings]
alice = "1 3x2 _ 1x2"
ext-ann = "1 2 - ~ 2 0x2"
[[test.expect]]
at = "5m"
rule = "shared-account"
pending = ["alice", "ext-ann"]
firing = []
[[test.expect]]
at = 2026-11-23T09:15:00
rule = "shared-account"
fired = ["alice"]
pending = ["ext-ann"]
[[test.expect]]
at = 2026-11-23T01:20:00Z
rule = "shared-account"
fired = ["ext-ann"]
firing = ["alice", "ext-ann"]
[[test.expect]]
at = "25m"
rule = "shared-account"
ended = ["alice", "ext-ann"]
firing = []

[[test]]
name = "a silent source is told, and ends nobody"
source = "shanghai"
interval = "1h"
timezone = "Europe/Berlin"
start = 2026-10-25T01:00:00
[test.readings]
alice = "3x3 _x3 3"
[[test.expect]]
at = "6h"
rule = "agent/source-silent"
firing = ["shanghai"]
[[test.expect]]
at = 2026-10-25T06:00:00 # 7 hours by the wall clock less one it is put back
rule = "shared-account"
firing = ["alice"]
"#;

#[test]
fn tests_that_hold() {
    let world = World::new(&format!("{RULES}{GOOD}"));
    let ran = world.run(&["rules", "test"]);
    insta::assert_snapshot!("trials_good", ran.all());
    assert_eq!(ran.code, Some(0));
    let one = world.run(&["rules", "test", "--only", "silent", "--json"]);
    insta::assert_snapshot!("trials_good_json", one.json());
    assert!(!world.path("seatwatch.db").exists(), "a test needs no database");
}

#[test]
fn an_only_that_fits_no_test_is_refused() {
    let check = |world: &World, part: &str, expect: &str| {
        let ran = world.run(&["rules", "test", "--only", part, "--junit", "out.xml"]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{part}: {}", ran.err);
        let expect = format!("--only: no test's name holds {expect}");
        assert!(ran.err.contains(&expect), "{part}: {}", ran.err);
        assert!(!world.path("out.xml").exists(), "a build server would take no results for good ones");
    };
    let world = World::new(&format!("{RULES}{GOOD}"));
    check(&world, "silnet", "\"silnet\"; leave --only out to play all 2 tests");
    let near = "\"a silent source is told, and ends nobdy\"; did you mean \"a silent source";
    check(&world, "a silent source is told, and ends nobdy", near);
    check(&World::new(RULES), "x", "\"x\"; there are no [[test]] tables at all");
}

#[test]
fn a_test_that_fails_shows_every_poll() {
    let failing = r#"
[[test]]
name = "too soon"
source = "shanghai"
[test.readings]
alice = "1x3 3x4 _ 1x30 ~ 3x2"
bob = "1x30"
[[test.expect]]
at = "25m"
rule = "shared-account"
fired = ["alice"]
firing = ["alice", "bob"]
[[test.expect]]
at = "45m"
rule = "shared-account"
firing = ["alice"]
"#;
    let world = World::new(RULES);
    std::fs::write(world.path("more.toml"), failing).unwrap();
    let ran = world.run(&["rules", "test", "more.toml", "--junit", "out.xml"]);
    assert_eq!(ran.code, Some(1));
    insta::assert_snapshot!("trials_failing", ran.all());
    insta::assert_snapshot!("trials_failing_junit", std::fs::read_to_string(world.path("out.xml")).unwrap());
    insta::assert_snapshot!(
        "trials_failing_json",
        world.run(&["rules", "test", "more.toml", "--json"]).json()
    );
}

#[test]
fn a_total_without_a_value_says_who_is_missing() {
    let failing = r#"
[[test]]
name = "full"
source = "shanghai"
[test.readings]
alice = "1x6"
bob = "1 _x5"
ext-ann = "1 1 _x4"
lobby-kiosk = "1x6"
gateway-1 = "1x6"
"n.g" = "1x6"
[[test.expect]]
at = "25m"
rule = "seats"
firing = ["shanghai"]
"#;
    let world = World::new(&format!("{RULES}{failing}"));
    let ran = world.run(&["rules", "test"]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    // The last known reading counts for three intervals: bob's until the fourth poll, ext-ann's one longer.
    let said = |what: &str| ran.out.lines().filter(|line| line.contains(what)).count();
    assert_eq!(said("no total (1 member without a reading)"), 1, "{}", ran.out);
    assert_eq!(said("no total (2 members without a reading)"), 2, "{}", ran.out);
}

#[test]
fn every_mistake_of_a_test_is_told_at_its_place() {
    let wrong = r#"
[[test]]
name = "one"
source = "shanghi"
start = "monday"
interval = "0s"
[test.readings]
alice = "1 2.5 3xx"
bob = 3
carol = "1"
[[test.expect]]
at = "10m"
rule = "shared-acount"
firing = ["alice"]
[[test]]
name = "One"
source = "shanghai"
roster = { alice = "off" }
[test.readings]
alice = "1x5"
[[test.expect]]
at = "7m"
rule = "shared-account"
firing = ["alise"]
[[test.expect]]
at = "30m"
rule = "seats"
firing = ["alice"]
[[test.expect]]
at = "5m"
rule = "seats"
[[test]]
name = "nobody"
source = "shanghai"
[test.readings]
"" = "1"
"ali*" = "1"
bob = ""
[[test.expect]]
at = 2026-01-04
rule = "seats"
firing = []
[[test.expect]]
at = 2020-02-29T12:00:00
rule = "seats"
firing = []
[[test]]
name = "nothing"
"#;
    let world = World::new(&format!("{RULES}{wrong}"));
    let ran = world.run(&["rules", "test"]);
    assert_eq!(ran.code, Some(78));
    insta::assert_snapshot!("trials_wrong", ran.all());
    let world = World::new(RULES);
    std::fs::write(world.path("more.toml"), wrong).unwrap();
    let ran = world.run(&["rules", "test", "more.toml", "nowhere.toml"]);
    assert_eq!(ran.code, Some(78));
    insta::assert_snapshot!("trials_wrong_file", ran.all());
}

#[test]
fn a_file_without_tests_says_so() {
    let world = World::new(RULES);
    let ran = world.run(&["rules", "test", "--junit", "out.xml"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{}", ran.err);
    assert!(ran.err.contains("no test was played: there are no [[test]] tables at all"), "{}", ran.err);
    assert!(!world.path("out.xml").exists(), "a build server would take no results for good ones");
}

#[test]
fn a_refused_file_is_an_error_to_a_build_server() {
    let world = World::new(RULES);
    std::fs::write(world.path("more.toml"), "[[test]]\nname = \"a\"\nsource = \"shanghi\"\n").unwrap();
    let ran = world.run(&["rules", "test", "more.toml", "--junit", "out.xml"]);
    assert_eq!(ran.code, Some(78), "{}", ran.err);
    let junit = std::fs::read_to_string(world.path("out.xml")).unwrap();
    assert!(junit.contains("errors=\"1\"") && junit.contains("more.toml:3"), "{junit}");
}

#[test]
fn a_name_that_xml_cannot_hold_is_escaped() {
    let failing = r#"
[[test]]
name = "a <b> & \"c\" ]]> \uFFFE\uFFFF \U0001F600"
source = "shanghai"
[test.readings]
alice = "3 3"
[[test.expect]]
at = "0m"
rule = "shared-account"
firing = ["alice"]
"#;
    let world = World::new(&format!("{RULES}{failing}"));
    let ran = world.run(&["rules", "test", "--junit", "out.xml"]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let junit = std::fs::read_to_string(world.path("out.xml")).unwrap();
    assert!(!junit.contains(['\u{fffe}', '\u{ffff}']), "{junit}");
    let name = "name=\"a &lt;b&gt; &amp; &quot;c&quot; ]]&gt; \\u{fffe}\\u{ffff} \u{1f600}\"";
    assert!(junit.contains(name), "{junit}");
}
