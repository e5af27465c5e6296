//! Which files are opened, which are refused and stay as they were, and what happens when one vanishes.
//! Each refused file is compared byte for byte before and after.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use seatwatch::engine::event::EventKind;
use seatwatch::engine::outcome::{Act, ActResult, Outcome};
use seatwatch::engine::reading::Reading;
use seatwatch::store::{Patience, Reader, Store, StoreError, act_result, add_act};

use super::{Timeline, World, at, commit_events, commit_poll, event};

fn kind(error: &StoreError) -> String {
    format!("{error:?}").chars().take_while(char::is_ascii_alphabetic).collect()
}

/// Opening is refused with this kind of error, the message names the path, and the file stays byte for byte.
#[track_caller]
fn check(path: &Path, expect: &str) {
    let before = fs::read(path).ok();
    let error = Store::open(path, at(0)).expect_err("it should be refused");
    assert_eq!(kind(&error), expect, "{error}");
    assert!(error.to_string().contains("seatwatch.db"), "{error}");
    assert_eq!(fs::read(path).ok(), before);
}

fn filled(world: &World) {
    let (store, mut timeline) = (world.open(), Timeline::default());
    for n in 0..200 {
        commit_poll(&store, timeline.poll(&[Reading::online(n), Reading::ABSENT], n % 10 == 0));
    }
}

#[test]
fn a_new_database_is_private_and_marked() {
    let world = World::new();
    let store = world.open();
    assert_eq!(fs::metadata(world.path()).unwrap().permissions().mode() & 0o777, 0o600);
    let other = rusqlite::Connection::open(world.path()).unwrap();
    let pragma = |name: &str| other.query_row(&format!("PRAGMA {name}"), [], |r| r.get::<_, i64>(0)).unwrap();
    assert_eq!(
        (pragma("application_id"), pragma("user_version"), pragma("auto_vacuum")),
        (0x5365_6174, 4, 2)
    );
    assert_eq!(store.install_id().len(), 32);
    assert_eq!(store.reader().unwrap().install_id().unwrap(), store.install_id());
}

#[test]
fn a_beginning_that_was_cut_off_is_begun_again() {
    let world = World::new();
    let beside = |ending: &str| world.directory.path().join(format!("seatwatch.db{ending}"));
    for ending in [".new", ".new-wal", ".new-journal"] {
        fs::write(beside(ending), "half a page").unwrap();
    }
    drop(world.open());
    for ending in [".new", ".new-wal", ".new-journal", ".new-shm"] {
        assert!(!beside(ending).exists(), "{ending}");
    }
    assert!(Reader::open(&world.path()).unwrap().check().unwrap().is_ok());
}

#[test]
fn a_second_agent_is_told_the_pid_of_the_first() {
    let world = World::new();
    let store = world.open();
    let error = Store::open(&world.path(), at(0)).unwrap_err();
    assert_eq!(error, StoreError::Busy { path: world.path(), pid: std::process::id().to_string() });
    drop(store);
    world.open();
}

#[test]
fn a_second_agent_is_refused_under_any_name() {
    let world = World::new();
    let store = world.open();
    let link = world.directory.path().join("other.db");
    std::os::unix::fs::symlink(world.path(), &link).unwrap();
    let error = Store::open(&link, at(0)).unwrap_err();
    assert_eq!(kind(&error), "Busy", "{error}");
    drop(store);
    assert_eq!(Store::open(&link, at(0)).unwrap().path(), fs::canonicalize(world.path()).unwrap());
    fs::remove_file(&link).unwrap();
    fs::hard_link(world.path(), &link).unwrap();
    for path in [&world.path(), &link] {
        let error = Store::open(path, at(0)).unwrap_err().to_string();
        assert!(error.contains("it has 2 names") && error.contains("remove all but one"), "{error}");
    }
    fs::remove_file(&link).unwrap();
    world.open();
}

#[test]
fn a_lock_file_that_nobody_holds_means_nothing() {
    let world = World::new();
    fs::write(world.directory.path().join("seatwatch.db.lock"), "4711\n").unwrap();
    world.open();
}

#[test]
fn files_that_are_not_ours_are_refused_and_stay_as_they_are() {
    let world = World::new();
    fs::write(world.path(), "name,count\nalice,3\n").unwrap();
    check(&world.path(), "Foreign");
    fs::remove_file(world.path()).unwrap();
    let other = rusqlite::Connection::open(world.path()).unwrap();
    other.execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1);").unwrap();
    drop(other);
    check(&world.path(), "Foreign");
    fs::remove_file(world.path()).unwrap();
    fs::create_dir(world.path()).unwrap();
    check(&world.path(), "Foreign");
    let world = World::new();
    check(&world.directory.path().join("none/seatwatch.db"), "Io");
}

#[test]
fn a_newer_database_is_refused_and_stays_as_it_is() {
    let world = World::new();
    filled(&world);
    rusqlite::Connection::open(world.path()).unwrap().pragma_update(None, "user_version", 99).unwrap();
    check(&world.path(), "Newer");
    assert_eq!(kind(&Reader::open(&world.path()).unwrap_err()), "Newer");
}

#[test]
fn a_damaged_database_is_refused_with_instructions() {
    let world = World::new();
    filled(&world);
    let good = fs::read(world.path()).unwrap();
    fs::write(world.path(), &good[..good.len() - 4096]).unwrap();
    check(&world.path(), "Corrupt");
    fs::write(world.path(), &good[..60]).unwrap();
    check(&world.path(), "Corrupt");
    let mut torn = good.clone();
    for byte in &mut torn[8192..] {
        *byte ^= 0x5a;
    }
    fs::write(world.path(), &torn).unwrap();
    check(&world.path(), "Corrupt");
    // One page alone, as a bad block leaves it: only who reads the file through sees most of them. What nothing hangs on,
    // such as a page that is free, may be missed.
    let pages = good.len() / 4096;
    let refused = (1..pages).filter(|page| {
        let mut spoilt = good.clone();
        spoilt[page * 4096..][..4096].iter_mut().for_each(|byte| *byte ^= 0x5a);
        fs::write(world.path(), &spoilt).unwrap();
        let opened = Store::open(&world.path(), at(0));
        if let Err(error) = &opened {
            assert_eq!(kind(error), "Corrupt", "page {page}: {error}");
            assert!(fs::read(world.path()).unwrap() == spoilt, "page {page}: it stays as it was");
        }
        opened.is_err()
    });
    let refused = refused.count();
    assert!(refused * 4 > pages * 3, "{refused} of {pages}");
    fs::write(world.path(), &good).unwrap();
    world.open();
}

#[test]
fn a_database_that_others_may_write_is_refused() {
    let world = World::new();
    filled(&world);
    fs::set_permissions(world.path(), fs::Permissions::from_mode(0o666)).unwrap();
    check(&world.path(), "Exposed");
}

#[test]
fn what_was_committed_is_there_after_the_process_died() {
    let world = World::new();
    let (store, mut timeline) = (world.open(), Timeline::default());
    commit_poll(&store, timeline.poll(&[Reading::online(3)], false));
    // The files as a kill at this moment leaves them, under a path that nobody holds a lock on.
    let after = World::new();
    for suffix in ["", "-wal"] {
        let name = format!("seatwatch.db{suffix}");
        fs::copy(world.directory.path().join(&name), after.directory.path().join(&name)).unwrap();
    }
    let loaded = after.open().load_source("shanghai").wait().unwrap();
    assert_eq!(loaded.column, [Reading::online(3)]);
}

#[test]
fn a_deleted_or_replaced_file_is_noticed() {
    let world = World::new();
    let store = world.open();
    fs::remove_file(world.path()).unwrap();
    let gone = Err(StoreError::Gone { path: world.path() });
    assert_eq!(store.commit(Outcome::default()).wait(), gone);
    fs::write(world.path(), "").unwrap();
    assert_eq!(store.commit(Outcome::default()).wait(), gone);
}

#[test]
fn a_long_lock_of_another_program_delays_and_loses_nothing() {
    let world = World::new();
    let usual = Patience::default();
    assert!(usual.poll > usual.usual * 2 && usual.usual >= Duration::from_secs(5), "{usual:?}");
    let patience = Patience { usual: Duration::from_millis(40), poll: Duration::from_mins(5) };
    let (store, mut timeline) = (world.open().patient(patience), Timeline::default());
    let other = rusqlite::Connection::open(world.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let locked = Err(StoreError::Locked { path: world.path() });
    assert_eq!(store.enable_channel("mail", at(0)).wait(), locked, "what can be done again is given up");
    // What was polled cannot be had again: it waits on where somebody more patient gives up.
    let row = timeline.poll(&[Reading::online(1)], false);
    let mut poll = store.commit(Outcome { poll: Some(row), ..Outcome::default() });
    let third = rusqlite::Connection::open(world.path()).unwrap();
    third.busy_timeout(patience.usual * 10).unwrap();
    third.execute_batch("BEGIN IMMEDIATE").unwrap_err();
    let waiting = Pin::new(&mut poll).poll(&mut Context::from_waker(Waker::noop())).is_pending();
    assert!(waiting, "a poll is not given up so soon");
    assert_eq!(store.reader().unwrap().install_id().unwrap(), store.install_id(), "who reads does not wait");
    other.execute_batch("ROLLBACK").unwrap();
    poll.wait().unwrap();
    assert_eq!(store.load_source("shanghai").wait().unwrap().column, [Reading::online(1)]);
}

/// The log of the database is gone, or another's lies in its place.
#[test]
fn a_log_that_is_gone_or_anothers_is_noticed_or_harmless() {
    let copy = |from: &World, to: &World, suffix: &str| {
        let name = format!("seatwatch.db{suffix}");
        fs::copy(from.directory.path().join(&name), to.directory.path().join(&name)).unwrap();
    };
    let busy = |polls: u32| {
        let world = World::new();
        filled(&world);
        let store = world.open();
        let mut timeline = Timeline::default();
        for _ in 0..200 {
            timeline.poll(&[Reading::online(1), Reading::ABSENT], false);
        }
        for n in 0..polls {
            commit_poll(&store, timeline.poll(&[Reading::online(n % 5), Reading::ABSENT], n % 3 == 0));
        }
        (world, store)
    };
    let (ours, store) = busy(40);
    let last = |reader: &Reader| reader.last_poll("shanghai").unwrap().map_or(0, |poll| poll.seq);
    assert_eq!(last(&store.reader().unwrap()), 240);
    // Without its log the database is what it was at the last checkpoint.
    let without = World::new();
    copy(&ours, &without, "");
    assert!(last(&without.open().reader().unwrap()) < 240);
    assert!(without.open().reader().unwrap().check().unwrap().is_ok());
    // With the log of another: either it does not fit and is passed over, or the check at the start sees it.
    let (theirs, _other) = busy(7);
    let mixed = World::new();
    copy(&ours, &mixed, "");
    copy(&theirs, &mixed, "-wal");
    match Store::open(&mixed.path(), at(0)) {
        Err(error) => assert_eq!(kind(&error), "Corrupt", "{error}"),
        Ok(store) => assert!(store.reader().unwrap().check().unwrap().is_ok()),
    }
}

/// Whoever deletes the database leaves its log: a new database must not take that for its own.
#[test]
fn the_log_of_a_database_that_is_gone_is_set_aside() {
    for polls in [1, 60, 400] {
        let ours = World::new();
        filled(&ours);
        let store = ours.open();
        let mut timeline = Timeline::default();
        (0..200).for_each(|_| drop(timeline.poll(&[Reading::online(1), Reading::ABSENT], false)));
        for n in 0..polls {
            commit_poll(&store, timeline.poll(&[Reading::online(n % 5), Reading::ABSENT], n % 3 == 0));
        }
        let gone = World::new();
        let left = gone.directory.path().join("seatwatch.db-wal");
        fs::copy(ours.directory.path().join("seatwatch.db-wal"), &left).unwrap();
        let log = fs::read(&left).unwrap();
        assert!(!log.is_empty());
        let begun = gone.open();
        let reader = begun.reader().unwrap();
        assert!(reader.check().unwrap().is_ok());
        assert_eq!(reader.sources().unwrap(), Vec::<String>::new(), "{polls}: nothing of what another knew");
        let names = fs::read_dir(gone.directory.path()).unwrap().map(|entry| entry.unwrap().path());
        let aside: Vec<_> = names.filter(|path| path.to_string_lossy().contains("-wal.lost-")).collect();
        assert_eq!(aside.len(), 1, "{aside:?}");
        assert_eq!(fs::read(&aside[0]).unwrap(), log);
        drop((reader, begun));
        assert!(gone.open().reader().unwrap().check().unwrap().is_ok());
    }
}

#[test]
fn a_holder_that_is_just_ending_is_waited_for() {
    let world = World::new();
    let (store, path) = (world.open(), world.path());
    let (begin, begun) = std::sync::mpsc::channel();
    let next = std::thread::spawn(move || {
        begin.send(()).unwrap();
        Store::open(&path, at(1)).map(drop)
    });
    begun.recv().unwrap();
    drop(store);
    assert_eq!(next.join().unwrap(), Ok(()));
}

#[test]
fn a_reader_neither_creates_nor_changes() {
    let world = World::new();
    assert_eq!(kind(&Reader::open(&world.path()).unwrap_err()), "Missing");
    assert!(!world.path().exists());
}

#[test]
fn a_backup_is_whole_private_and_opens() {
    let world = World::new();
    let (store, mut timeline) = (world.open(), Timeline::default());
    commit_poll(&store, timeline.poll(&[Reading::online(3)], false));
    let reader = store.reader().unwrap();
    let copy = World::new();
    reader.backup(&copy.path()).unwrap();
    assert_eq!(fs::metadata(copy.path()).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(copy.directory.path()).unwrap().count(), 1, "nothing beside it");
    let restored = copy.open();
    assert_ne!(
        restored.install_id(),
        store.install_id(),
        "ids given since the copy was made are not given again"
    );
    let id = restored.install_id().to_owned();
    assert_eq!(restored.load_source("shanghai").wait().unwrap().column, [Reading::online(3)]);
    assert_eq!(kind(&reader.backup(&world.path()).unwrap_err()), "Refused");
    let pages = [include_str!("../../../README.md"), include_str!("../../../README.zh-CN.md")];
    assert!(
        pages[0].contains("Do not copy the file by other means") && pages[1].contains("不要用别的办法复制")
    );
    drop(restored);
    assert_eq!(copy.open().install_id(), id, "once put in place it is a database like any other");
}

#[test]
fn a_backup_takes_away_what_killed_ones_left_and_nothing_else() {
    let (world, copy) = (World::new(), World::new());
    let store = world.open();
    let aside = |name: &str, parts: &[&str]| {
        let path = copy.directory.path().join(format!(".seatwatch-backup-{name}"));
        fs::create_dir(&path).unwrap();
        parts.iter().for_each(|part| fs::write(path.join(part), "half a copy").unwrap());
        path
    };
    let (dead, live) = (aside("dead", &["lock", "copy.db"]), aside("live", &["lock", "copy.db"]));
    let (young, others) = (aside("young", &["copy.db"]), aside("others", &["lock", "a letter"]));
    let held = fs::File::open(live.join("lock")).unwrap();
    held.lock().unwrap();
    fs::write(copy.directory.path().join(".seatwatch-backup-file"), "somebody's").unwrap();
    store.reader().unwrap().backup(&copy.path()).unwrap();
    assert!(!dead.exists());
    assert!(live.join("copy.db").exists(), "its process lives");
    assert!(!young.exists(), "killed before its lock was taken; who has just made one makes another");
    assert!(others.join("a letter").exists());
    assert_eq!(fs::read_dir(copy.directory.path()).unwrap().count(), 4, "two of them, the file, the copy");
    drop(held);
    store.reader().unwrap().backup(&copy.path()).unwrap();
    assert!(!live.exists());
}

#[test]
fn backups_at_the_same_time_in_the_same_place_do_not_take_each_others_away() {
    let (world, copies) = (World::new(), World::new());
    let store = world.open();
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let (reader, target) =
                (store.reader().unwrap(), copies.directory.path().join(format!("{thread}.db")));
            scope.spawn(move || (0..40).for_each(|_| reader.backup(&target).unwrap()));
        }
    });
    let mut left: Vec<_> =
        fs::read_dir(copies.directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["0.db", "1.db", "2.db", "3.db", "4.db", "5.db"]);
}

#[test]
fn acts_come_from_another_process_and_find_their_episode_by_prefix() {
    let world = World::new();
    let store = world.open();
    let fired = event("alice", 1, 1, EventKind::Fired);
    commit_events(&store, &[&fired], vec![]);
    let ack = |episode: &str| Act::Ack { episode: episode.to_owned(), note: None };
    let id = add_act(&world.path(), "ops", at(2), ack(&fired.episode[..9])).unwrap();
    assert_eq!(kind(&add_act(&world.path(), "ops", at(2), ack("ep_zzzz")).unwrap_err()), "NotFound");
    let open = store.open_acts().wait().unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].act, ack(&fired.episode));
    assert_eq!(act_result(&world.path(), id).unwrap(), None);
    let result = ActResult { id, done: true, message: "acknowledged".to_owned() };
    store.commit(Outcome { now: at(3), acts: vec![result.clone()], ..Outcome::default() }).wait().unwrap();
    assert_eq!(act_result(&world.path(), id).unwrap(), Some(result));
    assert!(store.open_acts().wait().unwrap().is_empty());
    assert_eq!(store.reader().unwrap().acts(&fired.episode).unwrap().len(), 1);
}

#[test]
fn a_changed_or_missing_event_shows() {
    let tamper = |sql: &str| {
        let world = World::new();
        let store = world.open();
        let events: Vec<_> = (1..6).map(|n| event("alice", n, 1, EventKind::Reminded)).collect();
        commit_events(&store, &events.iter().collect::<Vec<_>>(), vec![]);
        rusqlite::Connection::open(world.path()).unwrap().execute_batch(sql).unwrap();
        store.reader().unwrap().check().unwrap().chain
    };
    assert_eq!(tamper(""), Vec::<String>::new());
    assert_eq!(
        tamper("UPDATE event SET event = replace(event, 'high', 'low') WHERE no = 2"),
        ["event 2 was changed"]
    );
    assert_eq!(tamper("DELETE FROM event WHERE no = 3"), ["events 3 to 3 are missing"]);
    assert_eq!(tamper("DELETE FROM event WHERE no = 5"), ["events after 4 are missing"]);
}
