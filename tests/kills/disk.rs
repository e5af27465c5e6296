//! A disk that lost its power: what may be left of recorded writes that nobody had synced.
//!
//! Neighbours: `strace` records, `power` looks at what is left. A part of its own because it knows files and nothing of
//! databases: it may lose, tear and reorder whatever no sync has made safe, and keeps what one has.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::dice::Dice;

/// What a power cut leaves of a write is whole sectors.
const SECTOR: usize = 512;

/// One call of the program, in its order.
#[derive(Clone, Debug)]
pub(crate) struct Op {
    /// When it began, in µs since 1970.
    pub(crate) at: i64,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    Create(String),
    Write(String, usize, Vec<u8>),
    Truncate(String, usize),
    Sync(String),
    SyncDirectory,
    Unlink(String),
    Rename(String, String),
    /// Left the machine, by some name.
    Told(String),
}

/// A recorded line as text: `\x41` becomes `A`.
fn decode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4);
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        match rest {
            [b'\\', b'x', high, low, tail @ ..] => {
                let digit = |c: &u8| char::from(*c).to_digit(16).unwrap() as u8;
                bytes.push(digit(high) * 16 + digit(low));
                rest = tail;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    bytes
}

/// Reads what `strace -ff -ttt -y -xx` wrote: one file for each thread, `log.PID`. `told` names what a send holds.
pub(crate) fn read(log: &Path, directory: &Path, told: impl Fn(&str) -> Option<String>) -> Vec<Op> {
    let name = log.file_name().unwrap().to_string_lossy().into_owned() + ".";
    let mut ops = Vec::new();
    for file in std::fs::read_dir(log.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()) {
        if file.file_name().unwrap().to_string_lossy().starts_with(&name) {
            let text = std::fs::read_to_string(file).unwrap();
            ops.extend(text.lines().filter_map(|line| op(line, directory, &told)));
        }
    }
    ops.sort_by_key(|op| op.at);
    ops
}

fn op(line: &str, directory: &Path, told: impl Fn(&str) -> Option<String>) -> Option<Op> {
    let (at, call) = line.split_once(' ')?;
    let at = at.replace('.', "").parse().ok()?;
    let (call, result) = call.rsplit_once(" = ")?;
    if result.starts_with('-') || result.starts_with('?') {
        return None;
    }
    let (call, arguments) = call.split_once('(')?;
    let strings: Vec<Vec<u8>> = arguments.split('"').skip(1).step_by(2).map(decode).collect();
    let path = |bytes: &[u8]| -> Option<String> {
        let path = PathBuf::from(String::from_utf8_lossy(bytes).into_owned());
        let name = path.file_name()?.to_str()?.to_owned();
        // Locks and shared memory are nothing to come back to.
        (path.parent()? == directory && !name.ends_with("-shm") && !name.ends_with(".lock")).then_some(name)
    };
    let open =
        decode(arguments.split_once('<').map_or("", |(_, rest)| rest.split('>').next().unwrap_or_default()));
    let last = |n: usize| arguments.trim_end_matches(')').rsplit(", ").nth(n)?.parse::<usize>().ok();
    let what = match call {
        "openat" if arguments.contains("O_CREAT") => What::Create(path(strings.first()?)?),
        "pwrite64" => What::Write(path(&open)?, last(0)?, strings.first()?.clone()),
        "ftruncate" => What::Truncate(path(&open)?, last(0)?),
        "fsync" | "fdatasync" if open == directory.as_os_str().as_encoded_bytes() => What::SyncDirectory,
        "fsync" | "fdatasync" => What::Sync(path(&open)?),
        "unlink" => What::Unlink(path(strings.first()?)?),
        "rename" => What::Rename(path(strings.first()?)?, path(strings.get(1)?)?),
        "write" | "writev" | "sendto" | "sendmsg" => {
            let all: Vec<u8> = strings.concat();
            What::Told(told(&String::from_utf8_lossy(&all))?)
        }
        _ => return None,
    };
    Some(Op { at, what })
}

enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Default)]
struct Content {
    safe: Vec<u8>,
    /// Since the last sync.
    unsafe_yet: Vec<Change>,
}

/// How a power cut treats what is not safe.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// All of it is lost.
    Loses,
    /// All of it is there, but the last write of each file is torn.
    Tears,
    /// Each write is there, lost or torn as chance has it, whatever came before or after it.
    Reorders,
}

#[derive(Default)]
pub(crate) struct Disk {
    contents: Vec<Content>,
    /// Names as they are safe, and what was done to them since.
    names: BTreeMap<String, usize>,
    done: Vec<What>,
}

impl Disk {
    /// With a file that has been there for long.
    pub(crate) fn with(name: &str, bytes: Vec<u8>) -> Self {
        let contents = vec![Content { safe: bytes, unsafe_yet: Vec::new() }];
        Self { contents, names: BTreeMap::from([(name.to_owned(), 0)]), done: Vec::new() }
    }

    fn names_after(&self, most: usize) -> BTreeMap<String, usize> {
        let mut names = self.names.clone();
        let mut made =
            self.contents.len() - self.done.iter().filter(|d| matches!(d, What::Create(_))).count();
        for what in self.done.iter().take(most) {
            match what {
                What::Create(name) => {
                    names.insert(name.clone(), made);
                    made += 1;
                }
                What::Unlink(name) => drop(names.remove(name)),
                What::Rename(from, to) => {
                    if let Some(content) = names.remove(from) {
                        names.insert(to.clone(), content);
                    }
                }
                What::Write(..)
                | What::Truncate(..)
                | What::Sync(_)
                | What::SyncDirectory
                | What::Told(_) => {}
            }
        }
        names
    }

    fn content(&mut self, name: &str) -> Option<&mut Content> {
        let content = *self.names_after(usize::MAX).get(name)?;
        self.contents.get_mut(content)
    }

    pub(crate) fn take(&mut self, what: &What) {
        match what {
            What::Create(name) => {
                if !self.names_after(usize::MAX).contains_key(name) {
                    self.contents.push(Content::default());
                    self.done.push(what.clone());
                }
            }
            What::Unlink(_) | What::Rename(..) => self.done.push(what.clone()),
            What::SyncDirectory => {
                self.names = self.names_after(usize::MAX);
                self.done.clear();
            }
            What::Write(name, at, bytes) => {
                if let Some(content) = self.content(name) {
                    content.unsafe_yet.push(Change::Write(*at, bytes.clone()));
                }
            }
            What::Truncate(name, length) => {
                if let Some(content) = self.content(name) {
                    content.unsafe_yet.push(Change::Truncate(*length));
                }
            }
            What::Sync(name) => {
                if let Some(content) = self.content(name) {
                    for change in std::mem::take(&mut content.unsafe_yet) {
                        apply(&mut content.safe, &change, |_| true);
                    }
                }
            }
            What::Told(_) => {}
        }
    }

    /// Writes what is left after a cut into `directory`.
    pub(crate) fn cut(&self, cut: Cut, dice: &mut Dice, directory: &Path) {
        let most = match cut {
            Cut::Loses => 0,
            Cut::Tears => self.done.len(),
            // Names are changed in order: file systems keep a journal of them.
            Cut::Reorders => usize::try_from(dice.below(self.done.len() as u64 + 1)).unwrap(),
        };
        for (name, content) in self.names_after(most) {
            let content = &self.contents[content];
            let mut bytes = content.safe.clone();
            let last = content.unsafe_yet.len().saturating_sub(1);
            for (index, change) in content.unsafe_yet.iter().enumerate() {
                let torn = match cut {
                    Cut::Loses => continue,
                    Cut::Tears => index == last,
                    Cut::Reorders => match dice.below(3) {
                        0 => continue,
                        1 => true,
                        _ => false,
                    },
                };
                apply(&mut bytes, change, |_| !torn || dice.below(2) == 0);
            }
            std::fs::write(directory.join(name), bytes).unwrap();
        }
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change, mut keeps: impl FnMut(usize) -> bool) {
    match change {
        Change::Truncate(length) => bytes.resize(*length, 0),
        Change::Write(at, new) => {
            // Sectors of the disk, not of the write.
            let mut from = *at;
            while from < at + new.len() {
                let to = ((from / SECTOR + 1) * SECTOR).min(at + new.len());
                if keeps(from / SECTOR) {
                    bytes.resize(bytes.len().max(to), 0);
                    bytes[from..to].copy_from_slice(&new[from - at..to - at]);
                }
                from = to;
            }
        }
    }
}
