//! The `host[:port]` of a `Host` header, an origin or the configuration, in one normal form.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::Deserialize;

/// The longest host name, in bytes (RFC 1035, section 2.3.4).
const NAME_BYTES_MAX: usize = 253;

/// A host, with names in lower case and without their final dot, addresses by value (`[0::1]` is `[::1]`, an IPv4
/// address mapped into IPv6 is itself).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    Name(String),
    Address(IpAddr),
}

/// A host and the port beside it, where one is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authority {
    pub(crate) host: Host,
    pub(crate) port: Option<u16>,
}

/// Text that is no `host` or `host:port`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// A name that clients may call this server by: `name` with any port, or `name:port`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct AllowedHost(Authority);

/// Why text is no [`AllowedHost`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a host name, an IPv4 address or an IPv6 address in brackets, with or without a port")]
pub struct AllowedHostError(String);

impl AllowedHost {
    /// Whether `authority` is this host. One without a port has the default port of its scheme, which a server
    /// behind a proxy cannot know from a `Host` header: both 80 and 443 match.
    pub(crate) fn matches(&self, authority: &Authority) -> bool {
        let port_matches = match (self.0.port, authority.port) {
            (None, _) => true,
            (Some(allowed), Some(port)) => allowed == port,
            (Some(allowed), None) => matches!(allowed, 80 | 443),
        };
        port_matches && self.0.host == authority.host
    }
}

impl FromStr for Authority {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if let Some(rest) = text.strip_prefix('[') {
            let (address, port) = rest.split_once(']').ok_or(Malformed)?;
            let address: Ipv6Addr = address.parse().map_err(|_| Malformed)?;
            let port = if port.is_empty() { None } else { parse_port(port.strip_prefix(':').ok_or(Malformed)?)? };
            return Ok(Self { host: Host::Address(IpAddr::V6(address).to_canonical()), port });
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, parse_port(port)?),
            None => (text, None),
        };
        Ok(Self { host: parse_host(host)?, port })
    }
}

fn parse_host(text: &str) -> Result<Host, Malformed> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok(Host::Address(address.into()));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if name.len() > NAME_BYTES_MAX || !name.split('.').all(is_label) {
        return Err(Malformed);
    }
    Ok(Host::Name(name.to_ascii_lowercase()))
}

/// A port, or none where nothing follows the colon (RFC 3986, section 3.2.3).
fn parse_port(text: &str) -> Result<Option<u16>, Malformed> {
    if text.is_empty() {
        return Ok(None);
    }
    // `u16::from_str` alone would take a sign.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Malformed);
    }
    text.parse().map(Some).map_err(|_| Malformed)
}

impl FromStr for AllowedHost {
    type Err = AllowedHostError;

    fn from_str(text: &str) -> Result<Self, AllowedHostError> {
        text.parse().map(Self).map_err(|Malformed| AllowedHostError(text.to_owned()))
    }
}

impl TryFrom<String> for AllowedHost {
    type Error = AllowedHostError;

    fn try_from(text: String) -> Result<Self, AllowedHostError> {
        text.parse()
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.host {
            Host::Name(name) => formatter.write_str(name)?,
            Host::Address(IpAddr::V4(address)) => write!(formatter, "{address}")?,
            Host::Address(IpAddr::V6(address)) => write!(formatter, "[{address}]")?,
        }
        match self.0.port {
            Some(port) => write!(formatter, ":{port}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writings_of_one_host_are_one_authority() {
        for (left, right) in [
            ("localhost", "LOCALHOST"),
            ("localhost:5000", "localhost.:5000"),
            ("localhost:", "localhost"),
            ("[::1]:5000", "[0:0:0:0:0:0:0:1]:5000"),
            ("127.0.0.1", "[::ffff:127.0.0.1]"),
        ] {
            assert_eq!(left.parse::<Authority>(), right.parse::<Authority>(), "{left} {right}");
            assert!(left.parse::<Authority>().is_ok(), "{left}");
        }
    }

    #[test]
    fn what_is_no_host_and_port_is_refused() {
        for text in [
            "",
            ".",
            ":5000",
            "a..b",
            "a b",
            "user@localhost",
            "localhost/",
            "localhost:x",
            "localhost:+80",
            "localhost:65536",
            "localhost:80:80",
            "localhost..",
            "::1",
            "[::1",
            "[::1]x",
            "[::1%lo]",
            "[localhost]",
            "héte",
            "a,b",
            "a\t",
            "*.example.com",
        ] {
            assert_eq!(text.parse::<Authority>(), Err(Malformed), "{text}");
        }
        assert_eq!(format!("{}.", "a".repeat(254)).parse::<Authority>(), Err(Malformed));
    }

    #[test]
    fn an_allowed_host_matches_its_name_and_its_port() {
        for (allowed, authority, matches) in [
            ("eggs.example", "eggs.example", true),
            ("eggs.example", "EGGS.example.:8080", true),
            ("eggs.example", "x.eggs.example", false),
            ("eggs.example:8080", "eggs.example:8080", true),
            ("eggs.example:8080", "eggs.example:81", false),
            ("eggs.example:8080", "eggs.example", false),
            ("eggs.example:443", "eggs.example", true),
            ("[::1]:80", "[::1]", true),
        ] {
            let allowed: AllowedHost = allowed.parse().unwrap();
            assert_eq!(allowed.matches(&authority.parse().unwrap()), matches, "{allowed} {authority:?}");
        }
    }
}
