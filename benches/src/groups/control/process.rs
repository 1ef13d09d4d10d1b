//! A process for each: scripts, the limit, and the command `fip`.

use super::super::peers::{BRIDGE, Hold, Pair, UPLINK};
use super::super::tracked::{self, busy};
use super::super::world::{EXTRA, Site, World};
use crate::harness::{Bench, Case, Figures, Group, Took, timed, words};

/// What `sh` runs: $1 is the floating address, $2 the fixed one, the link and the bridge are filled
/// in. First for bind, then for unbind.
struct Script {
    name: &'static str,
    bind: &'static str,
    unbind: &'static str,
}

const IPTABLES: Script = Script {
    name: "sh: ip + 3 × iptables",
    bind: "
iptables-nft -t nat -A PREROUTING -d $1/32 ! -i BRIDGE -j DNAT --to-destination $2
iptables-nft -t nat -A OUTPUT -d $1/32 -j DNAT --to-destination $2
iptables-nft -t nat -A POSTROUTING -s $2/32 ! -o BRIDGE -j SNAT --to-source $1
ip addr add $1/32 dev UPLINK",
    unbind: "
ip addr del $1/32 dev UPLINK
iptables-nft -t nat -D PREROUTING -d $1/32 ! -i BRIDGE -j DNAT --to-destination $2
iptables-nft -t nat -D OUTPUT -d $1/32 -j DNAT --to-destination $2
iptables-nft -t nat -D POSTROUTING -s $2/32 ! -o BRIDGE -j SNAT --to-source $1",
};

const RESTORE: Script = Script {
    name: "sh: ip + iptables-restore",
    bind: "
iptables-nft-restore --noflush <<END
*nat
-A PREROUTING -d $1/32 ! -i BRIDGE -j DNAT --to-destination $2
-A OUTPUT -d $1/32 -j DNAT --to-destination $2
-A POSTROUTING -s $2/32 ! -o BRIDGE -j SNAT --to-source $1
COMMIT
END
ip addr add $1/32 dev UPLINK",
    unbind: "
ip addr del $1/32 dev UPLINK
iptables-nft-restore --noflush <<END
*nat
-D PREROUTING -d $1/32 ! -i BRIDGE -j DNAT --to-destination $2
-D OUTPUT -d $1/32 -j DNAT --to-destination $2
-D POSTROUTING -s $2/32 ! -o BRIDGE -j SNAT --to-source $1
COMMIT
END",
};

const NFT: Script = Script {
    name: "sh: ip + nft element",
    bind: "
nft \"add element ip bench dnat4 { $1 : $2 }; add element ip bench snat4 { $2 : $1 }\"
ip addr add $1/32 dev UPLINK",
    unbind: "
ip addr del $1/32 dev UPLINK
nft \"delete element ip bench dnat4 { $1 : $2 }; delete element ip bench snat4 { $2 : $1 }\"",
};

/// As the peers: nobody is asked, nothing announced.
const EQUAL: &str = "--probe 0 --announce 0";

/// As by default, but for the second announcement, for which the command waits a second.
const CLAIMS: &str = "--announce 1";

/// The hosts, each with so many bindings made by the one that is measured there.
pub(super) struct Sites {
    iptables: Site,
    restore: Site,
    nft: Site,
    limit_address: Site,
    limit_route: Site,
    fip_address: Site,
    fip: Site,
    /// On a LAN of its own: nobody else there has the address, ever.
    asking: World,
    fip_claims: Site,
}

/// What is run on a host.
struct Commands {
    name: &'static str,
    bind: Vec<String>,
    unbind: Vec<String>,
}

impl Sites {
    pub(super) fn new(world: &World, present: &[Pair]) -> Self {
        let with = |name: &str, have: &dyn Fn(&Site)| {
            let site = world.site(name);
            have(&site);
            site
        };
        let fip = |hold| {
            move |site: &Site| {
                site.have_table(hold);
                site.have_fip(hold, present);
            }
        };
        let asking = World::new();
        let fip_claims = asking.site("fipc");
        fip(Hold::Route)(&fip_claims);
        Self {
            iptables: with("ipt", &|site| site.have_iptables(present)),
            restore: with("rest", &|site| site.have_iptables(present)),
            nft: with("nft", &|site| site.have_nft(present, Hold::Address)),
            limit_address: with("limita", &|site| site.have_nft(present, Hold::Address)),
            limit_route: with("limitr", &|site| site.have_nft(present, Hold::Route)),
            fip_address: with("fipa", &fip(Hold::Address)),
            fip: with("fip", &fip(Hold::Route)),
            asking,
            fip_claims,
        }
    }

    /// All, after each has been seen to work.
    pub(super) fn cases(&self, bench: &Bench, world: &World, count: u64) -> Vec<Case<'_>> {
        let nothing = vec!["/bin/true".to_owned()];
        let host = &self.iptables.host;
        let mut cases = vec![Case::new("spawn of /bin/true", Some(count), move || {
            figures(timed(host, &nothing), timed(host, &nothing))
        })];
        for (site, commands) in self.all(bench) {
            let is_asking = std::ptr::eq(site, &self.fip_claims);
            commands.must_work(if is_asking { &self.asking } else { world }, site);
            cases.push(Case::new(commands.name, Some(count), move || {
                tracked::forget_all(&site.host);
                commands.figures(site)
            }));
        }
        let busy = format!("fip, {}", busy());
        let commands = Commands::fip(bench, "fip", EQUAL);
        cases.push(Case::new(&busy, Some(count), move || {
            tracked::while_busy(&self.fip.host, || commands.figures(&self.fip))
        }));
        cases
    }

    fn all(&self, bench: &Bench) -> [(&Site, Commands); 8] {
        let limit = &bench.programs.limit;
        let Pair { floating, fixed } = EXTRA;
        let limit = |name, hold| Commands {
            name,
            bind: words(limit, &format!("bind {UPLINK} {floating} {fixed} {hold}")),
            unbind: words(limit, &format!("unbind {UPLINK} {floating} {fixed} {hold}")),
        };
        let fip = |name, options: &str| Commands::fip(bench, name, options);
        let by_address = format!("{EQUAL} --hold address");
        [
            (&self.iptables, IPTABLES.commands()),
            (&self.restore, RESTORE.commands()),
            (&self.nft, NFT.commands()),
            (&self.limit_address, limit("limit, address", "address")),
            (&self.limit_route, limit("limit, route", "route")),
            (&self.fip_address, fip("fip --hold address", &by_address)),
            (&self.fip, fip("fip", EQUAL)),
            (&self.fip_claims, fip("fip, asks the LAN first", CLAIMS)),
        ]
    }
}

impl Commands {
    fn fip(bench: &Bench, name: &'static str, options: &str) -> Self {
        let Pair { floating, fixed } = EXTRA;
        let fip = |args: &str| words(&bench.programs.fip, args);
        Self {
            name,
            bind: fip(&format!("bind {floating} {fixed} {options}")),
            unbind: fip(&format!("unbind {floating}")),
        }
    }

    fn figures(&self, site: &Site) -> Figures {
        figures(timed(&site.host, &self.bind), timed(&site.host, &self.unbind))
    }

    fn must_work(&self, world: &World, site: &Site) {
        timed(&site.host, &self.bind);
        world.must_reach(self.name, site, EXTRA.floating);
        timed(&site.host, &self.unbind);
    }
}

impl Script {
    fn commands(&self) -> Commands {
        let Pair { floating, fixed } = EXTRA;
        let whole = |script: &str| {
            let script = script.replace("BRIDGE", BRIDGE).replace("UPLINK", UPLINK);
            ["/bin/sh", "-ec", &script, "sh", &floating.to_string(), &fixed.to_string()]
                .map(str::to_owned)
                .to_vec()
        };
        Commands { name: self.name, bind: whole(self.bind), unbind: whole(self.unbind) }
    }
}

/// How each is run.
pub(super) fn describe(group: &mut Group, bench: &Bench) {
    group.uses("fip", &bench.programs.fip);
    for program in ["ip", "iptables-nft", "nft"] {
        group.peer(program);
    }
    group.set("fip", format!("fip bind {EQUAL}: peers neither ask nor announce"));
    group.set("fip --hold address", "the same, held as an address of the uplink");
    group.set("fip, asks the LAN first", format!("fip bind {CLAIMS}: with 100 ms of silence"));
    group.set("sh: ip + 3 × iptables", "DNAT in PREROUTING and OUTPUT, SNAT in POSTROUTING");
    group.set("sh: ip + iptables-restore", "the same by one iptables-restore --noflush");
    group.set("sh: ip + nft element", "two maps, an element each, in one transaction");
    group.set("limit", "raw netlink: two map elements, then an address or a local route");
}

fn figures(bind: Took, unbind: Took) -> Figures {
    vec![
        ("bind ms", bind.ms()),
        ("unbind ms", unbind.ms()),
        ("cpu ms", bind.cpu_ms() + unbind.cpu_ms()),
    ]
}
