//! Pictures and tables of all results.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::groups::Chapter;
use crate::harness::Group;

/// Draws the pictures, and writes `tables.md`.
pub(crate) fn write(directory: &Path, groups: &[(&Chapter, Group)]) {
    let mut text =
        "# Measured\n\nMedians (quartiles). Ratios are of medians of one run.\n".to_owned();
    for (chapter, group) in groups {
        for (name, plot) in (chapter.plots)(group) {
            plot.write(&directory.join(name));
        }
        text.push_str(&section(chapter, group));
    }
    fs::write(directory.join("tables.md"), text).expect("cannot write tables.md");
}

fn section(chapter: &Chapter, group: &Group) -> String {
    let file = group.file_name();
    let mut text = format!("\n## {}\n\n[{file}]({file}): {}.\n", group.name, group.machine.shown());
    for table in (chapter.tables)(group) {
        text.push('\n');
        text.push_str(&table.markdown());
    }
    text.push_str("\nHow:\n\n");
    for (what, how) in group.settings.iter().chain(&group.machine.versions) {
        let _ = writeln!(text, "- {what}: {how}");
    }
    for note in &group.notes {
        let _ = write!(text, "\nNot measured: {note}.\n");
    }
    text
}
