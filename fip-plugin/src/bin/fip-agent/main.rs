//! `fip-agent`: gives floating addresses to the containers of this host that are labelled with them.
//!
//! Exit codes: 0 stopped as asked, or all is well; 1 failed, or something is not well; 2 wrong usage.

mod args;
mod parts;

use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;

use clap::Parser;
use fip_plugin::agent::model::State;
use fip_plugin::agent::status::{self, Place};
use fip_plugin::daemon::{Signals, start_log};
use fip_plugin::http::{Listener, Stop};
use fip_plugin::notify;
use log::LevelFilter;

use args::{Arguments, Command, Drain, Run};
use parts::Problem;

fn main() -> ExitCode {
    let Arguments { command, run } = Arguments::parse();
    start_log(if command.is_some() { LevelFilter::Warn } else { run.log_level });
    let done = match command {
        Some(Command::Status { listen, json }) => tell_status(&listen, json),
        Some(Command::Drain(args)) => drain(&args),
        None if run.dry_run => plan(&run),
        None if run.once => once(&run),
        None => serve(&run).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            log::error!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// Works until SIGTERM.
fn serve(run: &Run) -> Result<(), Problem> {
    // Before any thread is started: threads inherit what is held back.
    let signals = Signals::hold()?;
    // The sockets come first: one agent is enough for a host.
    let listeners: Result<Vec<Listener>, _> = run.places().iter().map(Place::listen).collect();
    let listeners = listeners?;
    let board = parts::board(run);
    let agent = parts::agent(run, board.clone())?;
    let (stop, stopper) = (Stop::new()?, agent.stopper());
    let asked = stop.clone();
    signals.then(move || {
        asked.ask();
        stopper.stop();
    })?;
    listeners.iter().for_each(|listener| log::info!("status on {listener}"));
    let told = thread::Builder::new()
        .name("status".to_owned())
        .spawn(move || status::serve(board, listeners, &stop))?;
    notify::ready()?;
    agent.run()?;
    log::info!("stopped; floating addresses stay");
    told.join().unwrap_or(Ok(()))?;
    Ok(())
}

/// Whether everything is as it shall be.
fn once(run: &Run) -> Result<bool, Problem> {
    let entries = parts::agent(run, parts::board(run))?.once()?;
    let missing =
        entries.iter().filter(|entry| !matches!(entry.state, State::Bound | State::Stopped));
    Ok(missing.count() == 0)
}

fn plan(run: &Run) -> Result<bool, Problem> {
    print(&parts::agent(run, parts::board(run))?.plan()?)?;
    Ok(true)
}

fn tell_status(place: &Place, json: bool) -> Result<bool, Problem> {
    Ok(status::print(place, json, &mut io::stdout().lock())?)
}

/// Each does all it can.
fn drain(args: &Drain) -> Result<bool, Problem> {
    // An agent at work would make it all anew.
    let _alone = args.listen.listen()?;
    let mut well = true;
    for mut actuator in parts::all_that_binds(args)? {
        match actuator.drain() {
            Ok(lines) => print(&lines)?,
            Err(failure) => {
                log::error!("{}", Problem::from(failure));
                well = false;
            }
        }
    }
    Ok(well)
}

fn print(lines: &[String]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))
}
