//! Where clients connect.

use std::fmt;
use std::fs::{self, DirBuilder};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr};
use nix::sys::socket::{bind, connect, listen, socket};
use nix::sys::stat::{Mode, fchmod};

/// How often the way to a unix socket is tried: others may come and go meanwhile.
const ATTEMPTS: usize = 3;

/// How many connections may wait in the kernel (listen(2)).
const BACKLOG: i32 = 128;

/// Why nobody can connect.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Another program serves this socket.
    #[error("{0} is in use: a program answers there; stop it, or choose another path")]
    Live(PathBuf),
    /// Something else has the place of the socket.
    #[error("{0} is there and not a socket; move it away, or choose another path")]
    NotSocket(PathBuf),
    /// The system refused.
    #[error("cannot listen on {at}")]
    System {
        /// The path or address.
        at: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

/// A socket on which clients connect. One of a path is removed when it is dropped.
#[derive(Debug)]
pub struct Listener(Door);

#[derive(Debug)]
enum Door {
    Unix { socket: UnixListener, path: PathBuf, identity: [u64; 2] },
    Tcp(TcpListener),
}

impl Listener {
    /// Listens on a unix socket that only its owner may use (mode 0600). A missing directory is
    /// made, a socket that nobody serves any more is replaced.
    ///
    /// # Errors
    /// [`ListenError`]; whatever is in the place and not ours stays as it is.
    pub fn unix(path: &Path) -> Result<Self, ListenError> {
        let failed = |source: io::Error| system(path.display(), source);
        if let Some(directory) = path.parent() {
            // The same as Docker makes.
            DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(failed)?;
        }
        let address = UnixAddr::new(path).map_err(|error| failed(error.into()))?;
        for _ in 0..ATTEMPTS {
            match bind_private(&address) {
                Ok(socket) => {
                    let socket = UnixListener::from(socket);
                    let identity = identity(path).map_err(failed)?;
                    let door = Door::Unix { socket, path: path.to_owned(), identity };
                    return Self::open(door).map_err(failed);
                }
                Err(Errno::EADDRINUSE) => clear(path, &address)?,
                Err(error) => return Err(failed(error.into())),
            }
        }
        Err(failed(Errno::EADDRINUSE.into()))
    }

    /// Listens on a TCP port; port 0 is one that the kernel chooses. Whoever can connect to it
    /// can use it: there is no authentication.
    ///
    /// # Errors
    /// [`ListenError::System`]
    pub fn tcp(address: SocketAddr) -> Result<Self, ListenError> {
        let listener = TcpListener::bind(address).and_then(|socket| Self::open(Door::Tcp(socket)));
        listener.map_err(|source| system(address, source))
    }

    /// The address of a TCP socket.
    pub fn local_tcp(&self) -> Option<SocketAddr> {
        match &self.0 {
            Door::Tcp(socket) => socket.local_addr().ok(),
            Door::Unix { .. } => None,
        }
    }

    /// A client that waits, if there is one.
    pub(super) fn accept(&self) -> io::Result<OwnedFd> {
        match &self.0 {
            Door::Unix { socket, .. } => Ok(socket.accept()?.0.into()),
            Door::Tcp(socket) => Ok(socket.accept()?.0.into()),
        }
    }

    /// Takes the path away: nobody new finds here. Who has connected already waits on.
    pub(super) fn hide(&self) {
        let Door::Unix { path, identity: ours, .. } = &self.0 else { return };
        // A successor may have made its own in the meantime.
        if identity(path).is_ok_and(|found| found == *ours)
            && let Err(error) = fs::remove_file(path)
        {
            log::warn!("cannot remove {}: {error}", path.display());
        }
    }

    /// Accepting must not wait for a client that was there and left.
    fn open(door: Door) -> io::Result<Self> {
        match &door {
            Door::Unix { socket, .. } => socket.set_nonblocking(true)?,
            Door::Tcp(socket) => socket.set_nonblocking(true)?,
        }
        Ok(Self(door))
    }
}

/// Binds a new socket to the address, and listens.
fn bind_private(address: &UnixAddr) -> nix::Result<OwnedFd> {
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    // The file in the directory gets its mode from the socket (`unix_bind_bsd` in
    // net/unix/af_unix.c), so there is no moment at which others could connect.
    fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
    bind(socket.as_raw_fd(), address)?;
    listen(&socket, Backlog::new(BACKLOG)?)?;
    Ok(socket)
}

/// Removes a socket that nobody serves.
fn clear(path: &Path, address: &UnixAddr) -> Result<(), ListenError> {
    let failed = |source: io::Error| system(path.display(), source);
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(ListenError::NotSocket(path.to_owned()));
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    match try_connect(address) {
        // With EAGAIN its backlog is full, with EPROTOTYPE it is another kind of socket.
        Ok(()) | Err(Errno::EAGAIN | Errno::EPROTOTYPE) => Err(ListenError::Live(path.to_owned())),
        Err(Errno::ECONNREFUSED) => match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        },
        Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(failed(error.into())),
    }
}

fn try_connect(address: &UnixAddr) -> nix::Result<()> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(socket.as_raw_fd(), address)
}

/// What tells a file from its successor of the same name.
fn identity(path: &Path) -> io::Result<[u64; 2]> {
    fs::symlink_metadata(path).map(|file| [file.dev(), file.ino()])
}

fn system(at: impl fmt::Display, source: io::Error) -> ListenError {
    ListenError::System { at: at.to_string(), source }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.hide();
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.0 {
            Door::Unix { socket, .. } => socket.as_fd(),
            Door::Tcp(socket) => socket.as_fd(),
        }
    }
}

impl fmt::Display for Listener {
    /// As a Docker `.spec` file has it: `unix:///run/docker/plugins/fip.sock`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Door::Unix { path, .. } => write!(f, "unix://{}", path.display()),
            Door::Tcp(socket) => match socket.local_addr() {
                Ok(address) => write!(f, "tcp://{address}"),
                Err(_) => f.write_str("tcp"),
            },
        }
    }
}
