//! Accepting connections and answering them.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::connection::Connection;
use super::listener::Listener;
use super::stop::Stop;
use super::wait::{is_ready, readable, wait};
use super::{Limits, Methods, PLUGIN_JSON, Refused, Request, Response, TEXT, host};

/// The stack of a thread that serves a connection, in bytes. Memory is used as it is touched. JSON as
/// deeply nested as it may be takes a fifth of this to decode (without optimisation).
const STACK: usize = 1 << 20;

/// How long no connection is accepted after accepting failed, unless one ends before.
const RECOVERY: Duration = Duration::from_secs(1);

/// Serves all listeners, until `stop` asks for the end: then the listeners are closed, what has
/// been asked is still answered, and after at most [`Limits::patience`] this returns. The limit of
/// connections is one for all listeners together.
///
/// The handler runs in many threads at a time. If it panics, the answer is 500 (where panics
/// unwind, which they do not in a release build of this workspace).
///
/// # Errors
/// The kernel has no memory or no files left to begin with, or to wait with. A connection that
/// fails is no error.
pub fn serve<H>(listeners: Vec<Listener>, limits: Limits, stop: &Stop, handler: H) -> io::Result<()>
where
    H: Fn(Request) -> Response + Send + Sync + 'static,
{
    let slots = Slots::new(limits.connections)?;
    let server = Arc::new(Server { limits, handler, stop: stop.clone() });
    let result = server.accept_until_stopped(&listeners, &slots);
    // First the name goes, so that new clients come to our successor, or try again. Then those are
    // let in who were here before: dockerd repeats a request that is cut off, but without its body.
    listeners.iter().for_each(Listener::hide);
    for listener in &listeners {
        while server.accept(listener, &slots).unwrap_or(false) {}
    }
    drop(listeners);
    slots.wait_for_all(Instant::now() + server.limits.patience);
    result
}

struct Server<H> {
    limits: Limits,
    handler: H,
    stop: Stop,
}

impl<H> Server<H>
where
    H: Fn(Request) -> Response + Send + Sync + 'static,
{
    fn accept_until_stopped(
        self: &Arc<Self>,
        listeners: &[Listener],
        slots: &Arc<Slots>,
    ) -> io::Result<()> {
        let mut recovering = None;
        while !self.stop.is_asked() {
            let open = if recovering.is_some() || slots.are_taken() { &[] } else { listeners };
            let ready = match wait_for_any(&self.stop, slots, open, recovering.take()) {
                Err(error) if error.kind() == io::ErrorKind::TimedOut => continue,
                result => result?,
            };
            for listener in ready {
                if let Err(error) = self.accept(listener, slots) {
                    log::warn!("cannot accept connections on {listener}: {error}");
                    recovering = Some(Instant::now() + RECOVERY);
                }
            }
        }
        Ok(())
    }

    /// Accepts a connection; false if none waits, or none can be served.
    fn accept(self: &Arc<Self>, listener: &Listener, slots: &Arc<Slots>) -> io::Result<bool> {
        let Some(slot) = slots.take() else { return Ok(false) };
        let socket = match listener.accept() {
            Ok(socket) => socket,
            Err(error) => {
                return if is_of_client(&error) { Ok(false) } else { Err(error) };
            }
        };
        let server = Arc::clone(self);
        let thread = thread::Builder::new().name("http".to_owned()).stack_size(STACK);
        thread.spawn(move || {
            server.converse(socket);
            drop(slot);
        })?;
        Ok(true)
    }

    /// Reads the request and answers it. One per connection, always: a client that keeps an idle
    /// connection may send its next request just when we close it. dockerd then repeats the
    /// request, but with an empty body, for it has read its buffer to the end. `Connection: close`
    /// spares it the choice, and a connection to a unix socket costs some microseconds.
    fn converse(&self, socket: OwnedFd) {
        let deadline = Instant::now() + self.limits.patience;
        let mut connection = Connection::new(socket, self.stop.clone(), deadline);
        let request = Request::read(&mut connection, &self.limits, |connection| {
            connection.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
        });
        let request = request.and_then(|request| self.admit(request, &connection));
        let refused = request.is_err();
        let answer = match request {
            Ok(request) => {
                let head_only = request.head_only;
                self.answer(&self.handle(request), head_only)
            }
            Err(Refused::Answered { status, why }) => {
                log::debug!("refused a request: {why}");
                let body = format!("{why}\n").into_bytes();
                self.answer(&Response { status, content_type: TEXT, body }, false)
            }
            Err(Refused::Gone(error)) => {
                log::debug!("a client went away: {error}");
                return;
            }
        };
        connection.set_deadline(Instant::now() + self.limits.patience);
        if let Err(error) = connection.write_all(&answer) {
            log::debug!("a client does not take its answer: {error}");
        } else if refused {
            connection.linger(self.limits.linger);
        }
    }

    /// What may be read here is not for web pages. They send no `Origin` with a GET to the host that
    /// they are from, and any name can be made to lead to this host once the page is there (DNS
    /// rebinding): but the name is told. A POST has its `Origin` always.
    fn admit(&self, request: Request, connection: &Connection) -> Result<Request, Refused> {
        if self.limits.methods == Methods::Get && request.named && connection.is_loopback() {
            return Err(host::refusal());
        }
        Ok(request)
    }

    fn handle(&self, request: Request) -> Response {
        let path = request.path.clone();
        catch_unwind(AssertUnwindSafe(|| (self.handler)(request))).unwrap_or_else(|_| {
            log::error!("{path:?} panicked");
            let body = br#"{"Err":"internal error, see the log"}"#.to_vec();
            Response { status: 500, content_type: PLUGIN_JSON, body }
        })
    }

    fn answer(&self, response: &Response, head_only: bool) -> Vec<u8> {
        let Response { status, content_type, body } = response;
        let (reason, length) = (reason(*status), body.len());
        let mut answer = format!("HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\n");
        if *status == 405 {
            answer += &format!("Allow: {}\r\n", self.limits.methods.allowed());
        }
        answer += &format!("Content-Length: {length}\r\nConnection: close\r\n\r\n");
        let body = if head_only { &[] } else { body.as_slice() };
        [answer.as_bytes(), body].concat()
    }
}

/// Waits, and returns those of the listeners that a client waits at.
fn wait_for_any<'l>(
    stop: &Stop,
    slots: &Slots,
    listeners: &'l [Listener],
    deadline: Option<Instant>,
) -> io::Result<impl Iterator<Item = &'l Listener>> {
    let mut files = vec![readable(stop.as_fd()), readable(slots.freed.as_fd())];
    files.extend(listeners.iter().map(|listener| readable(listener.as_fd())));
    wait(&mut files, deadline)?;
    slots.see();
    let ready: Vec<bool> = files[2..].iter().map(is_ready).collect();
    Ok(listeners.iter().zip(ready).filter_map(|(listener, ready)| ready.then_some(listener)))
}

/// Whether accepting failed because of the one client that had connected (accept(2)): it is gone
/// or was not let through. Anything else is our lack of memory or of files.
fn is_of_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, Interrupted, PermissionDenied, WouldBlock};
    matches!(error.kind(), ConnectionAborted | Interrupted | PermissionDenied | WouldBlock)
}

/// The text that belongs to a status (RFC 9110, section 15). Nobody needs it.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

/// The connections that are served at a time.
struct Slots {
    limit: usize,
    taken: AtomicUsize,
    /// Readable when one has become free.
    freed: EventFd,
}

impl Slots {
    fn new(limit: usize) -> io::Result<Arc<Self>> {
        let freed = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Arc::new(Self { limit, taken: AtomicUsize::new(0), freed }))
    }

    fn are_taken(&self) -> bool {
        self.taken.load(Ordering::SeqCst) >= self.limit
    }

    /// One thread takes slots, so none can be taken between the question and the answer.
    fn take(self: &Arc<Self>) -> Option<Slot> {
        if self.are_taken() {
            return None;
        }
        self.taken.fetch_add(1, Ordering::SeqCst);
        Some(Slot(Arc::clone(self)))
    }

    /// Takes notice of what has become free until now.
    fn see(&self) {
        // Nothing to read means that nothing has.
        let _ = self.freed.read();
    }

    /// Waits until no connection is left, or for the deadline.
    fn wait_for_all(&self, deadline: Instant) {
        loop {
            self.see();
            let left = self.taken.load(Ordering::SeqCst);
            if left == 0 {
                return;
            }
            if let Err(error) = wait(&mut [readable(self.freed.as_fd())], Some(deadline)) {
                log::warn!("{left} requests are still unanswered: {error}");
                return;
            }
        }
    }
}

/// The right to serve one connection.
struct Slot(Arc<Slots>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::SeqCst);
        // The counter cannot come near its maximum of 2^64 - 2.
        let _ = self.0.freed.write(1);
    }
}
