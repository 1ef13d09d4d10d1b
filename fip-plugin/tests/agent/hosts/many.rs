//! Many workloads at once.

use fip_core::{Options, Owner, fip::FloatingIps};

use super::monitor::Monitor;
use super::*;
use crate::lab::{container, tcp_whoami, wait_for};

const FAMILY: Family = Family::V4;
const COUNT: u8 = 200;
/// The first of the floating addresses, and of the fixed ones.
const FIRST: u8 = 30;

/// All are in one listing, and come in one transaction. That all the fixed addresses are those of
/// one namespace makes no difference to the host.
#[test]
fn two_hundred_come_in_one_transaction() {
    let network = Lan::new();
    let client = network.client();
    let mut a = Side::new(&network, "A", 11, Kind::Rancher);
    let web = a.run("web", FIRST);
    let first = web.job(&a, lan(FAMILY, FIRST));
    let jobs: Vec<Job> = (FIRST..FIRST + COUNT)
        .map(|number| Job {
            name: format!("web-{number}"),
            floating: lan(FAMILY, number),
            fixed: container(FAMILY, 18, number),
            ..first.clone()
        })
        .collect();
    let more: String =
        jobs[1..].iter().map(|job| format!("addr add {}/16 dev eth0\n", job.fixed)).collect();
    web.workload.ip_batch(&more);
    a.teller.tell(&jobs);
    let monitor = Monitor::start(&a.host);
    a.start("");

    a.agent().wait_until("all bound", |report| {
        let bound = report.workloads.iter().filter(|workload| workload.state == "bound");
        bound.count() == usize::from(COUNT)
    });
    let transactions = monitor.transactions();
    assert_eq!(transactions.len(), 1, "{transactions:#?}");
    a.agent().wait_until("all came", |report| report.counters.came >= u64::from(COUNT));
    assert_eq!(a.agent().report().counters.came, u64::from(COUNT));
    let listed = a.host.run(|| FloatingIps::open(Options::default()).unwrap().list()).unwrap();
    assert_eq!(listed.len(), usize::from(COUNT));
    for (status, job) in listed.iter().zip(&jobs) {
        let binding = &status.binding;
        assert_eq!((binding.floating(), binding.fixed()), (job.floating, job.fixed));
        assert_eq!(*binding.owner(), "agent".parse::<Owner>().unwrap());
        let reply = tcp_whoami(&client, (job.floating, 80)).unwrap();
        assert_eq!(reply.name, "web");
    }
    // Half of them go, in one more.
    a.teller.tell(&jobs[usize::from(COUNT) / 2..]);
    a.agent().wait_until("half of them", |report| report.workloads.len() == usize::from(COUNT) / 2);
    // Their addresses go first, then their rules.
    wait_for("the others to go", || {
        let rules = a.host.nft("list table inet fip");
        (!rules.contains(&format!("{} ", jobs[0].floating))).then_some(())
    });
    assert!(!a.has(jobs[0].floating));
    let transactions = monitor.transactions();
    assert_eq!(transactions.len(), 2, "{transactions:#?}");
}
