//! Finds the answer for a number: a balanced binary search over ranges of equal answer.
//!
//! Neighbours with the same answer are one range. A stretch whose ranges differ from a common
//! answer only at single numbers is one leaf of the search: a short chain of equality tests costs
//! one instruction per exception, where two range bounds would cost two.

use super::assembler::{Assembler, Label};

/// Longest chain of equality tests in a leaf. Measured on the shipped x86_64 policy: chains of one
/// give 136 instructions, three 125, six 123; six lengthens paths and installs no faster.
const CHAIN_MAX: usize = 3;

/// A total map from `u32` to labels, as sorted ranges.
#[derive(Debug)]
pub(super) struct Ranges(Vec<Range>);

#[derive(Debug, Clone, Copy)]
struct Range {
    first: u32,
    target: Label,
}

/// Consecutive ranges that one chain of equality tests tells apart.
#[derive(Debug)]
struct Leaf<'a> {
    first: u32,
    base: Label,
    exceptions: Vec<&'a Range>,
}

impl Ranges {
    /// `points` in ascending order of number, `elsewhere` for all other numbers.
    pub(super) fn new(points: impl IntoIterator<Item = (u32, Label)>, elsewhere: Label) -> Self {
        let mut ranges = Self(Vec::new());
        ranges.set_from(0, elsewhere);
        for (number, target) in points {
            ranges.set_from(number, target);
            if let Some(next) = number.checked_add(1) {
                ranges.set_from(next, elsewhere);
            }
        }
        ranges
    }

    /// Gives every number from `first` on this target.
    pub(super) fn set_from(&mut self, first: u32, target: Label) {
        while self.0.pop_if(|range| range.first >= first).is_some() {}
        if self.0.last().is_none_or(|range| range.target != target) {
            self.0.push(Range { first, target });
        }
    }

    /// Writes the search for the loaded word.
    pub(super) fn emit(&self, assembler: &mut Assembler) -> Label {
        let mut leaves = Vec::new();
        let mut start = 0;
        while start < self.0.len() {
            let (leaf, end) = self.longest_leaf(start);
            leaves.push(leaf);
            start = end;
        }
        emit_tree(&leaves, assembler)
    }

    /// The leaf that starts at a range and covers the most ranges, and the range after it.
    fn longest_leaf(&self, start: usize) -> (Leaf<'_>, usize) {
        let plain = self.leaf(start, self.0[start].target);
        let Some(second) = self.0.get(start + 1) else {
            return plain;
        };
        let other = self.leaf(start, second.target);
        if other.1 > plain.1 { other } else { plain }
    }

    fn leaf(&self, start: usize, base: Label) -> (Leaf<'_>, usize) {
        let mut leaf = Leaf { first: self.0[start].first, base, exceptions: Vec::new() };
        let mut end = start;
        while let Some(range) = self.0.get(end) {
            if range.target != base {
                if !self.is_single(end) || leaf.exceptions.len() == CHAIN_MAX {
                    break;
                }
                leaf.exceptions.push(range);
            }
            end += 1;
        }
        (leaf, end)
    }

    fn is_single(&self, index: usize) -> bool {
        let after = self.0.get(index + 1).map(|range| range.first);
        self.0[index].first.checked_add(1) == after
    }
}

fn emit_tree(leaves: &[Leaf<'_>], assembler: &mut Assembler) -> Label {
    if let [leaf] = leaves {
        return leaf
            .exceptions
            .iter()
            .rev()
            .fold(leaf.base, |next, exception| assembler.if_equal(exception.first, exception.target, next));
    }
    let (lower, upper) = leaves.split_at(leaves.len() / 2);
    let bound = upper[0].first;
    let upper = emit_tree(upper, assembler);
    let lower = emit_tree(lower, assembler);
    assembler.if_greater_or_equal(bound, upper, lower)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::seccomp::interpreter::{Call, run};

    fn found(points: &BTreeMap<u32, u32>, numbers: &[u32]) -> Vec<u32> {
        let mut assembler = Assembler::default();
        let elsewhere = assembler.ret(0);
        let points: Vec<_> = points.iter().map(|(number, value)| (*number, assembler.ret(*value))).collect();
        let search = Ranges::new(points, elsewhere).emit(&mut assembler);
        let start = assembler.load(0, search);
        let program = assembler.finish(start).unwrap();
        numbers.iter().map(|number| run(&program, &Call { number: *number, ..Call::default() })).collect()
    }

    #[test]
    fn the_ends_of_the_domain_are_numbers_like_others() {
        let points = BTreeMap::from([(0, 1), (u32::MAX, 2)]);
        assert_eq!(found(&points, &[0, 1, u32::MAX - 1, u32::MAX]), [1, 0, 0, 2]);
        assert_eq!(found(&BTreeMap::new(), &[0, u32::MAX]), [0, 0]);
    }

    proptest! {
        #[test]
        fn finds_what_a_map_finds(
            points in prop::collection::btree_map(0u32..900, 0u32..5, 0..700),
        ) {
            let numbers: Vec<u32> = (0..1000).chain([u32::MAX]).collect();
            let expected: Vec<u32> = numbers
                .iter()
                .map(|number| points.get(number).copied().unwrap_or(0))
                .collect();
            prop_assert_eq!(found(&points, &numbers), expected);
        }
    }
}
