//! What server and keeper say to each other. A keeper may be older than the server that comes back: what is here can be
//! added to, not changed.

use serde::{Deserialize, Serialize};

/// What a server says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ToKeeper {
    /// Keep the descriptors beside this under `key`, in place of what was there.
    Put { key: String, note: String },
    /// Keep that no longer.
    Remove { key: String },
    /// Say everything that is kept.
    Take,
    /// Wait so long for a server when there is none.
    Wait { millis: u64 },
    /// Let go of everything and end: it was cleared away.
    End,
    /// Do as if no server would ever come.
    Abandon,
}

/// What the keeper says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FromKeeper {
    /// Something that is kept, its descriptors beside it. It stays kept.
    Entry { key: String, note: String },
    /// That was everything.
    All,
}
