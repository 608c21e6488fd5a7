//! From a policy to a program.
//!
//! The order of a program: the ABI, the search for the number, the conditions, the answers.

use std::collections::BTreeMap;

use super::assembler::{Assembler, INSTRUCTIONS_MAX, Label};
use super::errno::Errno;
use super::policy::{Answer, Condition, SeccompPolicy, Test};
use super::program::Program;
use super::search::Ranges;

/// `SECCOMP_RET_ALLOW` and `SECCOMP_RET_ERRNO` of seccomp(2).
pub(super) const RETURN_ALLOW: u32 = 0x7fff_0000;
pub(super) const RETURN_ERRNO: u32 = 0x0005_0000;

/// Offsets in `struct seccomp_data`.
const NUMBER_OFFSET: u32 = 0;
const ARCH_OFFSET: u32 = 4;
const ARGUMENTS_OFFSET: u32 = 16;
const ARGUMENT_BYTES: u32 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    #[error(
        "seccomp policy compiles to {instructions} instructions, more than the \
         {INSTRUCTIONS_MAX} that the kernel takes"
    )]
    TooLong { instructions: usize },
}

/// The filter that answers as `policy` says, for the architecture that it was written for.
pub fn compile(policy: &SeccompPolicy) -> Result<Program, CompileError> {
    let mut assembler = Assembler::default();
    let allow = assembler.ret(RETURN_ALLOW);
    let default = refuse(&mut assembler, policy.default_errno);

    let mut answers = BTreeMap::new();
    for rule in &policy.rules {
        let answer = match &rule.answer {
            Answer::Refuse(errno) => refuse(&mut assembler, *errno),
            Answer::Allow(conditions) => {
                conditions.iter().rev().fold(allow, |next, condition| check(&mut assembler, condition, next))
            }
        };
        answers.extend(rule.numbers.iter().map(|number| (*number, answer)));
    }

    let mut ranges = Ranges::new(answers, default);
    // Calls that are newer than the table, and all of x32.
    let unknown = refuse(&mut assembler, Errno::ENOSYS);
    ranges.set_from(policy.arch.highest_number() + 1, unknown);

    let foreign = refuse(&mut assembler, Errno::EPERM);
    let search = ranges.emit(&mut assembler);
    let native = assembler.load(NUMBER_OFFSET, search);
    let abi = assembler.if_equal(policy.arch.audit_word(), native, foreign);
    let start = assembler.load(ARCH_OFFSET, abi);
    assembler.finish(start).map_err(|instructions| CompileError::TooLong { instructions })
}

fn refuse(assembler: &mut Assembler, errno: Errno) -> Label {
    assembler.ret(RETURN_ERRNO | errno.value().unsigned_abs())
}

/// Goes on at `next` if the condition holds.
fn check(assembler: &mut Assembler, condition: &Condition, next: Label) -> Label {
    let refused = refuse(assembler, condition.else_errno);
    let mut test = match &condition.test {
        Test::OneOf(values) => among(values, next, refused).emit(assembler),
        Test::NotOneOf(values) => among(values, refused, next).emit(assembler),
        Test::NoneOfBits(bits) => assembler.if_any_bit(*bits, refused, next),
    };
    if let Some(mask) = condition.mask {
        test = assembler.and(mask, test);
    }
    let restricted = load_argument(assembler, condition.argument, test);
    match &condition.given {
        None => restricted,
        Some(given) => {
            let applies = among(&given.values, restricted, next).emit(assembler);
            load_argument(assembler, given.argument, applies)
        }
    }
}

fn among(values: &[u32], yes: Label, no: Label) -> Ranges {
    let sorted = BTreeMap::from_iter(values.iter().map(|value| (*value, yes)));
    Ranges::new(sorted, no)
}

/// Only the low word of an argument counts, and it is the first of the two, both architectures being little-endian.
fn load_argument(assembler: &mut Assembler, index: u8, next: Label) -> Label {
    assembler.load(ARGUMENTS_OFFSET + ARGUMENT_BYTES * u32::from(index), next)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::seccomp::arch::Arch;
    use crate::seccomp::interpreter::{Call, run};
    use crate::seccomp::policy::{Given, Rule};

    /// What the policy says, without ranges, labels or trees.
    pub(crate) fn naive(policy: &SeccompPolicy, call: &Call) -> u32 {
        let errno = |errno: Errno| RETURN_ERRNO | errno.value().unsigned_abs();
        if call.arch != policy.arch.audit_word() {
            return errno(Errno::EPERM);
        }
        if call.number > policy.arch.highest_number() {
            return errno(Errno::ENOSYS);
        }
        let rule = policy.rules.iter().find(|rule| rule.numbers.contains(&call.number));
        match rule.map(|rule| &rule.answer) {
            None => errno(policy.default_errno),
            Some(Answer::Refuse(refused)) => errno(*refused),
            Some(Answer::Allow(conditions)) => conditions
                .iter()
                .find(|condition| !holds(condition, call))
                .map_or(RETURN_ALLOW, |condition| errno(condition.else_errno)),
        }
    }

    fn holds(condition: &Condition, call: &Call) -> bool {
        let low_word = |index| u32::try_from(call.arguments[usize::from(index)] & 0xffff_ffff).unwrap();
        if condition.given.as_ref().is_some_and(|given| !given.values.contains(&low_word(given.argument))) {
            return true;
        }
        let value = low_word(condition.argument) & condition.mask.unwrap_or(u32::MAX);
        match &condition.test {
            Test::OneOf(values) => values.contains(&value),
            Test::NotOneOf(values) => !values.contains(&value),
            Test::NoneOfBits(bits) => value & bits == 0,
        }
    }

    /// Every word gets its turn as every argument, beside others as the other arguments.
    fn agrees(policy: &SeccompPolicy, program: &Program, words: &[u32]) {
        let arch = policy.arch.audit_word();
        for number in (0..1024).chain([0x3fff_ffff, 0x4000_0000, 0x4000_003b, u32::MAX]) {
            for turn in 0..words.len() {
                let word = |argument| u64::from(words[(turn + argument) % words.len()]);
                for high in [0, 1 << 32, u64::MAX << 32] {
                    let call = Call { number, arch, arguments: std::array::from_fn(|index| word(index) | high) };
                    assert_eq!(run(program, &call), naive(policy, &call), "{call:x?}");
                }
            }
        }
    }

    fn errno() -> impl Strategy<Value = Errno> {
        prop::sample::select(vec!["EPERM", "ENOSYS", "EINVAL", "EACCES"])
            .prop_map(|name| Errno::from_name(name).unwrap())
    }

    /// Small numbers, so that ranges merge and touch.
    fn words() -> impl Strategy<Value = Vec<u32>> {
        let word = prop_oneof![4 => 0u32..40, 1 => any::<u32>()];
        prop::collection::vec(word, 1..6)
    }

    fn condition() -> impl Strategy<Value = Condition> {
        let test = prop_oneof![
            words().prop_map(Test::OneOf),
            words().prop_map(Test::NotOneOf),
            any::<u32>().prop_map(Test::NoneOfBits),
        ];
        let given = (0u8..6, words()).prop_map(|(argument, values)| Given { argument, values });
        (prop::option::of(given), 0u8..6, prop::option::of(any::<u32>()), test, errno())
            .prop_map(|(given, argument, mask, test, else_errno)| Condition { given, argument, mask, test, else_errno })
    }

    fn answer() -> impl Strategy<Value = Answer> {
        prop_oneof![
            20 => Just(Answer::Allow(Vec::new())),
            20 => errno().prop_map(Answer::Refuse),
            1 => prop::collection::vec(condition(), 1..3).prop_map(Answer::Allow),
        ]
    }

    fn policy() -> impl Strategy<Value = SeccompPolicy> {
        let arch = prop::sample::select(vec![Arch::X86_64, Arch::Aarch64]);
        let answers = prop::collection::btree_map(0u32..=469, answer(), 0..470);
        (arch, errno(), answers).prop_map(|(arch, default_errno, answers)| SeccompPolicy {
            arch,
            default_errno,
            rules: answers.into_iter().map(|(number, answer)| Rule { numbers: vec![number], answer }).collect(),
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn any_policy_is_answered_as_written(policy in policy(), words in words()) {
            match compile(&policy) {
                Ok(program) => agrees(&policy, &program, &words),
                Err(CompileError::TooLong { instructions }) => {
                    prop_assert!(instructions > INSTRUCTIONS_MAX);
                }
            }
        }

        #[test]
        fn shipped_policies_are_answered_as_written(words in words()) {
            for arch in [Arch::X86_64, Arch::Aarch64] {
                let policy = crate::seccomp::shipped(arch, crate::policy::Isolation::Strict).unwrap();
                agrees(&policy, &compile(&policy).unwrap(), &words);
            }
        }
    }

    #[test]
    fn a_policy_past_the_kernel_limit_is_refused() {
        let condition = |seed: u32| Condition {
            given: None,
            argument: 0,
            mask: None,
            test: Test::OneOf((0..20).map(|value| seed + 2 * value).collect()),
            else_errno: Errno::EPERM,
        };
        let policy = SeccompPolicy {
            arch: Arch::X86_64,
            default_errno: Errno::EPERM,
            rules: (0..400)
                .map(|number| Rule { numbers: vec![number], answer: Answer::Allow(vec![condition(number)]) })
                .collect(),
        };
        assert!(matches!(
            compile(&policy),
            Err(CompileError::TooLong { instructions }) if instructions > INSTRUCTIONS_MAX
        ));
    }
}
