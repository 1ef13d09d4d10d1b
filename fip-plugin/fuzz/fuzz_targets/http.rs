//! Any bytes as an HTTP request, in pieces of any size.
#![no_main]

use std::io::{self, Read};

use fip_plugin::http::{Limits, Refused, Request};
use libfuzzer_sys::fuzz_target;

/// Gives a few bytes at a time.
struct Pieces<'b> {
    bytes: &'b [u8],
    size: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(self.size);
        self.bytes.read(&mut buffer[..room])
    }
}

fn read(bytes: &[u8], size: usize, limits: &Limits) -> Result<Request, String> {
    let request = Request::read(&mut Pieces { bytes, size }, limits, |_| Ok(()));
    request.map_err(|refused| match refused {
        Refused::Answered { status, .. } => status.to_string(),
        Refused::Gone(_) => "gone".to_owned(),
    })
}

fuzz_target!(|input: &[u8]| {
    // Small limits, that short inputs reach as well.
    let limits = Limits { head: 512, headers: 8, body: 64, ..Limits::default() };
    let Some((size, bytes)) = input.split_first() else { return };
    let whole = read(bytes, usize::MAX, &limits);
    // However it is cut, it is the same.
    assert_eq!(whole, read(bytes, usize::from(*size) + 1, &limits));
    if let Ok(request) = &whole {
        assert!(request.path.len() <= limits.head && request.body.len() <= limits.body);
        // What follows is not of it.
        let more = [bytes, b"POST /y HTTP/1.1\r\nContent-Length: 0\r\n\r\n"].concat();
        assert_eq!(whole, read(&more, usize::MAX, &limits));
    }
});
