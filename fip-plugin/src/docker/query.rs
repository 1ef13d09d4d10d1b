//! Names and filters as Docker's URIs want them.

use std::fmt::Write;

use serde_json::json;

/// `text` as a part of a path or as a value in a query (RFC 3986, section 2.3: what is unreserved
/// stays).
pub(super) fn encoded(text: &str) -> String {
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

/// The query value `filters` of one filter.
pub(super) fn filters(filters: &[(&str, &str)]) -> String {
    let map: serde_json::Map<_, _> =
        filters.iter().map(|(key, value)| ((*key).to_owned(), json!([value]))).collect();
    encoded(&serde_json::Value::Object(map).to_string())
}

/// The pattern that matches this container name alone: Docker takes the value of the filter `name`
/// for a regular expression (Go's RE2) that may match anywhere, and names for `/NAME`.
pub(super) fn exactly(name: &str) -> String {
    let mut pattern = "^/".to_owned();
    for c in name.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('$');
    pattern
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
    fn a_name_is_no_pattern() {
        assert_eq!(exactly("web_1-a.b"), r"^/web_1-a\.b$");
        assert_eq!(exactly(".*"), r"^/\.\*$");
        assert_eq!(exactly(r"a\(b|c)[d]{e}^f$+?"), r"^/a\\\(b\|c\)\[d\]\{e\}\^f\$\+\?$");
    }

    #[test]
    fn filters_are_a_map_of_lists() {
        let text = filters(&[("name", r#"^/a"b$"#), ("type", "daemon")]);
        assert_eq!(
            text,
            encoded(r#"{"name":["^/a\"b$"],"type":["daemon"]}"#),
            "the quote is JSON's to escape"
        );
    }
}
