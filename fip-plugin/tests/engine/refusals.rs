//! What the driver refuses: `docker` prints the thing and the reason, and nothing is left behind.

#[path = "refusals/addresses.rs"]
mod addresses;
#[path = "refusals/networks.rs"]
mod networks;
#[path = "refusals/texts.rs"]
pub(crate) mod texts;

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::docker::{Engine, IMAGE, Options, Plugin, wait_for_page};
use crate::lab::{Host, Lan, Ns, PATIENCE, Run};
use crate::scene::v4;

/// A host with a fip network `fip` whose bridge is `fip0`, and a client on its LAN.
struct Place {
    plugin: Plugin,
    engine: Engine,
    client: Ns,
    host: Host,
    _lan: Lan,
}

impl Place {
    /// With these arguments of the plugin.
    fn new(args: &str) -> Self {
        let lan = Lan::new();
        let (host, client) = (lan.host_a(), lan.client());
        let engine = Engine::start(&host, &Options::default());
        let plugin = Plugin::start(&engine, args);
        engine.docker_ok(
            "network create -d fip --subnet 172.18.0.0/16 -o com.docker.network.bridge.name=fip0 \
             fip",
        );
        Self { plugin, engine, client, host, _lan: lan }
    }

    /// Has docker refuse this, with these words. Whatever it made is removed again, and then
    /// nothing is left of it.
    #[track_caller]
    fn refuses(&self, args: &[&str], words: &[&str]) {
        let before = self.traces();
        eprintln!("-- docker {:.200}", args.join(" "));
        let refused = self.engine.docker_with(args);
        // 125 is `docker run`'s own, for what failed before the container's command.
        let code = if args[0] == "run" { 125 } else { 1 };
        Run::clone(&refused).exits(code).complains_of(words);
        // It may end on a terminal: one line, and nothing that moves the cursor.
        let told = refused.stderr.trim_end();
        assert!(!told.chars().any(|c| c.is_control() && c != '\n'), "{told:?}");
        assert!(told.len() < 1000, "{told}");
        if args[0] == "run" {
            // Docker keeps a container that could not be started.
            self.engine.docker_ok("rm --force refused");
        }
        self.wait_for_traces("after a refusal", &before);
    }

    /// Has docker refuse to run a container with these arguments.
    #[track_caller]
    fn refuses_to_run(&self, args: &[&str], words: &[&str]) {
        let run = ["run", "--detach", "--name", "refused"];
        self.refuses(&[&run[..], args, &[IMAGE]].concat(), words);
    }

    /// All that the host, the plugin and Docker have.
    fn traces(&self) -> BTreeSet<String> {
        let mut traces = BTreeSet::new();
        let mut note = |kind: &str, text: &str| {
            traces.extend(text.lines().map(|line| format!("{kind}: {}", line.trim_end())));
        };
        for kind in ["networks", "endpoints"] {
            for entry in fs::read_dir(self.plugin.state_dir().join(kind)).unwrap() {
                note(kind, &entry.unwrap().file_name().into_string().unwrap());
            }
        }
        for link in self.host.ip("-br link show").lines() {
            note("link", link.split_whitespace().next().unwrap());
        }
        for address in self.host.ip("-o address show").lines() {
            let words: Vec<_> = address.split_whitespace().take(4).collect();
            // A bridge makes its own when it has its first port.
            if !words[3].starts_with("fe80:") {
                note("address", &words[1..].join(" "));
            }
        }
        // A port that has come and gone leaves the bridge without carrier.
        note("route", &self.host.ip("-4 route show table all").replace(" linkdown", ""));
        note("rule", &self.host.ip("rule show"));
        note("ruleset", &self.host.nft("-s list ruleset"));
        note("network", &self.engine.docker_ok("network ls --format {{.Name}}"));
        note("container", &self.engine.docker_ok("ps --all --format {{.Names}}"));
        traces
    }

    #[track_caller]
    fn wait_for_traces(&self, when: &str, expected: &BTreeSet<String>) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.traces();
            if found == *expected {
                return;
            }
            let left: Vec<_> = found.difference(expected).collect();
            let gone: Vec<_> = expected.difference(&found).collect();
            let late = Instant::now() >= deadline;
            assert!(!late, "{when}, left behind: {left:#?}, gone: {gone:#?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// A container with a good address on that network works all the same.
    #[track_caller]
    fn works(&self, network: &str) {
        let before = self.traces();
        let option = format!("--network name={network},driver-opt=fip.address={}", v4(250));
        self.engine.web("good", &option, "good");
        wait_for_page(&self.client, v4(250), "good");
        self.engine.docker_ok("rm --force good");
        self.wait_for_traces("after a good container", &before);
    }
}
