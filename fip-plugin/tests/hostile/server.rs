//! A server in this process, its clients, and what it uses.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fip_plugin::http::{Limits, Listener, PLUGIN_JSON, Request, Response, Stop, serve};

/// How long to wait for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// One test at a time. Dropped, it has seen to it that no thread or file of the server is left.
pub(crate) struct Alone {
    files: usize,
    _others: MutexGuard<'static, ()>,
}

pub(crate) fn alone() -> Alone {
    static ALONE: Mutex<()> = Mutex::new(());
    let others = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    Alone { files: open_files(), _others: others }
}

impl Drop for Alone {
    fn drop(&mut self) {
        if !thread::panicking() {
            wait_for("the server's threads to end", || (http_threads() == 0).then_some(()));
            wait_for("all files to be closed", || (open_files() == self.files).then_some(()));
        }
    }
}

/// How many connections are being served.
pub(crate) fn http_threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim_end() == "http").count()
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Waits until `probe` gives something, and panics with `what` if it never does.
pub(crate) fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain for: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A directory that goes with the test.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let path = std::env::temp_dir().join(format!("http-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server on a unix socket and on a TCP port of the loopback.
pub(crate) struct Server {
    pub(crate) path: PathBuf,
    pub(crate) tcp: SocketAddr,
    pub(crate) stop: Stop,
    thread: Option<JoinHandle<std::io::Result<()>>>,
    _directory: Directory,
}

impl Server {
    pub(crate) fn start(
        limits: Limits,
        handler: impl Fn(Request) -> Response + Send + Sync + 'static,
    ) -> Self {
        let directory = Directory::new();
        let path = directory.join("fip.sock");
        let unix = Listener::unix(&path).unwrap();
        let tcp = Listener::tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = tcp.local_tcp().unwrap();
        let stop = Stop::new().unwrap();
        let stopped = stop.clone();
        let thread = thread::spawn(move || serve(vec![unix, tcp], limits, &stopped, handler));
        Self { path, tcp: address, stop, thread: Some(thread), _directory: directory }
    }

    /// A server that sends back what it gets.
    pub(crate) fn echo(limits: Limits) -> Self {
        Self::start(limits, echo)
    }

    pub(crate) fn unix(&self) -> UnixStream {
        unix(&self.path)
    }

    pub(crate) fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.tcp).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Panics unless a proper request gets its proper answer.
    pub(crate) fn assert_alive(&self) {
        for answer in [ask(self.unix(), &post("alive")), ask(self.tcp(), &post("alive"))] {
            assert_eq!((answer.status, answer.body.as_slice()), (200, &b"alive"[..]));
        }
    }

    /// Waits for the end, which has been asked for.
    pub(crate) fn join(&mut self) {
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.ask();
        if let Some(thread) = self.thread.take() {
            let result = thread.join();
            assert!(thread::panicking() || matches!(result, Ok(Ok(()))), "{result:?}");
        }
    }
}

pub(crate) fn echo(request: Request) -> Response {
    json(request.body)
}

pub(crate) fn json(body: Vec<u8>) -> Response {
    Response { status: 200, content_type: PLUGIN_JSON, body }
}

/// Limits with a short patience, for tests in which it runs out.
pub(crate) fn impatient() -> Limits {
    Limits { patience: Duration::from_secs(1), ..Limits::default() }
}

pub(crate) fn unix(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A proper request.
pub(crate) fn post(body: &str) -> Vec<u8> {
    format!("POST /x HTTP/1.1\r\nHost: \r\nContent-Length: {}\r\n\r\n{body}", body.len()).into()
}

/// What tests need of a connected socket.
pub(crate) trait Stream: Read + Write {
    fn end(&self);
}

impl Stream for UnixStream {
    fn end(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

impl Stream for TcpStream {
    fn end(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

/// An answer; status 0 is none.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// Sends the bytes as far as they are taken, and reads the answer.
pub(crate) fn ask(mut stream: impl Stream, bytes: &[u8]) -> Answer {
    // Who is refused early may find the door closed: what matters is the answer.
    let _ = stream.write_all(bytes);
    receive(stream)
}

/// Reads the answer, to the end of the connection.
pub(crate) fn receive(mut stream: impl Stream) -> Answer {
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes) {
        // A reset after the answer is how TCP tells that not everything was read.
        let kind = error.kind();
        assert_eq!(kind, std::io::ErrorKind::ConnectionReset, "{}", bytes.escape_ascii());
    }
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Answer {
    if bytes.is_empty() {
        return Answer { status: 0, head: String::new(), body: Vec::new() };
    }
    let bytes = bytes.strip_prefix(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(bytes);
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head") + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).expect("text");
    let status = head.strip_prefix("HTTP/1.1 ").expect("HTTP")[..3].parse().expect("a status");
    let body = bytes[end..].to_vec();
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
    assert!(head.ends_with("\r\nConnection: close\r\n\r\n"), "{head}");
    Answer { status, head, body }
}
