//! The programs in `examples/`, each run as a user would.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lab;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use lab::{Family, Host, Lan, Ns, Workload, lan, ping};

/// A LAN with a client, and a host with one workload.
struct Scene {
    _lan: Lan,
    client: Ns,
    host: Host,
    workload: Workload,
}

impl Scene {
    fn new() -> Self {
        let lan = Lan::new();
        let (client, host) = (lan.client(), lan.host_a());
        host.bridge("br0", 18);
        let workload = host.workload("web", "br0", 18, 2);
        Self { _lan: lan, client, host, workload }
    }

    fn floating(&self) -> IpAddr {
        lan(Family::V4, 200)
    }

    fn fixed(&self) -> IpAddr {
        self.workload.address(Family::V4)
    }

    fn start(&self, example: &str, args: &[&str]) -> Example {
        let mut child = self
            .host
            .command(program(example).to_str().unwrap())
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Example { child, input, output }
    }

    fn is_clean(&self) {
        assert_eq!(self.host.nft("list ruleset"), "");
        assert!(!self.host.ip("address").contains(&self.floating().to_string()));
    }
}

/// An example under way. Its input ends with it, and every example ends with its input.
struct Example {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Example {
    fn say(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Reads on until this line comes, and returns those before it.
    fn until(&mut self, wanted: &str) -> Vec<String> {
        let mut before = Vec::new();
        for line in self.output.by_ref().lines() {
            match line.unwrap() {
                line if line == wanted => return before,
                line => before.push(line),
            }
        }
        panic!("{wanted:?} did not come, but {before:?}");
    }

    /// Ends its input, and returns the rest of what it prints.
    fn finish(mut self) -> Vec<String> {
        drop(self.input.take());
        let rest = self.output.by_ref().lines().collect::<Result<_, _>>().unwrap();
        assert!(self.child.wait().unwrap().success());
        rest
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// The example as cargo built it, which it does before it runs tests.
fn program(example: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let path = this.parent().unwrap().with_file_name("examples").join(example);
    assert!(path.exists(), "{} is not built: run cargo build --examples", path.display());
    path
}

#[test]
fn embed_binds_until_its_input_ends() {
    let scene = Scene::new();
    let (floating, fixed) = (scene.floating().to_string(), scene.fixed().to_string());
    let mut embed = scene.start("embed", &[&floating, &fixed]);
    let changes = embed.until(&format!("bound {floating} -> {fixed}"));
    assert_eq!(changes.last().unwrap(), &format!("add local route {floating}/32 dev eth0"));
    assert!(ping(&scene.client, scene.floating()));
    assert_eq!(embed.finish(), [format!("unbound {floating}")]);
    scene.is_clean();
}

#[test]
fn agent_follows_its_events() {
    let scene = Scene::new();
    let web = format!("start web {} {}", scene.floating(), scene.fixed());
    let mail = scene.host.workload("mail", "br0", 18, 3).address(Family::V4);
    let mut agent = scene.start("agent", &[]);
    agent.say(&web);
    assert_ne!(agent.until("1 bound"), [""; 0]);
    assert!(ping(&scene.client, scene.floating()));
    // Twice is once.
    agent.say(&web);
    assert_eq!(agent.until("1 bound"), [""; 0]);
    agent.say("start nonsense");
    agent.say(&format!("start mail {} {mail}", lan(Family::V4, 201)));
    agent.until("2 bound");
    agent.say("stop web");
    agent.until("1 bound");
    assert!(!ping(&scene.client, scene.floating()));
    assert_eq!(agent.finish(), [""; 0]);
    // The agent is started again, and nothing runs any more.
    let mut agent = scene.start("agent", &[]);
    agent.say("stop mail");
    agent.until("0 bound");
    agent.finish();
    scene.is_clean();
}

#[test]
fn dry_run_prints_what_nft_understands() {
    let scene = Scene::new();
    let (floating, fixed) = (scene.floating().to_string(), scene.fixed().to_string());
    let printed = scene.start("dry_run", &[&floating, &fixed]).finish();
    let (addresses, rules): (Vec<_>, Vec<_>) =
        printed.into_iter().partition(|line| line.starts_with("add local route"));
    assert_eq!(addresses, [format!("add local route {floating}/32 dev eth0")]);
    assert!(rules.iter().any(|line| line.contains("dnat4") && line.contains(&fixed)));
    scene.is_clean();
    scene.host.nft_script(&rules.join("\n"));
}

#[test]
fn the_readme_shows_embed_as_it_is() {
    let top = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let read = |file: &str| std::fs::read_to_string(format!("{top}/{file}")).unwrap();
    let embed = read("examples/embed.rs");
    let code = embed.find("use ").unwrap();
    assert!(read("README.md").contains(&format!("```rust\n{}```", &embed[code..])));
}
