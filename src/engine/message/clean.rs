//! The one sanitiser of foreign text: what was named by others cannot end a line, colour a terminal or turn a
//! sentence round.
//!
//! Neighbours: `message` uses it for every name and value, logs and tables may. A part of its own because there
//! must be one list of characters that are shown and not obeyed.

use std::fmt::Write as _;

/// Characters that act on text instead of standing in it: controls (C0, DEL, C1), marks that are invisible or change
/// direction, line and paragraph separators, tags, and fillers that look like nothing (Unicode 16, ch. 23).
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// `text` in one line of at most `max` characters: characters that act are shown as `\n`, `\t`, `\r` or
/// `\u{202e}`; what is too long ends in `…`, never within such an escape. Markup is left as it is: each channel
/// escapes for its own format.
pub fn clean(text: &str, max: usize) -> String {
    // Beyond this many characters nothing can fit; a megabyte of name is not walked through.
    let mut out = String::with_capacity(text.len().min(max));
    let (mut length, mut cut_at) = (0_usize, 0_usize);
    for c in text.chars() {
        let start = out.len();
        if acts(c) {
            let _ = write!(out, "{}", c.escape_default());
        } else {
            out.push(c);
        }
        length += out[start..].chars().count();
        if length > max {
            out.truncate(cut_at);
            if max > 0 {
                out.push('…');
            }
            return out;
        }
        // The last place where `…` still fits.
        if length < max {
            cut_at = out.len();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, max: usize, expect: &str) {
        assert_eq!(clean(text, max), expect, "{text:?}");
    }

    #[test]
    fn characters_that_act_are_shown() {
        check("alice", 256, "alice");
        check("张伟-é🙂", 256, "张伟-é🙂");
        check("a\r\nBcc: x", 256, r"a\r\nBcc: x");
        check("\x1b[31m\x07\0\x7f\u{9b}", 256, r"\u{1b}[31m\u{7}\u{0}\u{7f}\u{9b}");
        check(
            "a\u{202e}b\u{2066}\u{2069}\u{200e}\u{200f}\u{61c}",
            256,
            r"a\u{202e}b\u{2066}\u{2069}\u{200e}\u{200f}\u{61c}",
        );
        check(
            "\u{200b}\u{200d}\u{feff}\u{2060}\u{2028}\u{2029}",
            256,
            r"\u{200b}\u{200d}\u{feff}\u{2060}\u{2028}\u{2029}",
        );
        check("a\u{e0041}", 256, r"a\u{e0041}");
        check("<script>=1+1", 256, "<script>=1+1");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        check("abcdef", 6, "abcdef");
        check("abcdefg", 6, "abcde…");
        check("张张张张", 3, "张张…");
        check("abc\u{202e}", 6, "abc…");
        check("\u{202e}", 3, "…");
        check("abc", 0, "");
        check("", 5, "");
        assert!(clean(&"x".repeat(1 << 20), 256).len() < 300);
    }

    proptest! {
        #[test]
        fn nothing_that_acts_comes_out(text in "\\PC*|[\\x00-\\x20\u{80}-\u{a0}\u{200b}-\u{206f}a-c]{0,40}", max in 0_usize..50) {
            let out = clean(&text, max);
            prop_assert!(!out.chars().any(acts));
            prop_assert!(out.chars().count() <= max);
            prop_assert_eq!(clean(&out, max), out);
        }
    }
}
