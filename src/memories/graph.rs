//! SQL that is repeated for each width of the graph: an index has one width, so each width needs a statement of its own.

use super::limits::GRAPH_WIDTHS;
use crate::limits::Named;

const ALONG_GRAPH_ARM: &str = include_str!("along_graph_arm.sql");

/// The repeated parts of `nearest.sql` and `graph.sql`.
pub(crate) fn repeated() -> [Named; 2] {
    let along = GRAPH_WIDTHS.map(|width| ALONG_GRAPH_ARM.replace("{{width}}", &width.to_string()));
    let widths = GRAPH_WIDTHS.map(|width| format!("    when p_dimensions <= {width} then {width}\n"));
    [Named::text("along_graph_arms", along.concat()), Named::text("graph_width_arms", widths.concat())]
}
