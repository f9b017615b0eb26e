//! Tab-separated tables whose first line names the columns.

use std::path::Path;

pub struct Row {
    place: String,
    cells: Vec<(String, String)>,
}

impl Row {
    /// The cell of a column, empty where nothing is set.
    pub fn cell(&self, column: &str) -> Result<&str, String> {
        let cell = self.cells.iter().find(|(name, _)| name == column);
        cell.map(|(_, cell)| cell.as_str()).ok_or_else(|| self.complain(&format!("no column {column}")))
    }

    pub fn number<T: std::str::FromStr>(&self, column: &str) -> Result<T, String> {
        let cell = self.cell(column)?;
        cell.parse().map_err(|_| self.complain(&format!("{column} is {cell:?}, which is no number")))
    }

    /// An error that says where the row stands.
    pub fn complain(&self, what: &str) -> String {
        format!("{}: {what}", self.place)
    }
}

pub fn read(path: &Path) -> Result<Vec<Row>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut lines = text.lines().zip(1..);
    let (head, _) = lines.next().ok_or(format!("{} is empty", path.display()))?;
    let row = |(line, number): (&str, i32)| Row {
        place: format!("{}:{number}", path.display()),
        cells: head.split('\t').map(str::to_owned).zip(line.split('\t').map(str::to_owned)).collect(),
    };
    Ok(lines.map(row).collect())
}
