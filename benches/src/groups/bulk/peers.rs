//! What others take, and the limit.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::peers::{
    Hold, UPLINK, addresses, iptables_rules, local_routes, nft_elements, nft_table,
};
use super::super::world::{Site, World};
use super::{Both, LIMIT, LIMIT_INSIDE};
use crate::harness::{Bench, Case, Figures, run, timed, words};

/// The hosts: those where all is made from nothing, and those where all is there.
pub(super) struct Sites {
    fresh: Site,
    iptables: Site,
    iptables_one: Site,
    nft: Site,
    limit: Site,
    files: Files,
}

/// What programs read.
struct Files {
    iptables: [PathBuf; 2],
    iptables_one: [PathBuf; 2],
    nft: PathBuf,
    nft_one: [PathBuf; 2],
    addresses: PathBuf,
    routes: PathBuf,
}

impl Files {
    fn new(bench: &Bench, both: &Both) -> Self {
        let each = |name: &str, text: &dyn Fn(usize) -> String| {
            [0, 1].map(|turn| bench.file(&format!("{name}-{turn}"), &text(turn)))
        };
        let all = [&both.all, &both.changed];
        Self {
            iptables: each("iptables", &|turn| iptables_rules("-A", all[turn])),
            iptables_one: each("iptables-one", &|turn| {
                let gone = iptables_rules("-D", &[both.one(turn + 1)]);
                let come = iptables_rules("-A", &[both.one(turn)]);
                gone.replace("COMMIT\n", "") + come.trim_start_matches("*nat\n")
            }),
            nft: bench.file("all.nft", &nft_table(&both.all)),
            nft_one: each("one.nft", &|turn| {
                let gone = nft_elements("delete", &[both.one(turn + 1)]);
                gone + &nft_elements("add", &[both.one(turn)])
            }),
            addresses: bench.file("addresses.ip", &addresses("add", &both.all)),
            routes: bench.file("routes.ip", &local_routes("add", &both.all)),
        }
    }
}

impl Sites {
    pub(super) fn new(bench: &Bench, world: &World, both: &Both) -> Self {
        let [fresh, iptables, iptables_one, nft, limit] =
            ["fresh", "ipt", "ipt1", "nft", "limit"].map(|name| world.site(name));
        for site in [&iptables, &iptables_one] {
            site.host.tool("iptables-nft-restore", &[], &iptables_rules("-A", &both.all));
        }
        nft.have_nft(&both.all, Hold::Address);
        limit.have_nft(&both.all, Hold::Route);
        Self { fresh, iptables, iptables_one, nft, limit, files: Files::new(bench, both) }
    }

    pub(super) fn cases<'a>(&'a self, bench: &'a Bench, both: &'a Both) -> Vec<Case<'a>> {
        let read = |name, site: &'a Site, command: &'static [&'static str]| {
            Case::new(name, None, move || vec![("list ms", timed(&site.host, command).ms())])
        };
        vec![
            Case::new("iptables-restore, then ip -batch", None, || self.new_iptables()),
            Case::new("nft -f, then ip -batch", None, || self.new_nft(Hold::Address)),
            Case::new("nft -f, then ip -batch of local routes", None, || self.new_nft(Hold::Route)),
            Case::new(LIMIT, None, || self.limit_new(bench, both)),
            self.toggle(
                "iptables-restore",
                &self.iptables,
                &["iptables-nft-restore"],
                &self.files.iptables,
            ),
            self.toggle(
                "iptables-restore --noflush",
                &self.iptables_one,
                &["iptables-nft-restore", "--noflush"],
                &self.files.iptables_one,
            ),
            self.toggle("nft -f, one element", &self.nft, &["nft", "-f"], &self.files.nft_one),
            Case::new(LIMIT_INSIDE, None, || self.limit_change(bench, both)),
            read("iptables-save", &self.iptables, &["iptables-nft-save", "-t", "nat"]),
            read("nft list table", &self.nft, &["nft", "list", "table", "ip", "bench"]),
            read("ip addr", &self.nft, &["ip", "-o", "addr", "show", "dev", UPLINK]),
        ]
    }

    fn new_iptables(&self) -> Figures {
        self.fresh.host.iptables("-t nat -F");
        let rules = self.load(&["iptables-nft-restore"], &self.files.iptables[0]);
        new(rules, self.hold(Hold::Address))
    }

    fn new_nft(&self, hold: Hold) -> Figures {
        self.empty_nft();
        let rules = self.load(&["nft", "-f"], &self.files.nft);
        let held = self.hold(hold);
        self.fresh.host.nft("delete table ip bench");
        new(rules, held)
    }

    /// What the addresses take on the uplink, where they are none before and after.
    fn hold(&self, hold: Hold) -> f64 {
        let (file, flush) = match hold {
            Hold::Address => (&self.files.addresses, "addr flush to"),
            Hold::Route => (&self.files.routes, "route flush table local root"),
        };
        let took = self.load(&["ip", "-batch"], file);
        self.fresh.host.ip(&format!("{flush} 172.28.0.0/16 dev {UPLINK}"));
        took
    }

    fn load(&self, command: &[&str], file: &Path) -> f64 {
        let file = file.display().to_string();
        timed(&self.fresh.host, &[command, &[&*file]].concat()).ms()
    }

    fn limit_new(&self, bench: &Bench, both: &Both) -> Figures {
        self.empty_nft();
        self.fresh.host.nft_script(&nft_table(&[]));
        let first = both.all[0];
        let count = both.all.len();
        let args = format!("bulk {UPLINK} {} {} {count}", first.floating, first.fixed);
        let told = run(&self.fresh.host, &words(&bench.programs.limit, &args));
        let told: Value = serde_json::from_str(&told).expect("JSON");
        let step = |name: &str| told[name].as_f64().expect("a number");
        self.fresh.host.nft("delete table ip bench");
        let mut figures = new(step("maps"), step("routes"));
        figures.push(("as addresses ms", step("addresses")));
        figures
    }

    fn empty_nft(&self) {
        self.fresh.host.try_tool("nft", &["delete", "table", "ip", "bench"], "");
    }

    fn limit_change(&self, bench: &Bench, both: &Both) -> Figures {
        let (one, other) = (both.one(0), both.one(1).fixed);
        let args = format!("replace {} {} {other} 100", one.floating, one.fixed);
        let told = run(&self.limit.host, &words(&bench.programs.limit, &args));
        let told: Value = serde_json::from_str(&told).expect("JSON");
        vec![("one changed ms", told["replace"].as_f64().expect("a number") / 1e3)]
    }

    /// Another fixed address, to and fro.
    fn toggle<'a>(
        &self,
        name: &str,
        site: &'a Site,
        command: &'a [&'a str],
        files: &'a [PathBuf; 2],
    ) -> Case<'a> {
        let mut turn = 0;
        Case::new(name, None, move || {
            turn += 1;
            let file = files[turn % 2].display().to_string();
            let took = timed(&site.host, &[command, &[&*file]].concat());
            vec![("one changed ms", took.ms())]
        })
    }
}

/// Both, and each of them.
fn new(rules: f64, held: f64) -> Figures {
    vec![("new ms", rules + held), ("rules ms", rules), ("addresses ms", held)]
}
