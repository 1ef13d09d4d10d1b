//! Tells the service manager that the plugin listens, so that Docker is started after that and not
//! merely after the process. The protocol is one datagram: `sd_notify(3)`.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Says that the plugin is ready, to whom the environment (`NOTIFY_SOCKET`) names; to nobody if it
/// names nobody. To be called once the sockets listen.
///
/// # Errors
/// If the message cannot be sent. The service manager then ends the plugin after a while
/// (`TimeoutStartSec`), so it is worth a line in the log.
pub fn ready() -> io::Result<()> {
    match env::var_os("NOTIFY_SOCKET") {
        Some(socket) if !socket.is_empty() => send(&socket, b"READY=1"),
        _ => Ok(()),
    }
}

fn send(socket: &OsStr, message: &[u8]) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(socket)?,
        _ => {
            let text = format!("NOTIFY_SOCKET is {socket:?}: neither a path nor an abstract name");
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
    };
    UnixDatagram::unbound()?.send_to_addr(message, &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(manager: &UnixDatagram) -> Vec<u8> {
        let mut buffer = [0; 64];
        let length = manager.recv(&mut buffer).unwrap();
        buffer[..length].to_vec()
    }

    #[test]
    fn a_manager_with_a_path_is_told() {
        let path = env::temp_dir().join(format!("fip-notify-{}", std::process::id()));
        let manager = UnixDatagram::bind(&path).unwrap();
        send(path.as_os_str(), b"READY=1").unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(received(&manager), b"READY=1");
        assert_eq!(send(path.as_os_str(), b"").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_manager_with_an_abstract_name_is_told() {
        let name = format!("@fip-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name[1..]).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        send(name.as_ref(), b"READY=1").unwrap();
        assert_eq!(received(&manager), b"READY=1");
    }

    #[test]
    fn what_names_no_unix_socket_is_an_error() {
        for socket in ["vsock:2:1234", "notify", " /run/systemd/notify"] {
            let error = send(socket.as_ref(), b"READY=1").unwrap_err();
            assert!(error.to_string().contains(socket), "{error}");
        }
    }
}
