use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;
use crate::options::parse_floating;

fn fixed(place: u64, floating: &str, address: &str) -> Entry {
    let target = Target::Fixed(address.parse().unwrap());
    Entry { place, floating: floating.to_owned(), target }
}

fn container(place: u64, floating: &str, name: &str) -> Entry {
    let target = Target::Container(name.to_owned());
    Entry { place, floating: floating.to_owned(), target }
}

fn reason(text: impl AsRef<[u8]>) -> String {
    parse(text.as_ref()).unwrap_err().what
}

#[test]
fn lines_are_entries() {
    let text = "# the web\n\n203.0.113.1 172.16.0.2\r\n \t\n  \
                203.0.113.2:tcp:80:8080\t web_1-a.b # its \
                port\n[2001:db8::5]:udp:53 2001:db8::2\n203.0.113.3,203.0.113.4 172.16.0.2 #\n";
    let expected = [
        fixed(3, "203.0.113.1", "172.16.0.2"),
        container(5, "203.0.113.2:tcp:80:8080", "web_1-a.b"),
        fixed(6, "[2001:db8::5]:udp:53", "2001:db8::2"),
        fixed(7, "203.0.113.3,203.0.113.4", "172.16.0.2"),
    ];
    assert_eq!(parse(text.as_bytes()).unwrap(), expected);
    let alone = "[2001:db8::5]:tcp:53 web\n";
    assert_eq!(parse(alone.as_bytes()).unwrap(), [container(1, "[2001:db8::5]:tcp:53", "web")]);
}

#[test]
fn json_is_entries_in_its_order() {
    let object = r#"
        {"203.0.113.2": "web", "203.0.113.1": "172.16.0.2",
        "[2001:db8::5]:udp:53": "2001:db8::2"}"#;
    let entries = [
        container(1, "203.0.113.2", "web"),
        fixed(2, "203.0.113.1", "172.16.0.2"),
        fixed(3, "[2001:db8::5]:udp:53", "2001:db8::2"),
    ];
    assert_eq!(parse(object.as_bytes()).unwrap(), entries);
    let list = r#"[ {"floating": "203.0.113.2", "container": "web"},
        {"fixed": "172.16.0.2", "floating": "203.0.113.1"},
        {"floating": "[2001:db8::5]:udp:53", "fixed": "2001:db8::2", "container": null} ]"#;
    assert_eq!(parse(list.as_bytes()).unwrap(), entries);
}

#[test]
fn an_address_is_an_address_unless_it_is_called_a_container() {
    assert_eq!(parse(b"203.0.113.1 10.0.0.1\n").unwrap(), [fixed(1, "203.0.113.1", "10.0.0.1")]);
    assert_eq!(
        parse(br#"[{"floating": "203.0.113.1", "container": "10.0.0.1"}]"#).unwrap(),
        [container(1, "203.0.113.1", "10.0.0.1")]
    );
}

#[test]
fn no_entries_must_be_said() {
    for text in ["# none\n", "\n#\n\n", "[]", "{}", " {\n} \n", "\u{feff}[ ]\r\n"] {
        assert_eq!(parse(text.as_bytes()).unwrap(), [], "{text:?}");
    }
    for text in ["", " ", "\n", "\r\n\t\n", "\u{feff}"] {
        assert_eq!(reason(text), "it is empty", "{text:?}");
    }
}

#[test]
fn every_beginning_of_a_map_is_wrong_or_as_many_whole_lines() {
    let lines = "203.0.113.1 172.16.0.2\n# a\n203.0.113.2 172.16.0.3\n";
    for end in 0..lines.len() {
        let whole = lines[..end].ends_with('\n');
        assert_eq!(parse(&lines.as_bytes()[..end]).is_ok(), whole, "{:?}", &lines[..end]);
    }
    for json in [
        r#"[{"floating": "203.0.113.1", "fixed": "172.16.0.2"}]"#,
        r#"{"203.0.113.1": "172.16.0.2", "203.0.113.2": "web"}"#,
    ] {
        for end in 0..json.len() {
            assert!(parse(&json.as_bytes()[..end]).is_err(), "{:?}", &json[..end]);
        }
        assert!(reason(&json[..20]).starts_with("its JSON breaks off: "));
    }
    assert_eq!(reason("203.0.113.1 a\n203.0.113.2 b"), "line 2, the last one, has no end");
}

#[test]
fn one_entry_that_is_none_makes_all_wrong_and_is_named() {
    for (text, what) in [
        ("203.0.113.1 a\n203.0.113.2\n", "line 2 says only one thing of two"),
        ("203.0.113.1 # a\n", "line 1 says only one thing of two"),
        ("203.0.113.1 a b\n", "line 1 says more than two things"),
        ("\n\n203.0.113.1 172.16.0.2/16\n", "line 3 is wrong: \"172.16.0.2/16\" is not an address"),
        ("203.0.113.1 fe80::1%eth0\n", "line 1 is wrong: \"fe80::1%eth0\" is not"),
        ("203.0.113.1 /web\n", "line 1 is wrong: \"/web\" is not an address"),
        ("203.0.113.1 \0\n", "line 1 is wrong: \"\\0\" is not an address"),
        ("\"203.0.113.1\": \"a\"\n", "line 1 is wrong: \"\\\"a\\\"\" is not"),
    ] {
        assert!(reason(text).starts_with(what), "{text:?}: {}", reason(text));
    }
    assert_eq!(reason(b"203.0.113.1 a\n203.0.113.2 \xff\n"), "line 2 is not UTF-8");
}

#[test]
fn json_that_is_no_map_is_wrong_and_its_line_is_named() {
    let entry = r#"{"floating": "203.0.113.1", "fixed": "172.16.0.2""#;
    for (text, what) in [
        (
            r#"{"203.0.113.1": "a","#.to_owned() + "\n\"203.0.113.1\": \"b\"}",
            "is there twice at line 2",
        ),
        (r#"{"203.0.113.1": 5}"#.to_owned(), "expected a string"),
        (r#"{"203.0.113.1": "a b"}"#.to_owned(), "\"a b\" is not an address"),
        ("{} {}".to_owned(), "trailing characters"),
        ("[[]]".to_owned(), "at line 1"),
        (r#"["203.0.113.1"]"#.to_owned(), "at line 1"),
        ("[null]".to_owned(), "at line 1"),
        (format!("[{entry}, \"container\": \"a\"}}]"), "one of \"fixed\" and \"container\""),
        (r#"[{"floating": "203.0.113.1"}]"#.to_owned(), "one of \"fixed\" and \"container\""),
        (format!("[{entry}, \"fixed\": \"172.16.0.3\"}}]"), "duplicate field `fixed`"),
        (format!("[\n{entry}, \"port\": 5}}]"), "unknown field `port`"),
        (r#"[{"fixed": "172.16.0.2"}]"#.to_owned(), "missing field `floating`"),
        (r#"[{"floating": "203.0.113.1", "fixed": "web"}]"#.to_owned(), "not an IPv4 or IPv6"),
        (r#"[{"floating": "203.0.113.1", "fixed": ""}]"#.to_owned(), "at line 1"),
        ("[".repeat(100_000), "expected a string"),
    ] {
        assert!(reason(&text).contains(what), "{text:.80}: {}", reason(&text));
    }
    let hostile = format!("[{{\"\\u001b[2J{}\": 1}}]", "x".repeat(10_000));
    let shown = reason(hostile);
    assert!(shown.len() < 1000 && !shown.contains('\u{1b}'), "{shown:?}");
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        any::<std::net::IpAddr>().prop_map(Target::Fixed),
        "[a-zA-Z][a-zA-Z0-9_.-]{0,20}".prop_map(Target::Container),
    ]
}

fn written(target: &Target) -> String {
    match target {
        Target::Fixed(address) => address.to_string(),
        Target::Container(name) => name.clone(),
    }
}

proptest! {
    #[test]
    fn bytes_of_all_kinds_are_a_map_or_not(bytes in vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn text_that_is_nearly_a_map_is_one_or_not(
        text in r##"([\[\]{}:,"# \n\r\t]|203\.0\.113\.1|floating|fixed|container|web|null){0,40}"##
    ) {
        match parse(text.as_bytes()) {
            // No entry without its two things in the text.
            Ok(entries) => for entry in entries {
                prop_assert!(entry.place >= 1 && text.contains(&entry.floating));
                prop_assert!(text.contains(&written(&entry.target)));
            },
            Err(wrong) => prop_assert!(!wrong.what.is_empty() && !wrong.what.contains('\n')),
        }
    }

    #[test]
    fn every_form_says_the_same(
        pairs in btree_map("203\\.0\\.113\\.[1-9]", target(), 1..20)
    ) {
        let entries: Vec<_> = (1..).zip(&pairs).map(|(place, (floating, target))| {
            Entry { place, floating: floating.clone(), target: target.clone() }
        }).collect();
        let lines: String =
            pairs.iter().map(|(floating, to)| format!("{floating} {}\n", written(to))).collect();
        prop_assert_eq!(&parse(lines.as_bytes()).unwrap(), &entries);
        let object: serde_json::Map<_, _> =
            pairs.iter().map(|(floating, to)| (floating.clone(), written(to).into())).collect();
        let object = serde_json::Value::from(object).to_string();
        prop_assert_eq!(&parse(object.as_bytes()).unwrap(), &entries);
        for entry in &entries {
            prop_assert!(parse_floating(&entry.floating).is_ok());
        }
    }
}
