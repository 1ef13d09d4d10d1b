//! Where the plays are given.

use super::deed::Deed;
use super::random::Random;
use super::state::Inspector;
use super::word::Word;
use crate::docker::{Engine, Options, Plugin};
use crate::lab::{Host, Lan, Ns, Run, ping};

/// The plugin's arguments.
const ALLOW: &str = "--allow 192.168.99.0/24 --allow 2001:db8:99::/64";

/// A host with an engine and the plugin, and a client of its containers.
pub(crate) struct Stage {
    pub(crate) engine: Engine,
    pub(crate) plugin: Plugin,
    pub(crate) host: Host,
    pub(crate) client: Ns,
    _lan: Lan,
}

/// The seed of the first sequence, and how many of them there are.
pub(crate) fn seeds(sequences: u64) -> (u64, u64) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let seed = number("FIP_LIFE_SEED").unwrap_or(1);
    let sequences = number("FIP_LIFE_SEQUENCES").unwrap_or(sequences);
    println!("FIP_LIFE_SEED={seed} FIP_LIFE_SEQUENCES={sequences}");
    (seed, sequences)
}

impl Stage {
    pub(crate) fn new(options: &Options) -> Self {
        let lan = Lan::new();
        let (host, client) = (lan.host_a(), lan.client());
        let engine = Engine::start(&host, options);
        let plugin = Plugin::start(&engine, ALLOW);
        Self { engine, plugin, host, client, _lan: lan }
    }

    pub(crate) fn inspector(&self) -> Inspector<'_> {
        Inspector::new(&self.host, &self.engine, &self.plugin)
    }

    /// Does things at random, and looks at the host after each; removes everything then.
    pub(crate) fn play(&self, inspector: &Inspector<'_>, seed: u64, deeds: usize) {
        println!("sequence {seed}");
        let mut random = Random::new(seed);
        let mut word = inspector.agrees();
        let mut prologue = Deed::prologue(&mut random).into_iter();
        for _ in 0..deeds {
            let deed = prologue.next().unwrap_or_else(|| Deed::random(&mut random, &word));
            let run = self.engine.docker_with(&words(&deed.args()));
            tell(deed, &run);
            deed.check_outcome(&run, &word);
            word = inspector.agrees();
            self.answer(&word, inspector);
        }
        let containers: Vec<&str> = word.containers.keys().map(String::as_str).collect();
        if !containers.is_empty() {
            self.engine.docker_ok(&format!("rm --force {}", containers.join(" ")));
        }
        let networks: Vec<&str> = word.networks.keys().map(String::as_str).collect();
        if !networks.is_empty() {
            self.engine.docker_ok(&format!("network rm {}", networks.join(" ")));
        }
        inspector.is_blank();
    }

    /// Every floating address that is bound answers.
    pub(crate) fn answer(&self, word: &Word, inspector: &Inspector<'_>) {
        for floating in word.bindings(&inspector.bound()).into_keys() {
            assert!(ping(&self.client, floating), "{floating} does not answer");
        }
    }
}

/// As `docker` is called with.
pub(crate) fn words(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

/// Tells the outcome; it is shown if the test fails.
pub(crate) fn tell(deed: Deed, run: &Run) {
    println!("{deed}: {}", if run.code == Some(0) { "done" } else { run.stderr.trim() });
}
