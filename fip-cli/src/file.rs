//! The file of a desired state: all bindings of an owner.
//!
//! TOML, JSON, or plain lines `FLOATING FIXED` as a template tool writes them. A file that cannot
//! be read or understood is an error, never an empty state; an empty file means no bindings.

mod error;
mod format;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::Path;

use fip_core::{Binding, LinkName, PortForward, Protocol};
use serde::Deserialize;

use error::Fault;
pub(crate) use error::FileError;
use format::Format;

/// The largest file, in bytes: 100,000 bindings, and no accident.
const SIZE_MAX: u64 = 16 * 1024 * 1024;

/// Reads the bindings from a file, or from standard input if it is called `-`.
///
/// # Errors
/// That name the file, and the line where there is one.
pub(crate) fn read(path: &Path) -> Result<Vec<Binding>, FileError> {
    let input = Input::of(path);
    match input.read() {
        Ok(bytes) => parse_bytes(path, bytes),
        Err(error) => Err(FileError::new(input.name(), None, Fault::Read(error))),
    }
}

/// The bindings in the file of that name, which has these bytes.
fn parse_bytes(path: &Path, bytes: Vec<u8>) -> Result<Vec<Binding>, FileError> {
    let fail = |line, fault| FileError::new(Input::of(path).name(), line, fault);
    if bytes.len() as u64 > SIZE_MAX {
        return Err(fail(None, Fault::TooLarge(SIZE_MAX)));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = line_at(error.as_bytes(), error.utf8_error().valid_up_to());
        fail(Some(line), Fault::Syntax("this is not UTF-8 text".to_owned()))
    })?;
    let line = |at| line_at(text.as_bytes(), at);
    let entries = Format::of(path, &text).entries(&text);
    let bindings = entries.and_then(|entries| bindings(&entries));
    bindings.map_err(|(at, fault)| fail(Some(line(at)), fault.with_lines(line)))
}

/// Where the text comes from.
enum Input<'a> {
    File(&'a Path),
    Standard,
}

impl<'a> Input<'a> {
    fn of(path: &'a Path) -> Self {
        if path == Path::new("-") { Self::Standard } else { Self::File(path) }
    }

    fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Standard => "standard input".to_owned(),
        }
    }

    /// All of it, up to one byte more than is allowed.
    fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match self {
            Self::File(path) => File::open(path)?.take(SIZE_MAX + 1).read_to_end(&mut bytes)?,
            Self::Standard => io::stdin().lock().take(SIZE_MAX + 1).read_to_end(&mut bytes)?,
        };
        Ok(bytes)
    }
}

/// A binding as it is written, and where: the offset in bytes.
struct Located {
    at: usize,
    entry: Entry,
}

/// A binding as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    floating: Address,
    fixed: Address,
    interface: Option<LinkName>,
    #[serde(default)]
    ports: Vec<Port>,
    #[serde(default = "yes")]
    egress: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Address(IpAddr);

impl TryFrom<String> for Address {
    type Error = fip_core::Error;

    fn try_from(text: String) -> fip_core::Result<Self> {
        fip_core::binding::parse_address(&text).map(Self)
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Port(PortForward);

impl TryFrom<String> for Port {
    type Error = fip_core::Error;

    fn try_from(text: String) -> fip_core::Result<Self> {
        text.parse().map(Self)
    }
}

impl Entry {
    fn new(floating: IpAddr, fixed: IpAddr) -> Self {
        Self {
            floating: Address(floating),
            fixed: Address(fixed),
            interface: None,
            ports: Vec::new(),
            egress: true,
        }
    }

    fn binding(&self) -> fip_core::Result<Binding> {
        let binding = Binding::new(self.floating.0, self.fixed.0)?
            .with_ports(self.ports.iter().map(|port| port.0))
            .with_egress(self.egress);
        Ok(match &self.interface {
            Some(link) => binding.on(link.clone()),
            None => binding,
        })
    }
}

/// What two bindings cannot both have: a floating address as a whole, or a port of it.
type Claimed = (IpAddr, Option<(Protocol, u16)>);

/// The bindings, none of them twice.
fn bindings(entries: &[Located]) -> Result<Vec<Binding>, (usize, Fault)> {
    let mut claimed: HashMap<Claimed, usize> = HashMap::new();
    let mut bindings = Vec::with_capacity(entries.len());
    for Located { at, entry } in entries {
        let binding = entry.binding().map_err(|error| (*at, Fault::Address(error)))?;
        for key in claims(&binding) {
            if let Some(first) = claimed.insert(key, *at) {
                return Err((*at, Fault::Twice { what: describe(key), first }));
            }
        }
        bindings.push(binding);
    }
    Ok(bindings)
}

fn claims(binding: &Binding) -> Vec<Claimed> {
    let floating = binding.floating();
    if binding.is_whole_address() {
        return vec![(floating, None)];
    }
    let ports = binding.ports().iter();
    ports.map(|port| (floating, Some((port.protocol, port.port)))).collect()
}

fn describe((floating, port): Claimed) -> String {
    match port {
        Some((protocol, port)) => format!("port {protocol}:{port} of {floating}"),
        None => floating.to_string(),
    }
}

/// The number of the line at an offset, from 1.
fn line_at(text: &[u8], at: usize) -> usize {
    let before = text.get(..at).unwrap_or(text);
    1 + before.iter().filter(|&&byte| byte == b'\n').count()
}

#[cfg(test)]
mod tests;
