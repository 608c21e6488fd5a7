//! What one session may use, in numbers: the same whatever puts them into force.

use serde::{Deserialize, Serialize};

const MIB: u64 = 1024 * 1024;

/// Limits of a session and of all its processes together, where a field does not say otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxLimits {
    /// Memory, files in memory included; there is no swap.
    pub memory_bytes_max: u64,
    pub workspace_bytes_max: u64,
    /// For `/tmp` and `/dev/shm` each.
    pub scratch_bytes_max: u64,
    /// Files, folders and links in each of the three.
    pub files_max: u64,
    /// Size of one file.
    pub file_bytes_max: u64,
    /// Processes and threads.
    pub processes_max: u32,
    /// Descriptors of one process.
    pub open_files_max: u32,
    /// Stack of a process's first thread; other threads have [`THREAD_STACK_BYTES`].
    pub stack_bytes_max: u64,
}

/// The stack that a thread gets unless it asks for another size. The C library would make it as large as that of the
/// first thread, and 64 such stacks alone would be taken for a session's whole memory.
pub const THREAD_STACK_BYTES: u64 = 2 * MIB;

impl Default for SandboxLimits {
    fn default() -> Self {
        Self {
            memory_bytes_max: 512 * MIB,
            workspace_bytes_max: 256 * MIB,
            scratch_bytes_max: 64 * MIB,
            files_max: 16_384,
            file_bytes_max: 256 * MIB,
            processes_max: 64,
            open_files_max: 256,
            stack_bytes_max: 8 * MIB,
        }
    }
}

impl SandboxLimits {
    /// How much one process may add to the memory it was forked with.
    #[must_use]
    pub fn data_bytes_max(&self) -> u64 {
        data_bytes_max(self.memory_bytes_max)
    }
}

/// How much one process of a session may add to the memory it was forked with, where the session may have this much: less
/// than the whole, so that what asks for too much is told so by a MemoryError before the kernel ends somebody.
pub(crate) fn data_bytes_max(memory_bytes_max: u64) -> u64 {
    memory_bytes_max - memory_bytes_max / 8
}
