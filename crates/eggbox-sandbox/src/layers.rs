//! One file per layer of the wall: how it is put up. The order is [`plan`](crate::plan)'s.

pub(crate) mod capabilities;
pub(crate) mod files;
pub(crate) mod folders;
pub(crate) mod identity;
pub(crate) mod mounts;
pub(crate) mod namespaces;
pub(crate) mod network;
pub(crate) mod rlimits;
