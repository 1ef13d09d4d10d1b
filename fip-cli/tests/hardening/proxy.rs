//! A proxy that somebody else redirects the workloads' traffic to.

use crate::lab::{Family, Ns, Proto, Whoami, add_route_to, lan, whoami};
use crate::scene::Scene;

/// What a transparent proxy on the LAN needs of the host.
fn redirect(a: &Ns, family: Family) {
    let to = match family {
        Family::V4 => format!("{}:3128", lan(family, 1)),
        Family::V6 => format!("[{}]:3128", lan(family, 1)),
    };
    let iptables = |args: &str| match family {
        Family::V4 => a.iptables(args),
        Family::V6 => a.ip6tables(args),
    };
    iptables("-t nat -A POSTROUTING ! -o br0 -j MASQUERADE");
    for protocol in ["tcp", "udp"] {
        let rule = format!("-i br0 -p {protocol} --dport 80 -j DNAT --to {to}");
        iptables(&format!("-t nat -A PREROUTING {rule}"));
    }
}

#[test]
fn what_another_redirects_leaves_with_an_address_of_the_host() {
    let scene = Scene::new();
    let _behind = scene.lan.router();
    // What leaves untranslated arrives too, to be seen.
    add_route_to(&scene.client, 18, 11);
    let _proxy = Whoami::start(&scene.client, &[3128]);
    for family in Family::BOTH {
        redirect(&scene.a, family);
        let (floating, fixed) = scene.pair(family);
        let server = match family {
            Family::V4 => "203.0.113.1".parse().unwrap(),
            Family::V6 => "2001:db8:203::1".parse().unwrap(),
        };
        let seen = |proto| {
            let reply = whoami(proto, &scene.workload, (server, 80)).unwrap();
            assert_eq!((reply.name.as_str(), reply.port), ("client", 3128), "{proto:?}");
            reply.peer
        };
        for proto in [Proto::Tcp, Proto::Udp] {
            assert_eq!(seen(proto), lan(family, 11), "{proto:?} before the bind");
        }
        scene.fip().ok(&format!("bind {floating} {fixed} --announce 1"));
        for proto in [Proto::Tcp, Proto::Udp] {
            let peer = seen(proto);
            let right = peer == lan(family, 11) || peer == floating;
            assert!(right, "{proto:?} left with the source {peer}");
        }
    }
}
