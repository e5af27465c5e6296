//! The commands: arguments in, text or JSON out, an exit code.
//!
//! Neighbours: one file per command beside this one; they use the agent's parts and read the store. A part of its
//! own because nothing below it prints, parses arguments or knows an exit code.

mod acts;
mod alerts;
mod api;
mod backtest;
mod backtest_told;
mod backtested;
mod busy;
mod check;
mod coverage;
mod db;
mod demo;
mod emulate;
mod episode;
mod exit;
mod history;
mod layout;
mod local;
mod log;
mod notify;
mod open;
mod outbox;
mod past;
mod payload;
mod pick;
mod poll;
mod print;
mod records;
mod roster;
mod rules;
mod run;
mod stale;
mod stderr;
mod step;
mod subject;
mod suggest;
mod suggested;
mod table;
mod trials;
mod users;
mod when;
mod why;
mod why_not;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use exit::{Exit, Failure};

/// Tells security teams when an account is shared and when an expected user goes offline.
#[derive(Parser, Debug)]
#[command(name = "seatwatch", version, max_term_width = 110)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(clap::Args, Debug, Clone)]
struct Common {
    /// The rules file
    #[arg(
        short,
        long,
        global = true,
        env = "SEATWATCH_CONFIG",
        default_value = "rules.toml",
        value_name = "FILE"
    )]
    config: PathBuf,
    /// Whether `-c` was typed
    #[arg(skip)]
    config_typed: bool,
    /// Print one JSON value on stdout and nothing else there
    #[arg(long, global = true)]
    json: bool,
    /// How the log on stderr is written
    #[arg(long, global = true, value_enum, default_value_t = log::Format::Text, value_name = "FORMAT")]
    log: log::Format,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// The agent: polls, judges and tells until SIGTERM or SIGINT; SIGHUP reloads the rules file
    Run(run::Args),
    /// Emulator and agent together on loopback, with two weeks of history; nothing to configure
    Demo(demo::Args),
    /// Read the rules file: every mistake, warnings, the next runs of each schedule, whom each rule covers
    Check(check::Args),
    /// One poll now, printed; stores nothing
    Poll(poll::Args),
    /// Sign and call one action of the vendor's API
    Api(api::Args),
    /// What the rules are and how they stand
    Rules(rules::Args),
    /// Episodes: list, show, acknowledge, close
    Alerts(alerts::Args),
    /// Why an episode fired: the polls that decided, with the value of every expression
    Why(why::Args),
    /// Why a rule does not fire, or did not, for a user: the first step that fails
    WhyNot(why_not::Args),
    /// Notifications: list, show, retry, drop
    Outbox(outbox::Args),
    /// Send a test through a channel
    Notify(notify::Args),
    /// Every watched user: last reading, limit, groups, rules
    Users(users::Args),
    /// The readings of one user
    History(history::Args),
    /// The database: backup, check, stats
    Db(db::Args),
    /// A stand-in for the vendor's endpoint, on loopback
    Emulate(emulate::Args),
    /// Completions for a shell, on stdout
    Completions { shell: clap_complete::Shell },
}

/// Every command with its arguments, for completions and for tests of what documents say.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the command named by the process's arguments.
pub fn main() -> ExitCode {
    crate::secret::forbid_dumps();
    let arguments = match parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // clap prints help and usage errors itself, to the right stream; a closed pipe is no reason to panic.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Fine.into() };
        }
    };
    // The demo tells its story on stdout; the log would tell it twice.
    let least = if matches!(arguments.command, Command::Demo(_)) { "error" } else { "warn,seatwatch=info" };
    let format = arguments.common.log;
    log::start(format, least);
    let done = dispatch(arguments);
    if let (Err(failure), log::Format::Json) = (&done, format) {
        failure.log();
    }
    log::finish();
    match done {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if format == log::Format::Text {
                failure.print();
            }
            failure.exit().into()
        }
    }
}

fn parse() -> Result<Arguments, clap::Error> {
    let matches = command().try_get_matches()?;
    let mut arguments = Arguments::from_arg_matches(&matches)?;
    arguments.common.config_typed = matches.value_source("config") == Some(ValueSource::CommandLine);
    Ok(arguments)
}

fn dispatch(arguments: Arguments) -> Result<Exit, Failure> {
    let common = &arguments.common;
    match arguments.command {
        Command::Run(args) => run::run(common, &args),
        Command::Demo(args) => demo::run(common, &args),
        Command::Check(args) => check::run(common, &args),
        Command::Rules(args) => rules::run(common, &args),
        Command::Users(args) => users::run(common, &args),
        Command::History(args) => history::run(common, &args),
        Command::Db(args) => db::run(common, &args),
        Command::Emulate(args) => open::block_on(async {
            emulate::run(args, crate::agent::clock::now, open::stopped()).await?;
            Ok(Exit::Fine)
        }),
        Command::Poll(args) => poll::run(common, &args),
        Command::Api(args) => api::run(common, &args),
        Command::Alerts(args) => alerts::run(common, args),
        Command::Why(args) => why::run(common, &args),
        Command::WhyNot(args) => why_not::run(common, &args),
        Command::Outbox(args) => outbox::run(common, args),
        Command::Notify(args) => notify::run(common, &args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command(), "seatwatch", &mut script);
            print::raw(&script);
            Ok(Exit::Fine)
        }
    }
}
