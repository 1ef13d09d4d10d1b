//! The recordings in `tests/fixtures/cnm`.

use std::fs;
use std::path::PathBuf;

use fip_plugin::protocol::Method;
use serde::Deserialize;
use serde_json::Value;

/// What one engine was recorded to do.
#[derive(Debug, Clone)]
pub(crate) struct Recording {
    /// As `20.10/02-run-basic`.
    pub(crate) name: String,
    pub(crate) lines: Vec<Line>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Line {
    Call(Call),
    Mark { mark: String },
}

/// A call of dockerd's.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Call {
    #[serde(rename = "call")]
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
    /// Where the workload's link was.
    #[serde(default)]
    pub(crate) link: Option<Place>,
    #[serde(default)]
    pub(crate) answer: Recorded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Place {
    Host,
    Sandbox,
}

/// How the driver of the recording answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Recorded {
    #[default]
    Done,
    Refused,
    Died,
}

impl Call {
    pub(crate) fn new(method: Method, body: Value) -> Self {
        let path = method.path().to_owned();
        Self { path, body: Some(body), link: None, answer: Recorded::Done }
    }

    pub(crate) fn method(&self) -> Method {
        Method::from_path(&self.path).unwrap_or_else(|| panic!("no method {}", self.path))
    }

    pub(crate) fn network(&self) -> Option<&str> {
        self.field("NetworkID")
    }

    pub(crate) fn endpoint(&self) -> Option<&str> {
        self.field("EndpointID")
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.body.as_ref()?.get(name)?.as_str()
    }

    /// The body's bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.body.iter().flat_map(|body| body.to_string().into_bytes()).collect()
    }
}

impl Recording {
    /// All recordings of both engines.
    pub(crate) fn all() -> Vec<Self> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cnm");
        let mut all = Vec::new();
        for engine in ["20.10", "29-dev"] {
            let paths = fs::read_dir(root.join(engine)).unwrap();
            all.extend(paths.map(|path| Self::load(engine, &path.unwrap().path())));
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(all.len(), 27, "recordings");
        all
    }

    /// The recordings as each stands for itself: where one goes on with the networks that another
    /// left, they are one.
    pub(crate) fn whole() -> Vec<Self> {
        const CONTINUED: [(&str, &str); 2] = [
            ("20.10/20-datapath-setup", "20.10/12-events"),
            ("29-dev/10-retries", "29-dev/08-plugin-errors"),
        ];
        let mut all = Self::all();
        for (first, next) in CONTINUED {
            let place = all.iter().position(|recording| recording.name == next).unwrap();
            let next = all.remove(place);
            let first = all.iter_mut().find(|recording| recording.name == first).unwrap();
            first.lines.extend(next.lines);
        }
        all
    }

    pub(crate) fn named(name: &str) -> Self {
        Self::whole().into_iter().find(|recording| recording.name == name).unwrap()
    }

    pub(crate) fn calls(&self) -> impl Iterator<Item = &Call> {
        self.lines.iter().filter_map(|line| match line {
            Line::Call(call) => Some(call),
            Line::Mark { .. } => None,
        })
    }

    fn load(engine: &str, path: &PathBuf) -> Self {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let text = fs::read_to_string(path).unwrap();
        let line =
            |text: &str| serde_json::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        Self { name: format!("{engine}/{stem}"), lines: text.lines().map(line).collect() }
    }
}
