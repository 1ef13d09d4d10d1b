//! What `fip` takes: the command, and the library in a process that runs already.

use std::path::PathBuf;
use std::time::Instant;

use fip_core::fip::Report;
use fip_core::kernel::host::Host as Kernel;
use fip_core::{Binding, FloatingIps};

use super::super::peers::{Hold, Pair};
use super::super::tracked;
use super::super::world::{Site, World, bind_options, binding, owner};
use super::Both;
use crate::harness::{Bench, Case, Figures, timed, words};

/// As the peers: nobody is asked, nothing announced.
const EQUAL: &str = "--probe 0 --announce 0";

/// The hosts: one where all is made from nothing, and those where all is there.
pub(super) struct Sites {
    fresh: Site,
    apply: Site,
    bind: Site,
    library: Site,
    files: [PathBuf; 2],
    none: PathBuf,
}

impl Sites {
    pub(super) fn new(bench: &Bench, world: &World, both: &Both) -> Self {
        let [fresh, apply, bind, library] =
            ["fipnew", "fipapply", "fipbind", "fiplib"].map(|name| world.site(name));
        let sites = Self {
            fresh,
            apply,
            bind,
            library,
            files: [
                bench.file("all-0", &lines(&both.all)),
                bench.file("all-1", &lines(&both.changed)),
            ],
            none: bench.file("none", ""),
        };
        for site in [&sites.apply, &sites.bind] {
            sites.apply(bench, site, &sites.files[0]);
        }
        sites
    }

    pub(super) fn cases<'a>(&'a self, bench: &'a Bench, both: &'a Both) -> Vec<Case<'a>> {
        let command = |metric, args: &'static str| {
            let words = words(&bench.programs.fip, args);
            move || vec![(metric, timed(&self.bind.host, &words).ms())]
        };
        let mut turn = 0;
        let mut bind_turn = 0;
        let mut library = Library::new(&self.library, both);
        vec![
            Case::new("fip apply, whole process", None, || self.fresh_apply(bench)),
            Case::new("library in a process, reconcile", None, || self.fresh_reconcile(both)),
            Case::new("fip apply", None, move || {
                turn += 1;
                let changed = self.apply(bench, &self.apply, &self.files[turn % 2]);
                let unchanged = self.apply(bench, &self.apply, &self.files[turn % 2]);
                vec![("one changed ms", changed), ("nothing changed ms", unchanged)]
            }),
            Case::new("fip bind --replace", None, move || {
                bind_turn += 1;
                let Pair { floating, fixed } = both.one(bind_turn);
                let args = format!("bind {floating} {fixed} --replace {EQUAL}");
                tracked::forget_all(&self.bind.host);
                let took = timed(&self.bind.host, &words(&bench.programs.fip, &args));
                vec![("one changed ms", took.ms())]
            }),
            Case::new("library in a process", None, move || {
                tracked::forget_all(&self.library.host);
                library.figures()
            }),
            Case::new("fip list", None, command("list ms", "list")),
            Case::new("fip list --json", None, command("list ms", "list --json")),
        ]
    }

    fn apply(&self, bench: &Bench, site: &Site, file: &std::path::Path) -> f64 {
        let args = format!("apply {EQUAL} {}", file.display());
        tracked::forget_all(&site.host);
        timed(&site.host, &words(&bench.programs.fip, &args)).ms()
    }

    fn fresh_apply(&self, bench: &Bench) -> Figures {
        let took = self.apply(bench, &self.fresh, &self.files[0]);
        self.apply(bench, &self.fresh, &self.none);
        vec![("new ms", took)]
    }

    fn fresh_reconcile(&self, both: &Both) -> Figures {
        let desired: Vec<Binding> = both.all.iter().map(binding).collect();
        let mut fips = self.fresh.fips(Hold::Route);
        tracked::forget_all(&self.fresh.host);
        let took = ms(|| fips.reconcile(&owner(), &desired, &bind_options()).expect("reconcile"));
        fips.reconcile(&owner(), &[], &bind_options()).expect("reconcile");
        vec![("new ms", took)]
    }
}

/// A process that has them all.
struct Library {
    fips: FloatingIps<Kernel>,
    desired: [Vec<Binding>; 2],
    turn: usize,
}

impl Library {
    fn new(site: &Site, both: &Both) -> Self {
        let owned = |pair: &Pair| binding(pair).owned_by(owner());
        let desired =
            [&both.all, &both.changed].map(|pairs| pairs.iter().map(owned).collect::<Vec<_>>());
        let mut fips = site.fips(Hold::Route);
        fips.reconcile(&owner(), &desired[0], &bind_options()).expect("reconcile");
        Self { fips, desired, turn: 0 }
    }

    fn figures(&mut self) -> Figures {
        let mut one = || {
            self.turn += 1;
            let desired = &self.desired[self.turn % 2];
            let binding = &desired[desired.len() / 2];
            ms(|| self.fips.bind_with(binding, &bind_options()).expect("bind"))
        };
        let bind = f64::midpoint(one(), one());
        self.turn += 1;
        let desired = &self.desired[self.turn % 2];
        let whole =
            ms(|| self.fips.reconcile(&owner(), desired, &bind_options()).expect("reconcile"));
        vec![("one changed ms", bind), ("reconcile, one changed ms", whole)]
    }
}

/// How long it takes to do something, which must be something.
fn ms(work: impl FnOnce() -> Report) -> f64 {
    let began = Instant::now();
    let report = work();
    let took = began.elapsed().as_secs_f64() * 1e3;
    assert!(!report.changes.is_empty(), "nothing was done");
    took
}

fn lines(pairs: &[Pair]) -> String {
    pairs.iter().map(|pair| format!("{} {}\n", pair.floating, pair.fixed)).collect()
}
