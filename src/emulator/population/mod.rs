//! Who the emulator's people are and how many clients each has online: a pure function of (seed, user, time).
//!
//! Neighbours: `habit` says when one client is connected; `action`, the demo and benchmarks ask here. A part of its own
//! so that a history of any length can be had without an emulator running, and asking twice gives the same answer.

mod habit;

use crate::engine::time::Time;
use habit::Habit;

/// The name that is always there, from the vendor's own documentation; it is always on, with one client.
pub const DOCTEST: &str = "doctest";

/// One connected client of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnlineClient {
    /// The address inside the tunnel; each client of a user keeps its own.
    pub address: String,
    /// When this session began.
    pub since: Time,
}

/// Users `user-0001` … and [`DOCTEST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Population {
    seed: u64,
    users: u32,
}

impl Population {
    /// `users` people besides [`DOCTEST`], told apart from other populations by `seed`.
    pub const fn new(seed: u64, users: u32) -> Self {
        Self { seed, users }
    }

    /// Every name, [`DOCTEST`] last.
    pub fn names(&self) -> impl Iterator<Item = String> + use<> {
        (1..=self.users).map(name_of).chain([DOCTEST.to_owned()])
    }

    /// How many clients this user has online, or `None` for a name that is not here.
    pub fn count(&self, name: &str, at: Time) -> Option<u32> {
        Some(self.count_of(self.index(name)?, at))
    }

    /// The same by number: 0 is [`DOCTEST`], 1 is `user-0001`. Numbers beyond the population have habits as well.
    pub fn count_of(&self, index: u32, at: Time) -> u32 {
        let person = self.person(index);
        person.clients().map(|client| u32::from(client.is_on(at))).sum()
    }

    /// The connected clients of this user, as many as [`Self::count`] says, or `None` for a name that is not here.
    pub fn clients(&self, name: &str, at: Time) -> Option<Vec<OnlineClient>> {
        let person = self.person(self.index(name)?);
        let on = person.clients().enumerate().filter(|(_, client)| client.is_on(at));
        Some(
            on.map(|(n, client)| OnlineClient { address: address(person.key, n), since: client.since(at) })
                .collect(),
        )
    }

    /// What kind of person this is: `office`, `remote`, `always-on`, `sharer`, `flapping` or `dormant`.
    pub fn habit(&self, name: &str) -> Option<&'static str> {
        Some(self.person(self.index(name)?).habit.name())
    }

    /// The number in `user-0042`, if this population has it and writes it so.
    fn index(&self, name: &str) -> Option<u32> {
        if name == DOCTEST {
            return Some(0);
        }
        let digits = name.strip_prefix("user-")?;
        if digits.len() < 4
            || (digits.len() > 4 && digits.starts_with('0'))
            || !digits.bytes().all(|b| b.is_ascii_digit())
        {
            return None;
        }
        digits.parse().ok().filter(|index| (1..=self.users).contains(index))
    }

    fn person(&self, index: u32) -> habit::Person {
        let habit = if index == 0 { Habit::AlwaysOn } else { Habit::of_share(share(self.seed, index)) };
        habit::Person { key: mix(self.seed, u64::from(index)), habit, lone: index == 0 }
    }
}

fn name_of(index: u32) -> String {
    format!("user-{index:04}")
}

/// A place in 0..1 for each user. Steps of the golden ratio rather than random numbers: then each kind of person has
/// its share in a population of 200 as in one of a million.
fn share(seed: u64, index: u32) -> f64 {
    let steps = mix(seed, 0).wrapping_add(u64::from(index).wrapping_mul(GOLDEN));
    (steps >> 11) as f64 / (1_u64 << 53) as f64
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// One well-mixed number from two (the finaliser of `SplitMix64`).
const fn mix(key: u64, n: u64) -> u64 {
    let mut x = key ^ n.wrapping_add(1).wrapping_mul(GOLDEN);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A tunnel address that stays with the `n`-th client of a person; two clients of one person never have the same.
fn address(key: u64, n: usize) -> String {
    let bits = mix(key, ADDRESS);
    let last = (bits & 0x0F) * 16 + (n as u64 % 16);
    format!("10.{}.{}.{last}", 64 + (bits >> 8) % 64, (bits >> 16) % 256)
}

const ADDRESS: u64 = 0xADD0;

#[cfg(test)]
mod tests;
