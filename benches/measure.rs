//! How a figure is taken: CPU time, peak memory, a process of its own, and the line that is printed.
//!
//! Neighbours: every row's file. A part of its own so that all rows mean the same by a figure.

use std::fmt;
use std::process::{Command, Stdio};

use rustix::time::{ClockId, clock_gettime};

/// CPU time of this process so far, all threads, in milliseconds.
pub(crate) fn cpu_ms() -> f64 {
    let at = clock_gettime(ClockId::ProcessCPUTime);
    at.tv_sec as f64 * 1e3 + at.tv_nsec as f64 / 1e6
}

pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let before = cpu_ms();
    let done = work();
    (done, cpu_ms() - before)
}

pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The most memory this process ever had resident, in MiB.
pub(crate) fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}

/// How the unit has large pieces of memory given back (dist/seatwatch.service).
const GLIBC: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=1048576");

/// This program again, measuring one thing in a process of its own, set up as the unit does.
pub(crate) fn command(name: &str, args: &[&dyn fmt::Display]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program's path"));
    command
        .env(GLIBC.0, GLIBC.1)
        .arg(name)
        .args(args.iter().map(ToString::to_string))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    command
}

/// The figures that [`command`] prints.
pub(crate) fn child<const N: usize>(name: &str, args: &[&dyn fmt::Display]) -> [f64; N] {
    let output = command(name, args).output().expect("this program runs again");
    assert!(output.status.success(), "{name}: {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let figures: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    figures.try_into().unwrap_or_else(|_| panic!("{name} printed {text:?}"))
}

/// A line of the table.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) reached: f64,
    /// The least, and the most times it that is aimed at.
    pub(crate) floor: Option<(f64, f64)>,
    /// The most that is aimed at, in `unit`.
    pub(crate) most: Option<f64>,
    /// Where it goes, or what the floor is.
    pub(crate) note: String,
}

pub(crate) fn header() -> String {
    format!("{:<44} {:>10}      {:>9} {:>6}  {:<8} where it goes", "work", "reached", "floor", "ratio", "aim")
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut floor, mut ratio, mut aim, mut met) = (String::new(), String::new(), String::new(), true);
        if let Some((least, times)) = self.floor {
            floor = format!("{least:.2}");
            ratio = format!("{:.2}", self.reached / least);
            if times.is_finite() {
                aim = format!("≤ {times}×");
                met &= self.reached <= times * least;
            }
        }
        if let Some(most) = self.most {
            aim = format!("≤ {most}");
            met &= self.reached <= most;
        }
        let mark = if met { ' ' } else { '!' };
        let digits = if self.reached < 1.0 { 4 } else { 1 };
        write!(
            f,
            "{:<44} {:>10.digits$} {:<4} {floor:>9} {ratio:>6} {mark}{aim:<8} {}",
            self.name, self.reached, self.unit, self.note
        )
    }
}
