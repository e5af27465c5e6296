//! Any bytes as a reply of the vendor, in JSON or XML.
//!
//! Neighbours: `fuzz/` feeds it what it thinks up, `mod` what was kept. A part of its own as each grammar is. What is
//! taken out of a reply fits in it, and a count is in range and stands in the reply, as another parser reads it.

use seatwatch::aliyun::wire::{self, Entry};
use seatwatch::engine::reading::MOST_ONLINE;
use seatwatch::engine::time::Time;
use serde_json::Value;

pub(crate) fn check_json(data: &[u8]) {
    if first(data) == Some(b'<') {
        return;
    }
    check(data);
    if let (Ok((_, entries)), Ok(value)) =
        (wire::statistics(data), serde_json::from_slice::<Value>(body(data)))
    {
        as_written(&entries, &value["UserStatistics"]["Statistics"]);
    }
}

pub(crate) fn check_xml(data: &[u8]) {
    if first(data) != Some(b'<') {
        return;
    }
    check(data);
    let tags = data.windows(11).filter(|part| *part == b"<Statistics").count();
    assert!(wire::statistics(data).map_or(0, |(_, entries)| entries.len()) <= tags);
}

fn body(data: &[u8]) -> &[u8] {
    data.strip_prefix("\u{feff}".as_bytes()).unwrap_or(data)
}

fn first(data: &[u8]) -> Option<u8> {
    body(data).trim_ascii().first().copied()
}

fn check(data: &[u8]) {
    // An entry takes at least its name's key or tag.
    let most = data.len() / 8 + 1;
    if let Ok(envelope) = wire::envelope(data) {
        assert!(!matches!(envelope.code.as_deref(), Some("" | "200" | "OK")), "{envelope:?}");
    }
    if let Ok((head, entries)) = wire::statistics(data) {
        assert_eq!(wire::envelope(data), Ok(head), "read at once or alone, it says the same");
        assert!(entries.len() <= most, "{} entries", entries.len());
        assert!(entries.iter().all(|entry| entry.count.is_none_or(|count| count <= MOST_ONLINE)));
    }
    if let Ok(clients) = wire::clients(data) {
        assert!(clients.len() <= most, "{} clients", clients.len());
        let seconds = clients.iter().filter_map(|client| client.online_since).map(Time::seconds);
        assert!(seconds.into_iter().all(|at| (0..253_402_300_800).contains(&at)));
    }
    if let Ok(page) = wire::roster(data) {
        assert!(page.users.len() <= most, "{} users", page.users.len());
        assert!(page.users.iter().all(|user| (1..=256).contains(&user.name.len())));
    }
    if let Ok(totals) = wire::totals(data) {
        assert!(totals.len() <= most, "{} totals", totals.len());
    }
}

/// A parser that keeps no numbers as written has the same names, and the same count where we have one.
fn as_written(entries: &[Entry<'_>], list: &Value) {
    let one = [list.clone()];
    let list = list.as_array().map_or(&one[..], Vec::as_slice);
    assert_eq!(entries.len(), list.len());
    for (entry, value) in entries.iter().zip(list) {
        assert_eq!(Some(entry.name.as_ref()), value["UserName"].as_str());
        let written = &value["OnlineCount"];
        let written = written.as_str().map_or(written.as_u64(), |text| text.parse().ok());
        assert!(entry.count.is_none_or(|count| written == Some(count.into())), "{entry:?} of {value}");
    }
}
