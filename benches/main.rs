//! What the program costs, row by row, beside the least anybody could do with the same work in the same run.
//!
//! `cargo bench` prints every row, `cargo bench -- ROW…` those whose name begins so. Neighbours: each file below measures
//! a few rows, `measure` says how. A part of its own, and no timed tests, because figures of a shared machine are for
//! reading: CPU time of the process that does the work, medians, and ratios to a floor that ran right beside it.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]

mod floor;
mod live;
mod load;
mod measure;
mod past;
mod people;
mod poll;
mod wire;

use measure::{Row, header};

/// A row's name, what it measures, and the function that does.
type Rows = [(&'static str, fn() -> Vec<Row>)];

const ROWS: &Rows = &[
    ("poll-100000", || poll::rows(100_000)),
    ("poll-1000000", || poll::rows(1_000_000)),
    ("wire-100000", wire::rows),
    ("live", live::rows),
    ("history", past::history),
    ("disk", past::disk),
    ("alerts", load::alerts),
    ("start", load::start),
];

/// What a process of its own measures: its name and the function, which gets the arguments after it.
type Children = [(&'static str, fn(&[String]) -> Vec<f64>)];

const CHILDREN: &Children = &[
    ("poll-time", poll::time),
    ("poll-memory", poll::memory),
    ("wire-client", wire::client),
    ("wire-server", wire::server),
    ("live-time", live::time),
    ("past-week", past::measure_week),
    ("past-backtest", past::measure_backtest),
    ("past-disk", past::measure_disk),
    ("load-alerts", load::measure_alerts),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    if let Some(child) = args.first().and_then(|first| CHILDREN.iter().find(|(name, _)| name == first)) {
        let figures: Vec<String> = child.1(&args[1..]).iter().map(ToString::to_string).collect();
        println!("{}", figures.join(" "));
        return;
    }
    println!("{}", header());
    // A whole name means that row alone, though another one's name begins with it.
    let whole = |arg: &str| ROWS.iter().any(|(name, _)| *name == arg);
    let asked = |name: &str, arg: &str| if whole(arg) { name == arg } else { name.starts_with(arg) };
    for (name, measure) in ROWS {
        if args.is_empty() || args.iter().any(|arg| asked(name, arg)) {
            measure().iter().for_each(|row| println!("{row}"));
        }
    }
}
