//! `seatwatch emulate`: the stand-in for the vendor's endpoint, until it is told to stop.
//!
//! Neighbours: `emulator` does the work. A part of its own because other programs read its one line on stdout.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;

use crate::emulator::{Emulator, Scenario, Settings};
use crate::engine::time::Time;
use crate::secret::Secret;

/// A scenario as the help shows it.
const EXAMPLE: &str = r#"[[user]]
name = "alice"
online = [[0, 1], ["30s", 5], ["2m", "absent"]]

[[fault]]
after = "5m"
for = "1m"
kind = "error"
code = "Forbidden.RAM"
"#;

/// Answers the vendor's API on loopback, with made-up people.
#[derive(clap::Args, Debug)]
#[command(after_help = help())]
pub(super) struct Args {
    /// Loopback address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:18080")]
    listen: SocketAddr,
    /// Which population: the same seed has the same people
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// How many people besides `doctest`
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(..=10_000_000))]
    users: u32,
    /// The one SAG instance there is
    #[arg(long, value_name = "ID", default_value = "sag-demo")]
    instance: String,
    #[arg(long, value_name = "ID", default_value = "testid")]
    access_key_id: String,
    #[arg(long, value_name = "SECRET", default_value = "testsecret")]
    access_key_secret: String,
    /// Asked for on every request, if given
    #[arg(long, value_name = "TOKEN")]
    security_token: Option<String>,
    /// Answer `Throttling.User` above this rate; 0 is no limit
    #[arg(long, value_name = "N", default_value_t = 0)]
    requests_per_second: u32,
    /// How many seconds pass for people and scenario in one second
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    speed: f64,
    /// Counts by hand and planted faults, a TOML file
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
}

fn help() -> String {
    let example: Vec<String> =
        EXAMPLE.lines().map(|line| format!("  {line}").trim_end().to_owned()).collect();
    format!(
        "Point a source's `endpoint` at the address that is printed. A scenario (times count from the start; a user has \
         also `joins` and `leaves`, a fault also `users`, `instances` and `actions`; its `kind` is throttle, error, \
         status, delay, drop or garbage):\n\n{}",
        example.join("\n")
    )
}

/// Prints one line when ready, `{"listening":"http://…"}`, then answers until `shutdown`.
///
/// # Errors
/// The scenario file is unreadable or wrong, or the address cannot be used.
pub(super) async fn run(
    args: Args,
    now: fn() -> Time,
    shutdown: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let scenario = match &args.scenario {
        Some(path) => read(path).with_context(|| format!("scenario {}", path.display()))?,
        None => Scenario::default(),
    };
    let listen = args.listen;
    let settings = settings(args, scenario);
    let (address, emulator) =
        Emulator::bind(settings, now(), Arc::new(now)).with_context(|| format!("listen on {listen}"))?;
    let ready = serde_json::json!({ "listening": format!("http://{address}") });
    let mut out = std::io::stdout().lock();
    writeln!(out, "{ready}").and_then(|()| out.flush()).context("write the ready line")?;
    drop(out);
    emulator.serve(shutdown).await.context("serve")
}

fn settings(args: Args, scenario: Scenario) -> Settings {
    Settings {
        listen: args.listen,
        seed: args.seed,
        users: args.users,
        instance: args.instance,
        access_key_id: args.access_key_id,
        access_key_secret: Secret::new(args.access_key_secret),
        security_token: args.security_token.map(Secret::new),
        requests_per_second: args.requests_per_second,
        speed: args.speed,
        scenario,
    }
}

fn read(path: &std::path::Path) -> anyhow::Result<Scenario> {
    Ok(std::fs::read_to_string(path)?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn what_is_not_said_is_the_emulators_default() {
        let line = <Line as clap::Parser>::try_parse_from(["emulate"]).unwrap();
        let given = settings(line.args, Scenario::default());
        assert_eq!(format!("{given:?}"), format!("{:?}", Settings::default()));
        assert_eq!(given.access_key_secret.expose(), Settings::default().access_key_secret.expose());
    }

    #[test]
    fn wrong_arguments_are_refused() {
        for wrong in [["--listen", "localhost"], ["--users", "-1"], ["--speed", "fast"], ["--port", "1"]] {
            let line = <Line as clap::Parser>::try_parse_from(["emulate", wrong[0], wrong[1]]);
            assert!(line.is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_help_shows_a_scenario_that_is_one() {
        let scenario = EXAMPLE.parse::<Scenario>();
        assert!(scenario.is_ok(), "{scenario:?}");
        assert!(help().contains("online = [[0, 1], "), "{}", help());
    }
}
