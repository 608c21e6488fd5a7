//! Black-box tests of the eggbox binary.

mod help;
