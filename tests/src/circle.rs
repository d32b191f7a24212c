//! Circles in a graph of uses.

use std::collections::{BTreeMap, BTreeSet};

/// The nodes between which there is a circle, with the paths that connect several circles. `None` without one.
/// What a node uses need not be a node itself.
pub fn circle<T: Ord + Clone>(
    mut graph: BTreeMap<T, BTreeSet<T>>,
) -> Option<BTreeMap<T, BTreeSet<T>>> {
    loop {
        let left = graph.len();
        // A node that uses no other, or that no other uses, is in no circle.
        let nodes: BTreeSet<T> = graph.keys().cloned().collect();
        graph.retain(|_, uses| {
            uses.retain(|it| nodes.contains(it));
            !uses.is_empty()
        });
        let used: BTreeSet<T> = graph.values().flatten().cloned().collect();
        graph.retain(|node, _| used.contains(node));
        if graph.is_empty() {
            return None;
        }
        if graph.len() == left {
            return Some(graph);
        }
    }
}
