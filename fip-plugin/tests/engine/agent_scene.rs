//! A LAN with a client, and a host with Docker and the agent, which attaches in either way.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::docker::{Agent, Engine, IMAGE, Options, Plugin, eventually, fetch};
use crate::lab::{Family, Host, Lan, Ns, lan, ping};
use crate::life::state::{Facts, blank, translation, translations};
use crate::scene::LABEL;

/// How the agent attaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attach {
    /// To the network `fip`; the plugin is there.
    Network,
    /// Directly; the plugin is not there.
    Direct,
}

impl Attach {
    pub(crate) const BOTH: [Self; 2] = [Self::Network, Self::Direct];

    /// The arguments of the agent.
    pub(crate) fn args(self) -> &'static str {
        match self {
            Self::Network => "--attach network",
            Self::Direct => "--attach direct",
        }
    }

    /// The network of Docker in which the floating addresses lead to a container.
    pub(crate) fn network(self) -> &'static str {
        match self {
            Self::Network => "fip",
            Self::Direct => "bridge",
        }
    }
}

pub(crate) struct AgentScene {
    pub(crate) agent: Agent,
    pub(crate) plugin: Option<Plugin>,
    pub(crate) engine: Engine,
    pub(crate) client: Ns,
    pub(crate) host: Host,
    pub(crate) attach: Attach,
    /// The host before the agent was ever started.
    pub(crate) before: Facts,
    /// The floating addresses that were there when it was looked last.
    seen: RefCell<BTreeSet<IpAddr>>,
    _lan: Lan,
}

impl AgentScene {
    pub(crate) fn new(attach: Attach) -> Self {
        Self::with(attach, &Options::default(), "")
    }

    /// With further arguments of the agent, split at spaces.
    pub(crate) fn with(attach: Attach, options: &Options, args: &str) -> Self {
        Self::prepared(attach, options, args, |_, _| ())
    }

    /// With something done before the agent is started for the first time.
    pub(crate) fn prepared<T>(
        attach: Attach,
        options: &Options,
        args: &str,
        prepare: impl FnOnce(&Engine, Option<&Plugin>) -> T,
    ) -> Self {
        let lan = Lan::new();
        let (host, client) = (lan.host_a(), lan.client());
        let engine = Engine::start(&host, options);
        let plugin = (attach == Attach::Network).then(|| Plugin::start(&engine, ""));
        prepare(&engine, plugin.as_ref());
        let before = picture(&host, &engine);
        // What the agent does not notice shall be seen: it does not list again by itself.
        let resync = if args.contains("--resync") { "" } else { "--resync 24h" };
        let agent = Agent::start(&engine, &format!("{} {resync} {args}", attach.args()));
        let seen = RefCell::default();
        Self { agent, plugin, engine, client, host, attach, before, seen, _lan: lan }
    }

    /// Runs a container on Docker's own bridge that is labelled with that floating address and
    /// serves its name as its page.
    #[track_caller]
    pub(crate) fn web(&self, name: &str, floating: IpAddr) -> Ns {
        self.engine.web(name, &format!("--label {LABEL}={floating}"), name)
    }

    /// Runs a container with this text as its label, that serves its name as its page.
    #[track_caller]
    pub(crate) fn asks(&self, name: &str, label: &str) {
        let label = format!("{LABEL}={label}");
        let run = ["run", "--detach", "--name", name, "--label", &label, IMAGE, "/serve", name];
        self.engine.docker_with(&run).exits(0);
    }

    /// Waits until the host has exactly these floating addresses, each leading to the container of
    /// that name, whose page is the other text. Whatever was there before answers nobody.
    #[track_caller]
    pub(crate) fn is(&self, wanted: &[(IpAddr, &str, &str)]) {
        eventually(&format!("the host has {wanted:?}"), || {
            let owner = self.owner();
            let mut due = Facts::new();
            for &(floating, name, _) in wanted {
                due.extend(translation(floating, self.fixed(name)?, &owner));
                due.insert(format!("address {floating} dev eth0"));
            }
            let mut found = translations(&self.host);
            found.extend(self.addresses().iter().map(|all| format!("address {all} dev eth0")));
            (found == due).then_some(()).ok_or_else(|| difference(&due, &found))
        });
        for &(floating, name, page) in wanted {
            eventually(&format!("{floating} serves the page of {name}"), || {
                let found = fetch(&self.client, floating)?;
                let right = found.text == page && found.peer == lan(Family::V4, 1);
                right.then_some(()).ok_or(format!("{found:?}"))
            });
            assert!(ping(&self.client, floating), "no answer to a ping of {floating}");
        }
        let now: BTreeSet<IpAddr> = wanted.iter().map(|(floating, ..)| *floating).collect();
        let before = self.seen.replace(now.clone());
        before.difference(&now).for_each(|&floating| self.nobody_has(floating));
    }

    /// The same where each container's page is its name.
    #[track_caller]
    pub(crate) fn has(&self, wanted: &[(IpAddr, &str)]) {
        self.is(&wanted.iter().map(|&(floating, name)| (floating, name, name)).collect::<Vec<_>>());
    }

    /// Nobody on the LAN answers for the address.
    #[track_caller]
    pub(crate) fn nobody_has(&self, floating: IpAddr) {
        self.client.ip("neighbour flush dev eth0");
        assert!(!ping(&self.client, floating), "{floating} answers still");
        let neighbour = self.client.ip(&format!("neighbour show {floating} dev eth0"));
        assert!(!neighbour.contains("lladdr"), "{neighbour}");
    }

    /// Waits until the host is in all detail as it was before the agent was ever started.
    #[track_caller]
    pub(crate) fn is_as_before(&self) {
        eventually("the host is as it was before", || {
            let now = picture(&self.host, &self.engine);
            (now == self.before).then_some(()).ok_or_else(|| difference(&self.before, &now))
        });
    }

    /// The fixed address of a container in the network by which floating addresses lead to it.
    pub(crate) fn fixed(&self, container: &str) -> Result<IpAddr, String> {
        let network = self.attach.network();
        let container = self.engine.inspect(&format!("container {container}"));
        let told = &container["NetworkSettings"]["Networks"][network]["IPAddress"];
        let told = told.as_str().ok_or(format!("it is not on {network}"))?;
        told.parse().map_err(|_| format!("{told:?} in {network}"))
    }

    /// Who has the bindings that the agent brings about.
    fn owner(&self) -> String {
        match self.attach {
            Attach::Network => {
                let id = self.engine.docker("network inspect --format {{.Id}} fip");
                format!("plugin:{:.12}", id.stdout)
            }
            Attach::Direct => "agent".to_owned(),
        }
    }

    /// The floating addresses on the host's card.
    fn addresses(&self) -> BTreeSet<IpAddr> {
        let lines = self.host.carried("eth0");
        let words = lines.lines().filter_map(|line| line.split_whitespace().nth(3));
        words.filter_map(|word| word.strip_suffix("/32")?.parse().ok()).collect()
    }
}

/// The networks that Docker says a container is connected to, by name.
#[track_caller]
pub(crate) fn networks(engine: &Engine, container: &str) -> Vec<String> {
    let told = engine.inspect(&format!("container {container}"));
    let networks = told["NetworkSettings"]["Networks"].as_object().unwrap();
    networks.keys().cloned().collect()
}

/// What is there and should not be (`+`), and what should be and is not (`-`).
fn difference(due: &Facts, found: &Facts) -> String {
    let more = found.difference(due).map(|fact| format!("+ {fact}"));
    let less = due.difference(found).map(|fact| format!("- {fact}"));
    more.chain(less).collect::<Vec<_>>().join("\n")
}

/// The whole host, as far as it lasts, and Docker's networks. What a container that comes and goes
/// leaves with Docker's own bridge, as its address of the link, is not in it.
pub(crate) fn picture(host: &Ns, engine: &Engine) -> Facts {
    const SYSCTLS: &str = "find /proc/sys/net/ipv4 /proc/sys/net/ipv6 /proc/sys/net/bridge \
        -type f -readable -exec grep -s '' {} +";
    let routes = ["-4 route show table all", "-6 route show table all"].map(|args| host.ip(args));
    let routes = routes.concat().replace(" linkdown", "");
    let routes = routes.lines().filter(|line| !line.contains("fe80:") && !line.contains("ff00:"));
    let mut facts: Facts = routes.map(|line| format!("route {}", line.trim_end())).collect();
    let kinds = [
        ("host", blank(host)),
        ("sysctl", host.tool("sh", &["-c", &format!("{SYSCTLS}; true")], "")),
        ("network", engine.docker_ok("network ls --format {{.Name}}")),
    ];
    for (kind, text) in kinds {
        facts.extend(text.lines().map(|line| format!("{kind} {line}")));
    }
    facts
}
