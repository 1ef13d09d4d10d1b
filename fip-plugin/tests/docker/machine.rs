//! A machine for daemons: what a network namespace lacks to be a host of its own.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::seats::Seat;
use crate::lab::{Finished, Ns, Running};

/// Makes the machine and lives as long as it. When it ends, because its input does, the kernel
/// kills all processes of the machine and takes its mounts apart; only control groups are left.
///
/// They are left by a killed test as well, so this does not count on it.
const KEEPER: &str = r#"
nsenter --net="$1" unshare --mount --pid --fork --kill-child bash -c "$2" "$0"
for attempt in {1..100}; do
    left=$(find /sys/fs/cgroup -maxdepth 2 -name "$0")
    [ -n "$left" ] || exit 0
    find $left -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
done
echo "$0: cannot remove $left" >&2
"#;

/// The machine's first process, which also buries the dead.
///
/// `/run` is as empty as after a start of the machine, and `/etc` is the host's, to write to as one
/// likes. `/run/disk` is what a real machine has on disk. `/sys` is mounted anew because it shows
/// the network of the one who mounts it; that no security file system is there keeps dockerd from
/// loading AppArmor profiles, which belong to the whole kernel.
const INIT: &str = r#"
set -eu
read -r pid _ </proc/self/stat
mount -t tmpfs -o mode=755 tmpfs /run
# A disk of its own, as on any host: a managed plugin's root makes the mount it is on private.
mkdir /run/disk
mount -t tmpfs -o mode=755 tmpfs /run/disk
mkdir -p /run/disk/etc /run/disk/etc.work /run/disk/log /run/control
mount -t overlay -o lowerdir=/etc,upperdir=/run/disk/etc,workdir=/run/disk/etc.work overlay /etc
[ -z "${FIP_ENGINE_USR:-}" ] || mount --bind "$FIP_ENGINE_USR" /usr
mkdir -p /etc/docker
mount -t tmpfs tmpfs /etc/docker
mount --rbind /sys/fs/cgroup /run/control
mount -t sysfs sysfs /sys
mount --move /run/control /sys/fs/cgroup
rmdir /run/control
mount -t proc proc /proc
mount --make-rshared /
echo "$pid"
while read -r; do :; done
# With control groups of version 1 a process that is frozen cannot die.
for state in /sys/fs/cgroup/freezer/"$0"/*/freezer.state; do
    { echo THAWED >"$state"; } 2>/dev/null || true
done
"#;

/// Pulls the plug, and starts the machine again: only `/run/disk` and `/etc` are left.
///
/// Mounts of the real host's `/run` are listed too, but cannot be reached.
const POWER_CYCLE: &str = r#"
kill -9 -1
while read -r _ _ _ _ at _; do
    case $at in /run/disk) ;; /run/?*) umount --lazy "$at" 2>/dev/null || true ;; esac
done < <(tac /proc/self/mountinfo)
find /run -mindepth 1 -maxdepth 1 ! -name disk -exec rm -rf --one-file-system {} +
"#;

/// A host for daemons, in the network namespace of a host of the laboratory.
///
/// It is dropped, or the test dies: everything in it ends.
pub(crate) struct Machine {
    name: String,
    keeper: Child,
    init: u32,
    net: Ns,
    _seat: Seat,
}

impl Machine {
    pub(super) fn start(host: &Ns, seat: Seat) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Whoever looks for leftovers sees from the name whether its test still runs.
        let name = format!("fip-machine-{}-{number}", std::process::id());
        let mut keeper = Command::new("bash")
            .args(["-c", KEEPER, &name])
            .arg(host.path())
            .arg(INIT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // An interrupted test must not take it along.
            .process_group(0)
            .spawn()
            .expect("cannot start bash");
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let init = line.trim().parse().expect("cannot make a machine: these tests need root");
        let net = Ns::of(host.name(), &host.path());
        forward_nothing(&net);
        Self { name, keeper, init, net, _seat: seat }
    }

    /// Its name, which no other has; its containers' control groups are in one of this name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its network.
    pub(crate) fn net(&self) -> &Ns {
        &self.net
    }

    /// How the test gets at a file of the machine, given by its absolute path there. The path of a
    /// socket can be connected to.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        format!("/proc/{}/root{path}", self.init).into()
    }

    /// A command that will run in the machine. The process started is not the program but one that
    /// waits for it.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.init.to_string(), "--mount", "--net", "--pid", program]);
        command
    }

    /// Runs a script of `bash` in the machine to its end; panics if it fails.
    pub(crate) fn bash(&self, script: &str, args: &[&str]) -> String {
        let mut command = self.command("bash");
        command.args(["-euo", "pipefail", "-c", script, "bash"]).args(args);
        let Finished { code, stdout, stderr } =
            Running::spawn(script, command, "").finish(super::PATIENCE);
        assert!(code == Some(0), "in {}: {script} {args:?} failed: {stderr}", self.net.name());
        stdout
    }

    /// The network namespace of a process, given by its id in the machine.
    pub(crate) fn net_of(&self, name: &str, pid: u64) -> Ns {
        Ns::of(name, &self.path(&format!("/proc/{pid}/ns/net")))
    }

    /// Every process dies at once, and what only memory held is gone: `/run`, links, addresses,
    /// rules, connections. The card `eth0` keeps the addresses that a start of the machine would
    /// give it, those with a subnet.
    pub(super) fn power_cycle(&self) {
        self.bash(POWER_CYCLE, &[]);
        let net = self.net();
        net.nft("flush ruleset");
        let links = net.ip("-o link show");
        let names = links.lines().filter_map(|line| line.split([':', '@']).nth(1));
        for link in names.map(str::trim).filter(|name| !["lo", "eth0"].contains(name)) {
            // One end of a pair takes the other along.
            net.try_tool("ip", &["link", "del", link], "");
        }
        for line in net.carried("eth0").lines() {
            let (address, length) =
                line.split_whitespace().nth(3).unwrap().split_once('/').unwrap();
            if ["32", "128"].contains(&length) {
                net.take_away(address, "eth0");
            }
        }
        net.tool("conntrack", &["-F"], "");
        forward_nothing(net);
    }
}

/// As most hosts are before dockerd starts: it turns forwarding on, and has iptables drop what is
/// forwarded, which it does not where it finds forwarding turned on.
fn forward_nothing(net: &Ns) {
    net.sysctl("net/ipv4/ip_forward", "0");
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
