//! What a scenario says and which mistakes in one are named.
//! The tail of `scenario`, kept apart for its length.

use super::*;

fn read(text: &str) -> Scenario {
    text.parse().unwrap()
}

#[test]
fn counts_follow_the_steps() {
    let script = read(
        "[[user]]\nname = \"alice\"\nonline = [[0, 1], [\"10m\", 5], [\"20m\", \"absent\"], [\"40m\", 0]]",
    );
    let mins = Span::from_mins;
    let cases = [
        (0, Online::Count(1)),
        (9, Online::Count(1)),
        (10, Online::Count(5)),
        (20, Online::Absent),
        (99, Online::Count(0)),
    ];
    for (at, expect) in cases {
        assert_eq!(script.online("alice", mins(at)), Some(expect), "{at}");
    }
    assert_eq!(script.online("bob", mins(1)), None);
    assert_eq!(
        script.sessions("alice", mins(12)),
        Some(vec![mins(0), mins(10), mins(10), mins(10), mins(10)])
    );
    assert_eq!(script.sessions("alice", mins(50)), Some(vec![]));
}

#[track_caller]
fn check(text: &str, place: &str, why: &str) {
    let error = text.parse::<Scenario>().map(|_| ()).unwrap_err().to_string();
    assert!(error.contains(place) && error.contains(why), "{text}\n{error}");
}

#[test]
fn mistakes_are_named_with_their_place() {
    check("[[user]]\nname = \"a\"\nonlin = []", "line 3", "onlin");
    check("\n[[user]]\nname = \"a\"\nonline = []", "line 4", "at least one step");
    check("[[user]]\nname = \"a\"\nonline = [[\"5m\", 1], [\"5m\", 2]]", "line 3", "later offset");
    check("[[user]]\nname = \"a\"\nonline = [[5, 1]]", "line 3", "needs a unit");
    check("[[user]]\nname = \"a\"\nonline = [[0, -1]]", "line 3", "between 0 and");
    check("[[user]]\nname = \"a\"\nonline = [[0, \"many\"]]", "line 3", "absent");
    check(
        "[[user]]\nname = \"a\"\nonline = [[0, 1]]\n[[user]]\nname = \"a\"\nonline = [[0, 2]]",
        "line 5",
        "already scripted",
    );
    check("[[fault]]\nkind = \"explode\"", "line 2", "garbage");
    check("[[fault]]\nkind = \"status\"\ncode = 700", "line 1", "between 200 and 599");
    check("[[fault]]\nkind = \"delay\"\ncode = 5", "line 1", "as in \"5s\"");
    check("[[fault]]\nkind = \"drop\"\ncode = 5", "line 1", "no `code`");
    check("[[fault]]\nkind = \"drop\"\nfor = \"soon\"", "line 3", "not a duration");
    check("[[fault", "line 1", "");
    check("count_type = \"float\"", "line 1", "number");
}
