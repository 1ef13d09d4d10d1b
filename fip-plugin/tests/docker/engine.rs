//! dockerd on a host of the laboratory, and the command `docker` for it.

use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;

use super::PATIENCE;
use super::daemon::Daemon;
use super::machine::Machine;
use super::seats::Seat;
use crate::lab::{Ns, Run, Running};

/// The image that every engine has: a static busybox. Without a command its container is idle.
pub(crate) const IMAGE: &str = "lab";

/// Where dockerd listens, in its machine: the usual place.
const SOCKET: &str = "/run/docker.sock";

/// Makes the image. `/serve PAGE` serves that page at port 80 (TCP), and at `/cgi-bin/peer` tells
/// whose request it saw. It ends at once when it is asked to.
const IMPORT: &str = r#"
rootfs=/run/disk/rootfs
mkdir -p $rootfs/bin $rootfs/www/cgi-bin
cp "$(type -P busybox)" $rootfs/bin/busybox
chroot $rootfs /bin/busybox --install -s /bin
cat >$rootfs/serve <<'END'
#!/bin/sh
trap 'exit 0' TERM
echo "$1" >/www/index.html
[ $# = 0 ] || httpd -h /www
while :; do sleep 3600 & wait $!; done
END
cat >$rootfs/www/cgi-bin/peer <<'END'
#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\n%s\n' "$REMOTE_ADDR"
END
chmod 755 $rootfs/serve $rootfs/www/cgi-bin/peer
tar -C $rootfs -c . | docker import --change 'CMD ["/serve"]' - "$1"
"#;

/// What may differ between engines.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Containers survive the end of dockerd.
    pub(crate) live_restore: bool,
    /// The address of `docker0`, with its subnet.
    pub(crate) bip: &'static str,
    /// More arguments of dockerd, split at spaces.
    pub(crate) more: &'static str,
}

impl Default for Options {
    fn default() -> Self {
        Self { live_restore: false, bip: "172.17.0.1/16", more: "" }
    }
}

/// What dockerd does with containers and networks: it writes that into a file when it is asked to.
/// A line for each goroutine, the innermost function first.
const GOROUTINES: &str = r#"
kill -s USR1 "$1"
sleep 1
awk 'BEGIN { RS = ""; FS = "\n" } /libnetwork|daemon\.\(/ && !/miekg|[aA]ccept/ {
    printf "%s", $1
    for (i = 2; i < NF; i += 2) {
        sub(/\((0x|\{|\.\.\.).*/, "", $i)
        sub(/.*\//, "", $i)
        printf " < %s", $i
    }
    print ""
}' /run/docker/goroutine-stacks-*.log
"#;

/// A Docker engine.
pub(crate) struct Engine {
    machine: Arc<Machine>,
    dockerd: Daemon,
}

impl Engine {
    /// An engine on that host, at work. Waits until there is room for one more.
    pub(crate) fn start(host: &Ns, options: &Options) -> Self {
        let [engine] = Self::start_each([host], options);
        engine
    }

    /// One engine on each host, all at work.
    pub(crate) fn start_each<const N: usize>(hosts: [&Ns; N], options: &Options) -> [Self; N] {
        Self::install_each(hosts, options).map(|engine| {
            engine.up();
            engine.import(IMAGE);
            engine
        })
    }

    /// One on each host, not yet started, with no image: for what must be there before dockerd.
    pub(crate) fn install_each<const N: usize>(hosts: [&Ns; N], options: &Options) -> [Self; N] {
        let mut seats = Seat::take::<N>().into_iter();
        hosts.map(|host| {
            let machine = Arc::new(Machine::start(host, seats.next().unwrap()));
            let command = arguments(machine.name(), options);
            let dockerd = Daemon::new(machine.clone(), "dockerd", command);
            Self { machine, dockerd }
        })
    }

    /// Where it runs.
    pub(crate) fn machine(&self) -> &Arc<Machine> {
        &self.machine
    }

    /// Starts dockerd and waits until it answers.
    pub(crate) fn up(&self) {
        let socket = self.machine.path(SOCKET);
        // A socket is left over from a dockerd that was killed: nobody listens at it.
        self.dockerd.start(|| {
            UnixStream::connect(&socket).is_ok() && self.docker("version").code == Some(0)
        });
    }

    /// Ends dockerd as a service manager does, and waits for it. Containers end too, unless it was
    /// started with `live_restore`.
    pub(crate) fn stop(&self) {
        self.dockerd.end("TERM");
    }

    /// Kills dockerd with its containerd. Containers go on.
    pub(crate) fn kill(&self) {
        self.dockerd.end("KILL");
    }

    /// Whether dockerd runs.
    pub(crate) fn is_running(&self) -> bool {
        self.dockerd.is_running()
    }

    /// Stops dockerd and starts it again.
    pub(crate) fn restart(&self) {
        self.stop();
        self.up();
    }

    /// Pulls the plug of the whole host and gives it power again: no process is left, nothing of
    /// its network but `eth0` as it was, and no file but those on disk. Nothing is started.
    pub(crate) fn power_cycle(&self) {
        self.machine.power_cycle();
        self.dockerd.buried();
    }

    /// What dockerd has logged.
    pub(crate) fn log(&self) -> String {
        self.dockerd.log()
    }

    /// Runs `docker ARGS`, split at spaces, to its end.
    pub(crate) fn docker(&self, args: &str) -> Run {
        self.docker_with(&args.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs `docker` with these arguments to its end.
    pub(crate) fn docker_with(&self, args: &[&str]) -> Run {
        let finished = self.spawn(args).finish(PATIENCE);
        Run::new(&format!("docker {}", args.join(" ")), finished)
    }

    /// Runs `docker ARGS`, split at spaces, and returns what it printed, without the line's end;
    /// panics unless it succeeds.
    #[track_caller]
    pub(crate) fn docker_ok(&self, args: &str) -> String {
        self.docker(args).exits(0).stdout.trim_end().to_owned()
    }

    /// Starts `docker` with these arguments.
    pub(crate) fn spawn(&self, args: &[&str]) -> Running {
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "docker"])
            .arg(format!("--host=unix://{}", self.machine.path(SOCKET).display()))
            .args(args)
            // What a user of this machine has set for his own docker.
            .env("DOCKER_CONFIG", self.machine.path("/run/disk/cli"))
            .env_remove("DOCKER_CONTEXT")
            .env_remove("DOCKER_TLS_VERIFY")
            .env_remove("DOCKER_API_VERSION");
        Running::spawn(&format!("docker {}", args.join(" ")), command, "")
    }

    /// What dockerd says of an object, as `inspect("network fip")` or `inspect("container c1")`.
    #[track_caller]
    pub(crate) fn inspect(&self, what: &str) -> Value {
        let (kind, name) = what.split_once(' ').expect("KIND NAME");
        self.docker(&format!("{kind} inspect {name}")).exits(0).json()[0].take()
    }

    /// The network of a running container: for traffic from it, and for looking into it.
    #[track_caller]
    pub(crate) fn inside(&self, container: &str) -> Ns {
        let pid = self.inspect(&format!("container {container}"))["State"]["Pid"].take();
        match pid.as_u64() {
            Some(pid) if pid > 0 => self.machine.net_of(container, pid),
            _ => panic!("the container {container} does not run"),
        }
    }

    /// Makes the image under that name.
    pub(crate) fn import(&self, name: &str) {
        self.machine.bash(IMPORT, &[name]);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.dockerd.explain(GOROUTINES);
    }
}

/// Only options that all versions have. Everything is where it is by default, except what belongs
/// on disk, and control groups, which are of the whole machine.
fn arguments(machine: &str, options: &Options) -> Vec<String> {
    // 172.17.0.0/16 is docker0's, and it is not first in line for other networks.
    let pools = ["172.18.0.0/15", "172.20.0.0/14", "172.24.0.0/13"];
    let always = [
        "dockerd",
        "--log-level=warn",
        "--data-root=/run/disk/docker",
        "--iptables=true",
        "--userland-proxy=false",
        "--exec-opt=native.cgroupdriver=cgroupfs",
    ];
    let mut words: Vec<String> = always.map(str::to_owned).into();
    words.extend(pools.map(|pool| format!("--default-address-pool=base={pool},size=16")));
    words.push(format!("--cgroup-parent=/{machine}"));
    words.push(format!("--bip={}", options.bip));
    words.push(format!("--live-restore={}", options.live_restore));
    words.extend(options.more.split_whitespace().map(str::to_owned));
    words
}
