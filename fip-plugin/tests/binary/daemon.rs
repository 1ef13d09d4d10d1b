//! The program under way, its files, and what it uses.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::ops::Deref;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::lab::{Finished, Host, Lan, Running, wait_for};

const BINARY: &str = env!("CARGO_BIN_EXE_fip-plugin");

/// How long an answer, or the end, may take. A client that says nothing has ten seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What is beside the plugin's own files and must stay as it is.
const CANARY: &str = "canary";

/// A host on a LAN, and a directory for the plugin's files, which go with the test.
pub(crate) struct Place {
    pub(crate) host: Host,
    directory: PathBuf,
    _lan: Lan,
}

impl Place {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let name = format!("fip-binary-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        // As deep as ids with `..` are long.
        for dir in ["run", "var/lib/state/networks", "var/lib/state/endpoints"] {
            fs::create_dir_all(directory.join(dir)).unwrap();
        }
        for dir in ["", "var", "var/lib", "var/lib/state"] {
            fs::write(directory.join(dir).join(CANARY), CANARY).unwrap();
            fs::write(directory.join(dir).join("canary.json"), CANARY).unwrap();
        }
        let lan = Lan::new();
        Self { host: lan.host_a(), directory, _lan: lan }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.join("run/fip.sock")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.directory.join("var/lib/state")
    }

    /// Runs the program with these arguments to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Finished {
        Running::start(&self.host, BINARY, args, "").finish(PATIENCE)
    }

    /// The arguments with which it serves, and these.
    pub(crate) fn arguments(&self, more: &[&str]) -> Vec<String> {
        let text = |path: PathBuf| path.display().to_string();
        let none = format!("unix://{}", text(self.directory.join("run/docker.sock")));
        let own = ["serve", "--socket", &text(self.socket()), "--state-dir", &text(self.state())];
        let docker = ["--docker", &none, "--log-level", "warn"];
        own.iter().chain(&docker).chain(more).map(|word| (*word).to_owned()).collect()
    }

    /// Starts it and waits until it answers.
    pub(crate) fn serve(&self) -> Daemon {
        let args = self.arguments(&[]);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let running = Running::start(&self.host, BINARY, &args, "");
        wait_for("the plugin to listen", || UnixStream::connect(self.socket()).ok());
        let caller = Caller { socket: self.socket() };
        // It listens before it is ready.
        caller.assert_alive();
        Daemon { caller, running }
    }

    /// All files but the plugin's own, with what is in them.
    pub(crate) fn foreign_files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut all = BTreeMap::new();
        collect(&self.directory, &mut all);
        let state = self.state();
        let own = |path: &Path| {
            let dirs = [state.join("networks"), state.join("endpoints")];
            let beside = path.file_name().is_some_and(|name| name == "lock" || name == "fip.sock");
            beside || dirs.iter().any(|dir| path.parent() == Some(dir))
        };
        all.retain(|path, _| !own(path));
        all
    }

    /// The host's links, addresses without those that links make themselves, and the ruleset.
    pub(crate) fn network(&self) -> Vec<String> {
        let links = self.host.ip("-br link show");
        let links =
            links.lines().filter_map(|line| Some(line.split_whitespace().next()?.to_owned()));
        let addresses = self.host.ip("-o address show");
        let addresses = addresses.lines().filter(|line| !line.contains(" fe80:"));
        let addresses = addresses
            .map(|line| line.split_whitespace().skip(1).take(3).collect::<Vec<_>>().join(" "));
        links.chain(addresses).chain(self.host.held_by_routes("eth0")).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn collect(directory: &Path, into: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, into);
        } else {
            let content = fs::read(&path).unwrap_or_default();
            into.insert(path, content);
        }
    }
}

/// The program under way. Dropped, it is killed.
pub(crate) struct Daemon {
    caller: Caller,
    running: Running,
}

/// What the process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) files: usize,
    pub(crate) threads: usize,
    /// Now, in bytes.
    pub(crate) memory: usize,
    /// At the most so far, in bytes.
    pub(crate) peak: usize,
}

impl Daemon {
    /// Ends it with that signal.
    pub(crate) fn end(self, signal: &str) -> Finished {
        self.running.signal(signal);
        self.running.finish(PATIENCE)
    }

    pub(crate) fn usage(&self) -> Usage {
        let process = PathBuf::from(format!("/proc/{}", self.running.pid()));
        let count = |dir: &str| fs::read_dir(process.join(dir)).unwrap().count();
        let status = fs::read_to_string(process.join("status")).unwrap();
        let bytes = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
            line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<usize>().unwrap() << 10
        };
        let (memory, peak) = (bytes("VmRSS:"), bytes("VmHWM:"));
        Usage { files: count("fd"), threads: count("task"), memory, peak }
    }

    /// How many connections are being served.
    pub(crate) fn served(&self) -> usize {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.running.pid())).unwrap();
        let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).ok();
        let names = tasks.filter_map(|task| name(task.ok()?));
        names.filter(|name| name.trim_end() == "http").count()
    }

    /// For another thread.
    pub(crate) fn caller(&self) -> Caller {
        self.caller.clone()
    }
}

impl Deref for Daemon {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

/// Who talks to the program.
#[derive(Clone)]
pub(crate) struct Caller {
    socket: PathBuf,
}

impl Caller {
    pub(crate) fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).expect("the plugin has ended");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends the bytes as far as they are taken. The answer's status, 0 if there is none, and its
    /// body.
    pub(crate) fn send(&self, bytes: &[u8]) -> (u16, String) {
        let mut stream = self.connect();
        // Who is refused early may find the door closed.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        receive(stream)
    }

    /// A whole request with that body.
    pub(crate) fn post(&self, path: &str, body: &[u8]) -> (u16, String) {
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: \r\nContent-Length: {}\r\n\r\n", body.len());
        self.send(&[head.as_bytes(), body].concat())
    }

    /// A method of the driver.
    pub(crate) fn call(&self, method: &str, body: &Value) -> (u16, String) {
        self.post(&format!("/NetworkDriver.{method}"), body.to_string().as_bytes())
    }

    /// The same, which succeeds.
    #[track_caller]
    pub(crate) fn call_ok(&self, method: &str, body: &Value) {
        let (status, answer) = self.call(method, body);
        let failed = answer.contains("\"Err\"");
        assert!(status == 200 && !failed, "{method} {body}: {status} {answer}");
    }

    #[track_caller]
    pub(crate) fn assert_alive(&self) {
        let (status, answer) = self.post("/Plugin.Activate", b"");
        assert_eq!((status, answer.as_str()), (200, r#"{"Implements":["NetworkDriver"]}"#));
    }
}

/// The answer, to the end of the connection: its status, 0 if there is none, and its body.
pub(crate) fn receive(mut stream: UnixStream) -> (u16, String) {
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{}", bytes.escape_ascii());
    }
    let text = String::from_utf8(bytes).unwrap();
    let text = text.trim_start_matches("HTTP/1.1 100 Continue\r\n\r\n");
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return (0, text.to_owned()) };
    (head.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap(), body.to_owned())
}

/// A request for a network with the subnet 172.18.0.0/16.
pub(crate) fn network(id: &str) -> Value {
    let pool = json!({"AddressSpace": "", "Pool": "172.18.0.0/16", "Gateway": "172.18.0.1/16"});
    json!({"NetworkID": id, "Options": {}, "IPv4Data": [pool], "IPv6Data": []})
}

/// A request for an endpoint 172.18.0.2 with these driver options.
pub(crate) fn endpoint(network: &str, id: &str, options: &Value) -> Value {
    let interface = json!({"Address": "172.18.0.2/16", "AddressIPv6": "", "MacAddress": ""});
    json!({"NetworkID": network, "EndpointID": id, "Interface": interface, "Options": options})
}

/// A request to join, whose container never comes.
pub(crate) fn join(network: &str, id: &str) -> Value {
    let sandbox = "/var/run/docker/netns/000000000000";
    json!({"NetworkID": network, "EndpointID": id, "SandboxKey": sandbox, "Options": {}})
}
