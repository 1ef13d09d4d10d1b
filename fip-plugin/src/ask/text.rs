//! Texts that go into a URI, and foreign texts that go into a message.

use std::fmt::Write;

/// Characters of a foreign text in a message, at most.
const SHOWN: usize = 300;

/// `text` as a part of a path or as a value in a query (RFC 3986, section 2.3: what is unreserved
/// stays).
pub fn encoded(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => {
                result.push(char::from(byte));
            }
            // Writing to a string cannot fail.
            _ => _ = write!(result, "%{byte:02X}"),
        }
    }
    result
}

/// One line that fits into a message and cannot play tricks on a terminal.
pub fn shown(text: &str) -> String {
    let text = text.split(|c: char| c.is_whitespace() || c.is_control() || turns(c));
    let words: Vec<_> = text.filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(SHOWN).collect()
}

/// Whether what follows is written in another direction: Unicode's `Bidi_Control`.
fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_uri_reserves_is_encoded() {
        assert_eq!(encoded("az09-._~"), "az09-._~");
        assert_eq!(encoded("../a?b#c%&=+ \r\n\0ü"), "..%2Fa%3Fb%23c%25%26%3D%2B%20%0D%0A%00%C3%BC");
    }

    #[test]
    fn a_foreign_text_is_one_short_line() {
        assert_eq!(shown(" a\r\n\tb\u{1b}[2J\0 c\u{85}d "), "a b [2J c d");
        assert_eq!(shown("a\u{202e}b\u{2066}c\u{200f}"), "a b c");
        assert_eq!(shown(&"ü".repeat(1000)), "ü".repeat(300));
    }
}
