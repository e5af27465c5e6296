//! The one sanitiser of foreign text: what was named by others cannot end a line, colour a terminal, turn a
//! sentence round or pass for another name.
//!
//! Neighbours: `message` uses it for every name and value, logs and tables may. A part of its own because there
//! must be one list of characters that are shown and not obeyed.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use unicode_security::skeleton;

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

/// Where letters of another script pass themselves off as Latin ones (UTS 39): as bytes of `text`. A word that mixes
/// ASCII letters with Greek, Cyrillic and the like is written to be taken for another, and so is one of which every
/// letter has an ASCII look, unless other letters beside it show that the text is of that script.
fn lookalikes(text: &str, max: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    if text.is_ascii() {
        return found;
    }
    let foreign = |c: char| c > '\u{24f}' && skeleton(c.encode_utf8(&mut [0; 4])).all(|c| c.is_ascii());
    let mixes = |c: char| matches!(c, '\u{370}'..='\u{58f}' | '\u{13a0}'..='\u{13ff}');
    let letters: Vec<(usize, char)> = text.char_indices().take(max).collect();
    let native = letters.iter().any(|(_, c)| mixes(*c) && c.is_alphabetic() && !foreign(*c));
    for word in letters.split(|(_, c)| !c.is_alphanumeric()) {
        let posing = word.iter().filter(|(_, c)| foreign(*c));
        let all = !native && word.iter().all(|(_, c)| c.is_ascii() || foreign(*c));
        let mixed = word.iter().any(|(_, c)| c.is_ascii_alphabetic()) && word.iter().any(|(_, c)| mixes(*c));
        if all || mixed {
            found.extend(posing.map(|(at, _)| *at));
        }
    }
    found
}

/// `text` in one line of at most `max` characters: characters that act, and letters that pose as others, are shown as
/// `\n`, `\t`, `\r` or `\u{202e}`; what is too long ends in `…`, never within such an escape. Markup is left as it is: each channel
/// escapes for its own format.
pub fn clean(text: &str, max: usize) -> String {
    // Beyond this many characters nothing can fit; a megabyte of name is not walked through.
    let mut out = String::with_capacity(text.len().min(max));
    let (mut length, mut cut_at) = (0_usize, 0_usize);
    let posing = lookalikes(text, max);
    for (at, c) in text.char_indices() {
        let start = out.len();
        if acts(c) || posing.contains(&at) {
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
    fn letters_that_pose_as_others_are_shown() {
        check("\u{430}lice", 256, r"\u{430}lice");
        check("p\u{430}yp\u{430}l-ops", 256, r"p\u{430}yp\u{430}l-ops");
        check("\u{441}\u{43e}\u{441}\u{43e}", 256, r"\u{441}\u{43e}\u{441}\u{43e}");
        check("\u{ff41}dmin", 256, r"\u{ff41}dmin");
        check("\u{3b1}dmin 张\u{430}dmin", 256, r"\u{3b1}dmin 张\u{430}dmin");
        for harmless in [
            "Иванова",
            "Саша Петров",
            "Ελένη",
            "张伟a",
            "李·ops",
            "Işık",
            "café",
            "山田ひろし",
            "김철수",
            "µm",
        ] {
            check(harmless, 256, harmless);
        }
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
            // A word that was cut may look another way than the whole one.
            if lookalikes(&text, max).is_empty() && lookalikes(&out, max).is_empty() {
                prop_assert_eq!(clean(&out, max), out);
            }
        }
    }
}
