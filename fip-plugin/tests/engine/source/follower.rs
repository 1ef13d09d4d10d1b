//! A source in a thread of its own, as the agent has it.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use fip_plugin::agent::model::Workload;
use fip_plugin::agent::source::docker::DockerSource;
use fip_plugin::agent::source::{Source, SourceError};
use fip_plugin::docker::Docker;

use super::LABEL;
use crate::docker::{Engine, PATIENCE};

/// Nobody waits as long as this: what comes before comes because it was told.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

type Answer = Result<Vec<Workload>, SourceError>;

/// What a source says.
pub(super) struct Follower {
    answers: Receiver<Answer>,
    latest: Option<Answer>,
}

impl Follower {
    pub(super) fn new(engine: &Engine) -> Self {
        let mut source = DockerSource::new(docker(engine), vec![LABEL.to_owned()], NEVER);
        let (sender, answers) = mpsc::channel();
        thread::spawn(move || {
            loop {
                let answer = source.next();
                let answer: Answer = answer.map(|listing| {
                    listing.workloads.into_iter().map(Arc::unwrap_or_clone).collect()
                });
                let failed = answer.is_err();
                // The test is over.
                if sender.send(answer).is_err() {
                    return;
                }
                if failed {
                    thread::sleep(Duration::from_millis(50));
                }
            }
        });
        Self { answers, latest: None }
    }

    /// Waits until the source's last word is one of which this is true. Whatever it said in between,
    /// and nobody may have doubted, is `seen`.
    #[track_caller]
    pub(super) fn wait_seeing(
        &mut self,
        what: &str,
        is_it: impl Fn(&[Workload]) -> bool,
        seen: impl Fn(&Answer),
    ) -> Vec<Workload> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(Ok(workloads)) = &self.latest
                && is_it(workloads)
            {
                return workloads.clone();
            }
            let left = until.saturating_duration_since(Instant::now());
            let next = self.answers.recv_timeout(left);
            let next = next.unwrap_or_else(|_| panic!("waited for {what}: {:?}", self.latest));
            seen(&next);
            self.latest = Some(next);
        }
    }

    #[track_caller]
    pub(super) fn wait(&mut self, what: &str, is_it: impl Fn(&[Workload]) -> bool) {
        self.wait_seeing(what, is_it, |_| ());
    }

    /// Waits until there is one workload, of which this is true.
    #[track_caller]
    pub(super) fn wait_for_one(
        &mut self,
        what: &str,
        is_it: impl Fn(&Workload) -> bool,
    ) -> Workload {
        let one = |workloads: &[Workload]| matches!(workloads, [workload] if is_it(workload));
        self.wait_seeing(what, one, |_| ()).remove(0)
    }
}

/// The engine, as the product asks it.
pub(super) fn docker(engine: &Engine) -> Docker {
    let socket = engine.machine().path("/run/docker.sock");
    Docker::new(&format!("unix://{}", socket.display()), PATIENCE).unwrap()
}
