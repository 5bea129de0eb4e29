//! Maximum sizes of files, functions and lines. Clippy checks Rust functions.

use crate::source::sources;

/// Maximum lines of a file.
const FILE_LINES_MAX: usize = 500;
/// Maximum lines of an SQL function, from `create function` to its end.
const FUNCTION_LINES_MAX: usize = 70;
/// Maximum characters of a line of SQL. Rustfmt breaks lines of Rust, except for strings and comments.
const LINE_CHARS_MAX: usize = 120;

fn assert_none(offenders: &[String], rule: &str) {
    assert!(offenders.is_empty(), "{rule}:\n{}", offenders.join("\n"));
}

#[test]
fn files_have_at_most_500_lines() {
    let files = [sources("src", ".rs"), sources("src", ".sql"), sources("tests", ".rs"), sources("bench", ".rs")];
    let counted = files.iter().flatten().map(|file| (file.text.lines().count(), &file.path));
    let long: Vec<String> =
        counted.filter(|(lines, _)| *lines > FILE_LINES_MAX).map(|(lines, path)| format!("{path}: {lines}")).collect();
    assert_none(&long, "split these files");
}

#[test]
fn functions_of_sql_have_at_most_70_lines() {
    let mut long = Vec::new();
    let mut seen = 0;
    for file in sources("src", ".sql") {
        let mut start = None;
        for (at, line) in file.text.lines().enumerate() {
            if let Some(name) = line.strip_prefix("create function ") {
                start = Some((at, name.split('(').next().unwrap_or_default().to_owned()));
                seen += 1;
            }
            if line.ends_with("$$;")
                && let Some((first, name)) = start.take()
                && at - first + 1 > FUNCTION_LINES_MAX
            {
                long.push(format!("{}: {name}: {}", file.path, at - first + 1));
            }
        }
    }
    assert!(seen > 80, "the lint saw functions: {seen}");
    assert_none(&long, "split these functions");
}

#[test]
fn lines_of_sql_have_at_most_120_characters() {
    let files = sources("src", ".sql");
    let long = files.iter().flat_map(|file| {
        let lines = file.text.lines().enumerate().filter(|(_, line)| line.chars().count() > LINE_CHARS_MAX);
        lines.map(|(at, line)| format!("{}:{}: {}", file.path, at + 1, line.chars().count()))
    });
    assert_none(&long.collect::<Vec<_>>(), "break these lines");
}
