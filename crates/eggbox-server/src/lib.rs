//! The routes: the only crate that knows HTTP and JSON bodies. Each request becomes one plain call of the engine.
//! Starts no process, has no file open but the audit log, and knows nothing of how a session is walled in.

#![forbid(unsafe_code)]

mod accept;
mod patience;
mod app;
mod authority;
mod body;
mod fields;
mod query;
mod room;
mod config;
mod error;
mod guard;
mod auth;
mod keys;
mod key_text;
mod request_id;
mod span;
mod access_log;
mod audit;
mod http_counts;
mod metrics;
mod openapi;
mod reference;
mod routes;

use std::io;

use eggbox_engine::Engine;
use tokio::net::TcpListener;

pub use audit::{Audit, AuditError};
pub use authority::{AllowedHost, AllowedHostError};
pub use config::ServerConfig;
pub use key_text::{KeyHash, KeyHashError, KeyText, is_key_text};
pub use keys::{KEYS_MAX, KeyConfig};

/// Answers requests on `listener` until `shutdown` is ready, then takes no new connection and returns when the
/// answers under way are written. How long that may take is the caller's to bound: dropping the future closes what
/// is left. What is run is written to `audit`, if there is one. Fails only where the listener has no address to tell.
pub async fn run(
    listener: TcpListener,
    engine: Engine,
    config: ServerConfig,
    audit: Option<Audit>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let bound = listener.local_addr()?;
    tracing::debug!(%bound, connections_max = config.connections_max, "accepting connections");
    let router = app::router(engine, &config, audit);
    accept::connections(listener, router, &config, shutdown).await;
    Ok(())
}
