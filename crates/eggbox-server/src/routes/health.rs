//! `GET /health`: that the server answers, and what stands of the wall.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use eggbox_engine::PoolStatus;
use eggbox_sandbox::status::Status;
use serde::Serialize;

use crate::app::App;
use crate::error::Error;

#[derive(Serialize)]
struct Health<'a> {
    status: &'static str,
    version: &'static str,
    isolation: &'a Status,
    /// None where there are keys: it would tell everybody how many sessions their owners begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<Pool>,
}

/// Sessions that are ready for those who ask for a new one.
#[derive(Serialize)]
struct Pool {
    parked: usize,
    wanted: usize,
    hits: u64,
    misses: u64,
}

impl From<PoolStatus> for Pool {
    fn from(PoolStatus { parked, wanted, hits, misses }: PoolStatus) -> Self {
        Self { parked, wanted, hits, misses }
    }
}

pub(crate) async fn health(State(app): State<Arc<App>>) -> Result<Response, Error> {
    super::json(&Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
        isolation: app.engine.status(),
        pool: app.config.keys.is_empty().then(|| app.engine.pool().into()),
    })
}
