//! What a session shows beside its output, and the lines that it asks for.

use std::ffi::{CString, c_char};
use std::{io, ptr, slice};

use pyo3_ffi::{
    PyBytes_AsStringAndSize, PyErr_CheckSignals, PyErr_Occurred, PyErr_SetString, PyEval_RestoreThread,
    PyEval_SaveThread, PyExc_OSError, PyLong_AsLong, PyLong_AsUnsignedLongLong, PyObject, PyTuple_GetItem,
};

use super::{CHANNEL, decoded, none};
use crate::wire::ValueKind;

/// `emit(kind: int, body: bytes, stdout_bytes: int)`: writes a value to the stream of values. OSError where that cannot be.
pub(super) unsafe extern "C" fn emit(_module: *mut PyObject, arguments: *mut PyObject) -> *mut PyObject {
    // SAFETY: the tuple holds three objects, borrowed, and lives as long as this call, whoever else runs meanwhile.
    unsafe {
        let kind = u8::try_from(PyLong_AsLong(PyTuple_GetItem(arguments, 0))).ok().and_then(ValueKind::from_code);
        let Some((body, stdout_bytes)) = body_and_number(arguments, 1) else { return ptr::null_mut() };
        let (Some(channel), Some(kind)) = (CHANNEL.get(), kind) else {
            return raise(&io::Error::other("this is no session, or no kind of value"));
        };
        let thread = PyEval_SaveThread();
        let shown = channel.show(kind, body, stdout_bytes);
        PyEval_RestoreThread(thread);
        shown.map_or_else(|error| raise(&error), |()| none())
    }
}

/// `ask_line(body: bytes, stdout_bytes: int) -> str | None`: has whoever listens asked for a line, as the JSON in `body`
/// says, and waits for it; none at the end of input. Without the interpreter's lock while it waits.
pub(super) unsafe extern "C" fn ask_line(_module: *mut PyObject, arguments: *mut PyObject) -> *mut PyObject {
    let Some(channel) = CHANNEL.get() else { return raise(&io::Error::other("this is no session")) };
    // SAFETY: the tuple holds two objects, borrowed, and lives as long as this call.
    let asked = unsafe {
        let Some((body, stdout_bytes)) = body_and_number(arguments, 0) else { return ptr::null_mut() };
        let thread = PyEval_SaveThread();
        let asked = channel.ask_for_line(body, stdout_bytes);
        PyEval_RestoreThread(thread);
        asked
    };
    if let Err(error) = asked {
        return raise(&error);
    }
    loop {
        // SAFETY: the lock is held here, and taken back before anything of Python's is touched.
        let received = unsafe {
            let thread = PyEval_SaveThread();
            let received = channel.receive_line();
            PyEval_RestoreThread(thread);
            received
        };
        match received {
            Ok(Some(line)) => return decoded(&line),
            Ok(None) => return none(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                // SAFETY: the interpreter's lock is held. What a handler raises ends the wait.
                if unsafe { PyErr_CheckSignals() } != 0 {
                    return ptr::null_mut();
                }
            }
            Err(error) => return raise(&error),
        }
    }
}

/// The `bytes` at that place of a tuple and the number behind them; none, with an exception set, where they are others.
///
/// # Safety
/// `arguments` is a tuple with that many objects, which outlives `'a`.
unsafe fn body_and_number<'a>(arguments: *mut PyObject, at: isize) -> Option<(&'a [u8], u64)> {
    // SAFETY: by contract; the object is checked to be bytes before it is read.
    unsafe {
        let number = PyLong_AsUnsignedLongLong(PyTuple_GetItem(arguments, at + 1));
        let (mut body, mut length): (*mut c_char, _) = (ptr::null_mut(), 0);
        if PyBytes_AsStringAndSize(PyTuple_GetItem(arguments, at), &raw mut body, &raw mut length) != 0
            || !PyErr_Occurred().is_null()
        {
            return None;
        }
        Some((slice::from_raw_parts(body.cast(), usize::try_from(length).unwrap_or(0)), number))
    }
}

/// Raises OSError with `error`.
fn raise(error: &io::Error) -> *mut PyObject {
    let text = CString::new(error.to_string()).unwrap_or_default();
    // SAFETY: the text outlives the call; the exception type is always there.
    unsafe { PyErr_SetString(PyExc_OSError, text.as_ptr()) };
    ptr::null_mut()
}
