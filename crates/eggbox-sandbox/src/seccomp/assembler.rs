//! An assembler for the few BPF instructions that a filter needs.
//!
//! Jumps in BPF only go forward, so a program is written from its end to its start: whatever an
//! instruction jumps to is already there, and its distance is known. A conditional jump reaches 255
//! instructions; where its target lies further, an unconditional jump (32-bit offset) is put right
//! after it and takes over.
//!
//! Only opcodes that the kernel's constant-allow analysis follows are used before an argument is
//! loaded (`seccomp_is_const_allow`, kernel/seccomp.c since 5.11), so that calls which are allowed
//! outright skip the filter altogether.

use std::collections::BTreeMap;

use super::program::{Instruction, Program};

/// `BPF_MAXINSNS` of `<linux/bpf_common.h>`.
pub(super) const INSTRUCTIONS_MAX: usize = 4096;

pub(super) const LOAD: u16 = 0x20;
pub(super) const AND: u16 = 0x54;
pub(super) const JUMP: u16 = 0x05;
pub(super) const JUMP_EQUAL: u16 = 0x15;
pub(super) const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
pub(super) const JUMP_ANY_BIT: u16 = 0x45;
pub(super) const RETURN: u16 = 0x06;

/// Where an instruction stands, counted from the end of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Label(usize);

#[derive(Debug, Default)]
pub(super) struct Assembler {
    /// The program so far, last instruction first.
    reversed: Vec<Instruction>,
    returns: BTreeMap<u32, Label>,
    /// The latest stand-in for a target that was out of reach.
    stand_ins: BTreeMap<Label, Label>,
}

impl Assembler {
    /// Ends the program with `value`; asking twice gives one instruction.
    pub(super) fn ret(&mut self, value: u32) -> Label {
        if let Some(label) = self.returns.get(&value) {
            return *label;
        }
        let label = self.push(RETURN, 0, 0, value);
        self.returns.insert(value, label);
        label
    }

    /// Loads the word at `offset` of `struct seccomp_data`, then goes on at `next`.
    pub(super) fn load(&mut self, offset: u32, next: Label) -> Label {
        self.fall_through_to(next);
        self.push(LOAD, 0, 0, offset)
    }

    /// Clears the bits of the loaded word that `mask` lacks, then goes on at `next`.
    pub(super) fn and(&mut self, mask: u32, next: Label) -> Label {
        self.fall_through_to(next);
        self.push(AND, 0, 0, mask)
    }

    pub(super) fn if_equal(&mut self, value: u32, yes: Label, no: Label) -> Label {
        self.branch(JUMP_EQUAL, value, yes, no)
    }

    pub(super) fn if_greater_or_equal(&mut self, value: u32, yes: Label, no: Label) -> Label {
        self.branch(JUMP_GREATER_OR_EQUAL, value, yes, no)
    }

    pub(super) fn if_any_bit(&mut self, bits: u32, yes: Label, no: Label) -> Label {
        self.branch(JUMP_ANY_BIT, bits, yes, no)
    }

    /// The program that starts at `entry`, or its length if that is more than the kernel takes.
    pub(super) fn finish(mut self, entry: Label) -> Result<Program, usize> {
        self.fall_through_to(entry);
        if self.reversed.len() > INSTRUCTIONS_MAX {
            return Err(self.reversed.len());
        }
        self.reversed.reverse();
        Ok(Program { instructions: self.reversed })
    }

    fn branch(&mut self, code: u16, k: u32, yes: Label, no: Label) -> Label {
        if yes == no {
            return yes;
        }
        // Bringing `no` within reach may move `yes` one further away.
        let yes = self.within_reach(yes, 1);
        let no = self.within_reach(no, 0);
        let (jt, jf) = (self.short_distance(yes), self.short_distance(no));
        self.push(code, jt, jf, k)
    }

    fn within_reach(&mut self, target: Label, slack: usize) -> Label {
        let reach = usize::from(u8::MAX) - slack;
        let stand_in = self.stand_ins.get(&target).copied().unwrap_or(target);
        if self.distance(stand_in) <= reach {
            return stand_in;
        }
        let label = self.jump(target);
        self.stand_ins.insert(target, label);
        label
    }

    fn fall_through_to(&mut self, target: Label) {
        if self.distance(target) > 0 {
            self.jump(target);
        }
    }

    fn jump(&mut self, target: Label) -> Label {
        let distance = u32::try_from(self.distance(target)).unwrap_or(u32::MAX);
        self.push(JUMP, 0, 0, distance)
    }

    /// Instructions that the next one written would skip to get to `target`.
    fn distance(&self, target: Label) -> usize {
        self.reversed.len() - target.0 - 1
    }

    fn short_distance(&self, target: Label) -> u8 {
        u8::try_from(self.distance(target)).expect("the target was brought within reach")
    }

    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Label {
        self.reversed.push(Instruction { code, jt, jf, k });
        Label(self.reversed.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seccomp::interpreter::{Call, run};

    fn number(number: u32) -> Call {
        Call { number, ..Call::default() }
    }

    #[test]
    fn a_far_target_is_reached_on_either_side() {
        for filler in [0, 250, 253, 254, 255, 256, 257, 258, 600] {
            let mut assembler = Assembler::default();
            let (one, two) = (assembler.ret(1), assembler.ret(2));
            for value in 0..filler {
                assembler.ret(1000 + value);
            }
            let seven = assembler.if_equal(7, one, two);
            let eight = assembler.if_equal(8, two, seven);
            let start = assembler.load(0, eight);
            let program = assembler.finish(start).unwrap();
            assert_eq!(run(&program, &number(7)), 1, "{filler}");
            assert_eq!(run(&program, &number(8)), 2, "{filler}");
            assert_eq!(run(&program, &number(9)), 2, "{filler}");
        }
    }

    #[test]
    fn an_entry_that_is_not_the_first_instruction_is_jumped_to() {
        let mut assembler = Assembler::default();
        let one = assembler.ret(1);
        assembler.ret(2);
        let program = assembler.finish(one).unwrap();
        assert_eq!(run(&program, &number(0)), 1);
    }

    #[test]
    fn the_kernel_limit_is_kept() {
        let mut assembler = Assembler::default();
        let mut last = assembler.ret(0);
        for value in 1..4096 {
            last = assembler.ret(value);
        }
        last = assembler.load(0, last);
        assert_eq!(assembler.finish(last), Err(4097));
    }
}
