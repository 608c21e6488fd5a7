//! The C interface to CPython: the module's table, its functions, and the audit hook's glue. Limited API of 3.9, and
//! two functions that every CPython since 3.8 exports outside of it.
//!
//! Every function here is called by the interpreter with its lock held, and holds it but where it says otherwise.

mod values;

use std::ffi::{CStr, OsStr, c_char, c_int, c_long, c_void};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use pyo3_ffi::{
    METH_NOARGS, METH_VARARGS, Py_BuildValue, Py_DECREF, Py_None, PyArg_ParseTuple, PyBool_FromLong, PyBytes_AsString,
    PyBytes_AsStringAndSize, PyBytes_FromStringAndSize, PyBytes_Size, PyErr_CheckSignals, PyErr_Clear, PyErr_Occurred,
    PyErr_SetObject, PyErr_SetString, PyErr_WriteUnraisable, PyEval_RestoreThread, PyEval_SaveThread,
    PyExc_PermissionError, PyExc_RuntimeError, PyImport_ImportModule, PyList_GetItem, PyList_Size, PyLong_AsLong,
    PyLong_AsUnsignedLongLong, PyLong_Check, PyLong_FromUnsignedLongLong, PyMethodDef, PyMethodDefPointer,
    PyModule_Create2, PyModuleDef, PyModuleDef_HEAD_INIT, PyOS_AfterFork_Child, PyOS_AfterFork_Parent, PyOS_BeforeFork,
    PyObject, PyObject_CallObject, PyObject_GetAttrString, PyTuple_GetItem, PyTuple_Size, PyUnicode_AsUTF8String,
    PyUnicode_DecodeUTF8, PyUnicode_FSConverter,
};

use super::base;
use super::channel::{Channel, Request, end_if_forked};
use super::denial;
use super::forker::{Nest, Session};
use super::hooks::{self, Moment};
use crate::layers::rlimits;
use crate::status::Status;
use crate::sys;
use crate::sys::twister::Twister;
use crate::wire::{CHANNEL_LOST_STATUS, Ending, FromNest, FromSession};

unsafe extern "C" {
    // Outside the limited API before 3.13, but exported since 3.8 (PEP 578).
    fn PySys_AddAuditHook(hook: AuditHook, data: *mut c_void) -> c_int;
}

type AuditHook = unsafe extern "C" fn(event: *const c_char, arguments: *mut PyObject, data: *mut c_void) -> c_int;

/// The limited API that the module is written to.
const PYTHON_ABI_VERSION: c_int = 3;

/// Until a session takes over.
static NEST: Mutex<Option<Nest>> = Mutex::new(None);
/// From the moment that this process is a session.
static CHANNEL: OnceLock<Channel> = OnceLock::new();
/// Each session's own from its first moment.
static TWISTERS: Mutex<Vec<Twister>> = Mutex::new(Vec::new());
static STATUS: Mutex<Option<Status>> = Mutex::new(None);
/// The session has the memory that is put by for when it has run out: what [`rlimits::release_reserve`] has said; 0 where it has not.
static BEFORE_RESERVE: AtomicU64 = AtomicU64::new(0);
/// `_signal.signal` as the interpreter brought it.
static SIGNAL: AtomicPtr<PyObject> = AtomicPtr::new(ptr::null_mut());

/// Runs `clone` between CPython's own preparations for a fork, and without what modules want done then where the fork
/// `is_alike`: with one thread, of the same number.
pub(super) fn fork(is_alike: bool, clone: impl FnOnce() -> io::Result<sys::Forked>) -> io::Result<sys::Forked> {
    if is_alike { hooks::skipping(|| fork_with_hooks(clone)) } else { fork_with_hooks(clone) }
}

fn fork_with_hooks(clone: impl FnOnce() -> io::Result<sys::Forked>) -> io::Result<sys::Forked> {
    // SAFETY: this thread holds the interpreter's lock, and each hook is called in its process exactly once.
    unsafe {
        PyOS_BeforeFork();
        let forked = clone();
        match forked {
            Ok(sys::Forked::Child) => PyOS_AfterFork_Child(),
            _ => PyOS_AfterFork_Parent(),
        }
        forked
    }
}

fn none() -> *mut PyObject {
    // SAFETY: None is always there; a new reference to it is the caller's.
    unsafe {
        let none = Py_None();
        pyo3_ffi::Py_INCREF(none);
        none
    }
}

/// Raises RuntimeError with `error`.
fn raise(error: &io::Error) -> *mut PyObject {
    let text = std::ffi::CString::new(error.to_string()).unwrap_or_default();
    // SAFETY: the text outlives the call; the exception type is always there.
    unsafe { PyErr_SetString(PyExc_RuntimeError, text.as_ptr()) };
    ptr::null_mut()
}

fn answer(result: io::Result<()>) -> *mut PyObject {
    match result {
        Ok(()) => none(),
        Err(error) => raise(&error),
    }
}

/// The text of a `str`, or none (with an exception set) where it is no str.
///
/// # Safety
/// `object` is a live object.
unsafe fn text(object: *mut PyObject) -> Option<String> {
    // SAFETY: by contract; the new reference to the bytes is given up when they have been copied.
    unsafe {
        let bytes = PyUnicode_AsUTF8String(object);
        if bytes.is_null() {
            return None;
        }
        let text = String::from_utf8_lossy(bytes_of(bytes)).into_owned();
        Py_DECREF(bytes);
        Some(text)
    }
}

/// The content of a `bytes` object.
///
/// # Safety
/// `object` is a `bytes` object that outlives `'a`.
unsafe fn bytes_of<'a>(object: *mut PyObject) -> &'a [u8] {
    // SAFETY: by contract; the interpreter keeps pointer and size in step.
    unsafe {
        let length = usize::try_from(PyBytes_Size(object)).unwrap_or(0);
        std::slice::from_raw_parts(PyBytes_AsString(object).cast(), length)
    }
}

/// The texts of a list of `str`, or none (with an exception set) where it is something else.
///
/// # Safety
/// `list` is a live object.
unsafe fn texts(list: *mut PyObject) -> Option<Vec<String>> {
    // SAFETY: by contract; items are borrowed from the list while it lives.
    unsafe { (0..PyList_Size(list)).map(|index| text(PyList_GetItem(list, index))).collect() }
}

/// `serve(version: str, loaded: list[str], missing: list[str]) -> (workspace, scratch)`: shares the nest's memory, then is its
/// loop; returns in each session, with the paths of its own folders.
unsafe extern "C" fn serve(_module: *mut PyObject, arguments: *mut PyObject) -> *mut PyObject {
    let (mut version, mut loaded, mut missing) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    // SAFETY: three places for the three objects that the format asks for, all borrowed from the tuple.
    let up = unsafe {
        if PyArg_ParseTuple(arguments, c"OOO".as_ptr(), &raw mut version, &raw mut loaded, &raw mut missing) == 0 {
            return ptr::null_mut();
        }
        let (Some(python), Some(preloaded), Some(missing)) = (text(version), texts(loaded), texts(missing)) else {
            return ptr::null_mut();
        };
        let (base, base_bytes) = match base::rehome() {
            Ok((base, bytes)) => (Some(base), Ok(bytes)),
            Err(error) => (None, Err(error.to_string())),
        };
        (FromNest::Up { python, preloaded, missing, base_bytes }, base)
    };
    let (up, base) = up;
    let Some(nest) = NEST.lock().ok().and_then(|mut nest| nest.take()) else {
        return raise(&io::Error::other("there is no nest to serve"));
    };
    let Session { channel, status, trees } = nest.serve(&up, base);
    renew_twisters();
    denial::start(&trees);
    if let Ok(mut place) = STATUS.lock() {
        *place = Some(status);
    }
    // Set once: a process becomes a session once.
    let _ = CHANNEL.set(channel);
    let scratch = trees.scratch.first().map(|rule| rule.path.as_path()).unwrap_or(Path::new("/tmp"));
    paths(&trees.workspace.path, scratch)
}

/// Has the generators of this session draw what no other draws.
fn renew_twisters() {
    let renewed = TWISTERS.lock().map(|twisters| twisters.iter().try_for_each(|twister| twister.renew()));
    if !matches!(renewed, Ok(Ok(()))) {
        // Never with what others have as well.
        sys::exit_now(CHANNEL_LOST_STATUS);
    }
}

/// A tuple of two paths as `str`.
fn paths(first: &Path, second: &Path) -> *mut PyObject {
    let c_path = |path: &Path| std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
    let (first, second) = (c_path(first), c_path(second));
    // SAFETY: the format asks for two C strings, which outlive the call.
    unsafe { Py_BuildValue(c"(ss)".as_ptr(), first.as_ptr(), second.as_ptr()) }
}

/// `keep_twister(address: int, size: int, state: bytes, index: int) -> bool`: has the generator that is found in that
/// memory made anew in each session; false where there is none.
unsafe extern "C" fn keep_twister(_module: *mut PyObject, arguments: *mut PyObject) -> *mut PyObject {
    // SAFETY: the tuple holds four objects, borrowed; the third is checked to be bytes before it is read.
    unsafe {
        let number = |at| PyLong_AsUnsignedLongLong(PyTuple_GetItem(arguments, at));
        let (address, size, index) = (number(0), number(1), number(3));
        let mut state: *mut c_char = ptr::null_mut();
        let mut length = 0;
        if PyBytes_AsStringAndSize(PyTuple_GetItem(arguments, 2), &raw mut state, &raw mut length) != 0
            || !PyErr_Occurred().is_null()
        {
            return ptr::null_mut();
        }
        let state = std::slice::from_raw_parts(state.cast::<u8>(), usize::try_from(length).unwrap_or(0));
        let found = match (usize::try_from(address), usize::try_from(size), i32::try_from(index)) {
            (Ok(address), Ok(size), Ok(index)) => Twister::find(address, size, state, index),
            _ => None,
        };
        let is_kept = found.is_some();
        if let Ok(mut twisters) = TWISTERS.lock() {
            twisters.extend(found);
        }
        PyBool_FromLong(is_kept.into())
    }
}

/// `keep_fork_hooks(before: list, in_parent: list, in_child: list)`: what `call_before_fork` and the other two call, but
/// for the nest's own forks.
unsafe extern "C" fn keep_fork_hooks(_module: *mut PyObject, arguments: *mut PyObject) -> *mut PyObject {
    for (at, moment) in [(0, Moment::Before), (1, Moment::InParent), (2, Moment::InChild)] {
        // SAFETY: the tuple holds three lists, borrowed.
        unsafe { hooks::keep(moment, PyTuple_GetItem(arguments, at)) };
    }
    none()
}

unsafe extern "C" fn call_before_fork(_module: *mut PyObject, _arguments: *mut PyObject) -> *mut PyObject {
    // SAFETY: the interpreter calls this, with its lock held; so with the next two.
    unsafe { hooks::call(Moment::Before) };
    none()
}

unsafe extern "C" fn call_in_parent(_module: *mut PyObject, _arguments: *mut PyObject) -> *mut PyObject {
    // SAFETY: see above.
    unsafe { hooks::call(Moment::InParent) };
    none()
}

unsafe extern "C" fn call_in_child(_module: *mut PyObject, _arguments: *mut PyObject) -> *mut PyObject {
    // SAFETY: see above.
    unsafe { hooks::call(Moment::InChild) };
    none()
}

/// `refuse(why: str)`: tells the server that there will be no nest, and ends it.
unsafe extern "C" fn refuse(_module: *mut PyObject, arguments: *mut PyObject) -> *mut PyObject {
    // SAFETY: the tuple holds one object, borrowed.
    let why = unsafe { text(PyTuple_GetItem(arguments, 0)) }.unwrap_or_else(|| "no reason given".into());
    if let Some(nest) = NEST.lock().ok().and_then(|mut nest| nest.take()) {
        // Where this fails the server is gone.
        let _ = nest.refuse(why);
    }
    sys::exit_now(1)
}

/// `ready()`: tells the server that this session waits for code.
unsafe extern "C" fn ready(_module: *mut PyObject, _arguments: *mut PyObject) -> *mut PyObject {
    let status = STATUS.lock().ok().and_then(|mut status| status.take());
    match (CHANNEL.get(), status) {
        (Some(channel), Some(status)) => answer(channel.send(&FromSession::Ready(status))),
        _ => raise(&io::Error::other("this is no session, or it was ready before")),
    }
}

/// `receive() -> (str, int, bytes | None) | (str, int) | (int,) | int`: the next request's code, options and standard input; or
/// a number for `stand_still`; or what is
/// to be added to the environment, as JSON, and a number for `warm`; or such a number alone where the session is to get ready
/// for code. Without the interpreter's lock while it waits.
unsafe extern "C" fn receive(_module: *mut PyObject, _arguments: *mut PyObject) -> *mut PyObject {
    let Some(channel) = CHANNEL.get() else { return raise(&io::Error::other("this is no session")) };
    end_if_forked(0);
    // Something came between the end of the code and its answer.
    finish_or_end(channel, Ending::Interrupted);
    loop {
        // SAFETY: the lock is held here, and taken back before anything of Python's is touched.
        let received = unsafe {
            let thread = PyEval_SaveThread();
            let received = channel.receive();
            PyEval_RestoreThread(thread);
            received
        };
        match received {
            Ok(Request::Execute { code, stdin, options }) => return execution(&code, stdin.as_deref(), options),
            Ok(Request::Environment { variables, asked }) => {
                // SAFETY: the format takes over the reference to the first object; a failed one is null, which it passes on.
                return unsafe { Py_BuildValue(c"(NK)".as_ptr(), decoded(&variables), asked) };
            }
            // SAFETY: the format asks for one number.
            Ok(Request::StandStill(asked)) => return unsafe { Py_BuildValue(c"(K)".as_ptr(), asked) },
            // SAFETY: makes an int of a number.
            Ok(Request::WarmUp(asked)) => return unsafe { PyLong_FromUnsignedLongLong(asked) },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => run_signal_handlers(),
            // The server is gone.
            Ok(Request::End) => sys::exit_now(0),
            Err(_) => sys::exit_now(CHANNEL_LOST_STATUS),
        }
    }
}

/// What `receive` gives for code.
fn execution(code: &[u8], stdin: Option<&[u8]>, options: u64) -> *mut PyObject {
    // SAFETY: the format takes over the references to both objects; a failed one is null, which it passes on.
    unsafe {
        let stdin =
            stdin.map_or_else(none, |text| PyBytes_FromStringAndSize(text.as_ptr().cast(), text.len().cast_signed()));
        Py_BuildValue(c"(NKN)".as_ptr(), decoded(code), options, stdin)
    }
}

/// A `str` of UTF-8.
fn decoded(text: &[u8]) -> *mut PyObject {
    // SAFETY: pointer and length are the buffer's; it is UTF-8, or the decoder says so.
    unsafe { PyUnicode_DecodeUTF8(text.as_ptr().cast(), text.len().cast_signed(), c"replace".as_ptr()) }
}

/// Answers the request; a session that cannot ends.
fn finish_or_end(channel: &Channel, ending: Ending) {
    if channel.finish(ending).is_err() {
        sys::exit_now(CHANNEL_LOST_STATUS);
    }
}

/// `finish(ending: int, status: int)`: answers the request. In a process that user code forked off it ends the process
/// with `status` instead.
unsafe extern "C" fn finish(_module: *mut PyObject, arguments: *mut PyObject) -> *mut PyObject {
    // SAFETY: the tuple holds two objects, borrowed.
    let (ending, status) =
        unsafe { (PyLong_AsLong(PyTuple_GetItem(arguments, 0)), PyLong_AsLong(PyTuple_GetItem(arguments, 1))) };
    end_if_forked(i32::try_from(status).unwrap_or(1));
    let before = BEFORE_RESERVE.load(Ordering::Relaxed);
    if before > 0 && rlimits::restore_reserve(before).unwrap_or(false) {
        BEFORE_RESERVE.store(0, Ordering::Relaxed);
    }
    sys::inside::flush_c_streams();
    let ending = u8::try_from(ending).ok().and_then(Ending::from_code);
    match (CHANNEL.get(), ending) {
        (Some(channel), Some(ending)) => {
            finish_or_end(channel, ending);
            none()
        }
        _ => raise(&io::Error::other("this is no session, or no ending")),
    }
}

/// `warm(asked: int)`: tells the server that this session is ready for its first code.
unsafe extern "C" fn warm(_module: *mut PyObject, arguments: *mut PyObject) -> *mut PyObject {
    // SAFETY: the tuple holds one object, borrowed.
    let asked = unsafe { PyLong_AsUnsignedLongLong(PyTuple_GetItem(arguments, 0)) };
    match CHANNEL.get() {
        Some(channel) => answer(channel.say_how_far(asked)),
        None => raise(&io::Error::other("this is no session")),
    }
}

/// `stand_still(asked: int, obstacle: str) -> int`: has an image taken of this session, unless there is an `obstacle`, or what
/// no image can have. 0 in the session that goes on; in one that has become its image a number for `warm`.
unsafe extern "C" fn stand_still(_module: *mut PyObject, arguments: *mut PyObject) -> *mut PyObject {
    // SAFETY: the tuple holds two objects, borrowed.
    let (asked, obstacle) =
        unsafe { (PyLong_AsUnsignedLongLong(PyTuple_GetItem(arguments, 0)), text(PyTuple_GetItem(arguments, 1))) };
    let Some(obstacle) = obstacle else { return ptr::null_mut() };
    let Some(channel) = CHANNEL.get() else { return raise(&io::Error::other("this is no session")) };
    sys::inside::flush_c_streams();
    let Ok(told) = channel.stand_still(asked, (!obstacle.is_empty()).then_some(obstacle)) else {
        // It is not what it was, and nothing else either.
        sys::exit_now(CHANNEL_LOST_STATUS)
    };
    if told.is_some() {
        renew_twisters();
    }
    // SAFETY: makes an int of a number.
    unsafe { PyLong_FromUnsignedLongLong(told.unwrap_or_default()) }
}

/// `use_reserve()`: lets this session have the memory that is put by for when it has run out.
unsafe extern "C" fn use_reserve(_module: *mut PyObject, _arguments: *mut PyObject) -> *mut PyObject {
    answer(rlimits::release_reserve().map(|before| {
        if let Some(before) = before {
            BEFORE_RESERVE.store(before, Ordering::Relaxed);
        }
    }))
}

/// `allow_interrupt(allow: bool)`: lets SIGINT through to the main thread while user code runs, and only then.
unsafe extern "C" fn allow_interrupt(_module: *mut PyObject, arguments: *mut PyObject) -> *mut PyObject {
    // SAFETY: the tuple holds one object, borrowed.
    let allow = unsafe { PyLong_AsLong(PyTuple_GetItem(arguments, 0)) } != 0;
    if allow {
        // One that was meant for an earlier execution.
        sys::inside::discard_pending_interrupt();
    }
    let masked = sys::inside::block_interrupt(!allow);
    if !allow {
        run_signal_handlers();
    }
    answer(masked)
}

/// `signal(number, handler)`: `_signal.signal`, and where the handler is the default action its stand-in, since pid 1
/// has no default actions. A Python function in its place would show in tracebacks.
unsafe extern "C" fn signal(_module: *mut PyObject, arguments: *mut PyObject) -> *mut PyObject {
    const SIG_DFL: c_long = 0;
    // SAFETY: the original is a live object for good; the arguments are borrowed, and their types were checked by the
    // original if it succeeded.
    unsafe {
        let original = SIGNAL.load(Ordering::Relaxed);
        if original.is_null() {
            return raise(&io::Error::other("signals have no original"));
        }
        let before = PyObject_CallObject(original, arguments);
        if before.is_null() {
            return before;
        }
        let handler = PyTuple_GetItem(arguments, 1);
        if PyLong_Check(handler) != 0 && PyLong_AsLong(handler) == SIG_DFL {
            let number = i32::try_from(PyLong_AsLong(PyTuple_GetItem(arguments, 0))).unwrap_or_default();
            // Without it the signal is ignored, as the kernel has it for pid 1.
            let _ = sys::stand_in_for(number);
        }
        before
    }
}

/// Runs the Python handlers of signals that have arrived; what they raise has nobody left to go to.
fn run_signal_handlers() {
    // SAFETY: the interpreter's lock is held. An exception that is being carried elsewhere is not touched: nothing is
    // set when this is called.
    unsafe {
        if PyErr_CheckSignals() != 0 {
            let interrupt = pyo3_ffi::PyErr_ExceptionMatches(pyo3_ffi::PyExc_KeyboardInterrupt) != 0;
            if interrupt { PyErr_Clear() } else { PyErr_WriteUnraisable(ptr::null_mut()) }
        }
    }
}

/// Raises the seed's PermissionError before `os.remove`, `os.rmdir`, `os.rename` and their kin ask the kernel.
unsafe extern "C" fn audit(event: *const c_char, arguments: *mut PyObject, _data: *mut c_void) -> c_int {
    if !sys::inside::is_inside_session() {
        return 0;
    }
    // SAFETY: CPython passes a C string.
    let event = unsafe { CStr::from_ptr(event) };
    // Positions of the folder's descriptor in the arguments of the events (Python's audit events table): os.remove and
    // os.rmdir have (path, dir_fd), os.rename has (src, dst, src_dir_fd, dst_dir_fd).
    let base = match event.to_bytes() {
        b"os.remove" | b"os.rmdir" => 1,
        b"os.rename" => 2,
        _ => return 0,
    };
    // SAFETY: the arguments are a live tuple; the position is checked.
    unsafe {
        if PyTuple_Size(arguments) <= base {
            return 0;
        }
        let base = PyLong_AsLong(PyTuple_GetItem(arguments, base));
        let mut path: *mut PyObject = ptr::null_mut();
        let is_path = PyUnicode_FSConverter(PyTuple_GetItem(arguments, 0), (&raw mut path).cast()) != 0;
        if !is_path || !PyErr_Occurred().is_null() {
            // Not ours to report: the function itself will look at its arguments.
            PyErr_Clear();
            return 0;
        }
        let folder = i32::try_from(base).unwrap_or(-1);
        let refused = denial::refuses(folder, Path::new(OsStr::from_bytes(bytes_of(path))));
        Py_DECREF(path);
        if !refused {
            return 0;
        }
        let value = Py_BuildValue(c"(is)".as_ptr(), libc::EACCES, denial::MESSAGE.as_ptr());
        if !value.is_null() {
            PyErr_SetObject(PyExc_PermissionError, value);
            Py_DECREF(value);
        }
        -1
    }
}

/// A method table that is never written to after it is made.
struct Methods([PyMethodDef; 18]);
// SAFETY: only names, function pointers and flags, all constant.
unsafe impl Sync for Methods {}

const fn method(name: &'static CStr, function: PyMethodDefPointer, flags: c_int) -> PyMethodDef {
    PyMethodDef { ml_name: name.as_ptr(), ml_meth: function, ml_flags: flags, ml_doc: ptr::null() }
}

static METHODS: Methods = Methods([
    method(c"use_reserve", PyMethodDefPointer { PyCFunction: use_reserve }, METH_NOARGS),
    method(c"keep_twister", PyMethodDefPointer { PyCFunction: keep_twister }, METH_VARARGS),
    method(c"keep_fork_hooks", PyMethodDefPointer { PyCFunction: keep_fork_hooks }, METH_VARARGS),
    method(c"call_before_fork", PyMethodDefPointer { PyCFunction: call_before_fork }, METH_NOARGS),
    method(c"call_in_parent", PyMethodDefPointer { PyCFunction: call_in_parent }, METH_NOARGS),
    method(c"call_in_child", PyMethodDefPointer { PyCFunction: call_in_child }, METH_NOARGS),
    method(c"stand_still", PyMethodDefPointer { PyCFunction: stand_still }, METH_VARARGS),
    method(c"warm", PyMethodDefPointer { PyCFunction: warm }, METH_VARARGS),
    method(c"serve", PyMethodDefPointer { PyCFunction: serve }, METH_VARARGS),
    method(c"refuse", PyMethodDefPointer { PyCFunction: refuse }, METH_VARARGS),
    method(c"ready", PyMethodDefPointer { PyCFunction: ready }, METH_NOARGS),
    method(c"receive", PyMethodDefPointer { PyCFunction: receive }, METH_NOARGS),
    method(c"emit", PyMethodDefPointer { PyCFunction: values::emit }, METH_VARARGS),
    method(c"ask_line", PyMethodDefPointer { PyCFunction: values::ask_line }, METH_VARARGS),
    method(c"finish", PyMethodDefPointer { PyCFunction: finish }, METH_VARARGS),
    method(c"allow_interrupt", PyMethodDefPointer { PyCFunction: allow_interrupt }, METH_VARARGS),
    method(c"signal", PyMethodDefPointer { PyCFunction: signal }, METH_VARARGS),
    PyMethodDef::zeroed(),
]);

/// The module's entry: takes the nest's descriptors over and adds the audit hook.
#[unsafe(no_mangle)]
unsafe extern "C" fn PyInit_eggbox_native() -> *mut PyObject {
    match Nest::adopt() {
        Ok(nest) => {
            if let Ok(mut place) = NEST.lock() {
                *place = Some(nest);
            }
        }
        Err(error) => return raise(&error),
    }
    // SAFETY: the interpreter's lock is held; the hook lives as long as the process, the definition too.
    unsafe {
        if PySys_AddAuditHook(audit, ptr::null_mut()) != 0 {
            return ptr::null_mut();
        }
        let signals = PyImport_ImportModule(c"_signal".as_ptr());
        if signals.is_null() {
            return ptr::null_mut();
        }
        // Both are kept for good.
        SIGNAL.store(PyObject_GetAttrString(signals, c"signal".as_ptr()), Ordering::Relaxed);
        let definition = Box::leak(Box::new(PyModuleDef {
            m_base: PyModuleDef_HEAD_INIT,
            m_name: c"eggbox_native".as_ptr(),
            m_doc: ptr::null(),
            m_size: -1,
            m_methods: METHODS.0.as_ptr().cast_mut(),
            m_slots: ptr::null_mut(),
            m_traverse: None,
            m_clear: None,
            m_free: None,
        }));
        PyModule_Create2(definition, PYTHON_ABI_VERSION)
    }
}
