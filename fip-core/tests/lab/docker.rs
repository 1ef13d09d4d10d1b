//! The firewall rules that Docker makes, without Docker: for its bridge `docker0` with the subnet
//! 172.17.0.0/16, 2001:db8:17::/64, and one container, number 3, with port 80 published.

use super::ns::Ns;
use super::topology::{Family, container};

/// What Docker up to 27 makes: `DOCKER-USER` ends with RETURN.
const FILTER_20: &str = "\
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i docker0 -o docker0 -j ACCEPT
-A DOCKER -d CONTAINER ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-A DOCKER-ISOLATION-STAGE-2 -j RETURN
-A DOCKER-USER -j RETURN
COMMIT
";

/// What Docker 28 makes: `DOCKER-USER` is empty, and what is not published is dropped.
const FILTER_28: &str = "\
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-BRIDGE - [0:0]
:DOCKER-CT - [0:0]
:DOCKER-FORWARD - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER -d CONTAINER ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER ! -i docker0 -o docker0 -j DROP
-A DOCKER-BRIDGE -o docker0 -j DOCKER
-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i docker0 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
COMMIT
*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A PREROUTING -d CONTAINER ! -i docker0 -j DROP
COMMIT
";

const NAT: &str = "\
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d LOOPBACK -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s SUBNET ! -o docker0 -j MASQUERADE
-A POSTROUTING -s CONTAINER -d CONTAINER -p tcp -m tcp --dport 80 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination PUBLISHED
COMMIT
";

/// Docker's own nf_tables backend (29, `--firewall-backend=nftables`), as it lists, with nothing
/// published, and for IPv6 the same chains.
const DOCKER_NFTABLES: &str = r#"
table FAMILY docker-bridges {
	map filter-forward-in-jumps {
		type ifname : verdict
		elements = { "docker0" : jump filter-forward-in__docker0 }
	}
	map filter-forward-out-jumps {
		type ifname : verdict
		elements = { "docker0" : jump filter-forward-out__docker0 }
	}
	map nat-postrouting-in-jumps {
		type ifname : verdict
		elements = { "docker0" : jump nat-postrouting-in__docker0 }
	}
	map nat-postrouting-out-jumps {
		type ifname : verdict
		elements = { "docker0" : jump nat-postrouting-out__docker0 }
	}
	chain filter-FORWARD {
		type filter hook forward priority filter; policy accept;
		oifname vmap @filter-forward-in-jumps
		iifname vmap @filter-forward-out-jumps
	}
	chain nat-OUTPUT {
		type nat hook output priority -100; policy accept;
		PREFIX daddr != LOOPBACK fib daddr type local counter jump nat-prerouting-and-output
	}
	chain nat-POSTROUTING {
		type nat hook postrouting priority srcnat; policy accept;
		iifname vmap @nat-postrouting-out-jumps
		oifname vmap @nat-postrouting-in-jumps
	}
	chain nat-PREROUTING {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local counter jump nat-prerouting-and-output
	}
	chain nat-prerouting-and-output {
	}
	chain raw-PREROUTING {
		type filter hook prerouting priority raw; policy accept;
		PREFIX daddr CONTAINER iifname != "docker0" counter drop comment "DROP DIRECT ACCESS"
	}
	chain filter-forward-in__docker0 {
		ct state established,related counter accept
		iifname "docker0" counter accept comment "ICC"
		counter drop comment "UNPUBLISHED PORT DROP"
	}
	chain filter-forward-out__docker0 {
		ct state established,related counter accept
		counter accept comment "OUTGOING"
	}
	chain nat-postrouting-in__docker0 {
	}
	chain nat-postrouting-out__docker0 {
		oifname != "docker0" PREFIX saddr SUBNET counter masquerade comment "MASQUERADE"
	}
}
"#;

/// Loads the rules of Docker up to 27, both families.
pub(crate) fn install_docker_20(ns: &Ns) {
    install_iptables(ns, FILTER_20);
}

/// Loads the rules of Docker 28, both families.
pub(crate) fn install_docker_28(ns: &Ns) {
    install_iptables(ns, FILTER_28);
}

/// Loads the rules of Docker's nf_tables backend, both families.
pub(crate) fn install_docker_nftables(ns: &Ns) {
    for (family, name) in [(Family::V4, "ip"), (Family::V6, "ip6")] {
        let text = DOCKER_NFTABLES.replace("FAMILY", name).replace("PREFIX", name);
        ns.nft_script(&fill_in(&text, family));
    }
}

fn install_iptables(ns: &Ns, filter: &str) {
    let tools = [(Family::V4, "iptables-nft-restore"), (Family::V6, "ip6tables-nft-restore")];
    for (family, tool) in tools {
        ns.tool(tool, &[], &fill_in(&format!("{filter}{NAT}"), family));
    }
}

fn fill_in(text: &str, family: Family) -> String {
    let container = container(family, 17, 3);
    let (subnet, loopback, published) = match family {
        Family::V4 => ("172.17.0.0/16", "127.0.0.0/8", format!("{container}:80")),
        Family::V6 => ("2001:db8:17::/64", "::1", format!("[{container}]:80")),
    };
    text.replace("CONTAINER", &container.to_string())
        .replace("SUBNET", subnet)
        .replace("LOOPBACK", loopback)
        .replace("PUBLISHED", &published)
}
