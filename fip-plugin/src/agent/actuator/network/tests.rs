use super::stage::{FakeDocker, PATIENCE, Stage, clearing, ip, spec, wish};
use super::*;
use crate::agent::actuator::Signal;
use crate::docker::NetworkInfo;

const A: &str = "192.0.2.1";
const B: &str = "192.0.2.2";

fn waiting(why: &str) -> State {
    State::Waiting(why.to_owned())
}

#[test]
fn a_container_gets_what_it_asks_for_and_loses_what_it_does_not() {
    let mut stage = Stage::new();
    stage.docker.run("c");
    stage.pursue_until(&[wish("c", A)], &[State::Bound]);
    assert_eq!(stage.docker.address("c").as_deref(), Some(A));
    stage.pursue_until(&[wish("c", B)], &[State::Bound]);
    assert_eq!(stage.docker.address("c").as_deref(), Some(B));
    stage.pursue(&[]);
    let calls =
        ["create", "connect c 192.0.2.1", "disconnect c", "connect c 192.0.2.2", "disconnect c"];
    assert_eq!(stage.calls(), calls);
    let mut heard = stage.heard();
    // A look between disconnecting and connecting sees the one leave before the other comes.
    heard[1..3].sort_by_key(|text| text[1..].to_owned());
    assert_eq!(heard, ["+192.0.2.1", "-192.0.2.1", "+192.0.2.2", "-192.0.2.2"]);
}

#[test]
fn what_is_refused_waits_and_hinders_nobody() {
    let mut stage = Stage::new();
    stage.docker.run("good");
    stage.docker.run("bad");
    let why = "192.0.2.2 is in use";
    stage.docker.change(|world| _ = world.refused.insert(B.to_owned(), why.to_owned()));
    let wishes = [wish("bad", B), wish("good", A)];
    stage.pursue_until(&wishes, &[waiting(why), State::Bound]);
    stage.docker.wait_until("what is left of it is cleared away", |world| {
        // The other one is connected meanwhile.
        let calls = world.calls.iter().filter(|call| call.contains(" bad")).cloned();
        let calls: Vec<_> = calls.collect();
        let cleared = calls.windows(3).any(|calls| *calls == clearing("bad"));
        cleared && world.containers["bad"].left.is_none()
    });

    stage.docker.change(|world| world.refused.clear());
    stage.pursue_until(&wishes, &[State::Bound, State::Bound]);
    assert_eq!(stage.docker.address("bad").as_deref(), Some(B));
}

#[test]
fn nothing_is_done_twice_while_it_is_under_way() {
    let mut stage = Stage::new();
    stage.docker.run("c");
    stage.docker.change(|world| _ = world.held_up.insert("c".to_owned()));
    stage.actuator.pursue(&[wish("c", A)]);
    stage.docker.wait_until("it is at work", |world| world.at_work.contains("c"));
    // It is asked for something else meanwhile; the stage knows of two that are at work for it.
    for wishes in [vec![wish("c", B)], vec![], vec![wish("c", B)]] {
        stage.actuator.pursue(&wishes);
    }
    stage.docker.run("other");
    let wishes = [wish("c", B), wish("other", A)];
    stage.pursue_until(&wishes, &[State::Pending, State::Bound]);
    stage.docker.change(|world| world.held_up.clear());
    stage.pursue_until(&wishes, &[State::Bound, State::Bound]);
    assert_eq!(stage.docker.address("c").as_deref(), Some(B));
}

#[test]
fn many_are_at_work_at_once_but_not_all() {
    let mut stage = Stage::new();
    let ids: Vec<String> = (0..40).map(|n| format!("c{n}")).collect();
    ids.iter().for_each(|id| stage.docker.run(id));
    stage.docker.change(|world| world.held_up.extend(ids.clone()));
    let wishes: Vec<Wish> =
        (0..).zip(&ids).map(|(n, id)| wish(id, &format!("192.0.2.{n}"))).collect();
    stage.actuator.pursue(&wishes);
    stage.docker.wait_until("16 are at work", |world| world.at_work.len() == 16);
    stage.docker.change(|world| world.held_up.clear());
    stage.pursue_until(&wishes, &vec![State::Bound; 40]);
    assert_eq!(stage.docker.world().most_at_work, 16);
}

#[test]
fn while_docker_is_away_everything_is_held() {
    let mut stage = Stage::new();
    stage.docker.run("c");
    stage.pursue_until(&[wish("c", A)], &[State::Bound]);
    let calls = stage.calls();
    stage.docker.run("new");
    stage.docker.change(|world| world.deaf = true);
    let wishes = [wish("c", A), wish("new", B)];
    let why = "cannot get an answer from Docker at here: connection refused; start Docker, or name \
               the place where it listens (--docker)";
    stage.pursue_until(&wishes, &[State::Bound, waiting(why)]);
    assert_eq!(stage.calls(), calls);
    assert!(stage.actuator.plan(&wishes).is_err() && stage.actuator.held().is_err());
    assert!(stage.actuator.drain().is_err());
    stage.docker.change(|world| world.deaf = false);
    stage.pursue_until(&wishes, &[State::Bound, State::Bound]);
    assert_eq!(stage.heard(), ["+192.0.2.1", "+192.0.2.2"], "nothing has left");
}

#[test]
fn the_network_is_made_whenever_it_is_gone() {
    let mut stage = Stage::new();
    stage.docker.change(|world| world.no_network = Some("plugin \"fip\" not found".to_owned()));
    stage.docker.run("c");
    let why = "the network fip cannot be created: plugin \"fip\" not found; does the network driver \
               fip run (fip-plugin)?";
    stage.pursue_until(&[wish("c", A)], &[waiting(why)]);
    stage.actuator.settle();
    // Nobody asks again: it is tried again.
    stage.docker.change(|world| world.no_network = None);
    stage.docker.wait_until("it is connected", |world| world.containers["c"].connected.is_some());
    let labels = stage.docker.world().network.clone().unwrap().labels;
    assert_eq!(labels, [("io.fip.by".to_owned(), "agent".to_owned())].into());

    stage.docker.change(|world| {
        world.network = None;
        world.containers.values_mut().for_each(|dock| dock.connected = None);
    });
    stage.pursue(&[wish("c", A)]);
    stage.pursue_until(&[wish("c", A)], &[State::Bound]);
    assert!(stage.docker.world().network.is_some());
}

#[test]
fn a_network_with_another_driver_is_left_alone() {
    let mut stage = Stage::new();
    stage.docker.run("c");
    let foreign = NetworkInfo {
        id: "7f".to_owned(),
        name: "fip".to_owned(),
        driver: "bridge".to_owned(),
        labels: BTreeMap::new(),
    };
    stage.docker.change(|world| world.network = Some(foreign.clone()));
    let why = "the network fip is there, but its driver is bridge, not fip; remove it (docker \
               network rm fip), or choose another name (--network)";
    stage.pursue_until(&[wish("c", A)], &[waiting(why)]);
    assert_eq!(stage.actuator.drain().unwrap_err().what, why);
    assert!(stage.calls().is_empty());
    // A managed plugin's name has its tag.
    let managed = NetworkInfo { driver: "fip:latest".to_owned(), ..foreign };
    stage.docker.change(|world| world.network = Some(managed));
    stage.pursue_until(&[wish("c", A)], &[State::Bound]);
}

#[test]
fn the_next_one_goes_on_where_the_last_one_was() {
    let docker = FakeDocker::default();
    let mut first = Stage::with(docker.clone());
    ["kept", "stopped", "gone"].iter().for_each(|id| docker.run(id));
    docker.run("users");
    let wishes = [wish("kept", A), wish("stopped", B), wish("gone", "192.0.2.3")];
    first.pursue_until(&wishes, &vec![State::Bound; 3]);
    docker.connect_by_hand("users", &[("fip.address", "192.0.2.4")]);
    drop(first);
    docker.stop("stopped");
    docker.change(|world| world.calls.clear());

    let mut second = Stage::with(docker.clone());
    let held = second.actuator.held().unwrap();
    let by = |id: &str| Holder::Container(id.to_owned());
    let gone = Held { floating: ip("192.0.2.3"), by: by("gone") };
    assert_eq!(held, [gone, Held { floating: ip(A), by: by("kept") }]);
    let wishes = [wish("kept", A), wish("stopped", B).present(Presence::Stopped), wish("users", A)];
    let expected = [State::Bound, State::Stopped, State::Bound];
    second.pursue_until(&wishes, &expected);
    second.actuator.settle();
    assert_eq!(docker.world().calls, ["disconnect gone"]);
    assert_eq!(second.heard(), ["-192.0.2.3"], "nothing has come");
}

#[test]
fn a_plan_says_what_would_be_done_and_does_nothing() {
    let mut stage = Stage::new();
    ["new", "changed", "gone", "same"].iter().for_each(|id| stage.docker.run(id));
    assert_eq!(
        stage.actuator.plan(&[wish("new", A)]).unwrap(),
        ["+ network fip (driver fip, 172.18.0.0/16)", "+ new: 192.0.2.1 (network fip)"]
    );
    assert!(stage.calls().is_empty());
    let before = [wish("changed", A), wish("gone", B), wish("same", "192.0.2.4")];
    stage.pursue_until(&before, &vec![State::Bound; 3]);
    let calls = stage.calls();
    let wishes = [wish("new", A), wish("changed", "192.0.2.3"), wish("same", "192.0.2.4")];
    let expected = [
        "- changed: 192.0.2.1 (network fip)",
        "+ changed: 192.0.2.3 (network fip)",
        "- gone: 192.0.2.2 (network fip)",
        "+ new: 192.0.2.1 (network fip)",
    ];
    assert_eq!(stage.actuator.plan(&wishes).unwrap(), expected);
    assert_eq!(stage.calls(), calls);
}

#[test]
fn draining_takes_back_what_was_made_and_nothing_else() {
    let mut stage = Stage::new();
    ["a", "b", "users"].iter().for_each(|id| stage.docker.run(id));
    stage.pursue_until(&[wish("a", A), wish("b", B)], &[State::Bound, State::Bound]);
    stage.docker.stop("b");
    stage.docker.connect_by_hand("users", &[]);
    // The rest of a connection that was refused, when the agent was killed.
    stage.docker.run("killed");
    stage.docker.change(|world| {
        let options = [(ADDRESS, A), MARKER].map(|(k, v)| (k.to_owned(), v.to_owned()));
        world.containers.get_mut("killed").unwrap().left = Some(options.into());
    });
    let disconnected = ["- a: 192.0.2.1 (network fip)", "- b: 192.0.2.2 (network fip)"];
    assert_eq!(stage.actuator.drain().unwrap(), disconnected);
    assert!(stage.docker.world().network.is_some(), "somebody uses it");
    assert_eq!(stage.docker.world().containers["killed"].left, None);
    assert_eq!(stage.docker.options("users"), Some(BTreeMap::new()));

    stage.docker.change(|world| _ = world.containers.remove("users"));
    let network = ["- network fip (driver fip, 172.18.0.0/16)"];
    assert_eq!(stage.actuator.drain().unwrap(), network);
    assert_eq!(stage.actuator.drain().unwrap(), [""; 0]);
    assert!(stage.docker.world().network.is_none());

    // One that the user has made.
    let network = NetworkInfo {
        id: "7f".to_owned(),
        name: "fip".to_owned(),
        driver: "fip".to_owned(),
        labels: BTreeMap::new(),
    };
    stage.docker.change(|world| world.network = Some(network));
    assert_eq!(stage.actuator.drain().unwrap(), [""; 0]);
    assert!(stage.docker.world().network.is_some());
}

#[test]
fn when_it_is_dropped_nothing_new_begins_and_nothing_is_rung() {
    let mut stage = Stage::new();
    stage.docker.run("c");
    stage.docker.change(|world| _ = world.held_up.insert("c".to_owned()));
    stage.pursue_until(&[wish("c", A)], &[State::Pending]);
    stage.docker.wait_until("it is at work", |world| world.at_work.contains("c"));
    let Stage { docker, actuator, signals, .. } = stage;
    drop(actuator);
    docker.change(|world| world.held_up.clear());
    // The last thread takes the bell with it.
    let end = loop {
        match signals.recv_timeout(PATIENCE) {
            Ok(signal) => assert_eq!(signal, Signal::Progress),
            Err(end) => break end,
        }
    };
    assert_eq!(end, std::sync::mpsc::RecvTimeoutError::Disconnected);
    assert_eq!(Arc::strong_count(&docker.0), 1);
    assert_eq!(docker.world().calls, ["create", "connect c 192.0.2.1"]);
    assert_eq!(spec().to_string(), "fip (driver fip, 172.18.0.0/16)");
}

#[test]
fn what_changes_nothing_is_not_done_again_and_again() {
    let mut stage = Stage::new();
    stage.docker.run("c");
    stage.docker.change(|world| world.idle = true);
    stage.pursue_until(&[wish("c", A)], &[State::Pending]);
    stage.docker.wait_until("it was tried", |world| world.calls.len() >= 2);
    for _ in 0..100 {
        stage.pursue(&[wish("c", A)]);
    }
    // As fast as it comes, it would be a hundred times.
    assert!(stage.calls().len() < 20, "{:?}", stage.calls());
    stage.docker.change(|world| world.idle = false);
    stage.pursue_until(&[wish("c", A)], &[State::Bound]);
}
