//! What is remembered: one SQLite file, plain data in and out.
//!
//! Neighbours: `engine` defines what is kept ([`Outcome`](crate::engine::outcome::Outcome) in, events and alerts
//! out), the agent and the commands call it. A part of its own because no other file knows SQL or rusqlite: [`Store`]
//! writes (one per database and machine), [`Reader`] reads beside it, [`add_act`] leaves an operator's wish from
//! another process. Each file below holds one or two tables with the verbs that belong to them.

mod acts;
mod alerts;
mod answers;
mod backup;
mod chain;
mod channels;
mod check;
mod codec;
mod column;
mod commit;
mod connection;
mod create;
mod deliver;
mod episodes;
mod error;
mod events;
mod evidence;
mod fate;
mod file;
mod lock;
mod made;
mod migrate;
mod moves;
mod outbox;
mod polls;
mod references;
mod retention;
mod retry;
mod returned;
mod roster;
mod rules_file;
mod source;
mod stats;
mod stretches;
#[cfg(test)]
mod tests;
mod wal;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use rusqlite::{Connection, Transaction};
use tokio::sync::oneshot;

pub use acts::{ActState, StoredAct, act_result, add_act};
pub use channels::ChannelHealth;
pub use check::Checked;
pub use connection::Patience;
pub use deliver::{Due, Finish, Then};
pub use episodes::{EpisodeFilter, EpisodeRow};
pub use error::StoreError;
pub use evidence::Evidence;
pub use fate::{Fate, Fates};
pub use file::is_foreign;
pub use made::Made;
pub use outbox::{AttemptRow, Behind, NotificationRow, OutboxFilter, OutboxSize, OutboxState};
pub use polls::{History, HistoryReading, PollSummary, Polls, StoredPoll};
pub use retention::{Pruned, Retention};
pub use returned::{CHANNEL_REMOVED, GivenUp};
pub use rules_file::RulesFile;
pub use source::{Checkpoint, LoadedSource};
pub use stats::Stats;

use crate::engine::time::Time;
use connection::{Writer, WriterThread};
use file::Found;
use lock::Lock;

/// The store of the running agent: the one writer. Clones share it; the last one dropped closes the file.
#[derive(Clone, Debug)]
pub struct Store {
    writer: Arc<WriterThread>,
    path: Arc<Path>,
    install_id: Arc<str>,
    damage: Arc<OnceLock<StoreError>>,
    lock: Lock,
    patience: Patience,
}

/// The answer of a verb that runs on the writer's thread: await it, or [`wait`](Pending::wait) outside async code.
#[derive(Debug)]
#[must_use = "the change is made all the same, but whether it succeeded is known only here"]
pub struct Pending<T>(oneshot::Receiver<Result<T, StoreError>>);

impl<T> Future for Pending<T> {
    type Output = Result<T, StoreError>;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(StoreError::Stopped)))
    }
}

impl<T> Pending<T> {
    /// Blocks; not to be called from async code.
    pub fn wait(self) -> Result<T, StoreError> {
        self.0.blocking_recv().unwrap_or(Err(StoreError::Stopped))
    }
}

/// SQLite 3.51.3 mended a race that loses committed writes (every version since 3.7.0 had it).
const OLDEST_SQLITE: i32 = 3_051_003;

fn sqlite_is_sound() -> Result<(), StoreError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(StoreError::OldSqlite { found: rusqlite::version().to_owned() });
    }
    Ok(())
}

impl Store {
    /// Takes the lock, looks at the file, creates or migrates it, and starts the writer. Whatever is refused is
    /// refused before a byte of the database is written.
    pub fn open(path: &Path, now: Time) -> Result<Self, StoreError> {
        Self::start(path, now, None)
    }

    /// The same, with other waits for another program's lock.
    #[must_use]
    pub fn patient(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// The same store without a thread: each verb is done, or not, when it is called, as `fates` says; for simulations.
    pub fn rehearse(path: &Path, now: Time, fates: Fates) -> Result<Self, StoreError> {
        Self::start(path, now, Some(fates))
    }

    fn start(path: &Path, now: Time, fates: Option<Fates>) -> Result<Self, StoreError> {
        sqlite_is_sound()?;
        let path = file::named(path)?;
        Self::begin(&path, now, fates).map_err(|e| check::judged(e, &path, Duration::MAX))
    }

    fn begin(path: &Path, now: Time, fates: Option<Fates>) -> Result<Self, StoreError> {
        let known = lock::beside(path, ".lock").exists();
        let lock = Lock::take(path)?;
        let found = file::prepare(path)?;
        file::doubt(path);
        if found == Found::Nothing {
            create::database(path, now)?;
        }
        if !matches!(found, Found::Ours { .. }) {
            file::tell_new(path, known);
        }
        let opened = || -> Result<(Connection, String), StoreError> {
            let mut connection = connection::writing(path)?;
            if found == (Found::Ours { check: true }) {
                check::quick(&connection)?;
            }
            migrate::apply(&mut connection, path, &migrate::STEPS)?;
            let install_id = migrate::install_id(&connection, now)?;
            Ok((connection, install_id))
        };
        let (connection, install_id) = opened().map_err(|e| e.at(path))?;
        let writer = Writer::new(path, connection)?;
        let damage = writer.damage();
        let writer = match fates {
            None => WriterThread::start(writer, lock.clone())?,
            Some(fates) => WriterThread::rehearse(writer, lock.clone(), fates),
        };
        Ok(Self {
            writer: Arc::new(writer),
            path: path.into(),
            install_id: install_id.into(),
            damage,
            lock,
            patience: Patience::default(),
        })
    }

    /// A [`Reader`] beside this writer; what it reads was committed before.
    pub fn reader(&self) -> Result<Reader, StoreError> {
        Reader::open(&self.path)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Random, made with the database; part of every event id.
    pub fn install_id(&self) -> &str {
        &self.install_id
    }

    /// Takes what a [`Reader`] met for damage, as the writer does with what it meets itself: the file is left as it
    /// is, and every verb is refused from now on.
    ///
    /// # Errors
    /// [`StoreError::Gone`] if another file lies in the place of ours, and what it was instead if it was no damage.
    pub fn condemn(&self, error: StoreError) -> Pending<()> {
        Pending(self.writer.run(move |writer| writer.condemn(error)))
    }

    /// What showed that the database is damaged, once something has.
    pub fn damage(&self) -> Option<&StoreError> {
        self.damage.get()
    }

    /// One transaction on the writer's thread.
    fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Pending<T> {
        let patience = self.patience.usual;
        Pending(self.writer.run(move |writer| writer.transaction(patience, work)))
    }

    /// Reads on the writer's thread, after everything queued before.
    fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Pending<T> {
        Pending(self.writer.run(move |writer| work(writer.connection()?)))
    }
}

/// Reads the database beside whoever writes it; every verb blocks for as long as the disk takes.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: PathBuf,
}

impl Reader {
    /// Refuses a missing, foreign, newer or older database; never creates or changes one.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        sqlite_is_sound()?;
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_file() => {}
            Ok(_) => {
                let why = "it is not a regular file".to_owned();
                return Err(StoreError::Foreign { path: path.to_owned(), why });
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(StoreError::Missing { path: path.to_owned() });
            }
            Err(e) => return Err(StoreError::from(e).at(path)),
        }
        let opened = || -> Result<Connection, StoreError> {
            let connection = connection::look(path)?;
            migrate::current(&connection)?;
            Ok(connection)
        };
        let connection = opened().map_err(|e| check::judged(e.at(path), path, check::LONGEST_JUDGEMENT))?;
        Ok(Self { connection, path: path.to_owned() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Random, made with the database; part of every event id.
    pub fn install_id(&self) -> Result<String, StoreError> {
        self.run(
            |c| Ok(c.query_row("SELECT value FROM meta WHERE key = 'install_id'", [], |row| row.get(0))?),
        )
    }

    fn run<T>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        // One transaction, so that several queries see the same moment.
        let begun = self.connection.unchecked_transaction().map_err(StoreError::from);
        begun.and_then(|transaction| work(&transaction)).map_err(|e| e.at(&self.path))
    }
}
