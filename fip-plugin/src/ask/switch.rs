//! Ending conversations from outside.

use std::io;
use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use socket2::Socket;

/// Ends connections, whoever waits for what over them. Its copies are one switch.
#[derive(Debug, Clone, Default)]
pub struct Switch(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    off: bool,
    /// Held by those who use them: a connection that nobody uses is closed, switch or not.
    open: Vec<Weak<Socket>>,
}

impl Switch {
    /// Ends all connections at once, and refuses new ones. Whoever is about to connect waits at most
    /// as long as connecting may take.
    pub fn off(&self) {
        let mut state = self.lock();
        state.off = true;
        for socket in state.open.drain(..).filter_map(|socket| socket.upgrade()) {
            // A connection that has ended already cannot be shut down.
            _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Whether it has been turned off.
    pub fn is_off(&self) -> bool {
        self.lock().off
    }

    /// Takes over a connection.
    pub(super) fn admit(&self, socket: &Arc<Socket>) -> io::Result<()> {
        let mut state = self.lock();
        if state.off {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "nobody asks any more"));
        }
        state.open.retain(|socket| socket.strong_count() > 0);
        state.open.push(Arc::downgrade(socket));
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
