//! Plays in which somebody is killed again and again.

use std::net::IpAddr;
use std::time::Duration;

use super::deed::Deed;
use super::random::Random;
use super::stage::{Stage, tell, words};
use super::state::Inspector;
use super::word::Word;
use crate::docker::fetch;
use crate::lab::{self, Family, Run, Running, lan, ping, wait_for};

/// How long a `docker` command may take whose driver was killed: Docker calls it again for 15 s,
/// for each call that the command leads to.
const PATIENCE: Duration = Duration::from_secs(180);

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victim {
    Plugin,
    Dockerd,
    Both,
}

impl Victim {
    /// Kills.
    pub(crate) fn fall(self, stage: &Stage) {
        if self != Self::Plugin {
            stage.engine.kill();
        }
        if self != Self::Dockerd {
            stage.plugin.kill();
        }
    }

    /// Starts again.
    pub(crate) fn rise(self, stage: &Stage) {
        if self != Self::Dockerd {
            stage.plugin.up();
        }
        if self != Self::Plugin {
            stage.engine.up();
        }
    }
}

/// A container that takes no part, and whose floating address answers all the time.
pub(crate) struct Witness<'a> {
    stage: &'a Stage,
    /// None if the container may end with dockerd.
    pings: Option<Running>,
}

impl<'a> Witness<'a> {
    /// Where it answers.
    pub(crate) fn address() -> IpAddr {
        lan(Family::V4, 210)
    }

    /// Starts it, in a network of its own. From now on it is asked again and again, unless it is
    /// `mortal`: then it ends when dockerd starts again, and is started again itself.
    pub(crate) fn start(stage: &'a Stage, mortal: bool) -> Self {
        let address = Self::address().to_string();
        stage.engine.docker_ok("network create --driver fip stay");
        let args = format!("--restart=always --network=name=stay,driver-opt=fip.address={address}");
        stage.engine.web("witness", &args, "witness");
        wait_for("the witness", || ping(&stage.client, Self::address()).then_some(()));
        let ask = || Running::start(&stage.client, "ping", &["-n", "-i0.02", &address], "");
        Self { stage, pings: (!mortal).then(ask) }
    }

    /// Panics unless its page is served, now.
    #[track_caller]
    pub(crate) fn is_well(&self) {
        let page = fetch(&self.stage.client, Self::address());
        assert_eq!(page.map(|page| page.text), Ok("witness".to_owned()));
    }

    /// Removes it, and panics if it was silent at any moment.
    pub(crate) fn stop(self) {
        if let Some(pings) = self.pings {
            pings.signal("INT");
            let told = pings.finish(lab::PATIENCE).stdout;
            let line = told.lines().find(|line| line.contains("packets transmitted")).unwrap();
            println!("witness: {line}");
            let number = |word| line.split_whitespace().nth(word).unwrap().parse::<u64>().unwrap();
            // The last one may have been under way.
            assert!(number(3) + 1 >= number(0), "the witness was silent for a while: {line}");
        }
        self.stage.engine.docker_ok("rm --force witness");
        self.stage.engine.docker_ok("network rm stay");
    }
}

impl Stage {
    /// Does things at random while somebody is killed at random; looks at the host after each;
    /// removes everything then but the witness. `well` is asked while the victim is dead.
    pub(crate) fn tragedy(
        &self,
        inspector: &Inspector<'_>,
        seed: u64,
        deeds: usize,
        victims: &[Victim],
        well: &dyn Fn(),
    ) {
        println!("sequence {seed}");
        let mut random = Random::new(seed);
        let mut word = inspector.agrees();
        let mut prologue = Deed::prologue(&mut random).into_iter();
        for _ in 0..deeds {
            let deed = prologue.next().unwrap_or_else(|| Deed::random(&mut random, &word));
            let victim = *random.pick(victims);
            let run = self.do_with_death(deed, victim, &mut random, well);
            tell(deed, &run);
            if run.code != Some(0) && victim != Victim::Plugin {
                // Half done: dockerd told the driver that a container leaves, and died before it
                // took note of that itself. Whoever asked for it asks again.
                println!("  again:");
                tell(deed, &self.engine.docker_with(&words(&deed.args())));
            }
            self.way_out();
            word = inspector.agrees();
            self.answer(&word, inspector);
        }
        self.clear(inspector);
    }

    /// The deed, and the death and the return of the victim: the deed comes before, in between, or
    /// both at the same time.
    fn do_with_death(
        &self,
        deed: Deed,
        victim: Victim,
        random: &mut Random,
        well: &dyn Fn(),
    ) -> Run {
        let args = deed.args();
        let finish = |running: Running| Run::new(&deed.to_string(), running.finish(PATIENCE));
        match random.below(4).unwrap() {
            0 => {
                let run = finish(self.engine.spawn(&words(&args)));
                print!("  {victim:?} dies afterwards: ");
                victim.fall(self);
                well();
                victim.rise(self);
                run
            }
            1 if victim == Victim::Plugin => {
                victim.fall(self);
                let running = self.engine.spawn(&words(&args));
                well();
                print!("  {victim:?} is dead, still for {:?}: ", pass(random, 500));
                victim.rise(self);
                finish(running)
            }
            _ => {
                let calls = self.calls() + random.below(5).unwrap();
                let mut running = self.engine.spawn(&words(&args));
                while running.is_running() && self.calls() < calls {
                    std::thread::sleep(Duration::from_millis(1));
                }
                print!("  {victim:?} dies in the middle, after {:?}", pass(random, 30));
                victim.fall(self);
                well();
                print!(", for {:?}: ", pass(random, 200));
                victim.rise(self);
                finish(running)
            }
        }
    }

    /// How many calls the plugin has had.
    fn calls(&self) -> usize {
        self.plugin.log().matches("[DEBUG] NetworkDriver.").count()
    }

    /// Docker keeps an endpoint that it could not part with because the driver did not answer, and
    /// starts its container no more. This is what its user does then.
    fn way_out(&self) {
        let word = wait_for("Docker's word", || Word::of(&self.engine).ok());
        for (network, container) in word.stale_endpoints() {
            println!("  Docker has {container} in {network} still");
            self.engine.docker(&format!("rm --force {container}"));
            self.engine.docker(&format!("network disconnect --force {network} {container}"));
        }
    }

    /// Removes all but the witness: what is refused is tried again.
    fn clear(&self, inspector: &Inspector<'_>) {
        wait_for("all to be removed", || {
            let word = inspector.agrees();
            let others = |name: &&String| !["witness", "stay"].contains(&name.as_str());
            let containers = word.containers.keys().filter(others);
            containers.for_each(|name| _ = self.engine.docker(&format!("rm --force {name}")));
            let networks = word.networks.keys().filter(others);
            networks.for_each(|name| _ = self.engine.docker(&format!("network rm {name}")));
            self.way_out();
            let word = inspector.agrees();
            (word.containers.keys().chain(word.networks.keys()).find(others).is_none())
                .then_some(())
        });
    }
}

/// Lets a random time pass, of less than so many milliseconds.
fn pass(random: &mut Random, end: usize) -> Duration {
    let time = Duration::from_millis(random.below(end).unwrap() as u64);
    std::thread::sleep(time);
    time
}
