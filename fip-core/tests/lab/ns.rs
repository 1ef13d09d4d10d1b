//! A network namespace without a name.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use super::process::{Finished, Running};

/// How long a tool such as `nft` may take.
const TOOL: Duration = Duration::from_secs(60);

/// A network namespace of the test's own, held by a child process that only waits.
///
/// The child ends when its standard input does, and the test holds the other end of that: however
/// the test ends, the kernel closes it. Nothing is mounted, so nothing can be left over.
pub(crate) struct Ns {
    name: String,
    /// None where others made the namespace.
    holder: Option<Child>,
    file: File,
}

impl Ns {
    /// A new namespace, its `lo` up, without IPv6 duplicate address detection. `name` is for
    /// messages only.
    pub(crate) fn new(name: &str) -> Self {
        let mut holder = Command::new("unshare")
            .args(["--net", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cannot start unshare");
        // When the byte comes back, `cat` runs, and it runs in the new namespace.
        let mut byte = [0];
        let echoed = holder.stdin.as_mut().unwrap().write_all(b"x").is_ok()
            && holder.stdout.as_mut().unwrap().read_exact(&mut byte).is_ok();
        assert!(echoed, "cannot make a network namespace: these tests need root");
        let file = File::open(format!("/proc/{}/ns/net", holder.id())).unwrap();
        let ns = Self { name: name.to_owned(), holder: Some(holder), file };
        ns.sysctl("net/ipv6/conf/all/accept_dad", "0");
        ns.sysctl("net/ipv6/conf/default/accept_dad", "0");
        ns.ip("link set lo up");
        ns
    }

    /// The namespace of that file, which others made. It lasts as long as this, at least.
    pub(crate) fn of(name: &str, file: &Path) -> Self {
        let file = File::open(file)
            .unwrap_or_else(|error| panic!("cannot open {} of {name}: {error}", file.display()));
        Self { name: name.to_owned(), holder: None, file }
    }

    /// The name given to [`Ns::new`].
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The process that holds the namespace. There is none where others made it.
    pub(crate) fn pid(&self) -> u32 {
        self.holder.as_ref().expect("a namespace that the test made").id()
    }

    /// The namespace as a file.
    pub(crate) fn path(&self) -> PathBuf {
        let open = || format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd());
        match &self.holder {
            Some(holder) => format!("/proc/{}/ns/net", holder.id()).into(),
            None => open().into(),
        }
    }

    /// Runs `work` in the namespace, on a thread of its own. Sockets that it returns stay there.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(&self.file, CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// A command that will run in the namespace. Its process id is the program's own.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg(program);
        command
    }

    /// Runs a tool to its end, whatever that is.
    pub(crate) fn try_tool(&self, program: &str, args: &[&str], input: &str) -> Finished {
        Running::start(self, program, args, input).finish(TOOL)
    }

    /// Runs a tool and returns what it printed; panics with its complaint if it failed.
    pub(crate) fn tool(&self, program: &str, args: &[&str], input: &str) -> String {
        let done = self.try_tool(program, args, input);
        assert!(
            done.code == Some(0),
            "in {}: {program} {} failed ({:?}): {}{input}",
            self.name,
            args.join(" "),
            done.code,
            done.stderr
        );
        done.stdout
    }

    /// `ip ARGS`, split at spaces.
    pub(crate) fn ip(&self, args: &str) -> String {
        self.tool("ip", &words(args), "")
    }

    /// What the link has, one a line, as `ip -oneline address show` tells it: its addresses, and
    /// after them the floating ones that it holds by local routes.
    pub(crate) fn carried(&self, link: &str) -> String {
        let routes = self.held_by_routes(link);
        let routes = routes.iter().map(|held| format!("route: {link} inet {held}/32 local\n"));
        self.ip(&format!("-oneline address show dev {link}")) + &routes.collect::<String>()
    }

    /// The floating addresses that the link holds by local routes.
    pub(crate) fn held_by_routes(&self, link: &str) -> Vec<String> {
        let text = self.ip("-4 route show table local type local proto 0xf1");
        let lines = text.lines().map(|line| words(line));
        let of_link = lines.filter(|line| line.windows(2).any(|pair| *pair == ["dev", link]));
        of_link.map(|line| line[1].to_owned()).collect()
    }

    /// Takes a floating address away from the link, however it is held.
    pub(crate) fn take_away(&self, address: impl ToString, link: &str) {
        let address = address.to_string();
        if self.held_by_routes(link).contains(&address) {
            self.ip(&format!("route del local {address}/32 dev {link} table local proto 0xf1"));
        } else {
            let length = if address.contains(':') { 128 } else { 32 };
            self.ip(&format!("address del {address}/{length} dev {link}"));
        }
    }

    /// Many `ip` commands at once, one a line.
    pub(crate) fn ip_batch(&self, script: &str) {
        self.tool("ip", &["-batch", "-"], script);
    }

    /// `nft ARGS`, split at spaces, as `list ruleset`.
    pub(crate) fn nft(&self, args: &str) -> String {
        self.tool("nft", &words(args), "")
    }

    /// Loads an nft script.
    pub(crate) fn nft_script(&self, script: &str) {
        self.tool("nft", &["-f", "-"], script);
    }

    /// `iptables-nft ARGS`, split at spaces.
    pub(crate) fn iptables(&self, args: &str) -> String {
        self.tool("iptables-nft", &words(args), "")
    }

    /// `ip6tables-nft ARGS`, split at spaces.
    pub(crate) fn ip6tables(&self, args: &str) -> String {
        self.tool("ip6tables-nft", &words(args), "")
    }

    /// Sets a sysctl, by its path below `/proc/sys`; one that does not exist is an error.
    pub(crate) fn sysctl(&self, path: &str, value: &str) {
        self.run(|| std::fs::write(format!("/proc/sys/{path}"), value))
            .unwrap_or_else(|error| panic!("in {}: cannot set {path}: {error}", self.name));
    }

    /// The value of a sysctl.
    pub(crate) fn read_sysctl(&self, path: &str) -> String {
        self.run(|| std::fs::read_to_string(format!("/proc/sys/{path}")))
            .unwrap_or_else(|error| panic!("in {}: cannot read {path}: {error}", self.name))
            .trim()
            .to_owned()
    }

    /// Whether bridged packets pass iptables and nf_tables too, both families. The switch is per
    /// namespace (module `br_netfilter`); a kernel that has none here cannot run the test.
    pub(crate) fn bridge_nf_call(&self, on: bool) {
        for path in ["net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables"] {
            self.sysctl(path, if on { "1" } else { "0" });
        }
    }

    /// The hardware address of a link, as `02:..`.
    pub(crate) fn mac(&self, link: &str) -> String {
        let text = self.ip(&format!("-br link show dev {link}"));
        text.split_whitespace().nth(2).unwrap().to_owned()
    }

    /// Waits until the link runs, forwards if it is a port of a bridge, and has its link-local
    /// address, unless IPv6 is disabled: the kernel follows a carrier a moment later. All addresses
    /// are in force then, as by [`Ns::wait_in_force`].
    pub(crate) fn wait_ready(&self, link: &str) {
        let disabled = self.read_sysctl(&format!("net/ipv6/conf/{link}/disable_ipv6")) == "1";
        super::wait_for(&format!("{link} of {} to run", self.name), || {
            let shown = self.ip(&format!("-details -oneline link show dev {link}"));
            let forwards = !shown.contains("bridge_slave") || shown.contains("state forwarding");
            let addressed = disabled || self.addresses6(link).contains(" fe80:");
            (shown.contains(" state UP ") && forwards && addressed).then_some(())
        });
        self.wait_in_force(link);
    }

    /// Waits until the IPv6 addresses of the link are in force. An address is answered for a moment
    /// after it is there; that is when the kernel tells of it, and makes its local route.
    pub(crate) fn wait_in_force(&self, link: &str) {
        super::wait_for(&format!("the addresses of {link} of {}", self.name), || {
            let shown = self.addresses6(link);
            let mut addresses = shown.lines().filter_map(|line| words(line)[3].split('/').next());
            let routes = self.ip(&format!("-6 route show table local type local dev {link}"));
            let routed = |address| routes.lines().any(|line| words(line).get(1) == Some(&address));
            addresses.all(routed).then_some(())
        });
    }

    fn addresses6(&self, link: &str) -> String {
        self.ip(&format!("-6 -oneline address show dev {link}"))
    }

    /// The whole ruleset with handles, without counters.
    pub(crate) fn ruleset(&self) -> String {
        self.nft("-s -a list ruleset")
    }
}

impl Drop for Ns {
    fn drop(&mut self) {
        if let Some(holder) = &mut self.holder {
            let _ = holder.kill();
            let _ = holder.wait();
        }
    }
}

fn words(args: &str) -> Vec<&str> {
    args.split_whitespace().collect()
}
