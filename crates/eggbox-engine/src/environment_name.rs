//! What an environment is called.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::short_name::{self, NameError};

/// The name of the environment that every server has.
const DEFAULT: &str = "default";

/// The name of an environment, as [`short_name`](crate::short_name) has it; by default that of the one that every server has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EnvironmentName(Arc<str>);

impl EnvironmentName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is that of the one that every server has.
    #[must_use]
    pub fn is_default(&self) -> bool {
        &*self.0 == DEFAULT
    }
}

impl Default for EnvironmentName {
    fn default() -> Self {
        Self(DEFAULT.into())
    }
}

impl TryFrom<&str> for EnvironmentName {
    type Error = NameError;

    fn try_from(name: &str) -> Result<Self, NameError> {
        Ok(Self(short_name::check(name)?.into()))
    }
}

impl TryFrom<String> for EnvironmentName {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        Self::try_from(&*name)
    }
}

impl From<EnvironmentName> for String {
    fn from(EnvironmentName(name): EnvironmentName) -> Self {
        (*name).to_owned()
    }
}

impl fmt::Display for EnvironmentName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
