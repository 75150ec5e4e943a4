//! Which of several rules with conditions for the same call counts.
//!
//! libseccomp keeps a call's rules in a tree, a level per word that is
//! compared, and in each level the words in this order: later arguments before
//! earlier ones; equal and unequal, then less, then greater; larger values
//! first, but for less smaller ones first. So of two rules for "more than", the
//! narrower counts. What is put in the same place keeps the order of the rules.

use super::Conditional;
use super::bpf::halves;
use crate::spec::{Argument, Operator};

/// A word of an argument that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Node {
    /// What goes by size: argument and half, operator, value.
    rank: (u8, u8, u32),
    /// What makes two nodes the same: the comparison that is made, and its mask.
    same: (u8, u32),
}

#[derive(Default)]
struct Level(Vec<Branch>);

struct Branch {
    node: Node,
    rules: Vec<Conditional>,
    below: Level,
}

/// The rules in the order in which they count.
pub(super) fn sorted(rules: Vec<Conditional>, narrow: bool) -> Vec<Conditional> {
    if rules.len() < 2 {
        return rules;
    }
    let mut tree = Level::default();
    let mut list = Vec::with_capacity(rules.len());
    for rule in rules {
        let nodes = nodes(&rule.0, narrow);
        tree.insert(&nodes, rule);
    }
    tree.flatten(&mut list);
    list
}

impl Level {
    fn insert(&mut self, nodes: &[Node], rule: Conditional) {
        let Some((first, rest)) = nodes.split_first() else {
            return;
        };
        let is_place = |branch: &Branch| branch.node == *first || branch.node.rank < first.rank;
        let at = self.0.iter().position(is_place).unwrap_or(self.0.len());
        if self.0.get(at).is_none_or(|branch| branch.node != *first) {
            let branch = Branch {
                node: *first,
                rules: Vec::new(),
                below: Self::default(),
            };
            self.0.insert(at, branch);
        }
        if let Some(branch) = self.0.get_mut(at) {
            if rest.is_empty() {
                branch.rules.push(rule);
            } else {
                branch.below.insert(rest, rule);
            }
        }
    }

    fn flatten(self, list: &mut Vec<Conditional>) {
        for branch in self.0 {
            list.extend(branch.rules);
            branch.below.flatten(list);
        }
    }
}

/// A rule's words, in the order in which they are compared.
fn nodes(conditions: &[Argument], narrow: bool) -> Vec<Node> {
    let mut conditions = conditions.to_vec();
    conditions.sort_by_key(|condition| condition.index);
    let mut nodes = Vec::with_capacity(2 * conditions.len());
    for condition in conditions {
        let (value, mask) = condition.compared();
        let (low, high) = halves(value);
        let (low_mask, high_mask) = halves(mask);
        if !narrow {
            nodes.push(node(&condition, true, high, high_mask));
        }
        nodes.push(node(&condition, false, low, low_mask));
    }
    nodes
}

fn node(condition: &Argument, high: bool, value: u32, mask: u32) -> Node {
    use Operator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, MaskedEqual, NotEqual};
    let (priority, comparison) = match condition.operator {
        MaskedEqual => (3, 3),
        Equal | NotEqual => (3, 0),
        LessOrEqual => (2, 1),
        Less => (2, 2),
        Greater => (1, 1),
        GreaterOrEqual => (1, 2),
    };
    // Of the higher word more than is asked first, whichever it is.
    let comparison = if high && (comparison == 2) {
        1
    } else {
        comparison
    };
    let value = value & mask;
    let rank = if priority == 2 { !value } else { value };
    Node {
        rank: (2 * condition.index + u8::from(high), priority, rank),
        same: (comparison, mask),
    }
}
