//! Connections: the one that writes, on a thread of its own, and those that only read.
//!
//! Neighbours: `mod` hands it closures, every other file runs inside its transactions. A part of its own because
//! the promises of `COMMIT` are made here: durable (`synchronous=FULL`), on the file that the path still names,
//! and never believed when its fate is unknown.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use super::check;
use super::error::StoreError;
use super::fate::{Fate, Fates};
use super::file::{Identity, blamed};
use super::lock::Lock;

/// Jobs waiting for the writer; its callers are a few loops that wait for each answer, so this is never reached.
const MOST_JOBS: usize = 256;

/// What SQLite says of a file whose free pages are given back on demand.
const INCREMENTAL: i64 = 2;

/// How long a connection waits for another one's lock.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// What looks like damage is looked into this often at most, and for a tenth of the time: nothing else is done meanwhile.
const JUDGED_EVERY: Duration = Duration::from_secs(60);

/// How long another program's lock is waited for before a transaction is given up.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// With what the caller can do again.
    pub usual: Duration,
    /// With a poll: what was read is gone otherwise.
    pub poll: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { usual: PATIENCE, poll: Duration::from_secs(20) }
    }
}

/// Settings that cannot corrupt and hold for every connection.
fn guard(connection: &Connection) -> Result<(), StoreError> {
    connection.busy_timeout(PATIENCE)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // Statements stay as they were prepared, whatever values they are asked with.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.execute_batch(
        "PRAGMA foreign_keys = ON; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;",
    )?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(())
}

/// Opens for reading and writing. `auto_vacuum` and WAL take effect on an empty file only, and stay in it.
pub(super) fn writing(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || -> Result<Connection, StoreError> {
        let connection = Connection::open_with_flags(path, flags)?;
        guard(&connection)?;
        if connection.is_readonly("main")? {
            let reason = "the file is not writable".to_owned();
            return Err(StoreError::ReadOnly { path: path.to_owned(), reason });
        }
        // To say it again would write to a file that is yet to be looked through.
        let vacuums: i64 = connection.query_row("PRAGMA auto_vacuum", [], |row| row.get(0))?;
        if vacuums != INCREMENTAL {
            connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL;")?;
        }
        let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            let detail = format!("no write-ahead log on this file system: journal mode {mode}");
            return Err(StoreError::Io { path: path.to_owned(), detail });
        }
        connection.execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864; PRAGMA wal_autocheckpoint = 1000;",
        )?;
        Ok(connection)
    };
    open().map_err(|e| blamed(e, path))
}

/// Opens for reading only and never checkpoints, so that the file stays as it is.
pub(super) fn look(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || -> Result<Connection, StoreError> {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        guard(&connection)?;
        connection.execute_batch("PRAGMA query_only = ON;")?;
        Ok(connection)
    };
    open().map_err(|e| blamed(e, path))
}

/// The connection that writes, and the file it was opened on.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    identity: Identity,
    /// None after a commit of unknown fate: the next use opens it again.
    connection: Option<Connection>,
    /// In a rehearsal.
    fates: Option<Fates>,
    /// In a rehearsal the process has ended.
    over: bool,
    /// What showed that the file is damaged: from then on it is left as it is.
    damage: Arc<OnceLock<StoreError>>,
    /// Until when what seems to be damage is taken for what it was found to be instead.
    acquitted: Option<(Instant, StoreError)>,
}

impl Writer {
    pub(super) fn new(path: &Path, connection: Connection) -> Result<Self, StoreError> {
        let identity = Identity::of(path)?;
        let damage = Arc::default();
        Ok(Self {
            path: path.to_owned(),
            identity,
            connection: Some(connection),
            fates: None,
            over: false,
            damage,
            acquitted: None,
        })
    }

    /// What showed that the file is damaged, once something has.
    pub(super) fn damage(&self) -> Arc<OnceLock<StoreError>> {
        Arc::clone(&self.damage)
    }

    /// Takes `error` for damage: nothing is read or written any more, and the log stays beside the file as it is.
    ///
    /// # Errors
    /// [`StoreError::Gone`] if it came from another file that lies in the place of ours, and what it was instead if it
    /// was no damage.
    pub(super) fn condemn(&mut self, error: StoreError) -> Result<(), StoreError> {
        if Identity::of(&self.path)? != self.identity {
            return Err(StoreError::Gone { path: self.path.clone() });
        }
        let error = self.judged(error, Instant::now());
        if !error.is_damage() {
            return Err(error);
        }
        self.damage.get_or_init(|| error.of_ours().at(&self.path));
        if let Some(connection) = &self.connection {
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        }
        Ok(())
    }

    /// What `error` is, where it may be damage or a disk that fails.
    pub(super) fn judged(&mut self, error: StoreError, now: Instant) -> StoreError {
        if !matches!(error, StoreError::Malformed { .. }) {
            return error;
        }
        if let Some((_, found)) = self.acquitted.as_ref().filter(|(until, _)| now < *until) {
            let found = found.clone();
            self.connection = None;
            return found;
        }
        let began = Instant::now();
        let found = check::judged(error, &self.path, check::LONGEST_JUDGEMENT);
        let took = began.elapsed();
        if !found.is_damage() {
            self.acquitted = Some((now + took + JUDGED_EVERY.max(took * 10), found.clone()));
            // SQLite writes no more through a connection that met a malformed page.
            self.connection = None;
        }
        found
    }

    /// The connection outside a transaction; refused once the path names another file.
    pub(super) fn connection(&mut self) -> Result<&mut Connection, StoreError> {
        if self.over {
            return Err(StoreError::Stopped);
        }
        if let Some(damage) = self.damage.get() {
            return Err(damage.clone());
        }
        if Identity::of(&self.path)? != self.identity {
            return Err(StoreError::Gone { path: self.path.clone() });
        }
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => writing(&self.path)?,
        };
        Ok(self.connection.insert(connection))
    }

    /// Runs `work` in one `BEGIN IMMEDIATE` … `COMMIT`; an error rolls everything back. Another program's lock is
    /// waited for as long as `patience`.
    pub(super) fn transaction<T>(
        &mut self,
        patience: Duration,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let written = match self.fates.as_ref().map_or(Fate::Done, |fates| (fates.0)()) {
            Fate::Done => return self.commit(patience, work),
            Fate::Refused => return Err(StoreError::Full { path: self.path.clone() }),
            Fate::Ended { written } => {
                let done = if written { self.commit(patience, work).map(drop) } else { Ok(()) };
                self.over = true;
                return done.and(Err(StoreError::Stopped));
            }
            Fate::Unknown { written } => written,
        };
        if written {
            self.commit(patience, work)?;
        }
        self.connection = None;
        Err(StoreError::UnknownFate { path: self.path.clone(), cause: "as rehearsed".to_owned() })
    }

    fn commit<T>(
        &mut self,
        patience: Duration,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let (path, identity) = (self.path.clone(), self.identity);
        let named = |e: StoreError| e.at(&path);
        let connection = self.connection().map_err(named)?;
        connection.busy_timeout(patience).map_err(StoreError::from).map_err(named)?;
        let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = begun.map_err(StoreError::from).map_err(named)?;
        let done = work(&transaction).map_err(named)?;
        if Identity::of(&path)? != identity {
            return Err(StoreError::Gone { path });
        }
        let Err(error) = transaction.commit() else {
            return Ok(done);
        };
        let cause = named(StoreError::from(error));
        let cause = self.judged(cause, Instant::now());
        if matches!(cause, StoreError::Locked { .. }) {
            // Nothing was written: SQLite rolled back when the transaction was dropped.
            return Err(cause);
        }
        if cause.is_damage() {
            // Nobody will ask what became of it.
            return Err(cause);
        }
        self.connection = None;
        Err(StoreError::UnknownFate { path, cause: cause.to_string() })
    }
}

type Job = Box<dyn FnOnce(&mut Writer) + Send>;

/// The writer's thread. Dropping it finishes the jobs under way, closes the file and then gives up the lock.
#[derive(Debug)]
pub(super) struct WriterThread {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    /// In a rehearsal there is no thread.
    here: Option<Mutex<(Writer, Lock)>>,
}

impl WriterThread {
    pub(super) fn start(mut writer: Writer, lock: Lock) -> Result<Self, StoreError> {
        let (jobs, queue): (SyncSender<Job>, Receiver<Job>) = sync_channel(MOST_JOBS);
        let run = move || {
            for job in queue {
                job(&mut writer);
            }
            drop(writer);
            drop(lock);
        };
        let thread = std::thread::Builder::new().name("store".to_owned()).spawn(run)?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), here: None })
    }

    /// Jobs are done by whoever brings them.
    pub(super) fn rehearse(writer: Writer, lock: Lock, fates: Fates) -> Self {
        let writer = Writer { fates: Some(fates), ..writer };
        Self { jobs: None, thread: None, here: Some(Mutex::new((writer, lock))) }
    }

    /// Queues `work`; its answer comes through the receiver.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, StoreError> + Send + 'static,
    ) -> oneshot::Receiver<Result<T, StoreError>> {
        let (answer, receiver) = oneshot::channel();
        let job: Job = Box::new(move |writer| {
            let path = writer.path.clone();
            let done = work(writer).map_err(|error| match error.at(&path) {
                error if error.is_damage() => writer.condemn(error.clone()).err().unwrap_or(error.of_ours()),
                error => error,
            });
            // Nobody waits any more: the work was done all the same.
            let _ = answer.send(done);
        });
        if let Some(here) = &self.here {
            job(&mut here.lock().unwrap_or_else(PoisonError::into_inner).0);
        } else if let Some(jobs) = &self.jobs {
            match jobs.try_send(job) {
                Ok(()) | Err(TrySendError::Disconnected(_)) => {}
                Err(TrySendError::Full(_)) => {
                    tracing::error!("the store's queue is full; a change is refused");
                }
            }
        }
        receiver
    }
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic on that thread has been printed, and every caller was told `Stopped`.
            let _ = thread.join();
        }
    }
}
