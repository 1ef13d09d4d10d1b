//! In a process that runs already: the library, and the limit.

use std::time::Instant;

use fip_core::fip::{BindOptions, Report};
use fip_core::kernel::host::Host as Kernel;
use fip_core::{Binding, FloatingIps, Owner};
use serde_json::Value;

use super::super::peers::{Hold, Pair, UPLINK};
use super::super::tracked::{self, busy};
use super::super::world::{EXTRA, OTHER, Site, World, bind_options, binding, owner};
use crate::harness::{Bench, Case, Figures, Spread, run, words};

/// How often it is done within a round: the median is the round's value.
pub(super) fn samples(bench: &Bench) -> usize {
    bench.of(200, 20)
}

/// The hosts, each with so many bindings.
pub(super) struct Sites {
    limit_address: Site,
    limit_route: Site,
    fip_address: Site,
    fip_route: Site,
}

impl Sites {
    pub(super) fn new(world: &World, present: &[Pair]) -> Self {
        let sites = Self {
            limit_address: world.site("loopa"),
            limit_route: world.site("loopr"),
            fip_address: world.site("liba"),
            fip_route: world.site("libr"),
        };
        sites.limit_address.have_nft(present, Hold::Address);
        sites.limit_route.have_nft(present, Hold::Route);
        sites
    }

    /// All, after each has been seen to work.
    pub(super) fn cases<'a>(
        &'a self,
        bench: &'a Bench,
        world: &World,
        present: &[Pair],
    ) -> Vec<Case<'a>> {
        let count = Some(present.len() as u64);
        let limit = |name, site, hold| Case::new(name, count, move || limit(bench, site, hold));
        let samples = samples(bench);
        let library = |name: &str, site: &'a Site, hold| {
            let mut library = Library::new(site, hold, present);
            library.bind();
            world.must_reach(name, site, EXTRA.floating);
            library.unbind();
            library
        };
        let idle = |name: &str, site: &'a Site, hold| {
            let mut library = library(name, site, hold);
            Case::new(name, count, move || {
                tracked::forget_all(&site.host);
                library.figures(samples)
            })
        };
        let (busy, site) = (format!("library, route, {}", busy()), &self.fip_route);
        let mut library = library(&busy, site, Hold::Route);
        let busy = Case::new(&busy, count, move || {
            // Each takes some hundred times as long.
            tracked::while_busy(&site.host, || library.figures(samples / 20))
        });
        vec![
            limit("limit in a process, address", &self.limit_address, "address"),
            limit("limit in a process, route", &self.limit_route, "route"),
            idle("library, address", &self.fip_address, Hold::Address),
            idle("library, route", &self.fip_route, Hold::Route),
            busy,
        ]
    }
}

/// What its `loop` and its `replace` say.
fn limit(bench: &Bench, site: &Site, hold: &str) -> Figures {
    let Pair { floating, fixed } = EXTRA;
    let say = |args: String| run(&site.host, &words(&bench.programs.limit, &args));
    let told = |args| serde_json::from_str::<Value>(&say(args)).expect("JSON");
    let samples = samples(bench);
    let all = told(format!("loop {UPLINK} {floating} {fixed} {samples}"));
    let step = |name: &str| all[hold][name].as_f64().expect("a number");
    say(format!("bind {UPLINK} {floating} {fixed} {hold}"));
    let replaced = told(format!("replace {floating} {fixed} {OTHER} {}", samples / 2));
    say(format!("unbind {UPLINK} {floating} {fixed} {hold}"));
    vec![
        ("bind us", step("bind")),
        ("unbind us", step("unbind")),
        ("retarget us", replaced["replace"].as_f64().expect("a number")),
        ("maps add us", step("maps_add")),
        ("hold us", step("add")),
        ("release us", step("remove")),
        ("maps delete us", step("maps_remove")),
    ]
}

/// A process that embeds the library, and looks after so many bindings.
struct Library {
    fips: FloatingIps<Kernel>,
    extra: Binding,
    elsewhere: Binding,
    options: BindOptions,
    nobody: Owner,
}

impl Library {
    fn new(site: &Site, hold: Hold, present: &[Pair]) -> Self {
        site.have_table(hold);
        let mut fips = site.fips(hold);
        let bindings: Vec<Binding> = present.iter().map(binding).collect();
        fips.reconcile(&owner(), &bindings, &bind_options()).expect("cannot bind");
        let extra = binding(&EXTRA);
        let elsewhere = binding(&Pair { fixed: OTHER, ..EXTRA });
        let nobody = extra.owner().clone();
        Self { fips, extra, elsewhere, options: bind_options(), nobody }
    }

    fn bind(&mut self) -> Report {
        self.fips.bind_with(&self.extra, &self.options).expect("cannot bind")
    }

    fn unbind(&mut self) -> Report {
        self.fips.unbind(self.extra.floating(), &[], &self.nobody).expect("cannot unbind")
    }

    fn lead_elsewhere(&mut self) -> Report {
        self.fips.bind_with(&self.elsewhere, &self.options).expect("cannot bind")
    }

    fn figures(&mut self, samples: usize) -> Figures {
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..samples {
            times[0].push(us(|| self.bind()));
            times[2].push(us(|| self.lead_elsewhere()));
            times[1].push(us(|| self.unbind()));
        }
        let names = ["bind us", "unbind us", "retarget us"];
        names.into_iter().zip(times.map(|times| Spread::of(&times).median)).collect()
    }
}

/// How long it takes to do something, which must be something.
fn us(work: impl FnOnce() -> Report) -> f64 {
    let began = Instant::now();
    let report = work();
    let took = began.elapsed().as_secs_f64() * 1e6;
    assert!(!report.changes.is_empty(), "nothing was done");
    took
}
