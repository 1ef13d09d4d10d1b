//! A filter of the host's owner that drops what no binding lets through.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use crate::lab::{Family, Ns, add_route_to, lan, wait_for};
use crate::scene::Scene;

/// Packets that belong to no connection: an echo reply that nobody asked for, and a TCP segment
/// with SYN and FIN. Each carries a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stray {
    EchoReply,
    Segment,
}

impl Stray {
    const ALL: [Self; 2] = [Self::EchoReply, Self::Segment];

    fn socket(self, family: Family) -> Socket {
        let (domain, icmp) = match family {
            Family::V4 => (Domain::IPV4, Protocol::ICMPV4),
            Family::V6 => (Domain::IPV6, Protocol::ICMPV6),
        };
        let protocol = if self == Self::EchoReply { icmp } else { Protocol::TCP };
        let socket = Socket::new(domain, Type::RAW, Some(protocol)).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    }

    /// The packet, with its checksum: what has none that is right is dropped by many.
    fn packet(self, from: IpAddr, to: IpAddr, number: u8) -> Vec<u8> {
        let echo_reply = if to.is_ipv4() { 0 } else { 129 };
        let (mut packet, at) = match self {
            Self::EchoReply => (vec![echo_reply, 0, 0, 0, 0, 7, 0, number], 2),
            Self::Segment => {
                const SYN_FIN: u8 = 3;
                let ports = [17, 92, 0, 80];
                let rest = [0, 0, 0, number, 0, 0, 0, 0, 5 << 4, SYN_FIN, 4, 0, 0, 0, 0, 0];
                ([&ports[..], &rest].concat(), 16)
            }
        };
        let length = u8::try_from(packet.len()).unwrap();
        let pseudo = match (self, from, to) {
            (Self::Segment, IpAddr::V4(from), IpAddr::V4(to)) => {
                [&from.octets()[..], &to.octets(), &[0, 6, 0, length]].concat()
            }
            (Self::Segment, IpAddr::V6(from), IpAddr::V6(to)) => {
                [&from.octets()[..], &to.octets(), &[0, 6, 0, length]].concat()
            }
            // The kernel sums up ICMPv6 itself.
            _ => Vec::new(),
        };
        let sum = checksum(&[pseudo, packet.clone()].concat());
        packet[at..at + 2].copy_from_slice(&sum);
        packet
    }

    /// The number of a packet that was received.
    fn number(self, family: Family, received: &[u8]) -> Option<u8> {
        // IPv4 raw sockets hand over the IP header as well (raw(7)).
        let header = if family == Family::V4 { usize::from(received[0] & 0xf) * 4 } else { 0 };
        let packet = &received[header..];
        match self {
            Self::EchoReply if [0, 129].contains(&packet[0]) => Some(packet[7]),
            Self::Segment if packet[2..4] == [0, 80] => Some(packet[7]),
            _ => None,
        }
    }
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

/// The stray packets of one kind from one machine to another.
struct Line<'a> {
    kind: Stray,
    family: Family,
    sender: &'a Ns,
    from: IpAddr,
    to: IpAddr,
    receiver: UdpSocket,
    seen: Vec<u8>,
}

impl<'a> Line<'a> {
    fn new(kind: Stray, sender: &'a Ns, from: IpAddr, receiver: &Ns, to: IpAddr) -> Self {
        let family = if to.is_ipv4() { Family::V4 } else { Family::V6 };
        // Only `recv` is used, which is the same for every kind of socket.
        let receiver = UdpSocket::from(receiver.run(|| kind.socket(family)));
        Self { kind, family, sender, from, to, receiver, seen: Vec::new() }
    }

    fn send(&self, number: u8) {
        let packet = self.kind.packet(self.from, self.to, number);
        self.sender.run(|| {
            let socket = self.kind.socket(self.family);
            socket.send_to(&packet, &SocketAddr::from((self.to, 0)).into()).unwrap();
        });
    }

    /// The numbers that have arrived up to this one, for which it waits.
    fn arrived_up_to(&mut self, number: u8) -> Vec<u8> {
        wait_for(&format!("number {number} of {:?} at {}", self.kind, self.to), || {
            let mut packet = [0; 2048];
            while let Ok(length) = self.receiver.recv(&mut packet) {
                self.seen.extend(self.kind.number(self.family, &packet[..length]));
            }
            self.seen.contains(&number).then(|| self.seen.clone())
        })
    }
}

/// Drops what is forwarded, as Docker does, unless `DOCKER-USER` accepts it.
fn drop_forwarded(a: &Ns) {
    for iptables in [Ns::iptables, Ns::ip6tables] {
        iptables(a, "-P FORWARD DROP");
        iptables(a, "-N DOCKER-USER");
        iptables(a, "-A FORWARD -j DOCKER-USER");
    }
}

/// Nothing to the workload is tracked any more.
fn track_nothing(a: &Ns, address: IpAddr) {
    let family = if address.is_ipv4() { "ip" } else { "ip6" };
    let hook = "type filter hook prerouting priority -300;";
    let rule = format!("{family} daddr {address} notrack;");
    a.nft_script(&format!("table {family} raw {{ chain prerouting {{ {hook} {rule} }}; }}\n"));
}

#[test]
fn what_belongs_to_no_binding_is_dropped_as_before() {
    let scene = Scene::new();
    let unbound = scene.a.workload("unbound", "br0", 18, 3);
    add_route_to(&scene.client, 18, 11);
    drop_forwarded(&scene.a);
    for family in Family::BOTH {
        let (floating, fixed) = scene.pair(family);
        scene.fip().ok(&format!("bind {floating} {fixed} --announce 1 --probe 20ms"));
        scene.wait_for_traffic(floating);
        let (from, to) = (lan(family, 1), unbound.address(family));
        let mut lines = Stray::ALL.map(|kind| Line::new(kind, &scene.client, from, &unbound, to));
        lines.iter().for_each(|line| line.send(1));
        track_nothing(&scene.a, to);
        lines.iter().for_each(|line| line.send(2));
        // What is dropped no more does arrive, so the packets before it would have.
        let open = |verb: &str| match family {
            Family::V4 => scene.a.iptables(&format!("-{verb} FORWARD -d {to} -j ACCEPT")),
            Family::V6 => scene.a.ip6tables(&format!("-{verb} FORWARD -d {to} -j ACCEPT")),
        };
        open("I");
        for line in &mut lines {
            line.send(3);
            let arrived = line.arrived_up_to(3);
            assert_eq!(arrived, [3], "{:?} over {family:?} passed the filter", line.kind);
        }
        open("D");
        scene.wait_for_traffic(floating);
    }
}
