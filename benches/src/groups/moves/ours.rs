//! The moves of `fip` itself.

use std::time::Duration;

use crate::harness::{Bench, Figures, timed};
use crate::lab::{Family, wait_for};

use super::scene::{Program, Scene};

/// How long the longest of these moves may take.
const PATIENCE: Duration = Duration::from_secs(8);

/// `fip` on the hosts of a scene.
pub(super) struct Fip<'a> {
    scene: &'a Scene,
    program: String,
}

impl<'a> Fip<'a> {
    pub(super) fn of(bench: &Bench, scene: &'a Scene) -> Self {
        Self { scene, program: bench.programs.fip.display().to_string() }
    }

    /// A has the address; nothing of that is measured.
    pub(super) fn begin(&self) {
        let (floating, fixed) = (self.scene.floating.to_string(), self.scene.a.fixed.to_string());
        let words = ["bind", &floating, &fixed, "--probe", "0", "--announce", "1"];
        timed(&self.scene.a.host, &self.words(&words));
    }

    /// `fip bind` on B, under way.
    fn bind(&self, more: &[&str]) -> Program {
        let (floating, fixed) = (self.scene.floating.to_string(), self.scene.b.fixed.to_string());
        let words = [&["bind", &floating, &fixed][..], more].concat();
        let words = self.words(&words);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Program::start(&self.scene.b.host, &words)
    }

    /// `fip unbind` on A, to its end.
    fn unbind(&self) {
        timed(&self.scene.a.host, &self.words(&["unbind", &self.scene.floating.to_string()]));
    }

    fn words(&self, words: &[&str]) -> Vec<String> {
        let program = std::iter::once(self.program.clone());
        program.chain(words.iter().map(|word| (*word).to_owned())).collect()
    }
}

/// Nothing moves.
pub(super) fn none(bench: &Bench) -> Figures {
    let scene = Scene::new(Family::V4);
    Fip::of(bench, &scene).begin();
    scene.measure_calm()
}

/// B waits, then A lets go.
pub(super) fn waiting(bench: &Bench, family: Family) -> Figures {
    let scene = Scene::new(family);
    let fip = Fip::of(bench, &scene);
    fip.begin();
    let bind = fip.bind(&["--deadline", "1m"]);
    let figures = scene.measure(PATIENCE, || fip.unbind());
    bind.finish("fip bind to end");
    figures
}

/// A lets go, then B binds.
pub(super) fn one_after_the_other(bench: &Bench, family: Family) -> Figures {
    let scene = Scene::new(family);
    let fip = Fip::of(bench, &scene);
    fip.begin();
    let mut bind = None;
    let figures = scene.measure(PATIENCE, || {
        fip.unbind();
        bind = Some(fip.bind(&[]));
    });
    bind.unwrap().finish("fip bind to end");
    figures
}

/// B takes over, then A lets go: when B's command has ended.
pub(super) fn take_over(bench: &Bench, family: Family) -> Figures {
    let scene = Scene::new(family);
    let fip = Fip::of(bench, &scene);
    fip.begin();
    scene.measure(PATIENCE, || {
        fip.bind(&["--rival", "take-over"]).finish("fip bind to end");
        fip.unbind();
    })
}

/// B takes over, and the watch of A yields.
pub(super) fn take_over_from_a_watch(bench: &Bench, family: Family) -> Figures {
    let scene = Scene::new(family);
    let fip = Fip::of(bench, &scene);
    let map = format!("{} {}\n", scene.floating, scene.a.fixed);
    let map = bench.file("moves-watched", &map).display().to_string();
    let words = fip.words(&["watch", &map, "--probe", "0"]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let _watch = Program::start(&scene.a.host, &words);
    let mut bind = None;
    let figures = scene.measure(PATIENCE, || bind = Some(fip.bind(&["--rival", "take-over"])));
    bind.unwrap().finish("fip bind to end");
    wait_for("A to yield", || (!scene.has(&scene.a.host)).then_some(()));
    figures
}

/// A is gone, and B is told at once.
pub(super) fn dead(bench: &Bench, family: Family) -> Figures {
    let scene = Scene::new(family);
    let fip = Fip::of(bench, &scene);
    fip.begin();
    let mut bind = None;
    let figures = scene.measure(PATIENCE, || {
        scene.kill_a();
        bind = Some(fip.bind(&[]));
    });
    bind.unwrap().finish("fip bind to end");
    figures
}
