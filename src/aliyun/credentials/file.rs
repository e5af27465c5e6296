//! Reads files that the vendor's tools and Kubernetes put down: bounded, and never waiting.
//!
//! Neighbours: `profile` and `ini` read settings, `obtain` an identity token. A part of its own because these files
//! follow other people's customs: unlike our own secret files they may be links and belong to a group.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::CredentialsError;

/// The longest file, in bytes.
const LONGEST: u64 = 1 << 20;

/// What a file holds; None if there is none.
///
/// # Errors
/// It is there and cannot be used.
pub(super) fn read(path: &Path) -> Result<Option<String>, CredentialsError> {
    let refuse = |reason: String| Err(CredentialsError::Place { place: place(path), reason });
    // Opening a FIFO must not wait for a writer.
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = match OpenOptions::new().read(true).custom_flags(nonblock).open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return refuse(format!("cannot be opened: {error}")),
    };
    match whole(file) {
        Ok(text) => Ok(Some(text)),
        Err(reason) => refuse(reason),
    }
}

fn whole(file: File) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let found = file.metadata().map_err(unreadable)?;
    if !found.is_file() {
        return Err("is not a regular file".into());
    }
    if found.mode() & 0o022 != 0 {
        let mode = found.mode() & 0o7777;
        return Err(format!("can be changed by others (mode {mode:04o}); run chmod go-w on it"));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LONGEST {
        return Err("is longer than 1 MiB".into());
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".into())
}

/// A file as messages name it.
pub(super) fn place(path: &Path) -> String {
    format!("file {:?}", path.display().to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_what_can_be_trusted_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let told = |name: &str| match read(&at(name)) {
            Ok(found) => found.unwrap_or_else(|| "nothing".into()),
            Err(CredentialsError::Place { reason, .. }) => reason,
            Err(other) => other.to_string(),
        };
        let write = |name: &str, bytes: &[u8], mode: u32| {
            std::fs::write(at(name), bytes).unwrap();
            std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        write("real", b"text", 0o640);
        write("open", b"text", 0o664);
        write("latin", &[0xe4], 0o600);
        write("long", &vec![b'x'; (1 << 20) + 1], 0o600);
        std::os::unix::fs::symlink(at("real"), at("link")).unwrap();
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), fifo, rustix::fs::Mode::from(0o600), 0).unwrap();
        assert_eq!(told("real"), "text");
        assert_eq!(told("link"), "text");
        assert_eq!(told("none"), "nothing");
        assert_eq!(told("real/none"), "nothing");
        assert_eq!(told("open"), "can be changed by others (mode 0664); run chmod go-w on it");
        assert_eq!(told("latin"), "is not UTF-8 text");
        assert_eq!(told("long"), "is longer than 1 MiB");
        assert_eq!(told("fifo"), "is not a regular file");
        assert_eq!(told(""), "is not a regular file");
    }
}
