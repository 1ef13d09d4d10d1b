//! The agent's state, to be asked for: `/healthz`, `/metrics` and `/status` over HTTP.
//!
//! - `/healthz` is 200 `ok` if the source's last answer was good and the actuator works, else 503 and
//!   the reasons, one a line. What concerns one workload alone (its label is refused, its address is
//!   still another host's) is no matter of the agent's health.
//! - `/metrics` is for Prometheus (text format 0.0.4). Its labels have fixed values: nothing in them
//!   comes from a container.
//! - `/status` is JSON: a [`Report`].
//!
//! Only GET and HEAD are served, so asking changes nothing. There is no authentication: a port is for
//! all who reach it, the socket for its owner.

mod metrics;
mod place;
mod print;
mod report;

use std::io;
use std::thread;
use std::time::Duration;

use super::board::Board;
use crate::http::{self, Limits, Listener, Methods, Request, Response, Stop, TEXT};
pub use place::Place;
pub use print::{StatusError, print};
pub use report::{Counters, Move, Problem, Report, Source, Workload};

const JSON: &str = "application/json";

/// Answers at all listeners until `stop` asks for the end.
///
/// Each listener has its own places for clients: whoever occupies those of a port does not lock
/// anybody out of the socket.
///
/// # Errors
/// As [`http::serve`], or if there is no memory for a thread.
pub fn serve(board: Board, listeners: Vec<Listener>, stop: &Stop) -> io::Result<()> {
    thread::scope(|scope| {
        let serve_one = |listener| {
            let board = board.clone();
            let handler = move |request: Request| answer(&board, &request.path);
            let run = move || http::serve(vec![listener], limits(), stop, handler);
            thread::Builder::new().name("status".to_owned()).spawn_scoped(scope, run)
        };
        let servers: io::Result<Vec<_>> = listeners.into_iter().map(serve_one).collect();
        if servers.is_err() {
            stop.ask();
        }
        let ended = servers?.into_iter().map(|server| {
            server.join().unwrap_or_else(|_| Err(io::Error::other("the status server panicked")))
        });
        ended.collect()
    })
}

/// Questions are short, and have no body.
fn limits() -> Limits {
    Limits {
        methods: Methods::Get,
        connections: 32,
        head: 8 << 10,
        body: 0,
        patience: Duration::from_secs(3),
        ..Limits::default()
    }
}

fn answer(board: &Board, target: &str) -> Response {
    let path = target.split('?').next().unwrap_or_default();
    match path {
        "/healthz" => healthz(board),
        "/metrics" => text(200, metrics::TYPE, metrics::text(&board.look())),
        "/status" => status(board),
        _ => text(404, TEXT, "there is only /healthz, /metrics and /status\n".to_owned()),
    }
}

fn healthz(board: &Board) -> Response {
    let problems = report::problems(&board.look());
    if problems.is_empty() {
        return text(200, TEXT, "ok\n".to_owned());
    }
    let lines = problems.iter().map(|problem| format!("{}\n", problem.what));
    text(503, TEXT, lines.collect())
}

fn status(board: &Board) -> Response {
    match serde_json::to_string(&Report::of(&board.look())) {
        Ok(json) => text(200, JSON, json + "\n"),
        Err(error) => text(500, TEXT, format!("cannot write the report: {error}\n")),
    }
}

fn text(status: u16, content_type: &'static str, body: String) -> Response {
    Response { status, content_type, body: body.into_bytes() }
}

#[cfg(test)]
mod tests;
