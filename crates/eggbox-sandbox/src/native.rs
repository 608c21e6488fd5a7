//! The extension module that a nest's Python loads: forks sessions, locks them down, and carries a session's frames.
//!
//! In the nest everything happens on its one thread inside [`forker`]; in a session user code runs beside this module
//! and may call it, which can harm that session alone.

mod base;
mod channel;
mod denial;
mod forker;
mod hooks;
mod leftovers;
mod loading;
mod python;
mod standing;
mod streams;
mod surroundings;
