//! Texts as words: what PostgreSQL's parser shall read.
//!
//! The parser goes by the locale of the database: in some, letters beyond ASCII have no lower case, and a sentence without
//! spaces is one word. So what is beyond ASCII is prepared here, for every database alike: compatibility forms are made
//! one (NFKC), letters are made small, what is neither letter nor digit parts words, and scripts without spaces between
//! words become pairs of characters (as Lucene's CJK analyzer has it), which find every part of a sentence.

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

/// How a text is read to be found by its words: what the server knows and the database does not.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reading {
    /// The text search configuration.
    pub language: String,
    /// What the words are taken from, if not the text as it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search_text: Option<String>,
}

/// How a text is read. What is ASCII stays as it stands: the parser knows addresses, URLs and numbers in it.
pub(super) fn read(language: &str, text: &str) -> Reading {
    Reading { language: language.to_owned(), search_text: (!text.is_ascii()).then(|| searchable(text)) }
}

fn searchable(text: &str) -> String {
    let mut words = String::with_capacity(text.len() + text.len() / 2);
    let mut last: Option<char> = None;
    for c in text.nfkc().flat_map(char::to_lowercase) {
        if is_without_spaces(c) {
            // A pair with the one before; the first of a run stands alone until there is a second.
            match last.filter(|last| is_without_spaces(*last)) {
                Some(last) => words.extend([' ', last, c]),
                None => words.extend([' ', c]),
            }
        } else {
            if last.is_some_and(is_without_spaces) {
                words.push(' ');
            }
            words.push(if c.is_ascii() || c.is_alphanumeric() || is_mark(c) { c } else { ' ' });
        }
        last = Some(c);
    }
    words
}

/// Han, Hiragana, Katakana, Thai, Lao, Burmese, Khmer: scripts that do not part words by spaces.
fn is_without_spaces(c: char) -> bool {
    matches!(c,
        '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}')
}

/// A mark that belongs to the letter before.
fn is_mark(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_same_in_every_locale() {
        assert_eq!(read("english", "Tea at 5, ada@example.com").search_text, None);
        assert_eq!(searchable("\u{c4}RGER \u{201c}Stra\u{df}e\u{201d}"), "\u{e4}rger  stra\u{df}e ");
        assert_eq!(searchable("cafe\u{301} \u{fb01}ne"), "caf\u{e9} fine");
        assert_eq!(searchable("\u{6771}\u{4eac}\u{90fd} no 1"), " \u{6771} \u{6771}\u{4eac} \u{4eac}\u{90fd}  no 1");
    }
}
