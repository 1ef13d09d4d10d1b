//! Source routes in a container whose link Docker moves, names, addresses and sets up after Join:
//! the real kernel, with Docker's part played step by step, in every order that it has.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../fip-core/tests/lab/mod.rs"]
mod lab;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::thread;
use std::time::Duration;

use fip_core::LinkName;
use fip_core::kernel::fake::FakeKernel;
use fip_core::kernel::host::Host;
use fip_core::kernel::{Mac, NewLink, Rtnl};
use fip_core::netns::NetNs;
use fip_plugin::settle::{Job, Open, Settler};
use lab::{Ns, wait_for};
use nix::sched::{CloneFlags, unshare};

const FAR: &str = "fc0123456789ab";
const MAC: Mac = Mac([2, 0x42, 172, 18, 0, 2]);
/// Where a test mounts its namespaces, in a mount namespace of its own.
const DIRECTORY: &str = "/mnt";
/// Short, for what never comes. A job looks once even if it is late.
const SOON: Duration = Duration::from_millis(300);

/// What Docker does after Join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The empty file that the namespace will be mounted on.
    Touch,
    Mount,
    Move,
    Rename,
    Four,
    Six,
    Up,
}

/// The namespace is there at Join: Docker 28 and later; before, `docker network connect`.
const CONNECT: &[Step] = &[Step::Move, Step::Rename, Step::Four, Step::Six, Step::Up];
/// It comes after Join: `docker run` before Docker 28.
const RUN: &[Step] =
    &[Step::Touch, Step::Mount, Step::Move, Step::Rename, Step::Four, Step::Six, Step::Up];

struct Scene {
    host: Ns,
    sandbox: Ns,
    endpoint: String,
    path: PathBuf,
    /// The settler has one more of these, and so has each of its threads.
    open: Open<Host>,
    settler: Settler<Host>,
}

impl Scene {
    /// A host with the pair that the driver has made, and a sandbox that has no file yet.
    fn new(endpoint: &str, patience: Option<Duration>) -> Self {
        listen_to_log();
        own_mounts();
        let (host, sandbox) = (Ns::new("host"), Ns::new("sandbox"));
        host.ip(&format!("link add fv0123456789ab type veth peer name {FAR} address {MAC}"));
        host.ip("link set fv0123456789ab up");
        let netns: NetNs = host.path().to_str().unwrap().parse().unwrap();
        let open: Open<Host> = Arc::new(move || Host::open_in(&netns));
        let settler = match patience {
            None => Settler::new(Arc::clone(&open)),
            Some(patience) => Settler::with_patience(Arc::clone(&open), patience),
        };
        let path = Path::new(DIRECTORY).join(endpoint);
        Self { host, sandbox, endpoint: endpoint.to_owned(), path, open, settler }
    }

    /// The same, with the namespace already mounted.
    fn with_sandbox(endpoint: &str, patience: Option<Duration>) -> Self {
        let this = Self::new(endpoint, patience);
        this.perform(&[Step::Touch, Step::Mount]);
        this
    }

    fn job(&self) -> Job {
        let route = |fixed: &str, gateway: &str| (fixed.parse().unwrap(), gateway.parse().unwrap());
        Job {
            endpoint: self.endpoint.clone(),
            sandbox: self.path.clone(),
            far: FAR.parse().unwrap(),
            mac: MAC,
            routes: vec![
                route("172.18.0.2/16", "172.18.0.1"),
                route("2001:db8:18::2/64", "2001:db8:18::1"),
            ],
        }
    }

    fn perform(&self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Touch => std::fs::write(&self.path, "").unwrap(),
                Step::Mount => {
                    let (file, path) = (self.sandbox.path(), &self.path);
                    tool("mount", &["--bind", file.to_str().unwrap(), path.to_str().unwrap()]);
                }
                Step::Move => {
                    self.host.ip(&format!("link set {FAR} netns {}", self.sandbox.pid()));
                }
                Step::Rename => _ = self.sandbox.ip(&format!("link set {FAR} name eth1")),
                Step::Four => _ = self.sandbox.ip("addr add 172.18.0.2/16 dev eth1"),
                Step::Six => _ = self.sandbox.ip("addr add 2001:db8:18::2/64 dev eth1"),
                Step::Up => _ = self.sandbox.ip("link set eth1 up"),
            }
        }
    }

    /// What does not matter happens in both namespaces.
    fn disturb(&self) {
        for ns in [&self.host, &self.sandbox] {
            ns.ip("link add noise0 type veth peer name noise1");
            ns.ip("link del noise0");
            ns.nft("add table inet noise");
        }
    }

    fn rules(&self) -> Vec<String> {
        let both = self.sandbox.ip("rule show") + &self.sandbox.ip("-6 rule show");
        both.lines().filter(|line| line.starts_with("30000:")).map(str::to_owned).collect()
    }

    /// Waits until the job has ended, and looks whether all is set.
    fn is_settled(&self) {
        self.ends();
        let rules = self.rules();
        assert_eq!(rules.len(), 2, "{rules:?}");
        let table = rules[0].split_whitespace().nth(4).unwrap();
        let four = self.sandbox.ip(&format!("route show table {table}"));
        assert!(rules[0].contains("from 172.18.0.2 "), "{rules:?}");
        assert!(four.contains("default via 172.18.0.1 dev eth1"), "{four}");
        let six = self.sandbox.ip(&format!("-6 route show table {table}"));
        assert!(rules[1].contains("from 2001:db8:18::2 "), "{rules:?}");
        assert!(six.contains("default via 2001:db8:18::1 dev eth1"), "{six}");
    }

    fn ends(&self) {
        wait_for("the end of the job", || (self.settler.under_way() == 0).then_some(()));
    }

    fn undo(&self) -> Vec<String> {
        let fixed: Vec<_> = self.job().routes.iter().map(|(fixed, _)| fixed.ip()).collect();
        self.settler.undo(&self.path, &fixed).unwrap()
    }

    /// The one line that a job which was given up leaves in the log.
    fn complaint(&self) -> String {
        let lines = logged(&self.endpoint);
        let [line] = &lines[..] else { panic!("{lines:?}") };
        assert!(line.starts_with("WARN "), "{line}");
        line.clone()
    }
}

/// A mount namespace for this test's thread, and those that it starts: it ends with them.
fn own_mounts() {
    unshare(CloneFlags::CLONE_NEWNS).expect("these tests need root");
    tool("mount", &["--make-rprivate", "/"]);
    tool("mount", &["-t", "tmpfs", "none", DIRECTORY]);
}

fn tool(program: &str, args: &[&str]) {
    let status = Command::new(program).args(args).status().unwrap();
    assert!(status.success(), "{program} {args:?}");
}

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Log;

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        LINES.lock().unwrap().push(format!("{} {}", record.level(), record.args()));
    }

    fn flush(&self) {}
}

fn listen_to_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Log).unwrap();
        log::set_max_level(log::LevelFilter::Info);
    });
}

/// What was logged about the endpoint.
fn logged(endpoint: &str) -> Vec<String> {
    // As Docker shows ids.
    let about = format!(" endpoint {endpoint:.12}: ");
    LINES.lock().unwrap().iter().filter(|line| line.contains(&about)).cloned().collect()
}

/// Plays the steps with noise in between: nothing is set before the last.
fn step_by_step(scene: &Scene, steps: &[Step]) {
    scene.settler.start(scene.job());
    for step in steps {
        assert_eq!((scene.rules(), scene.settler.under_way()), (vec![], 1), "before {step:?}");
        scene.disturb();
        scene.perform(&[*step]);
    }
    scene.is_settled();
    let lines = logged(&scene.endpoint);
    assert!(lines.len() == 1 && lines[0].starts_with("INFO "), "{lines:?}");
}

#[test]
fn a_sandbox_that_exists_at_join() {
    step_by_step(&Scene::with_sandbox("exists", None), CONNECT);
}

#[test]
fn a_sandbox_that_is_made_after_join() {
    step_by_step(&Scene::new("made-later", None), RUN);
}

#[test]
fn all_at_once() {
    for (endpoint, steps) in
        [("at-once-run", RUN), ("at-once-connect", &[&RUN[..2], CONNECT].concat())]
    {
        let scene = Scene::new(endpoint, None);
        scene.settler.start(scene.job());
        scene.perform(steps);
        scene.is_settled();
    }
}

#[test]
fn each_address_counts_as_soon_as_it_is_there() {
    let scene = Scene::with_sandbox("one-by-one", None);
    // The second one comes with duplicate address detection, as in a container.
    scene.sandbox.sysctl("net/ipv6/conf/default/accept_dad", "1");
    scene.settler.start(scene.job());
    scene.perform(&[Step::Move, Step::Rename, Step::Up, Step::Four]);
    wait_for("the IPv4 rule", || (scene.rules().len() == 1).then_some(()));
    assert_eq!(scene.settler.under_way(), 1);
    scene.perform(&[Step::Six]);
    scene.is_settled();
}

/// Packets for the floating address come as soon as it is bound, which is before the container has
/// its link. The host asks for the fixed address then, in vain, and again only a second later.
#[test]
fn who_asked_for_the_address_too_early_is_told() {
    let scene = Scene::with_sandbox("too-early", None);
    scene.host.ip("addr add 172.18.0.1/16 dev fv0123456789ab");
    scene.host.ip("neigh add 172.18.0.2 dev fv0123456789ab nud incomplete");
    scene.settler.start(scene.job());
    scene.perform(CONNECT);
    scene.is_settled();
    // The kernel takes note of it when it comes to it. Had it asked itself, it were REACHABLE.
    let known = wait_for("the host to know it", || {
        let known = scene.host.ip("neigh show 172.18.0.2");
        (!known.contains("INCOMPLETE")).then_some(known)
    });
    assert!(known.contains(&format!("lladdr {MAC} STALE")), "{known}");
}

#[test]
fn what_is_settled_already_is_left_alone() {
    let scene = Scene::with_sandbox("again", None);
    scene.perform(CONNECT);
    for _ in 0..2 {
        scene.settler.start(scene.job());
        scene.is_settled();
    }
    assert_eq!(logged("again").len(), 1);
    assert_eq!(scene.undo().len(), 3 + 4);
    assert_eq!((scene.rules(), scene.undo()), (vec![], vec![]));
}

#[test]
fn only_the_links_own_address_counts() {
    let scene = Scene::with_sandbox("two-links", None);
    scene.sandbox.ip("link add eth0 type veth peer name other");
    scene.sandbox.ip("link set eth0 up");
    scene.sandbox.ip("addr add 172.18.0.2/16 dev eth0");
    scene.settler.start(scene.job());
    scene.perform(&CONNECT[..4]);
    scene.disturb();
    assert_eq!(scene.rules(), Vec::<String>::new());
    scene.perform(&[Step::Up]);
    scene.is_settled();
}

#[test]
fn a_job_is_cancelled_at_any_point() {
    for cut in 0..=RUN.len() {
        let scene = Scene::new(&format!("cut-{cut}"), None);
        scene.settler.start(scene.job());
        scene.perform(&RUN[..cut]);
        scene.settler.cancel(&scene.endpoint);
        assert_eq!(Arc::strong_count(&scene.open), 2, "the thread has ended");
        scene.perform(&RUN[cut..]);
        if cut < RUN.len() {
            assert_eq!(scene.rules(), Vec::<String>::new(), "cancelled before {:?}", RUN[cut]);
            assert_eq!(logged(&scene.endpoint), Vec::<String>::new());
        }
        scene.undo();
        assert_eq!(scene.rules(), Vec::<String>::new());
        scene.settler.cancel(&scene.endpoint);
    }
}

#[test]
fn nothing_is_set_after_a_cancel_that_races_with_docker() {
    for round in 0..40 {
        let scene = Scene::with_sandbox(&format!("race-{round}"), None);
        let (settler, done) = (&scene.settler, &AtomicUsize::new(0));
        settler.start(scene.job());
        thread::scope(|scope| {
            let docker = scope.spawn(|| {
                for step in CONNECT {
                    scene.perform(&[*step]);
                    done.fetch_add(1, Ordering::Release);
                }
            });
            while done.load(Ordering::Acquire) < round % (CONNECT.len() + 1) {
                thread::yield_now();
            }
            settler.cancel(&scene.endpoint);
            scene.undo();
            docker.join().unwrap();
        });
        assert_eq!(scene.rules(), Vec::<String>::new(), "round {round}");
    }
}

#[test]
fn a_later_job_of_the_endpoint_takes_over() {
    let scene = Scene::with_sandbox("twice", None);
    let stranger = Job { mac: Mac([2, 0, 0, 0, 0, 9]), ..scene.job() };
    scene.settler.start(stranger);
    scene.settler.start(scene.job());
    assert_eq!(scene.settler.under_way(), 1);
    scene.perform(CONNECT);
    scene.is_settled();
}

#[test]
fn a_settler_that_ends_takes_its_jobs_along() {
    let mut scene = Scene::with_sandbox("dropped", None);
    scene.settler.start(scene.job());
    scene.settler = Settler::new(Arc::clone(&scene.open));
    assert_eq!(Arc::strong_count(&scene.open), 2, "the thread has ended");
    scene.perform(CONNECT);
    assert_eq!(scene.rules(), Vec::<String>::new());
    assert_eq!(logged("dropped"), Vec::<String>::new());
}

#[test]
fn a_link_that_is_never_moved_is_given_up() {
    let scene = Scene::with_sandbox("never-moved", Some(SOON));
    scene.settler.start(scene.job());
    scene.disturb();
    scene.ends();
    scene.perform(CONNECT);
    assert_eq!(scene.rules(), Vec::<String>::new());
    let line = scene.complaint();
    assert!(line.contains(&format!("Docker has not moved link {FAR}")), "{line}");
}

#[test]
fn an_address_that_never_comes_is_named() {
    let scene = Scene::with_sandbox("never-addressed", Some(SOON));
    scene.perform(&[Step::Move, Step::Rename, Step::Up, Step::Four]);
    scene.settler.start(scene.job());
    scene.ends();
    assert_eq!(scene.rules().len(), 1);
    let line = scene.complaint();
    assert!(line.contains("2001:db8:18::2") && !line.contains("172.18.0.2"), "{line}");
}

#[test]
fn a_link_that_is_never_up_is_named() {
    let scene = Scene::with_sandbox("never-up", Some(SOON));
    scene.perform(&CONNECT[..4]);
    scene.settler.start(scene.job());
    scene.ends();
    let line = scene.complaint();
    assert!(line.contains(&format!("link with {MAC} is not up with 172.18.0.2;")), "{line}");
}

#[test]
fn a_sandbox_that_cannot_be_seen_is_named() {
    for (endpoint, made, reason) in [
        ("unseen-none", &RUN[..0], "there is no network namespace /mnt/unseen-none"),
        ("unseen-file", &RUN[..1], "/mnt/unseen-file is not a network namespace"),
    ] {
        let scene = Scene::new(endpoint, Some(SOON));
        scene.perform(made);
        scene.perform(&[Step::Move]);
        scene.settler.start(scene.job());
        scene.ends();
        let line = scene.complaint();
        assert!(line.contains(reason), "{line}");
        assert_eq!(scene.undo(), Vec::<String>::new());
    }
}

#[test]
fn a_gateway_outside_the_subnet_is_named() {
    let scene = Scene::with_sandbox("bad-gateway", Some(SOON));
    let mut job = scene.job();
    job.routes[0].1 = "172.19.0.1".parse().unwrap();
    scene.perform(CONNECT);
    scene.settler.start(job);
    scene.ends();
    let line = scene.complaint();
    assert!(line.contains("cannot add the route to 0.0.0.0/0: Network is unreachable"), "{line}");
    assert_eq!(scene.rules().len(), 1, "IPv6 has its own");
}

/// Says to the process that [`without_the_capability_the_log_says_so`] starts where the sandbox is.
const CONFINED: &str = "FIP_SETTLE_CONFINED";

/// The same test in a process of its own, in the host's namespace, that may not enter others.
#[test]
fn without_the_capability_the_log_says_so() {
    if let Ok(path) = std::env::var(CONFINED) {
        listen_to_log();
        let settler = Settler::new(Arc::new(Host::open));
        settler.start(Job {
            endpoint: "confined".to_owned(),
            sandbox: path.into(),
            far: FAR.parse().unwrap(),
            mac: MAC,
            routes: vec![("172.18.0.2/16".parse().unwrap(), "172.18.0.1".parse().unwrap())],
        });
        wait_for("the end of the job", || (settler.under_way() == 0).then_some(()));
        let lines = logged("confined");
        assert!(lines.len() == 1 && lines[0].contains("may not be entered"), "{lines:?}");
        assert!(lines[0].contains("CAP_SYS_ADMIN"), "{lines:?}");
        return;
    }
    let scene = Scene::with_sandbox("confining", None);
    scene.perform(CONNECT);
    let output = scene
        .host
        .command("setpriv")
        .args(["--bounding-set=-sys_admin", "--inh-caps=-all"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "without_the_capability_the_log_says_so"])
        .env(CONFINED, &scene.path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn name(text: &str) -> LinkName {
    text.parse().unwrap()
}

/// A pair on a host in memory, a job for it, and a settler for both.
fn in_memory(endpoint: &str) -> (FakeKernel, Job, Settler<FakeKernel>) {
    let host = FakeKernel::new();
    let pair = NewLink::Veth {
        name: name("fv0"),
        peer: name("fc0"),
        peer_mac: Some(MAC),
        peer_netns: None,
        mtu: 1500,
    };
    host.clone().create_link(&pair).unwrap();
    let job = Job {
        endpoint: endpoint.to_owned(),
        sandbox: "/run/docker/netns/0123456789ab".into(),
        far: name("fc0"),
        mac: MAC,
        routes: vec![("172.18.0.2/16".parse().unwrap(), "172.18.0.1".parse().unwrap())],
    };
    let kernel = host.clone();
    (host, job, Settler::new(Arc::new(move || Ok(kernel.clone()))))
}

/// What Docker does but for the last step; what is left is to set the link up.
fn address_in_memory(host: &FakeKernel, job: &Job) -> FakeKernel {
    let inside = host.namespace(&job.sandbox.to_str().unwrap().parse().unwrap());
    host.move_link(&name("fc0"), &inside).unwrap();
    inside.rename_link(&name("fc0"), &name("eth1")).unwrap();
    inside.add_address(&name("eth1"), "172.18.0.2/16".parse().unwrap()).unwrap();
    inside
}

#[test]
fn a_kernel_in_memory_is_as_good() {
    let (host, job, settler) = in_memory("memory");
    settler.start(job.clone());
    let mut inside = address_in_memory(&host, &job);
    assert_eq!((inside.policy_rules().unwrap(), settler.under_way()), (vec![], 1));
    inside.set_up(&name("eth1"), true).unwrap();
    wait_for("the end of the job", || (settler.under_way() == 0).then_some(()));
    assert_eq!(inside.policy_rules().unwrap().len(), 1);
    let fixed = ["172.18.0.2".parse().unwrap()];
    assert_eq!(settler.undo(&job.sandbox, &fixed).unwrap().len(), 3);
    assert_eq!(settler.undo(Path::new("/run/docker/netns/gone"), &fixed).unwrap().len(), 0);
    assert_eq!(inside.policy_rules().unwrap(), []);
}

/// Docker's steps fall between any two of the job's: between a look and the wait for news, too.
#[test]
fn no_step_is_missed() {
    for round in 0..300 {
        let (host, job, settler) = in_memory("missed");
        thread::scope(|scope| {
            scope.spawn(|| {
                (0..round).for_each(|_| thread::yield_now());
                let inside = address_in_memory(&host, &job);
                inside.set_up(&name("eth1"), true).unwrap();
            });
            settler.start(job.clone());
        });
        wait_for("the end of the job", || (settler.under_way() == 0).then_some(()));
        let mut inside = host.namespace(&job.sandbox.to_str().unwrap().parse().unwrap());
        assert_eq!(inside.policy_rules().unwrap().len(), 1, "round {round}");
    }
}
