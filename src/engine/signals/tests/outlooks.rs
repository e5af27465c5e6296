//! How long the value of a window stays as it is, while nothing is read or the same again.
//!
//! Neighbours: `super` compares values with all readings. A part of its own because these are shown as tables.

use super::*;

/// What windows say of one slot at each poll (minute and reading), and for how long that is sure: whoever is sure of less
/// than there is to know is looked at for nothing.
fn outlooks(polls: &[(i64, Reading)], gap: Span) -> String {
    let d = Span::from_mins(10);
    let asked = [
        Signal::Peak(d),
        Signal::Low(d),
        Signal::Mean(d),
        Signal::Changes(d),
        Signal::TimeOver(1, d),
        Signal::OnlineTime,
        Signal::OfflineTime,
        Signal::Previous,
    ];
    let mut needs = Needs::default();
    asked.iter().for_each(|signal| needs.add(*signal, Track::AbsentHeld, gap));
    let (mut signals, mut out) = (Signals::new(&needs), String::new());
    for (seq, (minute, reading)) in (0..).zip(polls) {
        signals.observe(&[*reading], Span::from_mins(*minute), seq);
        out.push_str(&format!("minute {minute}, {reading:?}\n"));
        for signal in asked {
            let mut line = [Line::still(0.0)];
            signals.draw(&signal, Track::AbsentHeld, gap, &[0], &mut line);
            let Line { value, slope, lasts, bounds } = line[0];
            let for_long = if lasts.is_finite() { format!("for {lasts} ms") } else { "for ever".to_owned() };
            let moves = if slope == 0.0 { String::new() } else { format!(" + {slope:.6} a ms") };
            out.push_str(&format!("  {signal} = {value:.6}{moves} {for_long}, {bounds:?}\n"));
        }
    }
    out
}

#[test]
fn windows_say_how_long_they_stay_as_they_are() {
    let on = Reading::online;
    let told = [
        (
            "turns",
            &[(0, on(1)), (2, on(3)), (5, on(3)), (7, on(0)), (12, on(0)), (13, on(2)), (26, on(2))][..],
        ),
        (
            "holes",
            &[
                (0, on(2)),
                (1, Reading::FAILED),
                (4, on(2)),
                (9, on(1)),
                (10, Reading::FAILED),
                (11, on(4)),
                (12, on(4)),
            ],
        ),
    ];
    let told = told.map(|(what, polls)| format!("{what}\n{}", outlooks(polls, Span::from_mins(3))));
    let wide = outlooks(&[(0, on(2)), (8, on(5)), (16, on(5)), (19, on(5))], Span::from_mins(9));
    insta::assert_snapshot!(format!("{}\na longer gap\n{wide}", told.join("\n")));
}
