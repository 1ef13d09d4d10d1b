//! The request line and the headers.

use std::io::{self, Read};

use httparse::{EMPTY_HEADER, Header, Status};

use super::{Limits, Refused, host};

/// How much is read at a time, in bytes.
const PIECE: usize = 4096;

/// What matters of a head.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) path: String,
    pub(super) framing: Framing,
    pub(super) head_only: bool,
    pub(super) named: bool,
    /// What was read beyond the head: the beginning of the body.
    pub(super) rest: io::Cursor<Vec<u8>>,
    /// The client asks whether it may send the body (`Expect: 100-continue`).
    asks: bool,
}

/// How the end of the body is found (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(usize),
    /// Chunks, the last of which is empty.
    Chunked,
}

impl Head {
    pub(super) fn read(from: &mut impl Read, limits: &Limits) -> Result<Self, Refused> {
        let mut bytes = Vec::new();
        while bytes.len() < limits.head {
            if read_piece(from, limits.head - bytes.len(), &mut bytes)? == 0 {
                return Err(Refused::truncated());
            }
            if let Some(head) = Self::parse(&bytes, limits)? {
                return Ok(head);
            }
        }
        Err(Refused::answered(431, "the head of the request is too long"))
    }

    /// Whether the client sends its body only when it is told to.
    pub(super) fn is_awaited(&self) -> bool {
        self.asks && self.rest.get_ref().is_empty() && self.framing != Framing::Length(0)
    }

    /// None if this is only the beginning of a head.
    fn parse(bytes: &[u8], limits: &Limits) -> Result<Option<Self>, Refused> {
        let mut headers = vec![EMPTY_HEADER; limits.headers];
        let mut request = httparse::Request::new(&mut headers);
        let Status::Complete(end) = request.parse(bytes).map_err(not_http)? else {
            return Ok(None);
        };
        let method = request.method.unwrap_or_default();
        if !limits.methods.include(method) {
            return Err(limits.methods.refusal());
        }
        let of_browser = |header: &Header<'_>| header.name.eq_ignore_ascii_case("origin");
        if request.headers.iter().any(of_browser) {
            // On a TCP port of this host, any web page that is read here could call us.
            return Err(Refused::answered(403, "web pages have no business here"));
        }
        let recent = request.version == Some(1);
        let expect = only(request.headers, "expect")?;
        let asks = expect.is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"));
        Ok(Some(Self {
            head_only: method == "HEAD",
            named: host::is_named(request.headers),
            path: request.path.unwrap_or_default().to_owned(),
            framing: Framing::of(request.headers, recent, limits)?,
            rest: io::Cursor::new(bytes[end..].to_vec()),
            asks: asks && recent,
        }))
    }
}

impl Framing {
    /// `recent`: HTTP/1.1, not 1.0.
    ///
    /// Where two readers could come to different ends of the same request, it is refused: one of
    /// them might be a proxy before us, and what it lets through is not what we would obey.
    fn of(headers: &[Header<'_>], recent: bool, limits: &Limits) -> Result<Self, Refused> {
        let length = only(headers, "content-length")?;
        let Some(encoding) = only(headers, "transfer-encoding")? else {
            return length.map_or(Ok(0), |length| parse_length(length, limits)).map(Self::Length);
        };
        if length.is_some() || !recent {
            return Err(Refused::answered(400, "the length of the body is ambiguous"));
        }
        if !encoding.eq_ignore_ascii_case(b"chunked") {
            return Err(Refused::answered(501, "no transfer encoding but chunked is understood"));
        }
        Ok(Self::Chunked)
    }
}

/// Content-Length (RFC 9110, section 8.6): digits and nothing else.
fn parse_length(value: &[u8], limits: &Limits) -> Result<usize, Refused> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refused::answered(400, "Content-Length is not a number"));
    }
    let length = str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
    // Digits that are no usize are more than one can hold.
    length.filter(|length| *length <= limits.body).ok_or_else(too_long)
}

/// The body exceeds its limit.
pub(super) fn too_long() -> Refused {
    Refused::answered(413, "the body of the request is too long")
}

/// The value of a header that must not come twice.
fn only<'h>(headers: &[Header<'h>], name: &str) -> Result<Option<&'h [u8]>, Refused> {
    let mut named = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    let value = named.next().map(|header| header.value);
    match named.next() {
        None => Ok(value),
        Some(_) => Err(Refused::answered(400, "a header that must be unique is repeated")),
    }
}

fn not_http(error: httparse::Error) -> Refused {
    match error {
        httparse::Error::TooManyHeaders => Refused::answered(431, "there are too many headers"),
        httparse::Error::Version => Refused::answered(505, "only HTTP/1 is understood here"),
        _ => Refused::answered(400, "this is not HTTP"),
    }
}

/// Appends what comes, at most `room` bytes, and says how much it was.
fn read_piece(from: &mut impl Read, room: usize, bytes: &mut Vec<u8>) -> Result<usize, Refused> {
    let mut piece = [0; PIECE];
    let piece = &mut piece[..room.min(PIECE)];
    let count = loop {
        match from.read(piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Who never said anything does not wait for an answer either. (Go's client tells an
            // unasked answer from the one to its next request by luck.)
            Err(error) if bytes.is_empty() => return Err(Refused::Gone(error)),
            Ok(0) if bytes.is_empty() => {
                return Err(Refused::Gone(io::ErrorKind::UnexpectedEof.into()));
            }
            result => break result.map_err(Refused::unread)?,
        }
    };
    bytes.extend_from_slice(&piece[..count]);
    Ok(count)
}
