//! What binding costs in a running process, with 0, 1,000 and 10,000 bindings present, on the real
//! kernel, in a network namespace of its own. The rows `floor_*` make the same changes (two map
//! elements in one transaction, and one address) without anything that decides what to change.
#![allow(clippy::expect_used)]

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::time::Duration;

use divan::Bencher;
use fip_core::claim::{Claim, RivalPolicy};
use fip_core::diff::Changes;
use fip_core::fip::BindOptions;
use fip_core::kernel::host::Host;
use fip_core::kernel::{AddressChange, Commit, Nft, Rtnl};
use fip_core::{Binding, FloatingIps, LinkName, Options, Owner, address, nat};

const COUNTS: [usize; 3] = [0, 1_000, 10_000];

fn main() {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("benchmarks need root");
    for line in [
        "link set lo up",
        "link set lo multicast off",
        "link add eth0 type veth peer name lan",
        "link set eth0 up",
        "link set lan up",
        "address add 198.51.100.10/24 dev eth0",
        "route add default via 198.51.100.1",
        "link add br0 type bridge mcast_snooping 0",
        "link set br0 up",
        "address add 172.18.0.1/16 dev br0",
    ] {
        let status = Command::new("ip").args(line.split(' ')).status();
        assert!(status.is_ok_and(|status| status.success()), "ip {line}");
    }
    divan::main();
}

fn nth(base: Ipv4Addr, n: usize) -> IpAddr {
    Ipv4Addr::from_bits(base.to_bits() + n as u32).into()
}

fn binding(n: usize) -> Binding {
    let floating = nth(Ipv4Addr::new(172, 28, 0, 1), n);
    Binding::new(floating, nth(Ipv4Addr::new(172, 18, 1, 0), n)).expect("a valid binding")
}

fn extra() -> Binding {
    binding(60_000)
}

/// Nobody is asked and nothing announced: that is the LAN's time, not ours.
fn options() -> BindOptions {
    let claim = Claim { policy: RivalPolicy::TakeOver, ..Claim::default() };
    BindOptions { replace: true, claim, announcements: 0 }
}

fn owner() -> Owner {
    "bench".parse().expect("a valid owner")
}

/// A process that runs, with so many bindings of somebody else present.
fn with_present(count: usize) -> FloatingIps<Host> {
    let mut fips = FloatingIps::open(Options::default()).expect("netlink");
    let cli = Owner::default();
    fips.unbind(extra().floating(), &[], &cli).expect("unbind");
    // One at least, so that the table is there: to make it is not what is measured.
    let present: Vec<Binding> = (0..count.max(1)).map(binding).collect();
    fips.reconcile(&owner(), &present, &options()).expect("reconcile");
    fips
}

#[divan::bench(args = COUNTS, sample_size = 1, sample_count = 300)]
fn bind(bencher: Bencher, present: usize) {
    let fips = std::cell::RefCell::new(with_present(present));
    let (extra, options) = (extra(), options());
    bencher
        .with_inputs(|| {
            fips.borrow_mut().unbind(extra.floating(), &[], extra.owner()).expect("unbind")
        })
        .bench_local_values(|_| fips.borrow_mut().bind_with(&extra, &options).expect("bind"));
}

#[divan::bench(args = COUNTS, sample_size = 1, sample_count = 300)]
fn unbind(bencher: Bencher, present: usize) {
    let fips = std::cell::RefCell::new(with_present(present));
    let (extra, options) = (extra(), options());
    bencher
        .with_inputs(|| fips.borrow_mut().bind_with(&extra, &options).expect("bind"))
        .bench_local_values(|_| {
            fips.borrow_mut().unbind(extra.floating(), &[], extra.owner()).expect("unbind")
        });
}

#[divan::bench(args = COUNTS, sample_size = 1, sample_count = 300)]
fn retarget(bencher: Bencher, present: usize) {
    let mut fips = with_present(present);
    let options = options();
    let mut there = false;
    bencher.bench_local(|| {
        there = !there;
        let fixed = if there { "172.18.0.7" } else { "172.18.0.8" };
        let extra = Binding::new(extra().floating(), fixed.parse().expect("an address"));
        fips.bind_with(&extra.expect("a valid binding"), &options).expect("bind")
    });
}

#[divan::bench(args = COUNTS, sample_size = 1, sample_count = 300)]
fn floor_bind(bencher: Bencher, present: usize) {
    drop(with_present(present));
    let floor = std::cell::RefCell::new(Floor::new());
    bencher
        .with_inputs(|| floor.borrow_mut().unbind())
        .bench_local_values(|()| floor.borrow_mut().bind());
}

#[divan::bench(args = COUNTS, sample_size = 1, sample_count = 300)]
fn floor_unbind(bencher: Bencher, present: usize) {
    drop(with_present(present));
    let floor = std::cell::RefCell::new(Floor::new());
    bencher
        .with_inputs(|| floor.borrow_mut().bind())
        .bench_local_values(|()| floor.borrow_mut().unbind());
}

/// The changes of one binding, prepared.
struct Floor {
    host: Host,
    add: Changes,
    remove: Changes,
    address: AddressChange,
    generation: u32,
    bound: bool,
}

impl Floor {
    fn new() -> Self {
        let mut host = Host::open().expect("netlink");
        let mut fips = FloatingIps::open(Options::default()).expect("netlink");
        // The table must be there, also with nothing in it that is in the way.
        fips.bind_with(&binding(59_999), &options()).expect("bind");
        let eth0: LinkName = "eth0".parse().expect("a link name");
        let links = host.links().expect("links");
        let link = links.iter().find(|link| link.name == eth0).expect("eth0").index;
        let elements: Vec<_> = nat::elements(&extra(), &eth0, None).into_iter().collect();
        let generation = host.generation().expect("generation");
        Self {
            host,
            add: Changes { add: elements.clone(), ..Changes::default() },
            remove: Changes { remove: elements, ..Changes::default() },
            address: AddressChange::Add(address::floating_address(link, extra().floating())),
            generation,
            bound: false,
        }
    }

    fn bind(&mut self) {
        if !std::mem::replace(&mut self.bound, true) {
            let done = self.host.commit(&self.add, self.generation).expect("commit");
            assert_eq!(done, Commit::Done);
            self.generation += 1;
            self.host.change_addresses(std::slice::from_ref(&self.address)).expect("address");
        }
    }

    fn unbind(&mut self) {
        if std::mem::replace(&mut self.bound, false) {
            let AddressChange::Add(address) = self.address.clone() else { return };
            self.host.change_addresses(&[AddressChange::Remove(address)]).expect("address");
            let done = self.host.commit(&self.remove, self.generation).expect("commit");
            assert_eq!(done, Commit::Done);
            self.generation += 1;
        }
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.unbind();
        let mut fips = FloatingIps::open(Options::default()).expect("netlink");
        fips.unbind(binding(59_999).floating(), &[], &Owner::default()).expect("unbind");
    }
}

#[divan::bench(args = [1_000, 10_000], sample_size = 1, sample_count = 5)]
fn apply_from_nothing(bencher: Bencher, count: usize) {
    let desired: Vec<Binding> = (0..count).map(binding).collect();
    bencher.with_inputs(|| with_present(0)).bench_local_values(|mut fips| {
        fips.reconcile(&owner(), &desired, &options()).expect("reconcile")
    });
}

/// As `fip apply`: a new process's library reads the kernel, and finds one binding to change.
#[divan::bench(args = [1_000, 10_000], sample_size = 1, sample_count = 15)]
fn apply_one_changed(bencher: Bencher, count: usize) {
    drop(with_present(count));
    let mut desired: Vec<Binding> = (0..count).map(binding).collect();
    let mut there = false;
    bencher
        .with_inputs(|| FloatingIps::open(Options::default()).expect("netlink"))
        .bench_local_values(|mut fips| {
            there = !there;
            desired[count / 2] = if there {
                Binding::new(binding(count / 2).floating(), extra().fixed()).expect("a binding")
            } else {
                binding(count / 2)
            };
            fips.reconcile(&owner(), &desired, &options()).expect("reconcile")
        });
}

#[divan::bench(args = [1_000, 10_000], sample_size = 1, sample_count = 15)]
fn apply_unchanged(bencher: Bencher, count: usize) {
    drop(with_present(count));
    let desired: Vec<Binding> = (0..count).map(binding).collect();
    bencher
        .with_inputs(|| FloatingIps::open(Options::default()).expect("netlink"))
        .bench_local_values(|mut fips| {
            fips.reconcile(&owner(), &desired, &options()).expect("reconcile")
        });
}

#[divan::bench(args = COUNTS, sample_size = 1, sample_count = 15, max_time = Duration::from_secs(5))]
fn list(bencher: Bencher, present: usize) {
    let mut fips = with_present(present);
    bencher.bench_local(|| fips.list().expect("list"));
}
