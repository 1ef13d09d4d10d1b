//! What dockerd will never repeat, on disk: each network (it is created once, whatever restarts
//! afterwards) and each endpoint (driver options come only when it is created).
//!
//! A file each: `networks/<id>.json` and `endpoints/<id>.json`, written beside and renamed, so that
//! a reader finds the old state or the new one. Networks outlive a reboot, so their files are also
//! flushed to the disk; an endpoint's container does not, so an endpoint's file that a power failure
//! tore is about nothing any more.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ipnetwork::IpNetwork;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::protocol::{Id, Options};

/// A network, as Docker described it when it was created.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkRecord {
    /// Docker's id of it.
    pub id: Id,
    /// The subnets' gateways, with the prefix length of the subnet.
    pub gateways: Vec<IpNetwork>,
    /// The options, as they came.
    pub options: Options,
}

/// An endpoint: the place of a container in a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndpointRecord {
    /// Docker's id of it.
    pub id: Id,
    /// Its network.
    pub network: Id,
    /// The container's addresses, with the prefix length of the subnet.
    pub addresses: Vec<IpNetwork>,
    /// The Ethernet address of the container's link.
    pub mac: String,
    /// Whether that was Docker's choice.
    pub mac_given: bool,
    /// The options, as they came.
    pub options: Options,
    /// Set while a container is joined.
    pub joined: Option<Joined>,
}

/// The container that is joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The file of its network namespace.
    pub sandbox: PathBuf,
    /// What its label says, where the options name no floating address.
    pub label: Label,
}

/// The label of a joined container, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// It does not matter, or it is not there.
    None,
    /// dockerd could not be asked for it.
    Unknown,
    /// The floating addresses that it asks for, as text.
    Floating(String),
}

/// The directory of the state, ours alone as long as this lives.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    _lock: Flock<File>,
}

/// What cannot be done with the state directory.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another process has it.
    #[error("{0} is in use by another fip-plugin: stop that one, or give another --state-dir")]
    InUse(PathBuf),
    /// The system refuses.
    #[error("cannot {operation} {path}: {source}")]
    Io {
        /// As `write`.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

const NETWORKS: &str = "networks";
const ENDPOINTS: &str = "endpoints";
const SUFFIX: &str = "json";

impl Store {
    /// Opens the directory; it is made if it is missing, readable by its owner only.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn open(dir: &Path) -> Result<Self, StateError> {
        for kind in [NETWORKS, ENDPOINTS] {
            let path = dir.join(kind);
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
            made.map_err(|source| io_error("make", &path, source))?;
        }
        let path = dir.join("lock");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(|source| io_error("open", &path, source))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock);
        let lock = lock.map_err(|(_, errno)| match errno {
            Errno::EWOULDBLOCK => StateError::InUse(dir.to_owned()),
            errno => io_error("lock", &path, errno.into()),
        })?;
        Ok(Self { dir: dir.to_owned(), _lock: lock })
    }

    /// All networks and endpoints. What cannot be read is told in the log, and left where it is.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn load(&self) -> Result<(Vec<NetworkRecord>, Vec<EndpointRecord>), StateError> {
        Ok((self.load_all(NETWORKS)?, self.load_all(ENDPOINTS)?))
    }

    /// Keeps the network, safe from a power failure when this returns.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save_network(&self, network: &NetworkRecord) -> Result<(), StateError> {
        let path = self.path(NETWORKS, &network.id);
        write(&path, network, true).map_err(|source| io_error("write", &path, source))
    }

    /// Keeps the endpoint.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save_endpoint(&self, endpoint: &EndpointRecord) -> Result<(), StateError> {
        let path = self.path(ENDPOINTS, &endpoint.id);
        write(&path, endpoint, false).map_err(|source| io_error("write", &path, source))
    }

    /// Forgets the network. One that is not known is fine.
    ///
    /// # Errors
    /// If its file cannot be removed.
    pub fn remove_network(&self, id: &Id) -> Result<(), StateError> {
        remove(&self.path(NETWORKS, id))
    }

    /// Forgets the endpoint. One that is not known is fine.
    ///
    /// # Errors
    /// If its file cannot be removed.
    pub fn remove_endpoint(&self, id: &Id) -> Result<(), StateError> {
        remove(&self.path(ENDPOINTS, id))
    }

    fn path(&self, kind: &str, id: &Id) -> PathBuf {
        self.dir.join(kind).join(id.as_str()).with_extension(SUFFIX)
    }

    fn load_all<T: DeserializeOwned>(&self, kind: &str) -> Result<Vec<T>, StateError> {
        let dir = self.dir.join(kind);
        let read = || -> io::Result<Vec<PathBuf>> {
            fs::read_dir(&dir)?.map(|entry| Ok(entry?.path())).collect()
        };
        let mut paths = read().map_err(|source| io_error("read", &dir, source))?;
        paths.retain(|path| path.extension().is_some_and(|suffix| suffix == SUFFIX));
        paths.sort();
        let records = paths.iter().filter_map(|path| {
            let record = fs::read(path).and_then(|text| Ok(serde_json::from_slice(&text)?));
            record.inspect_err(|error| log::error!("left out {}: {error}", path.display())).ok()
        });
        Ok(records.collect())
    }
}

fn write(path: &Path, record: &impl Serialize, durably: bool) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let text = serde_json::to_vec(record)?;
    let moved = create(&temporary, &text, durably).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = moved {
        // The error to tell is the first one.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    match path.parent().filter(|_| durably) {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

fn create(path: &Path, text: &[u8], durably: bool) -> io::Result<()> {
    let mut file = OpenOptions::new();
    let mut file = file.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    if durably { file.sync_all() } else { Ok(()) }
}

fn remove(path: &Path) -> Result<(), StateError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("remove", path, error))
        }
        _ => Ok(()),
    }
}

fn io_error(operation: &'static str, path: &Path, source: io::Error) -> StateError {
    StateError::Io { operation, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
