//! Between the agent and dockerd: a proxy that loses events, cuts them in half, or is not there.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::docker::Engine;

/// The argument of whoever shall ask through the proxy.
pub(crate) const THROUGH_PROXY: &str = "--docker unix:///run/proxy.sock";

/// What becomes of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Events {
    /// They are handed on.
    Pass,
    /// They are swallowed; the stream stays open.
    Lose,
    /// Half of the next one is handed on, and the stream ends. Those after it are handed on.
    Cut,
}

/// Hands questions and answers on. Its thread ends with the test program.
pub(crate) struct Proxy(Arc<Shared>);

struct Shared {
    dockerd: PathBuf,
    state: Mutex<State>,
}

struct State {
    events: Events,
    /// How many event streams there were.
    streams: usize,
    /// Nobody is let in.
    closed: bool,
    /// Both ends of all connections, also of those that are over.
    ends: Vec<UnixStream>,
}

impl Proxy {
    /// Listens in the machine of that engine, at the place of [`THROUGH_PROXY`].
    pub(crate) fn start(engine: &Engine) -> Self {
        let [own, dockerd] = ["proxy", "docker"].map(|name| format!("/run/{name}.sock"));
        let listener = UnixListener::bind(engine.machine().path(&own)).unwrap();
        let state = State { events: Events::Pass, streams: 0, closed: false, ends: Vec::new() };
        let dockerd = engine.machine().path(&dockerd);
        let shared = Arc::new(Shared { dockerd, state: Mutex::new(state) });
        let server = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = Arc::clone(&server);
                // Whoever goes away in between has no answer to wait for.
                thread::spawn(move || _ = server.serve(client));
            }
        });
        Self(shared)
    }

    /// What becomes of events from now on.
    pub(crate) fn set(&self, events: Events) {
        self.0.state.lock().unwrap().events = events;
    }

    /// What becomes of the next event.
    pub(crate) fn events(&self) -> Events {
        self.0.state.lock().unwrap().events
    }

    /// How many event streams there were.
    pub(crate) fn streams(&self) -> usize {
        self.0.state.lock().unwrap().streams
    }

    /// All connections end, and whoever comes is sent away.
    pub(crate) fn close(&self) {
        let mut state = self.0.state.lock().unwrap();
        state.closed = true;
        for end in state.ends.drain(..) {
            // It may be over.
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    /// Lets everybody in again.
    pub(crate) fn open(&self) {
        self.0.state.lock().unwrap().closed = false;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// One connection is one question.
    fn serve(&self, mut client: UnixStream) -> std::io::Result<()> {
        let mut dockerd = UnixStream::connect(&self.dockerd)?;
        {
            let mut state = self.state.lock().unwrap();
            if state.closed {
                return Ok(());
            }
            state.ends.extend([client.try_clone()?, dockerd.try_clone()?]);
        }
        let question = head(&mut client)?;
        dockerd.write_all(question.as_bytes())?;
        let (mut from, mut to) = (client.try_clone()?, dockerd.try_clone()?);
        thread::spawn(move || std::io::copy(&mut from, &mut to));
        if question.lines().next().is_some_and(|line| line.contains("/events")) {
            client.write_all(head(&mut dockerd)?.as_bytes())?;
            self.state.lock().unwrap().streams += 1;
            return self.hand_events_on(dockerd, client);
        }
        std::io::copy(&mut dockerd, &mut client)?;
        client.shutdown(Shutdown::Both)
    }

    /// dockerd writes each event at once.
    fn hand_events_on(&self, mut from: UnixStream, mut to: UnixStream) -> std::io::Result<()> {
        let mut bytes = [0; 64 << 10];
        loop {
            let length = from.read(&mut bytes)?;
            let events = self.state.lock().unwrap().events;
            let part = match events {
                _ if length == 0 => return to.shutdown(Shutdown::Both),
                Events::Pass => &bytes[..length],
                Events::Lose => &[],
                Events::Cut => &bytes[..length / 2],
            };
            to.write_all(part)?;
            if events == Events::Cut {
                self.state.lock().unwrap().events = Events::Pass;
                return to.shutdown(Shutdown::Both);
            }
        }
    }
}

/// The head of a question or an answer, with the empty line at its end.
fn head(from: &mut UnixStream) -> std::io::Result<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        from.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
