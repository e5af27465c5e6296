//! What the network says when there is nobody to talk to.
//!
//! Neighbours: `email` and `webhook` sort their transport failures with it. A part of its own because the one
//! distinction that matters, "no such host" against "names cannot be resolved just now", is hidden in a text.

use std::error::Error;

/// The innermost cause, which says what happened; the outer ones say who noticed, and may hold a URL.
pub(super) fn last_cause(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    for _ in 0..32 {
        let Some(next) = last.source() else { break };
        last = next;
    }
    last.to_string()
}

/// Whether a resolver's failure is final: the settings name a host that does not exist. `getaddrinfo` tells a
/// passing failure (`EAI_AGAIN`) apart only by its text, which is glibc's or musl's.
pub(super) fn unknown_host(cause: &str) -> bool {
    const PASSING: [&str; 3] = ["Temporary failure", "Try again", "temporarily"];
    cause.contains("failed to lookup address") && !PASSING.iter().any(|text| cause.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cause: &str, expect: bool) {
        assert_eq!(unknown_host(cause), expect, "{cause}");
    }

    #[test]
    fn an_unknown_host_is_told_from_a_resolver_that_is_away() {
        check("failed to lookup address information: Name or service not known", true);
        check("failed to lookup address information: No address associated with hostname", true);
        check("failed to lookup address information: Name does not resolve", true);
        check("failed to lookup address information: Temporary failure in name resolution", false);
        check("failed to lookup address information: Try again", false);
        check("connection refused", false);
    }
}
