//! Tests that need the writer's own connection: a full disk, a commit that fails.

use super::*;

#[test]
fn opens_twice_in_a_row() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let id = Store::open(&path, Time::from_millis(0)).unwrap().install_id().to_owned();
    assert_eq!(Store::open(&path, Time::from_millis(0)).unwrap().install_id(), id);
}
