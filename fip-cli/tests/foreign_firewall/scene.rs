//! A host that runs Docker, or seems to.

use crate::lab::{
    EchoWitness, Family, Fip, Host, Lan, Ns, Proto, Reply, Run, Whoami, Workload, lan, ping,
    tcp_whoami, whoami,
};

/// The mark of our connections, as iptables prints it.
pub(crate) const MARK: &str = "0x1000/0x1000";

/// Host A with Docker's `docker0` and a bridge of its own, workloads on both, and two callers.
pub(crate) struct Scene {
    _lan: Lan,
    pub(crate) client: Ns,
    _router: Ns,
    pub(crate) far: Ns,
    pub(crate) a: Host,
    /// On `br0`.
    pub(crate) own: Workload,
    /// On `br0` as well.
    pub(crate) neighbour: Workload,
    /// On `docker0`.
    pub(crate) docker: Workload,
    /// On `docker0` as well, with Docker's published port 80.
    pub(crate) published: Workload,
    _servers: Vec<Whoami>,
}

impl Scene {
    pub(crate) fn new(install: fn(&Ns)) -> Self {
        let lan = Lan::new();
        let client = lan.client();
        let (router, far) = lan.router();
        let a = lan.host_a();
        a.bridge("br0", 18);
        a.bridge("docker0", 17);
        a.bridge_nf_call(true);
        install(&a);
        let own = a.workload("own", "br0", 18, 2);
        let neighbour = a.workload("neighbour", "br0", 18, 3);
        let docker = a.workload("docker", "docker0", 17, 2);
        let published = a.workload("published", "docker0", 17, 3);
        let servers =
            [&*own, &*docker, &*published, &client].map(|ns| Whoami::start(ns, &[80, 8080])).into();
        Self {
            _lan: lan,
            client,
            _router: router,
            far,
            a,
            own,
            neighbour,
            docker,
            published,
            _servers: servers,
        }
    }

    pub(crate) fn fip(&self) -> Fip<'_> {
        Fip::new(env!("CARGO_BIN_EXE_fip"), &self.a)
    }

    /// `fip bind` of the LAN's address of that number to the workload.
    pub(crate) fn bind(&self, family: Family, floating: u8, workload: &Workload) -> Run {
        let fixed = workload.address(family);
        self.fip().ok(&format!("bind {} {fixed} --announce 1 --probe 20ms", lan(family, floating)))
    }

    pub(crate) fn unbind(&self, family: Family, floating: u8) {
        self.fip().ok(&format!("unbind {}", lan(family, floating)));
    }

    /// The one binding that `fip list` shows.
    pub(crate) fn listed(&self) -> serde_json::Value {
        let list = self.fip().list();
        assert_eq!(list.len(), 1, "{list:?}");
        list[0].clone()
    }

    pub(crate) fn ask(&self, caller: &Ns, family: Family, floating: u8) -> Result<Reply, String> {
        tcp_whoami(caller, (lan(family, floating), 80))
    }

    /// TCP, UDP and ping from the caller reach the workload and come back.
    pub(crate) fn reaches(&self, caller: &Ns, family: Family, floating: u8, workload: &Workload) {
        let to = lan(family, floating);
        for proto in [Proto::Tcp, Proto::Udp] {
            for port in [80, 8080] {
                let reply = whoami(proto, caller, (to, port));
                let reply = reply.unwrap_or_else(|error| {
                    panic!("{} -> {to} {proto:?} {port}: {error}", caller.name())
                });
                assert_eq!(reply.name, workload.name());
            }
        }
        let witness = EchoWitness::start(workload);
        assert!(ping(caller, to), "{} -> {to}: no answer to ping", caller.name());
        assert_eq!(witness.sources().len(), 1, "{} -> {to}: not by the workload", caller.name());
    }

    pub(crate) fn iptables(&self, family: Family, args: &str) -> String {
        match family {
            Family::V4 => self.a.iptables(args),
            Family::V6 => self.a.ip6tables(args),
        }
    }

    /// The rules of DOCKER-USER.
    pub(crate) fn user_rules(&self, family: Family) -> Vec<String> {
        let rules = self.iptables(family, "-S DOCKER-USER");
        rules.lines().skip(1).map(str::to_owned).collect()
    }

    /// Panics unless exactly one rule of DOCKER-USER accepts our mark; returns its position.
    pub(crate) fn position_of_our_rule(&self, family: Family) -> usize {
        let rules = self.user_rules(family);
        let ours: Vec<usize> = (0..rules.len())
            .filter(|&at| rules[at].contains(MARK) && rules[at].ends_with("-j ACCEPT"))
            .collect();
        assert_eq!(ours.len(), 1, "{family:?}: {rules:#?}");
        ours[0]
    }
}
