//! The readings of one user as people write them down: `0x12 3x4 _ 3x2 - ~`.
//!
//! Neighbours: tests of rules are written in it, and what a failing one shows is. A part of its own because text
//! becomes readings here with mistakes at their places, and nothing else about a test matters to that.

use std::fmt::Write as _;
use std::ops::Range;

use super::reading::Reading;

/// The most polls one timeline may describe.
pub const LONGEST: usize = 100_000;

/// The highest count a timeline may state; no reading is above it.
pub const HIGHEST: u32 = 100_000;

const FORMS: &str =
    "write a count, _ (failed), - (absent) or ~ (not polled), each with xN to repeat it N more times";

/// What is wrong with a timeline, and where in its text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TimelineError {
    /// Bytes of the text.
    pub span: Range<usize>,
    pub message: String,
    pub hint: &'static str,
}

/// Reads a timeline: words between spaces, one poll or several each. `3` is three clients online, `_` a failed
/// reading, `-` a good reply without the name, `~` not polled; `3x4` is that and four repeats, five polls in all.
///
/// # Errors
/// Every word that is none of these, and the place where the timeline gets longer than [`LONGEST`].
pub fn parse(text: &str) -> Result<Vec<Reading>, Vec<TimelineError>> {
    let (mut readings, mut errors) = (Vec::new(), Vec::new());
    for (at, word) in words(text) {
        match read(word) {
            Ok((_, polls)) if readings.len() + polls > LONGEST => {
                let message = format!("the timeline is longer than {LONGEST} polls");
                errors.push(TimelineError {
                    span: at..at + word.len(),
                    message,
                    hint: "make it several tests",
                });
                break;
            }
            Ok((reading, polls)) => readings.extend(std::iter::repeat_n(reading, polls)),
            Err((message, hint)) => errors.push(TimelineError { span: at..at + word.len(), message, hint }),
        }
    }
    if errors.is_empty() { Ok(readings) } else { Err(errors) }
}

/// The same readings written as short as they can be.
pub fn write(readings: &[Reading]) -> String {
    let mut text = String::new();
    for run in readings.chunk_by(|a, b| a == b) {
        let space = if text.is_empty() { "" } else { " " };
        let _ = write!(text, "{space}{:?}", run[0]);
        if run.len() > 1 {
            let _ = write!(text, "x{}", run.len() - 1);
        }
    }
    text
}

fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let start = text.as_ptr() as usize;
    text.split_whitespace().map(move |word| (word.as_ptr() as usize - start, word))
}

/// A word's reading and how many polls it stands for.
fn read(word: &str) -> Result<(Reading, usize), (String, &'static str)> {
    let (value, repeats) = word.split_once('x').map_or((word, None), |(value, n)| (value, Some(n)));
    let reading = match value {
        "_" => Reading::FAILED,
        "-" => Reading::ABSENT,
        "~" => Reading::NOT_POLLED,
        digits if !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit()) => {
            let count = digits.parse().ok().filter(|count| *count <= HIGHEST);
            Reading::online(count.ok_or((format!("{digits} is more than any reading"), "at most 100000"))?)
        }
        _ => return Err((format!("{word:?} is no reading"), FORMS)),
    };
    let Some(repeats) = repeats else { return Ok((reading, 1)) };
    let plain = !repeats.is_empty() && repeats.bytes().all(|c| c.is_ascii_digit());
    match repeats.parse::<usize>() {
        // Longer than any timeline either way; where that is noticed, the limit is named.
        Ok(n) if plain => Ok((reading, n.min(LONGEST) + 1)),
        Err(_) if plain => Ok((reading, LONGEST + 1)),
        Ok(_) | Err(_) => Err((format!("{word:?} does not say how often it repeats"), FORMS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<&str, &[(&str, &str)]>) {
        let found = parse(text);
        match expect {
            Ok(expect) => {
                let found: Vec<String> = found.unwrap().iter().map(|r| format!("{r:?}")).collect();
                assert_eq!(found.join(" "), expect, "{text}");
            }
            Err(expect) => {
                let errors = found.unwrap_err();
                let told: Vec<_> =
                    errors.iter().map(|e| (&text[e.span.clone()], e.message.as_str())).collect();
                assert_eq!(told, expect, "{text}");
            }
        }
    }

    #[test]
    fn a_word_is_a_reading_and_how_often_it_repeats() {
        check("", Ok(""));
        check("0x2 3x1 _ 3 - ~", Ok("0 0 0 3 3 _ 3 - ~"));
        check("  1\t_x1\n-x0 ~x2 ", Ok("1 _ _ - ~ ~ ~"));
        check("100000", Ok("100000"));
    }

    #[test]
    fn every_wrong_word_is_told_at_its_place() {
        check(
            "3 2.5 x4 -1 3x 3x-1 3xx2 100001 é",
            Err(&[
                ("2.5", "\"2.5\" is no reading"),
                ("x4", "\"x4\" is no reading"),
                ("-1", "\"-1\" is no reading"),
                ("3x", "\"3x\" does not say how often it repeats"),
                ("3x-1", "\"3x-1\" does not say how often it repeats"),
                ("3xx2", "\"3xx2\" does not say how often it repeats"),
                ("100001", "100001 is more than any reading"),
                ("é", "\"é\" is no reading"),
            ]),
        );
        check("1 1x99999", Err(&[("1x99999", "the timeline is longer than 100000 polls")]));
        check(
            "1x99999999999999999999999",
            Err(&[("1x99999999999999999999999", "the timeline is longer than 100000 polls")]),
        );
    }

    #[test]
    fn what_is_written_reads_back() {
        for text in ["", "0x12 3x4 _ 3x2 - ~", "1 2 1 _x3"] {
            assert_eq!(write(&parse(text).unwrap()), text);
        }
    }
}
