//! `fip-plugin`: the network driver as a daemon.
//!
//! Exit codes: 0 stopped as asked, 1 failed, 2 wrong usage.

mod args;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use clap::Parser;
use fip_core::error::Chain;
use fip_core::kernel::host::Host;
use fip_plugin::daemon::{Signals, start_log};
use fip_plugin::driver::{Driver, Reply};
use fip_plugin::http::{self, Limits, Listener, Response, Stop};
use fip_plugin::{notify, proc_sys};

use args::{Arguments, Command, Serve};

fn main() -> ExitCode {
    let Arguments { command: Command::Serve(serve) } = Arguments::parse();
    start_log(serve.log_level);
    match run(serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{}", Chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run(serve: Serve) -> Result<(), Box<dyn Error>> {
    // Before any thread is started: threads inherit what is held back.
    let signals = Signals::hold()?;
    let config = serve.config()?;
    if serve.unlock_proc_sys && proc_sys::make_writable()? {
        log::info!("made /proc/sys writable");
    }
    // The socket comes first: who finds another plugin at work must not touch its networks.
    let mut listeners = vec![Listener::unix(&serve.socket)?];
    listeners.extend(serve.listen.map(Listener::tcp).transpose()?);
    let driver = Driver::start(config, &serve.state_dir, Arc::new(Host::open))?;
    let driver = Arc::new(driver);
    let follower = Arc::clone(&driver);
    thread::Builder::new().name("follower".to_owned()).spawn(move || follower.follow())?;
    let follower = Arc::clone(&driver);
    thread::Builder::new().name("outlets".to_owned()).spawn(move || follower.follow_routes())?;
    let stop = Stop::new()?;
    let asked = stop.clone();
    signals.then(move || asked.ask())?;
    listeners.iter().for_each(|listener| log::info!("listening on {listener}"));
    notify::ready()?;
    http::serve(listeners, Limits::default(), &stop, move |request| {
        let Reply { status, body } = driver.call(&request.path, &request.body);
        Response { status, content_type: http::PLUGIN_JSON, body }
    })?;
    log::info!("stopped; networks and floating addresses stay");
    Ok(())
}
