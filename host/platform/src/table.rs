//! Tables and status blocks, in the layouts that kp gave them: text from data, and nothing is printed here.
//!
//! Headers are in capitals, columns are four spaces apart, the last one is not padded; an empty value of a block is `--`; an
//! empty line follows each. Scripts read these, so the snapshots of this module are a promise.

pub mod diff;
pub mod lists;
pub mod statuses;

use crate::resource::{
    build::{Change, Reason},
    plain,
};

/// Spaces between columns.
const PADDING: usize = 4;
/// Most characters of one cell.
const MAX_CELL: usize = 1000;

/// Rows under headers.
#[derive(Debug, Clone)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(headers: &[&str]) -> Self {
        Self { rows: vec![headers.iter().map(|header| (*header).to_owned()).collect()] }
    }

    /// Adds a row.
    pub fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(|cell| plain(cell.as_ref(), MAX_CELL)).collect());
    }

    /// The table, and an empty line.
    pub fn render(&self) -> String {
        let mut text = aligned(&self.rows);
        text.push('\n');
        text
    }
}

/// Keys and values under a title.
#[derive(Debug, Clone, Default)]
pub struct Block {
    title: Option<String>,
    rows: Vec<Vec<String>>,
}

impl Block {
    /// A block without a title.
    pub fn new() -> Self {
        Self::default()
    }

    /// A block with a title.
    pub fn titled(title: &str) -> Self {
        Self { title: Some(title.to_owned()), rows: Vec::new() }
    }

    /// Adds a key and its value.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl AsRef<str>) -> Self {
        let value = plain(value.as_ref(), MAX_CELL);
        let value = if value.is_empty() { "--".to_owned() } else { value };
        self.rows.push(vec![format!("{key}:"), value]);
        self
    }

    /// Adds a key that stands above others.
    #[must_use]
    pub fn above(mut self, key: &str) -> Self {
        self.rows.push(vec![format!("{key}:"), " ".to_owned()]);
        self
    }

    /// The block, and an empty line.
    pub fn render(&self) -> String {
        let title = self.title.as_ref().map(|title| format!("{title}\n")).unwrap_or_default();
        format!("{title}{}\n", aligned(&self.rows))
    }
}

/// Lines whose cells stand below each other.
fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter(|row| row.len() > column + 1).map(|row| row[column].chars().count());
        cells.max().unwrap_or_default() + PADDING
    };
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            text.push_str(cell);
            if column + 1 < row.len() {
                let spaces = widths[column].saturating_sub(cell.chars().count());
                text.extend(std::iter::repeat_n(' ', spaces));
            }
        }
        text.push('\n');
    }
    text
}

/// Several reasons in one cell: the one that matters most and a `+`.
pub fn short_reason(changes: &[Change]) -> String {
    let important = [Reason::Config, Reason::Commit, Reason::Buildpack];
    let has = |reason: &Reason| changes.iter().any(|change| change.reason == *reason);
    match changes {
        [] => "UNKNOWN".to_owned(),
        [one] => one.reason.to_string(),
        [first, ..] => format!("{}+", important.into_iter().find(has).unwrap_or(first.reason)),
    }
}

#[cfg(test)]
mod tests;
