//! On the real kernel: two hosts, each a network namespace, on one cable.

use std::os::fd::AsFd;
use std::process::Command;
use std::sync::mpsc;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};

use super::*;
use crate::claim::{Claim, RivalPolicy, claim};
use crate::kernel::host::rtnl;
use crate::kernel::{Deed, Mac};

const NEAR: Mac = Mac([2, 0, 0, 0, 0, 0x0a]);
const FAR: Mac = Mac([2, 0, 0, 0, 0, 0x0b]);
const V4: &str = "192.0.2.7";
const V6: &str = "2001:db8::7";

/// Long enough for any frame to cross the cable on a busy machine.
const SOON: Duration = Duration::from_secs(30);
/// How long to listen for what must not come.
const SILENCE: Duration = Duration::from_millis(150);

type Job = Box<dyn FnOnce() + Send>;

/// A thread in a network namespace of its own; the namespace ends with it.
struct Host {
    jobs: mpsc::Sender<Job>,
    thread_id: String,
}

impl Host {
    fn new() -> Arc<Self> {
        let (jobs, todo) = mpsc::channel::<Job>();
        let (ready, begun) = mpsc::channel();
        thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root");
            let path = std::fs::read_link("/proc/thread-self").unwrap();
            ready.send(path.file_name().unwrap().to_str().unwrap().to_owned()).unwrap();
            todo.into_iter().for_each(|job| job());
        });
        let thread_id = begun.recv().expect("a network namespace");
        Arc::new(Self { jobs, thread_id })
    }

    fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        self.jobs.send(Box::new(move || drop(done.send(job())))).unwrap();
        result.recv().expect("the job did not panic")
    }

    /// Runs a shell command that must succeed; what it printed.
    fn sh(&self, command: &str) -> String {
        let shell = command.to_owned();
        let output = self.run(move || Command::new("sh").args(["-c", &shell]).output().unwrap());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{command}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn sockets(self: &Arc<Self>) -> WireSockets {
        let host = Arc::clone(self);
        WireSockets::new(move |link, neighbours| {
            let link = link.clone();
            host.run(move || PacketSocket::open(&link, neighbours))
        })
    }

    fn listeners(&self, link: &Link) -> Vec<PacketSocket> {
        let link = link.clone();
        self.run(move || PacketSocket::listeners(&link)).unwrap()
    }
}

struct Cable {
    near: Arc<Host>,
    far: Arc<Host>,
}

impl Cable {
    fn new() -> Self {
        let (near, far) = (Host::new(), Host::new());
        near.sh(&format!(
            "ip link add near index 10 address {NEAR} type veth \
             peer name far index 11 address {FAR} netns {}",
            far.thread_id
        ));
        for (host, name) in [(&near, "near"), (&far, "far")] {
            host.sh(&format!("ip link set {name} addrgenmode none && ip link set {name} up"));
        }
        let cable = Self { near, far };
        cable.works();
        cable
    }

    /// Waits until the kernel passes frames on: a moment after it has seen the carrier.
    fn works(&self) {
        for (host, name) in [(&self.near, "near"), (&self.far, "far")] {
            let show = format!("ip link show {name}");
            eventually("the cable works", || host.sh(&show).contains("state UP"));
        }
    }

    /// With the addresses at the far host.
    fn with_rival(addresses: &[IpAddr]) -> Self {
        let cable = Self::new();
        addresses.iter().for_each(|&address| add(&cable.far, "far", address));
        cable
    }
}

fn add(host: &Host, link: &str, address: IpAddr) {
    let options = if address.is_ipv4() { "/24" } else { "/64 nodad" };
    host.sh(&format!("ip addr add {address}{options} dev {link}"));
    if let IpAddr::V6(address) = address {
        // The kernel joins the group a moment after it has added the address.
        let group = format!("ff02::1:ff00:{:x}", address.segments()[7]);
        let show = format!("ip maddr show dev {link}");
        eventually("the group is joined", || host.sh(&show).contains(&group));
    }
}

fn link(index: u32, name: &str, mac: Mac) -> Link {
    Link {
        index,
        name: name.parse().unwrap(),
        mac: Some(mac),
        mtu: 1500,
        up: true,
        running: true,
        loopback: false,
        kind: Some("veth".to_owned()),
        master: None,
    }
}

fn near() -> Link {
    link(10, "near", NEAR)
}

fn far() -> Link {
    link(11, "far", FAR)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn both() -> [IpAddr; 2] {
    [ip(V4), ip(V6)]
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < end, "not in time: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn hear(sockets: &mut WireSockets, link: &Link) -> Option<(IpAddr, Mac, bool)> {
    let sighting = sockets.heard(link, Instant::now() + SOON).unwrap()?;
    assert_eq!(sighting.link, link.index);
    Some((sighting.address, sighting.mac, sighting.deed == Deed::Probes))
}

fn hear_nothing(sockets: &mut WireSockets, link: &Link) {
    assert_eq!(sockets.heard(link, Instant::now() + SILENCE).unwrap(), None);
}

/// Whether one of the sockets would wake its owner.
fn awake(sockets: &[PacketSocket], patience: Duration) -> bool {
    let mut fds: Vec<_> =
        sockets.iter().map(|s| PollFd::new(s.as_fd(), PollFlags::POLLIN)).collect();
    poll(&mut fds, PollTimeout::try_from(patience).unwrap()).unwrap() > 0
}

#[test]
fn a_rival_that_has_the_address_answers() {
    for address in both() {
        let cable = Cable::with_rival(&[address]);
        let mut sockets = cable.near.sockets();
        sockets.probe(&near(), &[address]).unwrap();
        assert_eq!(hear(&mut sockets, &near()), Some((address, FAR, false)));
    }
}

#[test]
fn nobody_answers_for_an_address_that_nobody_has() {
    let cable = Cable::with_rival(&[ip("192.0.2.1"), ip("2001:db8::1")]);
    let mut sockets = cable.near.sockets();
    sockets.probe(&near(), &both()).unwrap();
    hear_nothing(&mut sockets, &near());
}

/// That is how a host that has let go of an address is heard.
#[test]
fn a_host_that_looks_for_an_address_is_heard() {
    for address in both() {
        let cable = Cable::new();
        add(&cable.far, "far", ip("192.0.2.99"));
        cable.far.sh("ip addr add fe80::99/64 dev far nodad");
        let mut ours = cable.near.sockets();
        ours.probe(&near(), &[address]).unwrap();
        let mut theirs = cable.far.run(|| rtnl::open(None)).unwrap();
        theirs.seek(far().index, &[address]).unwrap();
        let sought = Sighting { link: near().index, address, mac: FAR, deed: Deed::Seeks };
        // An ARP request tells of its sender's own address too.
        let heard = [(); 2].map(|()| ours.heard(&near(), Instant::now() + SOON).unwrap());
        assert!(heard.contains(&Some(sought)), "{heard:?}");
    }
}

#[test]
fn a_probe_leaves_no_trace_in_the_neighbours_cache() {
    let cable = Cable::with_rival(&both());
    let mut sockets = cable.near.sockets();
    sockets.probe(&near(), &both()).unwrap();
    assert!(hear(&mut sockets, &near()).is_some());
    assert!(hear(&mut sockets, &near()).is_some());
    assert_eq!(cable.far.sh("ip neigh show"), "");
}

#[test]
fn another_hosts_probes_and_announcements_are_heard_and_our_own_are_not() {
    for address in both() {
        let cable = Cable::new();
        let (mut ours, mut theirs) = (cable.near.sockets(), cable.far.sockets());
        ours.probe(&near(), &[address]).unwrap();
        ours.announce(&near(), &[address]).unwrap();
        hear_nothing(&mut ours, &near());
        theirs.probe(&far(), &[address]).unwrap();
        assert_eq!(hear(&mut ours, &near()), Some((address, FAR, true)));
        theirs.announce(&far(), &[address]).unwrap();
        assert_eq!(hear(&mut ours, &near()), Some((address, FAR, false)));
    }
}

#[test]
fn the_kernels_own_duplicate_check_is_heard_as_a_probe() {
    let cable = Cable::new();
    let sockets = cable.near.listeners(&near());
    cable.far.sh(&format!("ip addr add {V6}/64 dev far"));
    assert!(awake(&sockets, SOON));
    let sighting = sockets[1].receive().unwrap().unwrap();
    assert_eq!((sighting.address, sighting.mac, sighting.deed), (ip(V6), FAR, Deed::Probes));
}

#[test]
fn an_announcement_changes_what_a_neighbour_knows() {
    let cable = Cable::with_rival(&[ip("192.0.2.1"), ip("2001:db8::1")]);
    let mut sockets = cable.near.sockets();
    for address in both() {
        let old = format!("{address} lladdr 02:00:00:00:00:99 dev far nud reachable");
        cable.far.sh(&format!("ip neigh replace {old}"));
        sockets.announce(&near(), &[address]).unwrap();
        eventually("the neighbour has the new Ethernet address", || {
            cable.far.sh(&format!("ip neigh show {address} dev far")).contains(&NEAR.to_string())
        });
    }
}

#[test]
fn ordinary_traffic_wakes_nobody() {
    let cable = Cable::with_rival(&[ip("192.0.2.1"), ip("2001:db8::1")]);
    add(&cable.near, "near", ip("192.0.2.2"));
    add(&cable.near, "near", ip("2001:db8::2"));
    // So that this kernel need not ask by ARP, and get an answer that does count.
    cable.near.sh(&format!("ip neigh add 192.0.2.1 lladdr {FAR} dev near nud permanent"));
    let sockets = cable.near.listeners(&near());
    cable.near.sh("ping -q -c 1 2001:db8::1");
    cable.far.sh("ping -q -c 20 -i 0.01 192.0.2.2 && ping -q -c 20 -i 0.01 2001:db8::2");
    let theirs = cable.far.run(|| PacketSocket::open(&far(), Neighbours::Arp)).unwrap();
    let mut question = frame::announcement(FAR, ip("192.0.2.1")).remove(0);
    question[41] = 99;
    (0..100).for_each(|_| theirs.send(&question).unwrap());
    assert!(!awake(&sockets, SILENCE));
    theirs.send(&frame::announcement(FAR, ip(V4))[0]).unwrap();
    assert!(awake(&sockets, SOON));
}

#[test]
fn another_vlan_on_the_cable_does_not_count() {
    let cable = Cable::new();
    let sockets = cable.near.listeners(&near());
    let theirs = cable.far.run(|| PacketSocket::open(&far(), Neighbours::Arp)).unwrap();
    let untagged = frame::announcement(FAR, ip(V4)).remove(0);
    let mut tagged = untagged.clone();
    tagged.splice(12..12, [0x81, 0x00, 0x00, 0x07]);
    theirs.send(&tagged).unwrap();
    assert!(!awake(&sockets, SILENCE));
    theirs.send(&untagged).unwrap();
    assert!(awake(&sockets, SOON));
}

#[test]
fn nothing_is_heard_after_listening_has_ended() {
    let cable = Cable::new();
    let (mut ours, mut theirs) = (cable.near.sockets(), cable.far.sockets());
    ours.probe(&near(), &both()).unwrap();
    assert!(cable.near.sh("ip -d link show near").contains("allmulti 1"));
    theirs.announce(&far(), &both()).unwrap();
    ours.stop_listening(&near()).unwrap();
    theirs.announce(&far(), &both()).unwrap();
    hear_nothing(&mut ours, &near());
    assert!(cable.near.sh("ip -d link show near").contains("allmulti 0"));
    ours.probe(&near(), &both()).unwrap();
    hear_nothing(&mut ours, &near());
    theirs.announce(&far(), &both()).unwrap();
    assert!(hear(&mut ours, &near()).is_some());
}

#[test]
fn a_link_that_goes_down_and_up_again_loses_no_later_frame() {
    let cable = Cable::new();
    let (mut ours, mut theirs) = (cable.near.sockets(), cable.far.sockets());
    ours.probe(&near(), &both()).unwrap();
    theirs.probe(&far(), &both()).unwrap();
    assert!(hear(&mut ours, &near()).is_some());
    assert!(hear(&mut ours, &near()).is_some());
    cable.near.sh("ip link set near down");
    hear_nothing(&mut ours, &near());
    ours.probe(&near(), &both()).unwrap();
    ours.announce(&near(), &both()).unwrap();
    theirs.stop_listening(&far()).unwrap();
    cable.near.sh("ip link set near up");
    cable.works();
    theirs.probe(&far(), &[ip("192.0.2.99"), ip("2001:db8::99")]).unwrap();
    assert_eq!(hear(&mut ours, &near()), Some((ip("192.0.2.99"), FAR, true)));
    assert_eq!(hear(&mut ours, &near()), Some((ip("2001:db8::99"), FAR, true)));
    ours.announce(&near(), &both()).unwrap();
    let heard = [(); 3].map(|()| hear(&mut theirs, &far()).unwrap().0);
    assert_eq!(heard, [ip(V4), ip(V4), ip(V6)], "request, reply, advertisement");
}

#[test]
fn the_first_announcement_after_a_flap_is_sent() {
    let cable = Cable::new();
    let (mut ours, mut theirs) = (cable.near.sockets(), cable.far.sockets());
    ours.announce(&near(), &both()).unwrap();
    theirs.probe(&far(), &[ip("192.0.2.99"), ip("2001:db8::99")]).unwrap();
    cable.near.sh("ip link set near down && ip link set near up");
    cable.works();
    theirs.stop_listening(&far()).unwrap();
    theirs.probe(&far(), &[ip("192.0.2.99"), ip("2001:db8::99")]).unwrap();
    ours.announce(&near(), &both()).unwrap();
    let heard = [(); 3].map(|()| hear(&mut theirs, &far()).unwrap().0);
    assert_eq!(heard, [ip(V4), ip(V4), ip(V6)], "request, reply, advertisement");
}

#[test]
fn a_link_that_is_deleted_is_an_error_that_names_it() {
    let cable = Cable::new();
    let mut sockets = cable.near.sockets();
    sockets.probe(&near(), &both()).unwrap();
    cable.near.sh("ip link del near");
    hear_nothing(&mut sockets, &near());
    let errors = [
        sockets.probe(&near(), &both()).unwrap_err().to_string(),
        sockets.probe(&near(), &both()).unwrap_err().to_string(),
    ];
    let expected = ["cannot send to the neighbours on near", "cannot open a packet socket on near"];
    assert_eq!(errors, expected);
}

#[test]
fn a_link_without_neighbours_has_nobody_to_ask_or_tell() {
    let host = Host::new();
    let mut sockets = host.sockets();
    let lo = Link { loopback: true, ..link(1, "lo", Mac([0; 6])) };
    let tunnel = Link { mac: None, ..link(7, "tun0", NEAR) };
    for link in [lo, tunnel] {
        sockets.probe(&link, &both()).unwrap();
        sockets.announce(&link, &both()).unwrap();
        assert_eq!(sockets.heard(&link, Instant::now()).unwrap(), None);
        assert!(host.listeners(&link).is_empty());
    }
}

#[test]
fn a_full_queue_delays_frames_and_loses_none() {
    let cable = Cable::new();
    // Room for a few frames and 1 Mbit/s: the kernel refuses most frames at the first attempt.
    cable.near.sh("tc qdisc add dev near root tbf rate 1mbit burst 2kb limit 2kb");
    let addresses: Vec<IpAddr> = (0..100).map(|n| [192, 0, 2, n].into()).collect();
    let (mut ours, mut theirs) = (cable.near.sockets(), cable.far.sockets());
    theirs.probe(&far(), &[ip("192.0.2.250")]).unwrap();
    let told = addresses.clone();
    let announcing = thread::spawn(move || ours.announce(&near(), &told));
    for address in addresses {
        assert_eq!(hear(&mut theirs, &far()), Some((address, NEAR, false)));
        assert_eq!(hear(&mut theirs, &far()), Some((address, NEAR, false)));
    }
    announcing.join().unwrap().unwrap();
}

/// Five thousand addresses that the far host has: it answers for all of a local prefix.
fn thousands(far: &Host) -> Vec<IpAddr> {
    far.sh("ip addr add 172.31.255.1/16 dev far && ip route add local 172.16.0.0/16 dev far");
    (0..5000u16).map(|n| [172, 16, (n >> 8) as u8, n as u8].into()).collect()
}

#[test]
fn no_rival_among_thousands_is_missed() {
    let cable = Cable::new();
    let addresses = thousands(&cable.far);
    let rules = Claim { policy: RivalPolicy::Refuse, ..Claim::default() };
    let claimed = claim(&mut cable.near.sockets(), &near(), &[], &addresses, &rules).unwrap();
    assert_eq!((claimed.free.len(), claimed.rivals.len()), (0, addresses.len()));
    assert!(claimed.rivals.iter().all(|(_, mac)| *mac == FAR));
}

#[test]
fn the_answers_to_thousands_of_probes_at_once_are_all_heard() {
    let cable = Cable::new();
    let addresses = thousands(&cable.far);
    let mut sockets = cable.near.sockets();
    sockets.probe(&near(), &addresses).unwrap();
    for address in addresses {
        assert_eq!(hear(&mut sockets, &near()), Some((address, FAR, false)));
    }
}

#[test]
fn a_claim_waits_until_the_rival_lets_go() {
    for address in both() {
        let cable = Cable::with_rival(&[address]);
        let rules = Claim { deadline: Duration::from_secs(60), ..Claim::default() };
        let far = Arc::clone(&cable.far);
        let mut sockets = cable.near.sockets();
        let claiming = thread::spawn(move || {
            let claimed = claim(&mut sockets, &near(), &[], &[address], &rules).unwrap();
            (claimed, far.sh("ip addr show dev far"))
        });
        thread::sleep(rules.window * 2);
        cable.far.sh(&format!("ip addr flush to {address} dev far"));
        let (claimed, rivals_addresses) = claiming.join().unwrap();
        assert_eq!(claimed.free, [address]);
        assert!(!rivals_addresses.contains(&address.to_string()), "{rivals_addresses}");
    }
}

#[test]
fn of_two_hosts_that_claim_at_once_one_wins() {
    for address in both() {
        let cable = Cable::new();
        let start = Arc::new(Barrier::new(2));
        let contenders = [(&cable.near, near()), (&cable.far, far())].map(|(host, link)| {
            let (host, start) = (Arc::clone(host), Arc::clone(&start));
            thread::spawn(move || {
                let rules = Claim { deadline: Duration::from_secs(3), ..Claim::default() };
                let mut sockets = host.sockets();
                start.wait();
                let claimed = claim(&mut sockets, &link, &[], &[address], &rules).unwrap();
                let won = claimed.free == [address];
                if won {
                    add(&host, link.name.as_str(), address);
                    sockets.announce(&link, &[address]).unwrap();
                }
                won
            })
        });
        let won = contenders.map(|contender| contender.join().unwrap());
        assert_eq!(won.iter().filter(|&&won| won).count(), 1, "{won:?}");
    }
}
