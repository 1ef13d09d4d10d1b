//! Who reaches a floating address, and whom the workload sees: every caller, protocol and family,
//! with and without bridged packets passing the packet filter.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../fip-core/tests/lab/mod.rs"]
mod lab;

use std::net::IpAddr;

use lab::{EchoWitness, Family, Fip, Host, Lan, Ns, Proto, Whoami, Workload, lan, ping, whoami};

/// The floating address is number 200 of the LAN, its workload is `target`.
const FLOATING: u8 = 200;

/// What the workload has to see.
#[derive(Debug, Clone)]
enum Source {
    /// The caller's own address.
    Exactly(IpAddr),
    /// One of the host's addresses, but not the floating one.
    OfHost,
    /// Whatever makes the answer come back: the caller is in the workload's own subnet.
    Any,
}

struct Scene {
    _lan: Lan,
    client: Ns,
    _router: Ns,
    far: Ns,
    a: Host,
    target: Workload,
    neighbour: Workload,
    other_bridge: Workload,
    _b: Host,
    other_host: Workload,
    _server: Whoami,
    witness: EchoWitness,
}

impl Scene {
    fn new(nf_call: bool) -> Self {
        let lan = Lan::new();
        let client = lan.client();
        let (router, far) = lan.router();
        let (a, b) = (lan.host_a(), lan.host_b());
        a.bridge("br0", 18);
        a.bridge("br1", 19);
        b.bridge("br0", 20);
        a.bridge_nf_call(nf_call);
        b.bridge_nf_call(nf_call);
        // The answers to a container of another host find their way, as in a routed network.
        a.route_to(20, 12);
        let target = a.workload("target", "br0", 18, 2);
        Self {
            neighbour: a.workload("neighbour", "br0", 18, 3),
            other_bridge: a.workload("other-bridge", "br1", 19, 2),
            other_host: b.workload("other-host", "br0", 20, 2),
            _server: Whoami::start(&target, &[80, 8080]),
            witness: EchoWitness::start(&target),
            _lan: lan,
            client,
            _router: router,
            far,
            a,
            target,
            _b: b,
        }
    }

    /// Who calls, from where, and what the workload has to see.
    fn callers(&self, family: Family) -> [(&'static str, &Ns, Source); 7] {
        let far = match family {
            Family::V4 => "203.0.113.1".parse().unwrap(),
            Family::V6 => "2001:db8:203::1".parse().unwrap(),
        };
        let own = |workload: &Workload| Source::Exactly(workload.address(family));
        [
            ("a LAN client", &self.client, Source::Exactly(lan(family, 1))),
            ("a client behind a router", &self.far, Source::Exactly(far)),
            ("the host itself", &self.a, Source::OfHost),
            ("a container on another bridge", &self.other_bridge, own(&self.other_bridge)),
            ("a container on the same bridge", &self.neighbour, Source::Any),
            ("the workload itself", &self.target, Source::Any),
            ("a container on another host", &self.other_host, own(&self.other_host)),
        ]
    }

    /// One cell: this caller, this protocol.
    fn cell(&self, family: Family, caller: &Ns, proto: Proto) -> Result<IpAddr, String> {
        let floating = lan(family, FLOATING);
        if proto == Proto::Icmp {
            self.witness.sources();
            let answered = ping(caller, floating);
            return match self.witness.sources().as_slice() {
                [source] if answered => Ok(*source),
                [] if answered => Err("answered, but not by the workload".to_owned()),
                reached => Err(format!("no answer; the workload saw {reached:?}")),
            };
        }
        let mut source = None;
        for port in [80, 8080] {
            let reply = whoami(proto, caller, (floating, port))?;
            if reply.name != "target" || reply.port != port {
                return Err(format!("port {port} was answered by {reply}"));
            }
            source = Some(reply.peer);
        }
        Ok(source.unwrap())
    }

    fn is_right(&self, family: Family, wanted: &Source, seen: IpAddr) -> bool {
        match wanted {
            Source::Exactly(address) => seen == *address,
            Source::OfHost => {
                let listed = self.a.ip("-br addr show");
                seen != lan(family, FLOATING) && listed.contains(&format!(" {seen}/"))
            }
            Source::Any => true,
        }
    }
}

/// Fills the whole matrix for one family, and names each cell that is wrong.
fn reach(family: Family, nf_call: bool) {
    reach_held(family, nf_call, "");
}

/// The same, with this option for how the address is held.
fn reach_held(family: Family, nf_call: bool, hold: &str) {
    let scene = Scene::new(nf_call);
    let fixed = scene.target.address(family);
    let fip = Fip::new(env!("CARGO_BIN_EXE_fip"), &scene.a);
    fip.ok(&format!("bind {} {fixed} --announce 1 --probe 20ms {hold}", lan(family, FLOATING)));
    let mut wrong = Vec::new();
    for (who, caller, wanted) in scene.callers(family) {
        for proto in Proto::ALL {
            let verdict = match scene.cell(family, caller, proto) {
                Ok(seen) if scene.is_right(family, &wanted, seen) => continue,
                Ok(seen) => format!("the workload saw {seen}, not {wanted:?}"),
                Err(error) => error,
            };
            wrong.push(format!("{proto:?} {family:?} from {who}, nf-call {nf_call}: {verdict}"));
        }
    }
    let ruleset = scene.a.nft("list ruleset");
    assert!(wrong.is_empty(), "{} cells are wrong:\n{}\n{ruleset}", wrong.len(), wrong.join("\n"));
}

#[test]
fn everybody_reaches_it_over_ipv4() {
    reach(Family::V4, false);
}

#[test]
fn everybody_reaches_an_address_of_the_link() {
    for nf_call in [false, true] {
        reach_held(Family::V4, nf_call, "--hold address");
    }
}

#[test]
fn everybody_reaches_it_over_ipv6() {
    reach(Family::V6, false);
}

#[test]
fn everybody_reaches_it_over_ipv4_with_filtered_bridges() {
    reach(Family::V4, true);
}

#[test]
fn everybody_reaches_it_over_ipv6_with_filtered_bridges() {
    reach(Family::V6, true);
}

#[test]
fn nobody_reaches_it_after_unbind() {
    let scene = Scene::new(true);
    let fip = Fip::new(env!("CARGO_BIN_EXE_fip"), &scene.a);
    for family in Family::BOTH {
        let floating = lan(family, FLOATING);
        let fixed = scene.target.address(family);
        let before = (scene.a.ruleset(), scene.a.carried("eth0"));
        fip.ok(&format!("bind {floating} {fixed} --announce 1 --probe 20ms"));
        scene.cell(family, &scene.client, Proto::Tcp).unwrap();
        fip.ok(&format!("unbind {floating}"));
        for (caller, proto) in [(&scene.client, Proto::Udp), (&scene.neighbour, Proto::Tcp)] {
            let seen = scene.cell(family, caller, proto);
            assert!(seen.is_err(), "{} still reaches {floating}: {seen:?}", caller.name());
        }
        assert_eq!((scene.a.ruleset(), scene.a.carried("eth0")), before);
    }
}
