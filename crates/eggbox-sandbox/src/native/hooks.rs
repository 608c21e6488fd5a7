//! What the standard library wants called at a fork, kept from the forks of the nest.
//!
//! The hooks of `threading`, `logging` and their like repair what a fork in the middle of things may break: locks that
//! another thread held, the number of the one thread that is left. The nest has one thread, which holds none and has the
//! same number in its fork: there is nothing to repair, and doing it all the same costs each session 300 page faults.
//! Forks that a session makes have them called as ever.

use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3_ffi::{
    Py_DECREF, Py_INCREF, PyErr_WriteUnraisable, PyList_GetItem, PyList_Size, PyObject, PyObject_CallObject,
};

/// One of the three moments that a hook can be for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Moment {
    Before,
    InParent,
    InChild,
}

/// A list of callables, held for good.
struct List(*mut PyObject);
// SAFETY: only used by whoever holds the interpreter's lock.
unsafe impl Send for List {}

static LISTS: Mutex<[List; 3]> = Mutex::new([const { List(ptr::null_mut()) }; 3]);
/// A fork of the nest's own is under way, which needs none of them.
static ARE_SKIPPED: AtomicBool = AtomicBool::new(false);

/// Keeps the list for that moment.
///
/// # Safety
/// `list` is a live list; the interpreter's lock is held.
pub(super) unsafe fn keep(moment: Moment, list: *mut PyObject) {
    // SAFETY: by contract.
    unsafe { Py_INCREF(list) };
    if let Ok(mut lists) = LISTS.lock() {
        lists[moment as usize] = List(list);
    }
}

/// Does something during which they are not called.
pub(super) fn skipping<T>(act: impl FnOnce() -> T) -> T {
    ARE_SKIPPED.store(true, Ordering::Relaxed);
    let done = act();
    ARE_SKIPPED.store(false, Ordering::Relaxed);
    done
}

/// Calls those of that moment, in the order of `os.register_at_fork`: the latest first before a fork, the earliest first
/// after it.
///
/// # Safety
/// The interpreter's lock is held.
pub(super) unsafe fn call(moment: Moment) {
    if ARE_SKIPPED.load(Ordering::Relaxed) {
        return;
    }
    let list = match LISTS.lock() {
        Ok(lists) => lists[moment as usize].0,
        Err(_) => return,
    };
    if list.is_null() {
        return;
    }
    // SAFETY: the list is held for good; its items are borrowed from it, and live as long.
    unsafe {
        let count = PyList_Size(list);
        for number in 0..count {
            let at = if let Moment::Before = moment { count - 1 - number } else { number };
            let hook = PyList_GetItem(list, at);
            if hook.is_null() {
                return;
            }
            let result = PyObject_CallObject(hook, ptr::null_mut());
            if result.is_null() {
                // As the interpreter does with what a hook raises.
                PyErr_WriteUnraisable(hook);
            } else {
                Py_DECREF(result);
            }
        }
    }
}
