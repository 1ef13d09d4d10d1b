use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, StrDeserializer};

use super::claiming::BINDING_TIME;
use super::*;
use crate::kernel::{Deed, Sighting};

const OURS: Mac = Mac([2, 0, 0, 0, 0, 5]);
const HIGHER: Mac = Mac([2, 0, 0, 0, 0, 6]);
const LOWER: Mac = Mac([2, 0, 0, 0, 0, 4]);
const FOREVER: u32 = u32::MAX;

/// A LAN of rivals that answer so many probes. Time passes at once: nothing heard means that
/// the caller's time has come.
#[derive(Default)]
struct Script {
    rivals: HashMap<IpAddr, Rival>,
    inbox: VecDeque<Sighting>,
    probes: Vec<IpAddr>,
    announced: Vec<IpAddr>,
    stops: usize,
    broken: bool,
    /// What is heard right after so many probes.
    later: Vec<(usize, Sighting)>,
    /// How long it takes to hear one.
    slow: Duration,
    /// What is heard again and again, without an end.
    flood: Option<Sighting>,
}

struct Rival {
    mac: Mac,
    answers: u32,
    probing: bool,
}

impl Script {
    fn with(mut self, address: IpAddr, mac: Mac, answers: u32) -> Self {
        self.rivals.insert(address, Rival { mac, answers, probing: false });
        self
    }

    /// Another host that sends as many probes for the address, one after each of ours.
    fn with_claimer(mut self, address: IpAddr, mac: Mac, answers: u32) -> Self {
        self.rivals.insert(address, Rival { mac, answers, probing: true });
        self
    }

    fn probes_for(&self, address: IpAddr) -> usize {
        self.probes.iter().filter(|&&probed| probed == address).count()
    }
}

impl Wire for Script {
    fn probe(&mut self, link: &Link, addresses: &[IpAddr]) -> Result<()> {
        self.probes.extend(addresses);
        for &address in addresses {
            let Some(rival) = self.rivals.get_mut(&address) else {
                continue;
            };
            if let Some(left) = rival.answers.checked_sub(1) {
                rival.answers = left;
                let Rival { mac, probing, .. } = *rival;
                let deed = if probing { Deed::Probes } else { Deed::Holds };
                self.inbox.push_back(Sighting { link: link.index, address, mac, deed });
            }
        }
        let probes = self.probes.len();
        let now = self.later.iter().filter(|(after, _)| *after == probes);
        self.inbox.extend(now.map(|(_, sighting)| sighting.clone()));
        Ok(())
    }

    fn heard(&mut self, _: &Link, _: Instant) -> Result<Option<Sighting>> {
        std::thread::sleep(self.slow);
        Ok(self.inbox.pop_front().or_else(|| self.flood.clone()))
    }

    fn stop_listening(&mut self, _: &Link) -> Result<()> {
        self.inbox.clear();
        self.stops += 1;
        Ok(())
    }

    fn announce(&mut self, _: &Link, addresses: &[IpAddr]) -> Result<()> {
        self.announced.extend(addresses);
        match self.broken {
            false => Ok(()),
            true => Err(Error::kernel("announce", std::io::ErrorKind::NetworkDown.into())),
        }
    }
}

fn ip(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

fn eth0() -> Link {
    Link {
        index: 2,
        name: "eth0".parse().unwrap(),
        mac: Some(OURS),
        mtu: 1500,
        up: true,
        running: true,
        loopback: false,
        kind: None,
        master: None,
    }
}

fn rules(policy: RivalPolicy) -> Claim {
    Claim { policy, window: Duration::from_secs(90), deadline: Duration::from_secs(900) }
}

fn run(wire: &mut Script, addresses: &[IpAddr], policy: RivalPolicy) -> Claimed {
    claim(wire, &eth0(), &[], addresses, &rules(policy)).unwrap()
}

#[test]
fn an_address_is_free_after_three_unanswered_probes() {
    let mut wire = Script::default();
    let claimed = run(&mut wire, &[ip(7), ip(8)], RivalPolicy::Wait);
    assert_eq!(claimed, Claimed { free: vec![ip(7), ip(8)], rivals: vec![] });
    assert_eq!((wire.probes_for(ip(7)), wire.probes_for(ip(8))), (3, 3));
}

#[test]
fn three_more_probes_are_unanswered_after_the_last_answer() {
    for answers in 1..=12 {
        let mut wire = Script::default().with(ip(7), HIGHER, answers);
        let claimed = run(&mut wire, &[ip(7)], RivalPolicy::Wait);
        assert_eq!(claimed.free, [ip(7)]);
        assert_eq!(wire.probes_for(ip(7)), answers as usize + 3);
    }
}

#[test]
fn a_rival_that_answers_until_the_deadline_keeps_the_address() {
    let mut wire = Script::default().with(ip(7), HIGHER, FOREVER);
    let claimed = run(&mut wire, &[ip(7), ip(8)], RivalPolicy::Wait);
    assert_eq!(claimed, Claimed { free: vec![ip(8)], rivals: vec![(ip(7), HIGHER)] });
    // One every 30 s for 900 s: waiting is no storm.
    assert_eq!(wire.probes_for(ip(7)), 30);
}

#[test]
fn a_silence_that_the_deadline_cuts_short_is_not_enough() {
    let mut wire = Script::default().with(ip(7), HIGHER, 28);
    let claimed = run(&mut wire, &[ip(7)], RivalPolicy::Wait);
    assert_eq!(claimed.rivals, [(ip(7), HIGHER)]);
}

#[test]
fn a_deadline_shorter_than_the_window_does_not_end_the_window() {
    let rules = Claim { deadline: Duration::ZERO, ..rules(RivalPolicy::Wait) };
    let mut wire = Script::default().with(ip(8), HIGHER, 1);
    let claimed = claim(&mut wire, &eth0(), &[], &[ip(7), ip(8)], &rules).unwrap();
    assert_eq!(claimed, Claimed { free: vec![ip(7)], rivals: vec![(ip(8), HIGHER)] });
    assert_eq!(wire.probes_for(ip(7)), 3);
}

#[test]
fn refusing_gives_up_at_the_first_answer_and_goes_on_with_the_others() {
    let mut wire = Script::default().with(ip(7), HIGHER, FOREVER);
    let claimed = run(&mut wire, &[ip(7), ip(8)], RivalPolicy::Refuse);
    assert_eq!(claimed, Claimed { free: vec![ip(8)], rivals: vec![(ip(7), HIGHER)] });
    assert_eq!((wire.probes_for(ip(7)), wire.probes_for(ip(8))), (1, 3));
}

#[test]
fn nobody_is_asked_where_it_is_not_wanted_or_nobody_is() {
    let wait = rules(RivalPolicy::Wait);
    let take_over = rules(RivalPolicy::TakeOver);
    let no_window = Claim { window: Duration::ZERO, ..wait };
    let cases = [
        (take_over, eth0()),
        (no_window, eth0()),
        (wait, Link { running: false, ..eth0() }),
        (wait, Link { mac: None, ..eth0() }),
        (wait, Link { loopback: true, ..eth0() }),
    ];
    for (rules, link) in cases {
        let mut wire = Script::default().with(ip(7), HIGHER, FOREVER);
        let claimed = claim(&mut wire, &link, &[], &[ip(7)], &rules).unwrap();
        assert_eq!(claimed.free, [ip(7)]);
        assert_eq!((wire.probes.len(), wire.stops), (0, 0));
    }
}

#[test]
fn of_two_that_probe_at_once_the_lower_goes_on() {
    let mut wire = Script::default().with_claimer(ip(7), HIGHER, 3);
    assert_eq!(run(&mut wire, &[ip(7)], RivalPolicy::Refuse).free, [ip(7)]);
    assert_eq!(wire.probes_for(ip(7)), 3);

    let mut wire = Script::default().with_claimer(ip(7), LOWER, 3);
    assert_eq!(run(&mut wire, &[ip(7)], RivalPolicy::Refuse).rivals, [(ip(7), LOWER)]);
}

#[test]
fn the_higher_one_waits_and_follows_if_the_lower_gives_up() {
    let mut wire = Script::default().with_claimer(ip(7), LOWER, 2);
    assert_eq!(run(&mut wire, &[ip(7)], RivalPolicy::Wait).free, [ip(7)]);
    assert_eq!(wire.probes_for(ip(7)), 5);
}

#[test]
fn the_one_that_gives_way_leaves_the_other_time_to_bind() {
    let rules = Claim { window: Duration::from_millis(3), ..Claim::default() };
    let mut wire = Script::default().with_claimer(ip(7), LOWER, 1);
    let mut claiming = Claiming::new(&eth0(), &[], &[ip(7)], &rules);
    let start = claiming.now;
    assert_eq!(claiming.step(&mut wire).unwrap(), Some(vec![ip(7)]));
    assert!(claiming.now >= start + BINDING_TIME, "by the claim's own clock");
}

/// A rival that answers two probes, and is then heard to do that.
fn after_two_answers(mac: Mac, deed: Deed) -> (Duration, usize) {
    after_probes(&[2], mac, deed)
}

/// The same, after each of so many probes.
fn after_probes(places: &[usize], mac: Mac, deed: Deed) -> (Duration, usize) {
    let mut wire = Script::default().with(ip(7), HIGHER, 2);
    let sighting = Sighting { link: 2, address: ip(7), mac, deed };
    wire.later = places.iter().map(|&after| (after, sighting.clone())).collect();
    let mut claiming = Claiming::new(&eth0(), &[], &[ip(7)], &rules(RivalPolicy::Wait));
    let start = claiming.now;
    assert_eq!(claiming.step(&mut wire).unwrap(), Some(vec![ip(7)]));
    (claiming.now - start, wire.probes_for(ip(7)))
}

#[test]
fn a_rival_that_looks_for_the_address_itself_has_left_it() {
    // The first probe at once, the second after 30 s; then three, 3 s each.
    let (took, probes) = after_two_answers(HIGHER, Deed::Seeks);
    assert!((39..=41).contains(&took.as_secs()), "{took:?}");
    assert_eq!(probes, 5);
}

#[test]
fn a_rival_that_looks_for_the_address_again_and_again_has_left_it_once() {
    let (took, probes) = after_probes(&[2, 3, 4], HIGHER, Deed::Seeks);
    assert!((39..=41).contains(&took.as_secs()), "{took:?}");
    assert_eq!(probes, 5);
}

#[test]
fn what_was_unanswered_before_the_rival_let_go_does_not_count() {
    // Of the silence before that, a lost probe may be the cause.
    let (took, probes) = after_probes(&[4], HIGHER, Deed::Seeks);
    assert!((99..=101).contains(&took.as_secs()), "{took:?}");
    assert_eq!(probes, 7);
}

#[test]
fn who_else_looks_for_the_address_tells_nothing() {
    let (took, probes) = after_two_answers(LOWER, Deed::Seeks);
    assert!((149..=151).contains(&took.as_secs()), "{took:?}");
    assert_eq!(probes, 5);
}

#[test]
fn a_rival_that_looks_for_the_address_and_answers_all_the_same_keeps_it() {
    let mut wire = Script::default().with(ip(7), HIGHER, FOREVER);
    wire.later = vec![(2, Sighting { link: 2, address: ip(7), mac: HIGHER, deed: Deed::Seeks })];
    assert_eq!(run(&mut wire, &[ip(7)], RivalPolicy::Wait).rivals, [(ip(7), HIGHER)]);
    // No storm either: it is asked as rarely as before.
    assert!(wire.probes_for(ip(7)) <= 33, "{}", wire.probes_for(ip(7)));
}

#[test]
fn being_lower_is_no_excuse_towards_one_that_has_the_address() {
    let mut wire = Script::default().with(ip(7), HIGHER, FOREVER);
    assert_eq!(run(&mut wire, &[ip(7)], RivalPolicy::Wait).rivals, [(ip(7), HIGHER)]);
}

#[test]
fn our_own_frames_and_other_addresses_do_not_count() {
    let mut wire = Script::default().with(ip(7), OURS, FOREVER);
    wire.rivals.insert(ip(8), Rival { mac: OURS, answers: FOREVER, probing: true });
    assert_eq!(run(&mut wire, &[ip(7), ip(8)], RivalPolicy::Refuse).free, [ip(7), ip(8)]);
}

#[test]
fn the_other_cards_of_this_host_are_no_rivals() {
    let rules = rules(RivalPolicy::Refuse);
    let mut wire = Script::default().with(ip(7), LOWER, FOREVER).with(ip(8), HIGHER, FOREVER);
    wire.rivals.insert(ip(9), Rival { mac: LOWER, answers: FOREVER, probing: true });
    let claimed = claim(&mut wire, &eth0(), &[LOWER], &[ip(7), ip(8), ip(9)], &rules).unwrap();
    assert_eq!(claimed, Claimed { free: vec![ip(7), ip(9)], rivals: vec![(ip(8), HIGHER)] });
}

#[test]
fn what_is_free_does_not_wait_for_what_is_contested() {
    let mut wire = Script::default().with(ip(8), HIGHER, 5).with(ip(9), HIGHER, 9);
    let addresses = [ip(7), ip(8), ip(9), ip(10)];
    let mut claiming = Claiming::new(&eth0(), &[], &addresses, &rules(RivalPolicy::Wait));
    let mut steps = Vec::new();
    while let Some(free) = claiming.step(&mut wire).unwrap() {
        steps.push(free);
    }
    assert_eq!(steps, [vec![ip(7), ip(10)], vec![ip(8)], vec![ip(9)]]);
    assert_eq!(claiming.step(&mut wire).unwrap(), None);
    assert_eq!(wire.stops, 2, "once before listening and once after");
}

#[test]
fn what_is_added_later_neither_waits_nor_is_waited_for() {
    let mut wire = Script::default().with(ip(7), HIGHER, FOREVER);
    let wait = rules(RivalPolicy::Wait);
    let mut claiming = Claiming::new(&eth0(), &[], &[ip(7)], &wait);
    let begun = claiming.now;
    let at = |seconds| begun + Duration::from_secs(seconds);
    assert!(claiming.step_until(&mut wire, at(45)).unwrap().is_empty());
    claiming.add(&[ip(8)], &wait);
    assert!(claiming.step_until(&mut wire, at(60)).unwrap().is_empty());
    claiming.add(&[ip(9), ip(10)], &Claim { deadline: Duration::ZERO, ..wait });
    claiming.leave(ip(10));
    // Each has its own window, from when it was added.
    assert_eq!(claiming.step_until(&mut wire, at(900)).unwrap(), [ip(8)]);
    assert!((at(135)..at(150)).contains(&claiming.now));
    assert_eq!(claiming.step_until(&mut wire, at(900)).unwrap(), [ip(9)]);
    assert!((at(150)..at(900)).contains(&claiming.now));
    assert_eq!(wire.stops, 1, "it goes on for the rival's");
    assert!(claiming.step_until(&mut wire, at(890)).unwrap().is_empty());
    assert!(!claiming.is_over());
    assert!(claiming.step_until(&mut wire, at(900)).unwrap().is_empty());
    assert!(claiming.is_over());
    assert_eq!(claiming.take_rivals(), [(ip(7), HIGHER)]);
    assert_eq!((wire.stops, wire.probes_for(ip(10))), (2, 0));
}

#[test]
fn an_earlier_claims_sightings_are_forgotten() {
    let mut wire = Script::default();
    wire.inbox.push_back(Sighting { link: 2, address: ip(7), mac: HIGHER, deed: Deed::Holds });
    assert_eq!(run(&mut wire, &[ip(7)], RivalPolicy::Refuse).free, [ip(7)]);
}

#[test]
fn who_is_held_up_hears_all_that_was_said_in_time() {
    let addresses: Vec<IpAddr> = (7..17).map(ip).collect();
    let mut wire = Script { slow: Duration::from_millis(5), ..Script::default() };
    for &address in &addresses {
        wire = wire.with(address, HIGHER, 1);
    }
    let window = Duration::from_millis(3);
    let rules = Claim { window, ..rules(RivalPolicy::Refuse) };
    let claimed = claim(&mut wire, &eth0(), &[], &addresses, &rules).unwrap();
    assert_eq!((claimed.free, claimed.rivals.len()), (vec![], addresses.len()));
}

#[test]
fn a_flood_keeps_nobody_waiting_for_ever() {
    let other = Sighting { link: 2, address: ip(99), mac: HIGHER, deed: Deed::Holds };
    let mut wire = Script { flood: Some(other), ..Script::default() };
    let rules = Claim { window: Duration::from_millis(3), ..rules(RivalPolicy::Refuse) };
    let claimed = claim(&mut wire, &eth0(), &[], &[ip(7)], &rules).unwrap();
    assert_eq!(claimed, Claimed { free: vec![ip(7)], rivals: vec![] });
}

#[test]
fn thousands_come_in_one_step() {
    let addresses: Vec<IpAddr> =
        (0..10_000u16).map(|n| IpAddr::from([172, 16, (n >> 8) as u8, n as u8])).collect();
    let mut wire = Script::default();
    let mut claiming = Claiming::new(&eth0(), &[], &addresses, &rules(RivalPolicy::Wait));
    assert_eq!(claiming.step(&mut wire).unwrap(), Some(addresses));
    assert_eq!(claiming.step(&mut wire).unwrap(), None);
    assert_eq!(wire.probes.len(), 30_000);
}

#[test]
fn absurd_durations_do_not_overflow() {
    let rules = Claim { window: Duration::MAX, deadline: Duration::MAX, ..Claim::default() };
    let mut wire = Script::default().with(ip(8), HIGHER, FOREVER);
    let claimed = claim(&mut wire, &eth0(), &[], &[ip(7), ip(8)], &rules).unwrap();
    assert_eq!(claimed, Claimed { free: vec![ip(7)], rivals: vec![(ip(8), HIGHER)] });
}

#[test]
fn policies_are_read_as_they_print() {
    for policy in RivalPolicy::ALL {
        let text = policy.to_string();
        assert_eq!(text.parse::<RivalPolicy>().unwrap(), policy);
        let serde: StrDeserializer<'_, ValueError> = text.as_str().into_deserializer();
        assert_eq!(RivalPolicy::deserialize(serde).unwrap(), policy);
    }
    assert!("takeover".parse::<RivalPolicy>().is_err());
}

mod announcements {
    use super::*;

    #[test]
    fn are_made_at_once_and_then_more_than_a_locktime_apart() {
        let mut wire = Script::default();
        let mut announcements = Announcements::default();
        let start = Instant::now();
        announcements.add(&eth0(), &[ip(7), ip(8)], 3, start);
        assert_eq!(announcements.next_due(), Some(start));
        let mut times = Vec::new();
        while let Some(due) = announcements.next_due() {
            times.push(due - start);
            announcements.run_due(&mut wire, due).unwrap();
        }
        assert_eq!(times, [0, 1100, 2200].map(Duration::from_millis));
        assert_eq!(wire.announced, [ip(7), ip(8), ip(7), ip(8), ip(7), ip(8)]);
    }

    #[test]
    fn are_not_made_before_they_are_due() {
        let mut wire = Script::default();
        let mut announcements = Announcements::default();
        let start = Instant::now();
        announcements.add(&eth0(), &[ip(7)], 2, start);
        for _ in 0..3 {
            announcements.run_due(&mut wire, start).unwrap();
        }
        assert_eq!(wire.announced, [ip(7)]);
    }

    #[test]
    fn that_are_late_are_not_made() {
        let mut wire = Script::default();
        let mut announcements = Announcements::default();
        let start = Instant::now();
        announcements.add(&eth0(), &[ip(7)], 3, start);
        announcements.run_due(&mut wire, start).unwrap();
        let due = announcements.next_due().unwrap();
        announcements.run_due(&mut wire, due + Duration::from_millis(400)).unwrap();
        assert_eq!(wire.announced, [ip(7); 2]);
        let due = announcements.next_due().unwrap();
        announcements.run_due(&mut wire, due + Duration::from_millis(600)).unwrap();
        assert_eq!(wire.announced, [ip(7); 2]);
        assert_eq!(announcements.next_due(), None);
    }

    #[test]
    fn of_an_address_that_is_gone_are_not_made() {
        let mut wire = Script::default();
        let mut announcements = Announcements::default();
        let start = Instant::now();
        announcements.add(&eth0(), &[ip(7), ip(8)], 2, start);
        announcements.remove(&[ip(7)]);
        announcements.run_due(&mut wire, start).unwrap();
        assert_eq!(wire.announced, [ip(8)]);
        announcements.remove(&[ip(8)]);
        assert_eq!(announcements.next_due(), None);
    }

    #[test]
    fn begin_again_when_added_again() {
        let mut wire = Script::default();
        let mut announcements = Announcements::default();
        let start = Instant::now();
        announcements.add(&eth0(), &[ip(7)], 2, start);
        announcements.run_due(&mut wire, start).unwrap();
        announcements.add(&eth0(), &[ip(7)], 2, start);
        while let Some(due) = announcements.next_due() {
            announcements.run_due(&mut wire, due).unwrap();
        }
        assert_eq!(wire.announced, [ip(7); 3]);
    }

    #[test]
    fn that_fail_end_too_and_do_not_stop_others() {
        let mut wire = Script { broken: true, ..Script::default() };
        let mut announcements = Announcements::default();
        let start = Instant::now();
        announcements.add(&eth0(), &[ip(7)], 1, start);
        announcements.add(&eth0(), &[ip(8)], 1, start);
        assert!(announcements.run_due(&mut wire, start).is_err());
        assert_eq!(wire.announced, [ip(7), ip(8)]);
        assert_eq!(announcements.next_due(), None);
    }

    #[test]
    fn may_be_turned_off() {
        let mut announcements = Announcements::default();
        announcements.add(&eth0(), &[ip(7)], 0, Instant::now());
        assert_eq!(announcements.next_due(), None);
    }
}
