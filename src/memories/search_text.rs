//! Prepares texts for PostgreSQL's text search parser.
//!
//! The parser depends on the locale of the database. In some locales non-ASCII letters have no lower case, and a
//! sentence without spaces is one word. So non-ASCII text is prepared here, in the same way for every database. It is
//! normalised (NFKC) and case-folded. Non-ASCII characters become spaces unless they are letters, digits or marks.
//! Scripts without spaces between words become pairs of characters, as in Lucene's CJK analyzer, so that a search finds
//! each pair of characters in a sentence.

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

/// A text, as PostgreSQL reads it for searches by words.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SearchText {
    /// The text search configuration.
    pub language: String,
    /// The prepared text. `None` if the text itself is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Size limit of a prepared text, in bytes. The rest of the text is not searchable by words. 37,000 Chinese characters
/// make this size, and a lane is busy with them for a fifth of a second. ASCII texts are shorter.
const TEXT_BYTES_MAX: usize = 256 << 10;
/// In a longer text, hyphens, dots and slashes become spaces: the parser would index a compound and its parts, which
/// may not fit into a tsvector.
const JOINED_BYTES_MAX: usize = 100 << 10;

impl SearchText {
    /// Size of the text that PostgreSQL reads, in bytes.
    #[must_use]
    pub fn bytes(&self, text: &str) -> usize {
        self.text.as_ref().map_or(text.len(), String::len)
    }
}

/// Prepares a text. An ASCII text stays as it is: the parser knows addresses, URLs and numbers in it.
pub(super) fn read(language: &str, text: &str) -> SearchText {
    SearchText { language: language.to_owned(), text: (!text.is_ascii()).then(|| searchable(text)) }
}

fn searchable(text: &str) -> String {
    let mut words = String::with_capacity(text.len() + text.len() / 2);
    let mut last: Option<char> = None;
    // Upper case and then lower case folds more than lower case alone: ß equals ss, and both small sigmas are equal.
    let folded = text.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    for c in folded.filter(|c| !is_invisible(*c)) {
        if words.len() + 16 > TEXT_BYTES_MAX {
            break;
        }
        if is_without_spaces(c) {
            // Each character forms a pair with the one before. The first character of a run is a word of its own.
            match last.filter(|last| is_without_spaces(*last)) {
                Some(last) => words.extend([' ', last, c]),
                None => words.extend([' ', c]),
            }
        } else {
            if last.is_some_and(is_without_spaces) {
                words.push(' ');
            }
            let stays = c.is_alphanumeric() || is_mark(c) || (c.is_ascii() && words.len() < JOINED_BYTES_MAX);
            words.push(if stays { c } else { ' ' });
        }
        last = Some(c);
    }
    words
}

/// Invisible characters inside words: soft hyphen, joiners and byte order mark.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200c}' | '\u{200d}' | '\u{2060}' | '\u{feff}')
}

/// Scripts without spaces between words: Han, Hiragana, Katakana, Thai, Lao, Burmese, Khmer.
fn is_without_spaces(c: char) -> bool {
    matches!(c,
        '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}')
}

/// Combining marks belong to the letter before them.
fn is_mark(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_same_in_every_locale() {
        assert_eq!(read("english", "Tea at 5, ada@example.com").text, None);
        assert_eq!(searchable("\u{c4}RGER \u{201c}Stra\u{df}e\u{201d}"), "\u{e4}rger  strasse ");
        assert_eq!(searchable("\u{3a3}\u{3a3} \u{3c3}\u{3c2}"), "\u{3c3}\u{3c3} \u{3c3}\u{3c3}");
        assert_eq!(searchable("soft\u{ad}ware"), "software");
        assert_eq!(searchable("cafe\u{301} \u{fb01}ne"), "caf\u{e9} fine");
        assert_eq!(searchable("\u{6771}\u{4eac}\u{90fd} no 1"), " \u{6771} \u{6771}\u{4eac} \u{4eac}\u{90fd}  no 1");
    }

    /// NFKC can turn one character into eighteen, and the parser indexes a compound and its parts.
    #[test]
    fn prepared_texts_have_a_maximum_size() {
        for text in ["\u{fdfa}", "\u{6771}", "\u{fdf2}-\u{fdf4} ", "\u{20000}"] {
            let words = searchable(&text.repeat(100_000 / text.chars().count()));
            assert!(words.len() <= TEXT_BYTES_MAX, "{text}: {}", words.len());
        }
        let joined = searchable(&"\u{e4}-\u{f6} ".repeat(25_000));
        assert!(joined.get(..JOINED_BYTES_MAX / 2).unwrap().contains('-'));
        assert!(!joined.get(joined.len() - 1_000..).unwrap().contains('-'));
    }
}
