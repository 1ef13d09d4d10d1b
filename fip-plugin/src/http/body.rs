//! The body of a request.

use std::io::{BufRead, BufReader, Read};

use super::head::{Framing, too_long};
use super::{Limits, Refused};

/// The longest line between chunks, in bytes: a size with its extensions, or a trailer.
const LINE: u64 = 256;

/// Reads the body, which is never longer than its limit.
pub(super) fn read(
    framing: Framing,
    mut from: impl Read,
    limits: &Limits,
) -> Result<Vec<u8>, Refused> {
    let mut body = Vec::new();
    match framing {
        // The memory is not touched before the bytes are here, whatever the client promises.
        Framing::Length(length) => {
            body.reserve_exact(length);
            append(&mut from, length, &mut body)?;
        }
        Framing::Chunked => read_chunks(&mut BufReader::new(from), limits, &mut body)?,
    }
    Ok(body)
}

/// A chunked body (RFC 9112, section 7.1).
fn read_chunks(
    from: &mut impl BufRead,
    limits: &Limits,
    body: &mut Vec<u8>,
) -> Result<(), Refused> {
    loop {
        let size = parse_size(&read_line(from)?)?;
        if size == 0 {
            return skip_trailers(from, limits);
        }
        if size > limits.body - body.len() {
            return Err(too_long());
        }
        append(from, size, body)?;
        if !read_line(from)?.is_empty() {
            return Err(bad_chunk());
        }
    }
}

/// The size that a chunk begins with, in bytes. Extensions are ignored.
fn parse_size(line: &[u8]) -> Result<usize, Refused> {
    let size = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
    // `from_str_radix` takes a leading plus sign.
    if size.is_empty() || !size.iter().all(u8::is_ascii_hexdigit) {
        return Err(bad_chunk());
    }
    let size = str::from_utf8(size).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
    size.ok_or_else(too_long)
}

fn skip_trailers(from: &mut impl BufRead, limits: &Limits) -> Result<(), Refused> {
    for _ in 0..=limits.headers {
        if read_line(from)?.is_empty() {
            return Ok(());
        }
    }
    Err(Refused::answered(431, "there are too many trailers"))
}

/// A line without its end.
fn read_line(from: &mut impl BufRead) -> Result<Vec<u8>, Refused> {
    let mut line = Vec::new();
    from.take(LINE).read_until(b'\n', &mut line).map_err(Refused::unread)?;
    match line.strip_suffix(b"\r\n") {
        Some(text) => Ok(text.to_vec()),
        None if line.ends_with(b"\n") || line.len() as u64 == LINE => Err(bad_chunk()),
        None => Err(Refused::truncated()),
    }
}

/// Appends exactly `count` bytes.
fn append(from: &mut impl Read, count: usize, body: &mut Vec<u8>) -> Result<(), Refused> {
    let read = from.take(count as u64).read_to_end(body).map_err(Refused::unread)?;
    if read < count { Err(Refused::truncated()) } else { Ok(()) }
}

fn bad_chunk() -> Refused {
    Refused::answered(400, "the body is not chunked as it should be")
}
