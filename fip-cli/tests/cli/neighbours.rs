//! Announcements of another host, made by hand.

use std::net::{IpAddr, Ipv6Addr, SocketAddrV6};

use socket2::{Domain, Protocol, Socket, Type};

use crate::lab::Ns;

/// `ns` tells everybody on the LAN that it has the address now, by its card `eth0`.
pub(crate) fn announce(ns: &Ns, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            ns.ip(&format!("address replace {address}/32 dev eth0"));
            ns.tool("arping", &["-A", "-c1", "-I", "eth0", &address.to_string()], "");
        }
        IpAddr::V6(address) => {
            let link = ns.ip("-o link show dev eth0");
            let index = link.split(':').next().unwrap().parse().unwrap();
            ns.run(|| advertise(address, &ns.mac("eth0"), index));
        }
    }
}

/// An unsolicited neighbour advertisement with the override flag (RFC 4861, section 4.4).
fn advertise(address: Ipv6Addr, mac: &str, link: u32) {
    const ADVERTISEMENT: u8 = 136;
    const OVERRIDE: u8 = 0x20;
    // Target link-layer address, one unit of eight bytes.
    const TARGET: [u8; 2] = [2, 1];
    let mac = mac.split(':').map(|pair| u8::from_str_radix(pair, 16).unwrap());
    // The kernel writes the checksum.
    let mut packet = vec![ADVERTISEMENT, 0, 0, 0, OVERRIDE, 0, 0, 0];
    packet.extend(address.octets());
    packet.extend(TARGET);
    packet.extend(mac);
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6)).unwrap();
    socket.set_multicast_hops_v6(255).unwrap();
    let everybody = SocketAddrV6::new("ff02::1".parse().unwrap(), 0, 0, link);
    let sent = socket.send_to(&packet, &everybody.into()).unwrap();
    assert_eq!(sent, packet.len());
}
