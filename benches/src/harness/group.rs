//! The results of one group of measurements, and their file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::find::find;
use super::machine::Machine;
use super::numbers::Spread;
use super::row::Row;

/// All that was measured for one claim.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) machine: Machine,
    /// How each was configured, and how often it was run.
    pub(crate) settings: BTreeMap<String, String>,
    /// What was left out, and why.
    pub(crate) notes: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

impl Group {
    /// One without results, on this machine.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            machine: Machine::this(),
            settings: BTreeMap::new(),
            notes: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Says how something was configured.
    pub(crate) fn set(&mut self, what: &str, how: impl ToString) {
        self.settings.insert(what.to_owned(), how.to_string());
    }

    /// Says what was left out, here and on standard error.
    pub(crate) fn note(&mut self, note: impl ToString) {
        let note = note.to_string();
        eprintln!("  {}: {note}", self.name);
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// A peer's program, with its version entered (`PROGRAM --version`); a note where it is not
    /// here.
    pub(crate) fn peer(&mut self, name: &str) -> Option<PathBuf> {
        let path = find(name);
        match &path {
            Some(path) => self.uses(name, path),
            None => self.note(format!("{name} is not installed on this machine, and left out")),
        }
        path
    }

    /// Enters the version of a program that is here.
    pub(crate) fn uses(&mut self, name: &str, path: &Path) {
        self.machine.version(
            name,
            path,
            &[if ["ip", "arping"].contains(&name) { "-V" } else { "--version" }],
        );
    }

    /// The values of a case, if it was measured.
    pub(crate) fn row(&self, case: &str, present: Option<u64>, metric: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.is_of(case, present) && row.metric == metric)
    }

    /// The median and quartiles of a case, if it was measured.
    pub(crate) fn spread(&self, case: &str, present: Option<u64>, metric: &str) -> Option<Spread> {
        self.row(case, present, metric).map(Row::spread)
    }

    /// The cases that have values of this metric, each once, in the order of the run.
    pub(crate) fn cases(&self, metric: &str) -> Vec<&str> {
        let mut cases: Vec<&str> = Vec::new();
        for row in self.rows.iter().filter(|row| row.metric == metric) {
            if !cases.contains(&row.case.as_str()) {
                cases.push(&row.case);
            }
        }
        cases
    }

    /// The numbers of bindings present, of this metric, ascending.
    pub(crate) fn counts(&self, metric: &str) -> Vec<u64> {
        let rows = self.rows.iter().filter(|row| row.metric == metric);
        let mut counts: Vec<u64> = rows.filter_map(|row| row.present).collect();
        counts.sort_unstable();
        counts.dedup();
        counts
    }

    /// The name of its file.
    pub(crate) fn file_name(&self) -> String {
        format!("{}.json", self.name)
    }

    /// Writes its file: a line for each row, so that a difference is readable.
    pub(crate) fn write(&self, directory: &Path) {
        let path = directory.join(self.file_name());
        let mut head = serde_json::to_value(self).expect("a group is JSON");
        let rows = head["rows"].take();
        let lines: Vec<String> =
            rows.as_array().into_iter().flatten().map(|row| format!("    {row}")).collect();
        head["rows"] = serde_json::Value::String("ROWS".to_owned());
        let head = serde_json::to_string_pretty(&head).expect("a group is JSON");
        let text = head.replace("\"ROWS\"", &format!("[\n{}\n  ]", lines.join(",\n")));
        fs::write(&path, text + "\n").unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }

    /// Reads the file of a group, if there is one.
    pub(crate) fn read(directory: &Path, name: &str) -> Option<Self> {
        let path = directory.join(format!("{name}.json"));
        let text = fs::read_to_string(&path).ok()?;
        let group = serde_json::from_str(&text);
        Some(group.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }
}
