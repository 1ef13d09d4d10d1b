//! What dockerd has no more is removed only if dockerd says so, clearly and twice.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::liar::{Liar, http};
use super::{ALLOW, floating, remembered, wait_until_right, with};
use crate::docker::{Engine, Options, Plugin, wait_for_page};
use crate::lab::{Host, Lan, Ns};

/// A network with a container, and a plugin that asks the liar.
struct Scene {
    engine: Engine,
    plugin: Plugin,
    liar: Liar,
    host: Host,
    client: Ns,
    /// Of the network.
    id: String,
    _lan: Lan,
}

impl Scene {
    fn new() -> Self {
        let lan = Lan::new();
        let (host, client) = (lan.host_a(), lan.client());
        let engine = Engine::start(&host, &Options::default());
        let liar = Liar::start(&engine);
        let plugin = Plugin::start(&engine, &format!("{ALLOW} {}", Liar::ARGUMENT));
        engine.docker_ok("network create --driver fip one");
        engine.web("c1", &with(200), "one");
        let id = engine.inspect("network one")["Id"].as_str().unwrap().to_owned();
        Self { engine, plugin, liar, host, client, id, _lan: lan }
    }

    /// What dockerd says of the network without any container in it.
    fn empty(&self) -> Vec<u8> {
        http(200, &format!(r#"{{"Id":"{}","Containers":{{}}}}"#, self.id))
    }

    /// The plugin starts, is told this when it asks, that often, and has done what it does about it.
    fn tell(&self, questions: usize, lie: impl Fn(&str) -> Option<Vec<u8>> + Send + 'static) {
        // The one before asks until its end.
        self.plugin.stop();
        let since = self.plugin.log().len();
        self.liar.say(lie);
        self.plugin.up();
        self.liar.wait_for_questions(questions);
        self.liar.hang_up();
        self.plugin.wait_for_line(since, &["dockerd is gone"]);
    }

    fn assert_untouched(&self) {
        assert_eq!(remembered(&self.plugin, "networks"), 1);
        wait_until_right(&self.host, &self.plugin, &[200], 1);
        wait_for_page(&self.client, floating(200), "one");
    }
}

#[test]
fn nonsense_removes_nothing() {
    let scene = Scene::new();
    let truncated = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{{\"Id\":\"{}\",\"Containers\":{{}}",
        scene.id
    );
    let torn = format!(r#"{{"Id":"{}","Containers":{{"#, scene.id);
    let lies = [
        ("an error", http(500, r#"{"message":"out of order"}"#)),
        ("a page of somebody else's", http(404, "404 page not found\n")),
        ("not found, but what?", http(404, r#"{"message":"page not found"}"#)),
        ("JSON that is cut off", http(200, &torn)),
        ("an answer that is cut off", truncated.into_bytes()),
        ("no containers at all", http(200, &format!(r#"{{"Id":"{}"}}"#, scene.id))),
        ("an empty list", http(200, "[]")),
        ("nothing", Vec::new()),
        ("not HTTP", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
    ];
    for (what, lie) in lies {
        eprintln!("{what}");
        scene.tell(1, move |_| Some(lie.clone()));
        scene.assert_untouched();
    }
}

#[test]
fn what_is_missing_once_is_not_removed() {
    let scene = Scene::new();
    let said = AtomicUsize::new(0);
    let empty = scene.empty();
    scene.tell(2, move |_| {
        let first = said.fetch_add(1, Ordering::Relaxed) == 0;
        first.then(|| empty.clone())
    });
    scene.assert_untouched();
}

#[test]
fn what_is_missing_and_then_not_known_is_not_removed() {
    let scene = Scene::new();
    let said = AtomicUsize::new(0);
    let empty = scene.empty();
    scene.tell(2, move |_| {
        let first = said.fetch_add(1, Ordering::Relaxed) == 0;
        Some(if first { empty.clone() } else { http(503, r#"{"message":"later"}"#) })
    });
    scene.assert_untouched();
}

#[test]
fn a_network_with_running_containers_is_not_believed_to_be_gone() {
    let scene = Scene::new();
    let gone = http(404, &format!(r#"{{"message":"network {} not found"}}"#, scene.id));
    let since = scene.plugin.log().len();
    scene.tell(1, move |_| Some(gone.clone()));
    scene.plugin.wait_for_line(since, &["is --docker right?"]);
    scene.assert_untouched();
}

#[test]
fn a_dockerd_that_hangs_removes_nothing_and_holds_up_nobody() {
    let scene = Scene::new();
    scene.plugin.stop();
    scene.liar.say(|_| {
        std::thread::sleep(std::time::Duration::from_secs(3600));
        None
    });
    let since = scene.plugin.log().len();
    scene.plugin.up();
    scene.plugin.wait_for_line(since, &["dockerd did not say what it has"]);
    scene.assert_untouched();
    scene.engine.docker_ok("stop c1");
    wait_until_right(&scene.host, &scene.plugin, &[], 0);
}

/// What all the others rely on: it can be believed.
#[test]
fn what_is_missing_twice_is_removed() {
    let scene = Scene::new();
    let empty = scene.empty();
    scene.tell(2, move |_| Some(empty.clone()));
    wait_until_right(&scene.host, &scene.plugin, &[], 0);
    assert_eq!(remembered(&scene.plugin, "networks"), 1);

    let gone = http(404, &format!(r#"{{"message":"network {} not found"}}"#, scene.id));
    scene.tell(2, move |_| Some(gone.clone()));
    assert_eq!(remembered(&scene.plugin, "networks"), 0);
    assert!(!scene.host.ip("-br link show").contains("br-"));
}
