use super::*;

fn workload(name: &str, asks: &str, age: u64) -> Arc<Workload> {
    Arc::new(Workload {
        id: format!("id-{name}"),
        name: name.to_owned(),
        container: Some(format!("id-{name}")),
        asks: asks.to_owned(),
        age,
        run: 0,
        presence: Presence::Running(vec!["172.17.0.2".parse().unwrap()]),
    })
}

fn stopped(mut workload: Arc<Workload>) -> Arc<Workload> {
    Arc::make_mut(&mut workload).presence = Presence::Stopped;
    workload
}

fn granted(sifted: &Sifted) -> Vec<&str> {
    let mut names: Vec<_> = sifted.wishes.iter().map(|w| w.workload.name.as_str()).collect();
    names.sort_unstable();
    names
}

fn why<'s>(sifted: &'s Sifted, name: &str) -> &'s str {
    &sifted.refusals.iter().find(|refusal| refusal.workload.name == name).unwrap().why
}

#[test]
fn what_is_wrong_concerns_only_its_workload() {
    let allow: AllowList = "192.168.99.0/24, 2001:db8::/64".parse().unwrap();
    let long = "9".repeat(10_000);
    let thousands: Vec<_> = (0..4000).map(|n| format!("192.168.{}.{}", n / 250, n % 250)).collect();
    let bad = [
        ("text", "not an address", "is not an IPv4 or IPv6 address"),
        ("empty", "", "is not an address"),
        ("long", &long, "4096"),
        ("unicode", "１９２.168.99.7", "is not"),
        ("escape", "192.168.99.7\u{1b}[2J", "is not"),
        ("masked", "192.168.99.7/24", "mask"),
        ("outside", "203.0.113.7", "only 192.168.99.0/24, 2001:db8::/64 may be claimed"),
        ("loopback", "127.0.0.1", "loopback"),
        ("multicast", "224.0.0.1", "multicast"),
        ("many", &thousands.join(","), "4096"),
        ("some", &thousands[..70].join(","), "at most 64"),
    ];
    let mut all: Vec<_> = bad.iter().map(|(name, asks, _)| workload(name, asks, 1)).collect();
    all.push(workload("good", "192.168.99.200", 9));
    let sifted = Sifter::default().sift(&all, Some(&allow));
    assert_eq!(granted(&sifted), ["good"]);
    for (name, _, reason) in bad {
        assert!(why(&sifted, name).contains(reason), "{name}: {}", why(&sifted, name));
        assert!(why(&sifted, name).chars().count() < 400, "{name}");
    }
}

#[test]
fn of_two_that_begin_the_older_gets_it() {
    let (young, old) = (workload("young", "192.0.2.1", 2), workload("old", "192.0.2.1", 1));
    let sifted = Sifter::default().sift(&[young, old], None);
    assert_eq!(granted(&sifted), ["old"]);
    assert_eq!(
        why(&sifted, "young"),
        "192.0.2.1 cannot be bound: old of this host has it; stop that one, or choose another \
         address"
    );
}

#[test]
fn who_has_it_keeps_it() {
    let (young, old) = (workload("young", "192.0.2.1", 2), workload("old", "192.0.2.1", 1));
    let mut sifter = Sifter::default();
    let sifted = sifter.sift(&[young.clone(), stopped(old.clone())], None);
    assert_eq!(granted(&sifted), ["old", "young"], "what does not run is in nobody's way");
    let sifted = sifter.sift(&[young.clone(), old.clone()], None);
    assert_eq!(granted(&sifted), ["young"]);
    let sifted = sifter.sift(&[stopped(young.clone()), old.clone()], None);
    assert_eq!(granted(&sifted), ["old", "young"]);
    let sifted = sifter.sift(&[young, old], None);
    assert_eq!(granted(&sifted), ["old"], "it has it by now");
}

#[test]
fn who_had_it_before_the_first_listing_keeps_it() {
    let mut young = workload("young", "192.0.2.1", 2);
    Arc::make_mut(&mut young).presence = Presence::Running(vec!["172.17.0.9".parse().unwrap()]);
    let old = workload("old", "192.0.2.1", 1);
    let floating = "192.0.2.1".parse().unwrap();
    for by in
        [Holder::Container("id-young".to_owned()), Holder::Fixed("172.17.0.9".parse().unwrap())]
    {
        let mut sifter = Sifter::new(vec![Held { floating, by }]);
        let all = [old.clone(), young.clone()];
        assert_eq!(granted(&sifter.sift(&all, None)), ["young"]);
        assert_eq!(granted(&sifter.sift(&all, None)), ["young"]);
    }
}

#[test]
fn ports_of_one_address_can_be_different_workloads() {
    let all = [
        workload("web", "192.0.2.1:tcp:80 192.0.2.1:tcp:443", 1),
        workload("dns", "192.0.2.1:udp:53", 2),
        workload("other", "192.0.2.1:tcp:443:8443 192.0.2.2", 3),
        workload("rest", "192.0.2.1", 4),
    ];
    let sifted = Sifter::default().sift(&all, None);
    assert_eq!(granted(&sifted), ["dns", "rest", "web"]);
    assert!(why(&sifted, "other").contains("web of this host has it"));
}

#[test]
fn a_wish_that_grows_takes_nothing_from_others() {
    let mut sifter = Sifter::default();
    let (a, b) = (workload("a", "192.0.2.1", 1), workload("b", "192.0.2.2", 2));
    sifter.sift(&[a, b.clone()], None);
    let grown = workload("a", "192.0.2.1, 192.0.2.2", 1);
    let sifted = sifter.sift(&[grown, b], None);
    assert_eq!(granted(&sifted), ["b"]);
}

#[test]
fn what_the_source_cannot_tell_of_stands_in_the_way() {
    let mut unknown = workload("unknown", "192.0.2.1", 1);
    Arc::make_mut(&mut unknown).presence = Presence::Unknown;
    let sifted = Sifter::default().sift(&[unknown, workload("new", "192.0.2.1", 2)], None);
    assert_eq!(granted(&sifted), ["unknown"]);
}
