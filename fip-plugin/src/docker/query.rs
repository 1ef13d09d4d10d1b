//! Filters as Docker's URIs want them.

use std::collections::BTreeMap;

use serde_json::json;

use crate::ask::encoded;

/// The query value `filters` of these filters: of one name any will do, of several names all must.
pub(super) fn filters(filters: &[(&str, &str)]) -> String {
    let mut map = BTreeMap::<&str, Vec<&str>>::new();
    for (name, value) in filters {
        map.entry(name).or_default().push(value);
    }
    encoded(&json!(map).to_string())
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
    fn a_name_is_no_pattern() {
        assert_eq!(exactly("web_1-a.b"), r"^/web_1-a\.b$");
        assert_eq!(exactly(".*"), r"^/\.\*$");
        assert_eq!(exactly(r"a\(b|c)[d]{e}^f$+?"), r"^/a\\\(b\|c\)\[d\]\{e\}\^f\$\+\?$");
    }

    #[test]
    fn filters_are_a_map_of_lists() {
        let text = filters(&[("type", "network"), ("name", r#"^/a"b$"#), ("type", "daemon")]);
        assert_eq!(
            text,
            encoded(r#"{"name":["^/a\"b$"],"type":["network","daemon"]}"#),
            "the quote is JSON's to escape"
        );
    }
}
