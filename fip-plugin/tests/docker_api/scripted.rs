//! A daemon whose list and whose events a test decides as it goes.

use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use fip_plugin::docker::Docker;

use super::liar::{Dir, PATIENT, read_question};

/// What it says of its containers, and how often it has.
struct List {
    status: u16,
    body: String,
    asked: usize,
}

pub(crate) struct Scripted {
    dir: Dir,
    list: Arc<(Mutex<List>, Condvar)>,
    followers: Receiver<UnixStream>,
}

impl Scripted {
    /// Lists these containers, and tells nothing.
    pub(crate) fn new(containers: &[String]) -> Self {
        let dir = Dir::new();
        let listener = UnixListener::bind(dir.socket()).unwrap();
        let list = List { status: 200, body: String::new(), asked: 0 };
        let list = Arc::new((Mutex::new(list), Condvar::new()));
        let (sender, followers) = mpsc::channel();
        let daemon = Self { dir, list: list.clone(), followers };
        daemon.lists(containers);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, list, sender) = (stream.unwrap(), list.clone(), sender.clone());
                // The test may be over.
                thread::spawn(move || match read_question(&mut stream).contains("/events") {
                    true => _ = sender.send(stream),
                    false => _ = stream.write_all(answer(&list).as_bytes()),
                });
            }
        });
        daemon
    }

    pub(crate) fn docker(&self) -> Docker {
        self.dir.docker(PATIENT)
    }

    /// From now on, lists these containers.
    pub(crate) fn lists(&self, containers: &[String]) {
        self.says(200, &format!("[{}]", containers.join(",")));
    }

    /// From now on, says this when it is asked for its containers. Returns how often it has been.
    pub(crate) fn says(&self, status: u16, body: &str) -> usize {
        let mut list = self.list.0.lock().unwrap();
        (list.status, list.body) = (status, body.to_owned());
        list.asked
    }

    /// How often it has been asked for its containers.
    pub(crate) fn asked(&self) -> usize {
        self.list.0.lock().unwrap().asked
    }

    /// Waits until it has been asked for its containers that often.
    pub(crate) fn wait_for_asked(&self, times: usize) {
        let (list, asked) = &*self.list;
        let fewer = |list: &mut List| list.asked < times;
        let waited = asked.wait_timeout_while(list.lock().unwrap(), PATIENT, fewer).unwrap();
        assert!(!waited.1.timed_out(), "asked {} times, not {times}", waited.0.asked);
    }

    /// The next one who wants to be told what happens. He has asked, but not been answered.
    pub(crate) fn follower(&self) -> UnixStream {
        self.followers.recv_timeout(PATIENT).expect("nobody asked for events")
    }

    /// The next one who wants to be told what happens, and is.
    pub(crate) fn followed(&self) -> UnixStream {
        let mut follower = self.follower();
        follower.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        follower
    }
}

fn answer((list, asked): &(Mutex<List>, Condvar)) -> String {
    let mut list = list.lock().unwrap();
    list.asked += 1;
    asked.notify_all();
    let (status, body) = (list.status, &list.body);
    format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Tells one event.
pub(crate) fn tell(follower: &mut UnixStream, of: &str, action: &str, id: &str) {
    let attributes = r#"{"container":"c"}"#;
    let actor = format!(r#"{{"ID":"{id}","Attributes":{attributes}}}"#);
    let event = format!(r#"{{"Type":"{of}","Action":"{action}","Actor":{actor}}}"#);
    writeln!(follower, "{event}").unwrap();
}

/// A container with a label in a list; `endpoint` is that in the network `n`.
pub(crate) fn container(id: &str, state: &str, endpoint: &str) -> String {
    let address = if endpoint.is_empty() { "" } else { "172.17.0.2" };
    format!(
        r#"{{"Id":"{id}","Names":["/{id}"],"Created":1,"State":"{state}",
        "Labels":{{"a":"192.168.99.200","b":"192.168.99.201"}},"HostConfig":{{}},
        "NetworkSettings":{{"Networks":{{"net":{{"NetworkID":"n","EndpointID":"{endpoint}",
        "IPAddress":"{address}","GlobalIPv6Address":"","Gateway":"","IPv6Gateway":""}}}}}}}}"#
    )
}
