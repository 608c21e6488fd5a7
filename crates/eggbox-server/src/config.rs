//! What the server runs on: every limit on what a client may send, hold open or wait for.

use std::time::Duration;

use crate::authority::AllowedHost;
use crate::keys::KeyConfig;

/// The most bytes that a request's head may have; a longer one is answered 431. The buffer that it is read into is bounded
/// by the same number, but takes in a few times as much before that is noticed.
pub(crate) const HEAD_BYTES_MAX: usize = 64 * 1024;

/// How much of an answer the kernel holds that it has not begun to send.
pub(crate) const UNSENT_BYTES_MAX: u32 = 256 * 1024;

/// How much of a body over the limit is read and thrown away, so that its sender gets to read the refusal
/// instead of a connection reset.
pub(crate) const DISCARD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// From the end of a request's head to the end of the file that it brings, which may be far larger than other bodies; it has
/// to go on all the time (`body_read_max`).
pub(crate) const UPLOAD_READ_MAX: Duration = Duration::from_secs(3600);

/// Answers with more output than this are rendered off the threads that serve the other connections: at about
/// 1 GB/s this many bytes take a quarter of a millisecond.
pub(crate) const RENDER_INLINE_BYTES_MAX: usize = 256 * 1024;

/// Answers larger than that which are in memory at once: with 1 MiB of either stream, which JSON can make six of, 768 MiB.
/// Further ones wait until others are read, or given up by `answer_stall_max`.
pub(crate) const LARGE_ANSWERS_MAX: usize = 64;

/// How long a client may wait for an execution by one request, in seconds; it can ask again.
pub(crate) const WAIT_SECONDS_MAX: f64 = 300.0;

/// The longest key by which a client knows an execution that it asks for.
pub(crate) const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// Limits and names of one HTTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Bytes in the body of a request.
    pub body_bytes_max: usize,
    /// Bytes in the bodies of all requests that are being received, wait or run, beyond the first 64 KiB of each.
    pub bodies_bytes_max: usize,
    /// Connections open at once; further ones wait in the kernel's backlog.
    pub connections_max: usize,
    /// From the first wait for a request to the end of its head; also how long an unused connection stays open.
    pub head_read_max: Duration,
    /// From the end of a request's head to the end of its body.
    pub body_read_max: Duration,
    /// How long a client may take nothing of an answer that is there for it.
    pub answer_stall_max: Duration,
    /// Names that `Host` and `Origin` may have beside the loopback's and the bound address.
    pub allowed_hosts: Vec<AllowedHost>,
    /// Without any, everybody who reaches the server may do everything.
    pub keys: Vec<KeyConfig>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            body_bytes_max: 8 * 1024 * 1024,
            bodies_bytes_max: 256 * 1024 * 1024,
            connections_max: 1024,
            head_read_max: Duration::from_secs(30),
            body_read_max: Duration::from_secs(60),
            answer_stall_max: Duration::from_secs(30),
            allowed_hosts: Vec::new(),
            keys: Vec::new(),
        }
    }
}
