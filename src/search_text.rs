//! Prepares texts for PostgreSQL's text search parser.
//!
//! The parser depends on the locale of the database. In some locales non-ASCII letters have no lower case, and a
//! sentence without spaces is one word. So non-ASCII text is prepared here, in the same way for every database. It is
//! normalised (NFKC) and case-folded. Non-ASCII characters become spaces unless they are letters, digits or marks.
//! Scripts without spaces between words become pairs of characters, as in Lucene's CJK analyzer, so that a search finds
//! each pair of characters in a sentence. Korean does too: a particle is joined to its word.
//!
//! The parser keeps addresses, paths, versions and the like as one word, and drops what looks like a tag of HTML. So the
//! parts of such words are indexed beside them, and for a word with accents, the word without.

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::{canonical_combining_class, is_combining_mark};

/// A text, as PostgreSQL reads it for searches by words.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SearchText {
    /// The text search configuration.
    pub language: String,
    /// The prepared text. `None` if the text itself is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Parts of words that are joined by signs, and words without accents: found beside the words of the text. Servers
    /// of earlier versions send none.
    pub parts: String,
}

/// Size limit of a prepared text, in bytes. The rest of the text is not searchable by words. 37,000 Chinese characters
/// make this size, and a lane is busy with them for a fifth of a second. ASCII texts are shorter.
const TEXT_BYTES_MAX: usize = 256 << 10;
/// In a longer text, hyphens, dots and slashes become spaces: the parser would index a compound and its parts, which
/// may not fit into a tsvector. The parts have at most this size, too.
const JOINED_BYTES_MAX: usize = 100 << 10;

impl SearchText {
    /// Size of the text that PostgreSQL reads, in bytes, without the parts.
    #[must_use]
    pub fn bytes(&self, text: &str) -> usize {
        self.text.as_ref().map_or(text.len(), String::len)
    }

    /// Size of all that PostgreSQL reads, in bytes.
    #[must_use]
    pub fn all_bytes(&self, text: &str) -> usize {
        self.bytes(text) + self.parts.len()
    }
}

/// Prepares a text. An ASCII text stays as it is: the parser knows addresses, URLs and numbers in it.
#[must_use]
pub fn read(language: &str, text: &str) -> SearchText {
    let prepared = (!text.is_ascii()).then(|| searchable(text));
    let parts = parts(prepared.as_deref().unwrap_or(text));
    SearchText { language: language.to_owned(), text: prepared, parts }
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
        } else if c == '\u{307}' && last == Some('i') {
            // The lower case of the Turkish İ is an i with a second dot.
            continue;
        } else {
            if last.is_some_and(is_without_spaces) {
                words.push(' ');
            }
            let stays = c.is_alphanumeric() || is_combining_mark(c) || (c.is_ascii() && words.len() < JOINED_BYTES_MAX);
            words.push(if stays { c } else { ' ' });
        }
        last = Some(c);
    }
    words
}

/// The parts of words that are joined by signs, and words without accents.
fn parts(text: &str) -> String {
    let mut parts = String::new();
    for word in text.split_ascii_whitespace() {
        let plain = without_accents(word);
        if !is_joined(word) && plain.is_none() {
            continue;
        }
        let forms = [is_joined(word).then_some(word), plain.as_deref()];
        for form in forms.into_iter().flatten() {
            if parts.len() + form.len() + 1 > JOINED_BYTES_MAX {
                return parts;
            }
            parts.extend(form.chars().map(|c| if c.is_ascii_punctuation() { ' ' } else { c }));
            parts.push(' ');
        }
    }
    parts
}

/// Whether signs join letters or digits, or hide them from the parser: `node.js`, `-19`, `<Payment>`. Not those of a
/// sentence around a word: `(tea),`.
fn is_joined(word: &str) -> bool {
    let is_of_a_sentence = |c: char| matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | '(' | ')' | '"' | '\'' | '*');
    word.trim_matches(is_of_a_sentence).contains(|c: char| c.is_ascii_punctuation())
}

/// The word without accents and other marks on its letters. `None` if it has none. Scripts whose marks are vowels keep
/// them.
fn without_accents(word: &str) -> Option<String> {
    if word.is_ascii() || word.contains(is_without_spaces) {
        return None;
    }
    // Classes below 10 are not accents but, for example, the Devanagari virama.
    let is_accent = |c: char| canonical_combining_class(c) >= 10;
    let base = |c| match c {
        '\u{111}' => 'd',
        '\u{142}' => 'l',
        '\u{f8}' => 'o',
        other => other,
    };
    let plain: String = word.nfd().filter(|c| !is_accent(*c)).map(base).nfc().collect();
    (plain != word).then_some(plain)
}

/// Invisible characters inside words: soft hyphen, joiners and byte order mark. A zero-width space separates words.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200c}' | '\u{200d}' | '\u{2060}' | '\u{feff}')
}

/// Scripts without spaces between words: Han, Hiragana, Katakana, Thai, Lao, Burmese, Khmer. And Hangul, whose particles
/// follow a word without a space.
fn is_without_spaces(c: char) -> bool {
    matches!(c,
        '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1100}'..='\u{11ff}' | '\u{1780}'..='\u{17ff}'
        | '\u{3040}'..='\u{30ff}' | '\u{3130}'..='\u{318f}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{a960}'..='\u{a97f}' | '\u{ac00}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
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
        assert_eq!(searchable("zero\u{200b}width"), "zero width");
        assert_eq!(searchable("cafe\u{301} \u{fb01}ne"), "caf\u{e9} fine");
        assert_eq!(searchable("\u{130}stanbul"), "istanbul");
        assert_eq!(searchable("\u{6771}\u{4eac}\u{90fd} no 1"), " \u{6771} \u{6771}\u{4eac} \u{4eac}\u{90fd}  no 1");
        assert_eq!(
            searchable("\u{c11c}\u{c6b8}\u{c5d0}\u{c11c}"),
            " \u{c11c} \u{c11c}\u{c6b8} \u{c6b8}\u{c5d0} \u{c5d0}\u{c11c}"
        );
    }

    #[test]
    fn joined_words_have_parts() {
        let words = |text: &str| parts(text).split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
        assert_eq!(words("Tea (green), at 5: \"no sugar\"! It's"), "It s");
        assert_eq!(words("tea/coffee node.js covid-19 -19 24/7"), "tea coffee node js covid 19 19 24 7");
        assert_eq!(words("Vec<Payment> <b> a&b user_id C:\\temp"), "Vec Payment b a b user id C temp");
        assert_eq!(
            words("ada@lovelace.example, https://a.example/b?c=d#e"),
            "ada lovelace example https a example b c d e"
        );
        assert_eq!(words("2026-11-23 1.2.3-rc.1 $5.00"), "2026 11 23 1 2 3 rc 1 5 00");
        assert_eq!(words("..., -- * ()"), "");
    }

    #[test]
    fn words_with_accents_have_a_form_without() {
        let plain = |text: &str| parts(&searchable(text)).trim_end().to_owned();
        assert_eq!(plain("caf\u{e9} tea"), "cafe");
        assert_eq!(plain("H\u{e0} N\u{1ed9}i \u{110}\u{e0} N\u{1eb5}ng"), "ha noi da nang");
        assert_eq!(plain("\u{451}\u{436}"), "\u{435}\u{436}");
        assert_eq!(plain("\u{3bf}\u{3b4}\u{3cc}\u{3c2}"), "\u{3bf}\u{3b4}\u{3bf}\u{3c3}");
        assert_eq!(plain("\u{623}\u{62d}\u{645}\u{62f}"), "\u{627}\u{62d}\u{645}\u{62f}");
        assert_eq!(plain("ch\u{e1}/caf\u{e9}"), "ch\u{e1} caf\u{e9}  cha cafe".replace("  ", " "));
        assert_eq!(plain("\u{915}\u{94d}\u{937}\u{93f} \u{304c} \u{c11c}"), "", "marks that are vowels stay");
    }

    /// NFKC can turn one character into eighteen, and the parser indexes a compound and its parts.
    #[test]
    fn prepared_texts_have_a_maximum_size() {
        for text in ["\u{fdfa}", "\u{6771}", "\u{fdf2}-\u{fdf4} ", "\u{20000}", "\u{e4}.\u{e4} ", "\u{c11c}"] {
            let prepared = read("english", &text.repeat(100_000 / text.chars().count()));
            let words = prepared.text.unwrap();
            assert!(words.len() <= TEXT_BYTES_MAX, "{text}: {}", words.len());
            assert!(prepared.parts.len() <= JOINED_BYTES_MAX, "{text}: {}", prepared.parts.len());
        }
        let joined = searchable(&"\u{e4}-\u{f6} ".repeat(25_000));
        assert!(joined.get(..JOINED_BYTES_MAX / 2).unwrap().contains('-'));
        assert!(!joined.get(joined.len() - 1_000..).unwrap().contains('-'));
    }
}
