//! A user against the same hour of past weeks: the agent reads its own history, and never takes an episode for usual.
//!
//! Neighbours: `world` has the emulator and the clock; `engine::usual` has the arithmetic in tests of its own. A part of
//! its own because it takes five weeks, of which ten polls are enough.

use crate::world::{World, minute};

const WEEK: i64 = 7 * 24 * 60;

/// (minute, what alice has then); the hour is the first of a Monday in UTC.
const STORY: &str = "[[user]]\nname = \"alice\"\nonline = [[0, 1], [\"10085m\", 3], [\"10095m\", 1], \
    [\"20165m\", 4], [\"20170m\", 1], [\"30245m\", 4], [\"30250m\", 1], [\"40320m\", 2], [\"40380m\", 4]]\n";

const RULE: &str = "source shanghai 'alice'\n[[rule]]\nname = 'unusual'\nwhen = 'online > usual(0.9)'\n\
    max_gap = '30m'\n[[rule]]\nname = 'twice'\nwhen = 'online > 2 * usual(0.9)'\nmax_gap = '30m'\n";

/// Polls of the stories' hours, restarted after each of them or never.
async fn story(restarts: bool) -> String {
    let mut world = World::new(STORY, RULE).await;
    for week in 0..=4 {
        for n in [-20, 0, 5, 10, 15, 30, 50, 60, 65] {
            // The first hour of all begins with its first poll.
            if week == 0 && n < 0 {
                continue;
            }
            world.poll(week * WEEK + n).await;
            world.tend().await;
            if restarts {
                world.restart().await;
            }
            world.deliver().await;
        }
    }
    let line = |event: seatwatch::engine::event::Event| {
        let passed = event.at.since(minute(0)).millis() / 60_000;
        let (week, n) = (passed / WEEK, passed % WEEK);
        format!(
            "week {week} minute {n} {} {:?} {}",
            event.rule,
            event.kind,
            event.value.unwrap().now.unwrap()
        )
    };
    let mut lines: Vec<String> = world.events().into_iter().map(line).collect();
    lines.sort();
    lines.join("\n")
}

const EXPECT: &str = "\
week 2 minute 10 twice Ended 1
week 2 minute 10 unusual Ended 1
week 2 minute 5 twice Fired 4
week 2 minute 5 unusual Fired 4
week 3 minute 10 twice Ended 1
week 3 minute 10 unusual Ended 1
week 3 minute 5 twice Fired 4
week 3 minute 5 unusual Fired 4
week 4 minute 0 unusual Fired 2
week 4 minute 60 twice Fired 4";

#[tokio::test]
async fn what_a_rule_raised_is_never_usual() {
    let told = story(false).await;
    // In the second week there is no value yet, so the 3 of it is learnt: ten of 120 minutes are no tenth.
    // The 4 of the third week was an episode of both rules, so in the fourth it is as unusual as before.
    // The next hour of the week has a history of its own.
    assert_eq!(told, EXPECT);
    assert_eq!(story(true).await, told, "restarted after every poll");
}

#[tokio::test]
async fn a_rule_that_is_new_knows_the_readings_of_before() {
    let quiet = "source shanghai 'alice'\n[[rule]]\nname = 'busy'\nwhen = 'online > 9'\n";
    let world = World::new(STORY, quiet).await;
    for week in 0..2 {
        for n in [0, 20, 40, 60] {
            world.poll(week * WEEK + n).await;
        }
    }
    assert!(world.reload(RULE).await);
    world.poll(2 * WEEK + 5).await;
    assert_eq!(world.events().len(), 2, "both rules fire at once");
    world.leaves("nobody delivers here");
}
