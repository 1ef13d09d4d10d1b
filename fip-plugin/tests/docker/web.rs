//! Containers that serve a page.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};

use super::engine::{Engine, IMAGE};
use crate::lab::{ANSWER, Ns, wait_for};

/// What a page's request brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// The page.
    pub(crate) text: String,
    /// Whose request the container saw.
    pub(crate) peer: IpAddr,
}

impl Engine {
    /// Runs a detached container with these arguments of `docker run`, split at spaces, that serves
    /// the page at port 80 (TCP, both families). From its return on, the page is served. Returns
    /// the container's network, as [`Engine::inside`].
    #[track_caller]
    pub(crate) fn web(&self, name: &str, args: &str, page: &str) -> Ns {
        let mut words = vec!["run", "--detach", "--name", name];
        words.extend(args.split_whitespace());
        words.extend([IMAGE, "/serve", page]);
        self.docker_with(&words).exits(0);
        let inside = self.inside(name);
        wait_for_page(&inside, [127, 0, 0, 1].into(), page);
        inside
    }
}

/// Asks for the page at port 80 of that address, from that namespace.
pub(crate) fn fetch(ns: &Ns, address: IpAddr) -> Result<Page, String> {
    let text = get(ns, address, "/")?;
    let peer = get(ns, address, "/cgi-bin/peer")?;
    let peer: IpAddr =
        peer.trim_matches(['[', ']']).parse().map_err(|error| format!("{peer:?}: {error}"))?;
    Ok(Page { text, peer: peer.to_canonical() })
}

/// Waits until that address serves that page, and returns whose request the container saw.
#[track_caller]
pub(crate) fn wait_for_page(ns: &Ns, address: IpAddr, text: &str) -> IpAddr {
    wait_for(&format!("the page {text:?} at {address}"), || {
        fetch(ns, address).ok().filter(|page| page.text == text)
    })
    .peer
}

fn get(ns: &Ns, address: IpAddr, path: &str) -> Result<String, String> {
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::from((address, 80)), ANSWER)?;
        stream.set_read_timeout(Some(ANSWER))?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ns.run(ask).map_err(|error: std::io::Error| error.to_string())?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.trim_end().to_owned()),
        _ => Err(format!("no page: {answer:?}")),
    }
}
