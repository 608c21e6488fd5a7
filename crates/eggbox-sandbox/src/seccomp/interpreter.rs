//! Runs a filter as the kernel does, for the tests.

use super::assembler::{AND, INSTRUCTIONS_MAX, JUMP, JUMP_ANY_BIT, JUMP_EQUAL, JUMP_GREATER_OR_EQUAL, LOAD, RETURN};
use super::program::Program;

/// `struct seccomp_data` of seccomp(2), without the instruction pointer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Call {
    pub(super) number: u32,
    pub(super) arch: u32,
    pub(super) arguments: [u64; 6],
}

/// The value that the filter returns. Panics where the kernel would have refused the program.
pub(super) fn run(program: &Program, call: &Call) -> u32 {
    let code = &program.instructions;
    assert!((1..=INSTRUCTIONS_MAX).contains(&code.len()));
    let mut accumulator = 0;
    let mut at = 0;
    loop {
        let instruction = code[at];
        let k = instruction.k;
        let holds = match instruction.code {
            LOAD => {
                accumulator = word(call, k);
                at += 1;
                continue;
            }
            AND => {
                accumulator &= k;
                at += 1;
                continue;
            }
            JUMP => {
                at += 1 + usize::try_from(k).unwrap();
                continue;
            }
            RETURN => return k,
            JUMP_EQUAL => accumulator == k,
            JUMP_GREATER_OR_EQUAL => accumulator >= k,
            JUMP_ANY_BIT => accumulator & k != 0,
            other => panic!("the kernel refuses opcode {other:#x}"),
        };
        at += 1 + usize::from(if holds { instruction.jt } else { instruction.jf });
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a word is half an argument")]
fn word(call: &Call, offset: u32) -> u32 {
    match offset {
        0 => call.number,
        4 => call.arch,
        16..64 if offset.is_multiple_of(8) => call.arguments[usize::try_from((offset - 16) / 8).unwrap()] as u32,
        other => panic!("no filter of ours reads offset {other}"),
    }
}
