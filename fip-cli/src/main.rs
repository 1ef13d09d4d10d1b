//! `fip`: floating IP addresses from the command line.
//!
//! Exit codes: 0 done (or already so), 1 failed, 2 wrong usage, 3 conflict (bound elsewhere, in use
//! on the LAN, another owner's), 4 not found, 5 not permitted.

mod args;
mod bridge;
mod failure;
mod file;
mod output;
mod run;
mod signals;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Command};
use failure::Failure;

fn main() -> ExitCode {
    let outcome =
        Arguments::try_parse().map_err(Failure::Usage).and_then(|arguments| dispatch(&arguments));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn dispatch(arguments: &Arguments) -> Result<(), Failure> {
    let host = &arguments.host;
    match &arguments.command {
        Command::Bind(args) => run::bind(host, args),
        Command::Unbind(args) => run::unbind(host, args),
        Command::List(args) => run::list(host, args),
        Command::Apply(args) => run::apply(host, args),
        Command::Watch(args) => watch::watch(host, args),
        Command::Bridge(command) => bridge::bridge(host, command),
    }
}
