//! The transport: HTTP/1.1 on a socket, with limits.
//!
//! A request is read whole, within bounds of size and of time, before anybody looks at it; the
//! handler sees a path and a body. Every connection carries one request, in a thread of its own,
//! so that a slow call holds up no other; how many there are at a time is bounded.

mod body;
mod connection;
mod head;
mod host;
mod listener;
mod server;
mod stop;
pub(crate) mod wait;

use std::io::{self, Read};
use std::time::Duration;

pub use listener::{ListenError, Listener};
pub use server::serve;
pub use stop::Stop;

use head::Head;

/// The type of what dockerd accepts, and of what it is answered.
pub const PLUGIN_JSON: &str = "application/vnd.docker.plugins.v1.2+json";

/// The type of plain text; refusals are that.
pub const TEXT: &str = "text/plain; charset=utf-8";

/// Which methods are served (RFC 9110, section 9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Methods {
    /// POST: whoever calls wants something done.
    Post,
    /// GET, and HEAD, which is the same without the body of the answer: nothing changes by it.
    Get,
}

impl Methods {
    /// As the header `Allow` names them.
    fn allowed(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Get => "GET, HEAD",
        }
    }

    fn include(self, method: &str) -> bool {
        self.allowed().split(", ").any(|allowed| allowed == method)
    }

    fn refusal(self) -> Refused {
        let why = match self {
            Self::Post => "only POST is understood here",
            Self::Get => "only GET and HEAD are understood here",
        };
        Refused::answered(405, why)
    }
}

/// What a client may ask of us, and how much.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The methods that are served.
    pub methods: Methods,
    /// How many connections are served at a time. Others wait in the kernel's backlog.
    pub connections: usize,
    /// The longest head (request line and headers), in bytes.
    pub head: usize,
    /// The greatest number of headers; also that of the trailers of a chunked body.
    pub headers: usize,
    /// The longest body, in bytes.
    pub body: usize,
    /// How long a request may take to arrive, from the connection to the last byte of the body;
    /// and then how long its answer may take to leave.
    pub patience: Duration,
    /// How long a client that was refused is listened to, to whatever it still has to say.
    pub linger: Duration,
}

impl Default for Limits {
    /// Generous for dockerd, whose requests are some kilobytes and come in one piece.
    fn default() -> Self {
        Self {
            methods: Methods::Post,
            connections: 64,
            head: 16 << 10,
            headers: 64,
            body: 1 << 20,
            patience: Duration::from_secs(10),
            linger: Duration::from_secs(1),
        }
    }
}

/// What a client asks for, by one of the methods that are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The request target as it came, not decoded: `/NetworkDriver.Join`.
    pub path: String,
    /// The body; empty if there was none.
    pub body: Vec<u8>,
    /// The method is HEAD: the body of the answer is not sent.
    head_only: bool,
    /// The client believes that it talks to a host with a name.
    named: bool,
}

/// What it gets for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// What the body is: the header `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

/// Why a request is not even looked at.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It is not as RFC 9112 wants it, or exceeds a limit. The client is told so.
    #[error("{why}")]
    Answered {
        /// The HTTP status.
        status: u16,
        /// The reason, for the client.
        why: &'static str,
    },
    /// The client is gone, or never said anything. There is nobody to answer.
    #[error("the client is gone")]
    Gone(#[from] io::Error),
}

impl Refused {
    fn answered(status: u16, why: &'static str) -> Self {
        Self::Answered { status, why }
    }

    /// The client stopped sending before its request was complete.
    fn truncated() -> Self {
        Self::answered(400, "the request ended early")
    }

    /// Reading failed in the midst of a request.
    fn unread(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::answered(408, "the request took too long to arrive"),
            _ => Self::Gone(error),
        }
    }
}

impl Request {
    /// Reads one request, and not more than its limits allow. What follows it is not of interest,
    /// and may have been read as well. The time limit is the reader's: it fails with
    /// [`io::ErrorKind::TimedOut`].
    ///
    /// `proceed` is called where the client waits for `100 Continue` before it sends the body
    /// (RFC 9110, section 10.1.1), and sends it that.
    ///
    /// # Errors
    /// [`Refused`]: whatever a client may get wrong or do to us.
    pub fn read<R: Read>(
        from: &mut R,
        limits: &Limits,
        proceed: impl FnOnce(&mut R) -> io::Result<()>,
    ) -> Result<Self, Refused> {
        let head = Head::read(from, limits)?;
        if head.is_awaited() {
            proceed(from)?;
        }
        let body = body::read(head.framing, head.rest.chain(from), limits)?;
        Ok(Self { path: head.path, body, head_only: head.head_only, named: head.named })
    }
}

#[cfg(test)]
mod tests;
