//! What users do with a handful of containers and networks, at random.

use std::collections::BTreeMap;
use std::fmt;

use super::random::Random;
use super::word::{LABEL, Word};
use crate::docker::IMAGE;
use crate::lab::Run;

/// Networks of the driver: the name, and arguments of `docker network create`. Docker chooses no
/// subnet in 172.16.0.0/16 itself.
const NETWORKS: [(&str, &[&str]); 3] = [
    ("n0", &[]),
    (
        "n1",
        &[
            "--ipv6",
            "--subnet=172.16.0.0/16",
            "--gateway=172.16.0.1",
            "--subnet=2001:db8:30::/64",
            "--gateway=2001:db8:30::1",
        ],
    ),
    ("n2", &["--internal"]),
];

/// A container of the play. Some want the same address: those cannot run side by side.
struct Member {
    name: &'static str,
    /// Where it is from its creation on.
    home: &'static str,
    label: &'static str,
    /// What it asks for there.
    option: &'static str,
    /// What it asks for in networks that it is connected to later.
    later: &'static str,
}

const CAST: [Member; 7] = [
    member("labelled", "bridge", "192.168.99.200", "", ""),
    member("alone", "n0", "", "192.168.99.201", "192.168.99.204"),
    member("both", "bridge", "", "", "192.168.99.202"),
    member("plain", "n0", "", "", ""),
    member("dual", "n1", "", "192.168.99.203,2001:db8:99::203", ""),
    member("envious", "n1", "", "192.168.99.201", ""),
    member("rival", "n1", "192.168.99.202", "", ""),
];

const fn member(
    name: &'static str,
    home: &'static str,
    label: &'static str,
    option: &'static str,
    later: &'static str,
) -> Member {
    Member { name, home, label, option, later }
}

/// Something that a user does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Create(usize),
    Run(usize),
    Start(usize),
    Stop(usize),
    Restart(usize),
    Kill(usize),
    Remove(usize),
    Pause(usize),
    Unpause(usize),
    /// The container and the network.
    Connect(usize, usize),
    /// The container and the network, and whether by force.
    Disconnect(usize, usize, bool),
    MakeNetwork(usize),
    RemoveNetwork(usize),
}

impl Deed {
    /// Something that a user may do now; now and then something that cannot be done.
    pub(crate) fn random(random: &mut Random, word: &Word) -> Self {
        loop {
            let deed = Self::any(random);
            if !deed.is_ambiguous(word) && (deed.is_sensible(word) || random.one_in(50)) {
                return deed;
            }
        }
    }

    /// What a play begins with: most of the networks.
    pub(crate) fn prologue(random: &mut Random) -> Vec<Self> {
        (0..NETWORKS.len()).filter(|_| !random.one_in(4)).map(Self::MakeNetwork).collect()
    }

    fn any(random: &mut Random) -> Self {
        let container = random.below(CAST.len()).unwrap();
        let network = random.below(NETWORKS.len()).unwrap();
        match random.below(24).unwrap() {
            0 => Self::Create(container),
            1..=5 => Self::Run(container),
            6 | 7 => Self::Start(container),
            8 => Self::Stop(container),
            9 | 10 => Self::Restart(container),
            11 => Self::Kill(container),
            12 => Self::Remove(container),
            13 => Self::Pause(container),
            14 => Self::Unpause(container),
            15..=18 => Self::Connect(container, network),
            19..=21 => Self::Disconnect(container, network, random.one_in(3)),
            22 => Self::MakeNetwork(network),
            _ => Self::RemoveNetwork(network),
        }
    }

    /// Whether it makes sense by what Docker says. It may be refused all the same.
    fn is_sensible(self, word: &Word) -> bool {
        let state = |container: usize| {
            word.containers.get(CAST[container].name).map_or("none", |c| c.state.as_str())
        };
        let is_in = |container: usize, network: usize| {
            let container = word.containers.get(CAST[container].name);
            container.is_some_and(|c| c.attachments.contains_key(NETWORKS[network].0))
        };
        let has_network = |name: &str| name == "bridge" || word.networks.contains_key(name);
        match self {
            Self::Create(c) | Self::Run(c) => state(c) == "none" && has_network(CAST[c].home),
            Self::Start(c) => ["created", "exited"].contains(&state(c)),
            Self::Stop(c) | Self::Kill(c) | Self::Pause(c) => state(c) == "running",
            Self::Restart(c) => ["running", "exited"].contains(&state(c)),
            Self::Unpause(c) => state(c) == "paused",
            Self::Remove(c) => state(c) != "none",
            Self::Connect(c, n) => state(c) != "none" && !is_in(c, n) && has_network(NETWORKS[n].0),
            Self::Disconnect(c, n, _) => is_in(c, n),
            Self::MakeNetwork(n) => !has_network(NETWORKS[n].0),
            Self::RemoveNetwork(n) => has_network(NETWORKS[n].0) && n > 0,
        }
    }

    /// Whether the container's label is about one of two networks, and it leaves one of them:
    /// Docker's word alone does not tell what is due then.
    fn is_ambiguous(self, word: &Word) -> bool {
        let Self::Disconnect(container, ..) = self else { return false };
        let member = &CAST[container];
        let networks = word.containers.get(member.name).map_or(0, |container| {
            let theirs = container.attachments.keys();
            theirs.filter(|network| word.networks.contains_key(*network)).count()
        });
        !member.label.is_empty() && networks > 1
    }

    /// The arguments of `docker`.
    pub(crate) fn args(self) -> Vec<String> {
        let verb = |verb: &str, container: usize| format!("{verb} {}", CAST[container].name);
        let line = match self {
            Self::Create(container) => return CAST[container].args(&["create"]),
            Self::Run(container) => return CAST[container].args(&["run", "--detach"]),
            Self::Start(container) => verb("start", container),
            Self::Stop(container) => verb("stop", container),
            Self::Restart(container) => verb("restart", container),
            Self::Kill(container) => verb("kill", container),
            Self::Remove(container) => verb("rm --force", container),
            Self::Pause(container) => verb("pause", container),
            Self::Unpause(container) => verb("unpause", container),
            Self::Connect(container, network) => {
                let Member { name, later, .. } = CAST[container];
                let option = match later {
                    "" => String::new(),
                    later => format!("--driver-opt fip.address={later} "),
                };
                format!("network connect {option}{} {name}", NETWORKS[network].0)
            }
            Self::Disconnect(container, network, force) => {
                let force = if force { "--force " } else { "" };
                format!(
                    "network disconnect {force}{} {}",
                    NETWORKS[network].0, CAST[container].name
                )
            }
            Self::MakeNetwork(network) => {
                let (name, options) = NETWORKS[network];
                format!("network create --driver fip {} {name}", options.join(" "))
            }
            Self::RemoveNetwork(network) => format!("network rm {}", NETWORKS[network].0),
        };
        line.split_whitespace().map(str::to_owned).collect()
    }

    /// Panics if it was refused without a reason that a user could have known beforehand.
    #[track_caller]
    pub(crate) fn check_outcome(self, run: &Run, before: &Word) {
        /// What Docker says of deeds that contradict the state of its objects.
        const DOCKERS: [&str; 12] = [
            "No such container",
            "is already in use by container",
            "is not running",
            "is paused",
            "is not paused",
            "already paused",
            "cannot start a paused container",
            "not found",
            "already exists",
            "has active endpoints",
            "is not connected to",
            "No such network",
        ];
        let said = &run.stderr;
        if run.code == Some(0) || DOCKERS.iter().any(|reason| said.contains(reason)) {
            return;
        }
        let held = before.bindings(&BTreeMap::new());
        let conflict = held.keys().map(ToString::to_string).any(|address| {
            said.contains(&format!("{address} is already bound")) && self.has_rival_for(&address)
        });
        let internal = said.contains("the network is internal");
        assert!(conflict || internal, "{self} was refused without reason: {said}");
    }

    /// Whether that address can be asked for elsewhere too, when this is done.
    fn has_rival_for(self, address: &str) -> bool {
        let (Self::Run(own) | Self::Start(own) | Self::Restart(own) | Self::Connect(own, _)) = self
        else {
            return false;
        };
        let mut others = CAST.iter().filter(|member| member.name != CAST[own].name);
        // It may be in two networks with the same wish.
        CAST[own].later == address
            || others.any(|member| [member.label, member.option, member.later].contains(&address))
    }
}

impl Member {
    fn args(&self, command: &[&str]) -> Vec<String> {
        let mut args: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
        args.extend(["--name", self.name, "--restart=unless-stopped"].map(str::to_owned));
        if !self.label.is_empty() {
            args.push(format!("--label={LABEL}={}", self.label));
        }
        let option = match self.option {
            "" => String::new(),
            option => format!(",\"driver-opt=fip.address={option}\""),
        };
        args.push(format!("--network=name={}{option}", self.home));
        args.extend([IMAGE, "/serve", self.name].map(str::to_owned));
        args
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "docker {}", self.args().join(" "))
    }
}
