//! `GET /health`: that the server answers, and what stands of the wall.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use eggbox_engine::{Engine, PoolStatus};
use eggbox_sandbox::status::Status;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::error::Error;
use crate::openapi::{self, Flat, Refusals};

#[derive(Serialize, ToSchema)]
struct Health<'a> {
    status: &'static str,
    version: &'static str,
    #[schema(value_type = Vec<openapi::LayerSchema>)]
    isolation: &'a Status,
    /// By the name of the environment. None where there are keys: it would tell everybody how many sessions their owners begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pools: Option<BTreeMap<String, Pool>>,
}

/// Sessions of an environment that are ready for those who ask for a new one.
#[derive(Serialize, ToSchema)]
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

#[utoipa::path(
    get,
    path = "/health",
    tag = "operations",
    summary = "Whether the server lives",
    description = "Answers as long as the server does, with the layers of the wall that its sessions stand behind.",
    responses((status = 200, description = "It does", body = Health<'_>), Refusals<Flat>),
)]
pub(crate) async fn health(State(app): State<Arc<App>>) -> Result<Response, Error> {
    super::json(&Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
        isolation: app.engine.status(),
        pools: app.config.keys.is_empty().then(|| pools(&app.engine)),
    })
}

fn pools(engine: &Engine) -> BTreeMap<String, Pool> {
    engine.pools().map(|(environment, status)| (environment.to_string(), status.into())).collect()
}
