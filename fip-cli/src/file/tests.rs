use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

/// Parses as from a file of that name; the error as text.
fn parse(name: &str, text: &str) -> Result<Vec<Binding>, String> {
    parse_bytes(Path::new(name), text.as_bytes().to_vec()).map_err(|error| error.to_string())
}

fn binding(floating: &str, fixed: &str) -> Binding {
    Binding::new(floating.parse().unwrap(), fixed.parse().unwrap()).unwrap()
}

#[track_caller]
fn fails(name: &str, text: &str, parts: &[&str]) {
    let error = parse(name, text).unwrap_err();
    for part in parts {
        assert!(error.contains(part), "no {part:?} in {error:?}");
    }
}

#[test]
fn the_three_formats_say_the_same() {
    let expected =
        vec![binding("192.0.2.1", "172.18.0.2"), binding("2001:db8::1", "2001:db8:18::2")];
    let lines = "# map\n\n192.0.2.1 172.18.0.2\n  2001:db8::1\t2001:db8:18::2 # web\r\n";
    assert_eq!(parse("map", lines).unwrap(), expected);
    let toml = "[[binding]]\nfloating = \"192.0.2.1\"\nfixed = \"172.18.0.2\"\n\
                [[binding]]\nfloating = '2001:db8::1'\nfixed = '2001:db8:18::2'\n";
    let json = r#"[{"floating":"192.0.2.1","fixed":"172.18.0.2"},
                   {"floating":"2001:db8::1","fixed":"2001:db8:18::2"}]"#;
    for name in ["-", "b.toml"] {
        assert_eq!(parse(name, toml).unwrap(), expected);
    }
    for name in ["-", "b.json"] {
        assert_eq!(parse(name, json).unwrap(), expected);
        assert_eq!(parse(name, &format!("{{\"binding\":{json}}}")).unwrap(), expected);
    }
}

#[test]
fn every_option_is_taken() {
    let expected = vec![
        binding("192.0.2.1", "172.18.0.2")
            .on("eth1".parse().unwrap())
            .with_ports(["tcp:80:8080", "udp:53"].map(|port| port.parse().unwrap())),
        binding("192.0.2.2", "172.18.0.3").with_egress(false),
    ];
    let toml = "[[binding]]\nfloating = '192.0.2.1'\nfixed = '172.18.0.2'\ninterface = 'eth1'\n\
                ports = ['tcp:80:8080', 'udp:53']\n\
                [[binding]]\nfloating = '192.0.2.2'\nfixed = '172.18.0.3'\negress = false\n";
    assert_eq!(parse("b.toml", toml).unwrap(), expected);
    let json = r#"[{"floating":"192.0.2.1","fixed":"172.18.0.2","interface":"eth1",
                    "ports":["tcp:80:8080","udp:53"]},
                   {"floating":"192.0.2.2","fixed":"172.18.0.3","egress":false}]"#;
    assert_eq!(parse("b.json", json).unwrap(), expected);
}

#[test]
fn an_empty_file_means_no_bindings() {
    for name in ["map", "b.toml", "b.json", "-"] {
        assert_eq!(parse(name, " \n").unwrap(), []);
    }
    assert_eq!(parse("map", "# none\n").unwrap(), []);
    assert_eq!(parse("b.toml", "# none\n").unwrap(), []);
    assert_eq!(parse("b.json", "[]").unwrap(), []);
    assert_eq!(parse("-", "[]").unwrap(), []);
}

#[test]
fn errors_name_the_file_and_the_line() {
    fails("map", "# x\n192.0.2.1\n", &["map, line 2", "FLOATING FIXED"]);
    fails("map", "192.0.2.1 172.18.0.2 eth0", &["map, line 1", "FLOATING FIXED"]);
    fails("map", "\n192.0.2.1/24 172.18.0.2", &["line 2", "mask"]);
    fails("map", "fe80::1%eth0 2001:db8::1", &["line 1", "zone"]);
    fails("map", "127.0.0.1 172.18.0.2", &["line 1", "loopback"]);
    fails("-", "192.0.2.1 2001:db8::2", &["standard input, line 1", "family"]);

    let entry = "[[binding]]\nfloating = '192.0.2.1'\n";
    fails("b.toml", &format!("{entry}fixed = 1\n"), &["b.toml, line 3", "string"]);
    fails("b.toml", &format!("{entry}fixed = 'x'\n"), &["line 3", "\"x\""]);
    fails("b.toml", entry, &["line 1", "fixed"]);
    fails("b.toml", &format!("{entry}fxed = '1'\n"), &["line 3", "fxed"]);
    fails("b.toml", "[[bindings]]\n", &["line 1", "bindings"]);
    fails("b.toml", &format!("{entry}fixed = '172.18.0.2'\nports = ['icmp:1']\n"), &["line 4"]);
    fails("b.toml", &format!("# x\n{entry}fixed = '192.0.2.1'\n"), &["line 2", "the same"]);
    let long = "a".repeat(256);
    fails(
        "b.toml",
        &format!("{entry}fixed = '172.18.0.2'\ninterface = '{long}'\n"),
        &["line 4", "a link name"],
    );

    fails(
        "b.json",
        "[\n{\"floating\":\"192.0.2.1\",\n\"fixed\":\"x\"}]",
        &["b.json, line 3", "\"x\""],
    );
    fails("b.json", "[\n\n{\"floating\":\"192.0.2.1\"}]", &["line 3", "fixed"]);
    fails("b.json", "[\n{\"fxed\":1}]", &["line 2", "fxed"]);
    fails("b.json", "[\n", &["line 2", "EOF"]);
    fails("b.json", "[]\n[]", &["line 2", "trailing"]);
    fails("b.json", "{}", &["line 1", "binding"]);
    fails("b.json", "{\"binding\":[],\n\"more\":1}", &["line 2", "more"]);
    fails("b.json", "7", &["line 1"]);
}

#[test]
fn what_is_bound_twice_is_named_with_both_lines() {
    let lines = "192.0.2.1 172.18.0.2\n192.0.2.2 172.18.0.2\n192.0.2.1 172.18.0.3\n";
    fails("map", lines, &["map, line 3", "192.0.2.1 is bound twice", "line 1"]);
    let toml = "[[binding]]\nfloating = '192.0.2.1'\nfixed = '172.18.0.2'\nports = ['tcp:80']\n\
                [[binding]]\nfloating = '192.0.2.1'\nfixed = '172.18.0.3'\nports = ['tcp:80:81']\n";
    fails("b.toml", toml, &["line 5", "port tcp:80 of 192.0.2.1", "first in line 1"]);
    let json = r#"[{"floating":"2001:db8::1","fixed":"2001:db8::2"},
                   {"floating":"2001:db8:0::1","fixed":"2001:db8::3"}]"#;
    fails("b.json", json, &["line 2", "2001:db8::1", "line 1"]);
    // One binding, the same port twice.
    let entry = "[[binding]]\nfloating = '192.0.2.1'\nfixed = '172.18.0.2'\n";
    fails("b.toml", &format!("{entry}ports = ['tcp:80:1', 'tcp:80:2']"), &["tcp:80"]);
}

#[test]
fn workloads_can_share_an_address_by_port() {
    let toml = "[[binding]]\nfloating = '192.0.2.1'\nfixed = '172.18.0.2'\nports = ['tcp:80']\n\
                [[binding]]\nfloating = '192.0.2.1'\nfixed = '172.18.0.3'\nports = ['udp:80']\n\
                [[binding]]\nfloating = '192.0.2.1'\nfixed = '172.18.0.4'\n";
    assert_eq!(parse("b.toml", toml).unwrap().len(), 3);
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let error = parse_bytes(Path::new("map"), b"# ok\n\xff\n".to_vec()).unwrap_err();
    assert_eq!(error.to_string(), "map, line 2: this is not UTF-8 text");
    assert_eq!(error.code(), 2);
}

#[test]
fn a_file_can_be_too_large() {
    let bytes = vec![b'#'; usize::try_from(SIZE_MAX).unwrap() + 1];
    let error = parse_bytes(Path::new("map"), bytes).unwrap_err();
    assert!(error.to_string().contains("more than 16777216 bytes"), "{error}");
    assert_eq!(error.code(), 2);
}

#[test]
fn deep_nesting_is_refused() {
    for name in ["b.toml", "b.json"] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("{a=", "}")] {
            let deep = open.repeat(100_000);
            for text in [
                deep.clone(),
                format!("{deep}1{}", close.repeat(100_000)),
                format!("binding = {deep}"),
                format!("{{\"binding\":[{deep}1{}]}}", close.repeat(100_000)),
            ] {
                assert!(parse(name, &text).is_err());
            }
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_no_empty_state() {
    let error = read(Path::new("/nonexistent/fip.toml")).unwrap_err();
    assert_eq!(error.to_string(), "cannot read /nonexistent/fip.toml");
    assert_eq!(error.code(), 4);
    assert_eq!(read(Path::new("/")).unwrap_err().code(), 1);
}

/// As TOML.
fn as_toml(bindings: &[Binding]) -> String {
    let mut text = String::new();
    for binding in bindings {
        let (floating, fixed) = (binding.floating(), binding.fixed());
        let _ = writeln!(text, "[[binding]]\nfloating = \"{floating}\"\nfixed = \"{fixed}\"");
        if let Some(link) = binding.uplink() {
            let _ = writeln!(text, "interface = '''{link}'''");
        }
        let ports: Vec<String> = binding.ports().iter().map(|p| format!("\"{p}\"")).collect();
        let _ = writeln!(text, "ports = [{}]", ports.join(", "));
        if !binding.egress() && binding.is_whole_address() {
            text.push_str("egress = false\n");
        }
    }
    text
}

/// As JSON.
fn as_json(bindings: &[Binding]) -> String {
    let entries = bindings.iter().map(|binding| {
        let ports: Vec<String> = binding.ports().iter().map(ToString::to_string).collect();
        let mut entry = serde_json::json!({
            "floating": binding.floating(), "fixed": binding.fixed(), "ports": ports,
            "egress": binding.egress() || !binding.is_whole_address(),
        });
        if let Some(link) = binding.uplink() {
            entry["interface"] = link.to_string().into();
        }
        entry
    });
    serde_json::Value::from(entries.collect::<Vec<_>>()).to_string()
}

/// As lines, of what lines can say.
fn as_lines(bindings: &[Binding]) -> String {
    let line = |b: &Binding| format!("{} {} # {b}\n", b.floating(), b.fixed());
    bindings.iter().map(line).collect()
}

prop_compose! {
    /// A binding whose floating address ends in `number`.
    fn any_binding(number: usize)(
        v6 in any::<bool>(),
        fixed in 1u16..,
        link in proptest::option::of("[a-z][a-z0-9.-]{0,14}"),
        ports in proptest::collection::btree_set(("tcp|udp|sctp", 1u16.., 1u16..), 0..4),
        egress in any::<bool>(),
    ) -> Binding {
        let [high, low] = fixed.to_be_bytes();
        let binding = if v6 {
            binding(&format!("2001:db8::{number:x}"), &format!("2001:db8:18::{fixed:x}"))
        } else {
            binding(&format!("192.0.2.{number}"), &format!("172.18.{high}.{low}"))
        };
        let mut taken = std::collections::HashSet::new();
        let ports = ports
            .iter()
            .filter(|(protocol, port, _)| taken.insert((protocol, port)))
            .map(|(protocol, port, fixed)| format!("{protocol}:{port}:{fixed}").parse().unwrap());
        let binding = binding.with_ports(ports);
        // Said of ports it has no meaning.
        let binding = if binding.is_whole_address() { binding.with_egress(egress) } else { binding };
        match link {
            Some(link) => binding.on(link.parse().unwrap()),
            None => binding,
        }
    }
}

fn any_bindings() -> impl Strategy<Value = Vec<Binding>> {
    (1usize..20).prop_flat_map(|count| (1..=count).map(any_binding).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn what_is_printed_is_read(bindings in any_bindings()) {
        prop_assert_eq!(&parse("b.toml", &as_toml(&bindings)).unwrap(), &bindings);
        prop_assert_eq!(&parse("-", &as_toml(&bindings)).unwrap(), &bindings);
        prop_assert_eq!(&parse("b.json", &as_json(&bindings)).unwrap(), &bindings);
        prop_assert_eq!(&parse("-", &as_json(&bindings)).unwrap(), &bindings);
        let plain: Vec<Binding> =
            bindings.iter().map(|b| Binding::new(b.floating(), b.fixed()).unwrap()).collect();
        prop_assert_eq!(parse("-", &as_lines(&bindings)).unwrap(), plain);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for name in ["-", "b.toml", "b.json"] {
            let _ = parse_bytes(Path::new(name), bytes.clone());
        }
    }

    #[test]
    fn no_damage_makes_it_panic(
        bindings in any_bindings(),
        at in any::<prop::sample::Index>(),
        length in 0usize..20,
        graft in "[\\[\\]{}\"'=:,.#a-z0-9\\\\ \\n\u{e4}]{0,10}",
    ) {
        for whole in [as_toml(&bindings), as_json(&bindings), as_lines(&bindings)] {
            let mut bytes = whole.into_bytes();
            let begin = at.index(bytes.len());
            let end = (begin + length).min(bytes.len());
            bytes.splice(begin..end, graft.bytes());
            for name in ["-", "b.toml", "b.json"] {
                let _ = parse_bytes(Path::new(name), bytes.clone());
            }
        }
    }
}
