//! Traffic that must not notice anything.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use crate::lab::{Ns, TCP_PACE, UdpFlow, tcp_whoami, wait_for};

/// Asks again and again: over UDP, one flow, and over TCP, one connection after the other.
pub(super) struct Steady {
    stop: Arc<AtomicBool>,
    /// How many were answered, of each.
    answered: [Arc<AtomicUsize>; 2],
    /// The questions without an answer, of each.
    threads: Vec<JoinHandle<Vec<String>>>,
}

impl Steady {
    pub(super) fn start(client: &Arc<Ns>, to: IpAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = [Arc::default(), Arc::default()];
        let mut flow = UdpFlow::open(client, (to, 80));
        let udp = move || flow.ask().map(drop).ok_or_else(|| "no answer over UDP".to_owned());
        let client = client.clone();
        let tcp = move || {
            let answer = tcp_whoami(&client, (to, 80)).map(drop);
            thread::sleep(TCP_PACE);
            answer
        };
        let threads = vec![ask(&stop, &answered[0], udp), ask(&stop, &answered[1], tcp)];
        let steady = Self { stop, answered, threads };
        steady.go_on();
        steady
    }

    /// Waits until more questions of each kind, asked from now on, have an answer.
    #[track_caller]
    pub(super) fn go_on(&self) {
        let counts = || self.answered.each_ref().map(|count| count.load(Ordering::Relaxed));
        let before = counts();
        wait_for("answers over UDP and TCP", || {
            let now = counts();
            (now[0] >= before[0] + 20 && now[1] >= before[1] + 5).then_some(())
        });
    }

    /// Panics unless every question so far had an answer.
    #[track_caller]
    pub(super) fn assert_nothing_lost(mut self) {
        self.go_on();
        self.stop.store(true, Ordering::Relaxed);
        let lost = self.threads.drain(..).flat_map(|thread| thread.join().unwrap());
        let lost: Vec<String> = lost.collect();
        let answered = self.answered.each_ref().map(|count| count.load(Ordering::Relaxed));
        println!("{answered:?} questions answered over UDP and TCP");
        assert!(lost.is_empty(), "{} questions without an answer: {:?}", lost.len(), &lost[0]);
    }
}

impl Drop for Steady {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn ask(
    stop: &Arc<AtomicBool>,
    answered: &Arc<AtomicUsize>,
    mut question: impl FnMut() -> Result<(), String> + Send + 'static,
) -> JoinHandle<Vec<String>> {
    let (stop, answered) = (stop.clone(), answered.clone());
    thread::spawn(move || {
        let mut lost = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            match question() {
                Ok(()) => _ = answered.fetch_add(1, Ordering::Relaxed),
                Err(error) => lost.push(error),
            }
        }
        lost
    })
}
