//! Each kind of message in both languages, with hostile names.
