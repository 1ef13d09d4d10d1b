//! What `fip` costs, beside what people use instead and beside the kernel's limit.
//!
//! Results go to `benches/results`: a JSON file for each group, pictures, and tables.

// A benchmark that cannot measure ends there.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../fip-core/tests/lab/mod.rs"]
mod lab;

#[path = "../../fip-plugin/tests/docker/mod.rs"]
mod docker;

mod groups;
mod harness;
mod load;
mod plot;
mod report;
mod signals;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use clap::Parser;

use groups::{CHAPTERS, Chapter};
use harness::{Bench, Group, Programs, Scratch};

/// Measures fip, its peers and the kernel's limit, and writes results, pictures and tables.
#[derive(Parser)]
struct Args {
    /// Groups to measure; none: all. `plot`: only pictures and tables, from the present results.
    groups: Vec<String>,
    /// Few rounds, into results/quick: to see that all works, not to compare.
    #[arg(long)]
    quick: bool,
    /// Where the results go.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
    results: PathBuf,
    /// Measures the one group in this process, and draws nothing.
    #[arg(long, hide = true)]
    alone: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let directory = if args.quick { args.results.join("quick") } else { args.results.clone() };
    fs::create_dir_all(&directory).expect("cannot make the directory for results");
    signals::end_on_request();
    if args.alone {
        wanted(&args.groups).iter().for_each(|chapter| measure(chapter, args.quick, &directory));
        return ExitCode::SUCCESS;
    }
    let chapters = if args.groups == ["plot"] { Vec::new() } else { wanted(&args.groups) };
    let failed: Vec<&str> = chapters
        .iter()
        .map(|chapter| chapter.name)
        .filter(|name| !is_measured(name, &args))
        .collect();
    Scratch::sweep();
    report(&directory);
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("fip-bench: failed, so what it had before is shown: {}", failed.join(", "));
    ExitCode::FAILURE
}

/// Measures a group in a process of its own, so that the others are measured whatever becomes of
/// it. It ends with this one.
fn is_measured(name: &str, args: &Args) -> bool {
    let this = std::env::current_exe().expect("a program knows where it is");
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM"]).arg(this).args(["--alone", name]);
    command.arg("--results").arg(&args.results).args(args.quick.then_some("--quick"));
    command.status().expect("cannot start a process for a group").success()
}

fn measure(chapter: &Chapter, quick: bool, directory: &Path) {
    eprintln!("{}", chapter.name);
    let (programs, scratch) = (Programs::beside_this(), Scratch::new());
    let bench = Bench { quick, programs, scratch };
    let began = Instant::now();
    let mut group = (chapter.run)(&bench);
    if cfg!(debug_assertions) {
        group.note("built without optimization: nothing here is to be compared");
    }
    let took = format!("{:.0} s", began.elapsed().as_secs_f64());
    eprintln!("  {took}");
    group.set("the whole group took", took);
    group.write(directory);
}

fn report(directory: &Path) {
    let groups: Vec<(&Chapter, Group)> = CHAPTERS
        .iter()
        .filter_map(|chapter| Some((chapter, Group::read(directory, chapter.name)?)))
        .collect();
    report::write(directory, &groups);
}

/// The groups of these names; none: all.
fn wanted(names: &[String]) -> Vec<&'static Chapter> {
    let known = |name: &String| CHAPTERS.iter().any(|chapter| chapter.name == name);
    if let Some(name) = names.iter().find(|name| !known(name)) {
        let all: Vec<&str> = CHAPTERS.iter().map(|chapter| chapter.name).collect();
        eprintln!("fip-bench: no group {name:?}; there are: {}, plot", all.join(", "));
        std::process::exit(2);
    }
    let is_wanted =
        |chapter: &&Chapter| names.is_empty() || names.iter().any(|n| n == chapter.name);
    CHAPTERS.iter().filter(is_wanted).collect()
}
