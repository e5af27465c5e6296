//! The least anybody could do with the replies of a poll: `serde_json`, the last counts in a column, a row per change.
//!
//! Neighbours: `poll` runs it beside the program. A part of its own because it must share no code with what it is
//! compared with.

use std::path::Path;

use rusqlite::Connection;

/// No names are looked up, nothing is judged, nothing but the changes is written: one durable transaction a poll.
pub(crate) struct Floor {
    last: Vec<u32>,
    connection: Connection,
}

#[derive(serde::Deserialize)]
struct Reply<'a> {
    #[serde(rename = "UserStatistics", borrow)]
    users: Users<'a>,
}

#[derive(serde::Deserialize)]
struct Users<'a> {
    #[serde(rename = "Statistics", borrow)]
    all: Vec<User<'a>>,
}

#[derive(serde::Deserialize)]
struct User<'a> {
    #[serde(rename = "UserName")]
    name: &'a str,
    #[serde(rename = "OnlineCount")]
    count: &'a str,
}

impl Floor {
    pub(crate) fn open(path: &Path) -> Self {
        let connection = Connection::open(path).expect("a database");
        let tables = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE change (poll INTEGER, user INTEGER, count INTEGER);";
        connection.execute_batch(tables).expect("a table");
        Self { last: Vec::new(), connection }
    }

    pub(crate) fn poll(&mut self, bodies: &[String], poll: i64) {
        let transaction = self.connection.transaction().expect("a transaction");
        {
            let mut insert =
                transaction.prepare_cached("INSERT INTO change VALUES (?1, ?2, ?3)").expect("a statement");
            let mut slot = 0_u32;
            for body in bodies {
                let reply: Reply<'_> = serde_json::from_str(body).expect("a reply");
                for User { name, count } in reply.users.all {
                    let count: u32 = count.parse().expect("a count");
                    if slot as usize == self.last.len() {
                        self.last.push(u32::MAX);
                    }
                    if self.last[slot as usize] != count && !name.is_empty() {
                        insert.execute((poll, slot, count)).expect("a row");
                        self.last[slot as usize] = count;
                    }
                    slot += 1;
                }
            }
        }
        transaction.commit().expect("a commit");
    }
}
