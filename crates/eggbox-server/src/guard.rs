//! Keeps web pages of other sites away: a page may post to a loopback server (cross-site request forgery), and may
//! give its own name the loopback's address (DNS rebinding). The first shows in `Origin`, the second in `Host`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use crate::accept::LocalAddress;
use crate::authority::{AllowedHost, Authority, Host};
use crate::config::HEAD_BYTES_MAX;
use crate::error::Error;

/// The names this server answers to, beside the loopback's and the address a connection came in on.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) allowed_hosts: Vec<AllowedHost>,
}

/// Why a request is not for us. The text is fit for the client who sent it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the {0} header is missing: send this server's name in it")]
    Missing(HeaderName),
    #[error("the {0} header is there more than once: send it once")]
    Repeated(HeaderName),
    #[error("the {header} header `{value}` is malformed: send this server's name in it")]
    Malformed { header: HeaderName, value: String },
    #[error(
        "host `{0}` is not this server's: use localhost, 127.0.0.1, [::1] or the address that it listens on, or add \
         the name to allowed_hosts in the configuration"
    )]
    ForeignHost(String),
    #[error("the request's target names another host (`{0}`) than its Host header does: name one")]
    ForeignTarget(String),
    #[error(
        "origin `{0}` is not this server's: a page of another site needs its host in allowed_hosts in the configuration"
    )]
    ForeignOrigin(String),
}

pub(crate) async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Result<Response, Error> {
    let local = request.extensions().get().map(|LocalAddress(address)| *address);
    let target = request.uri().authority().map(|authority| authority.as_str());
    if head_bytes(&request) > HEAD_BYTES_MAX {
        return Err(Error::HeadTooLarge { head_bytes_max: HEAD_BYTES_MAX });
    }
    guard.admit(target, request.headers(), local)?;
    Ok(next.run(request).await)
}

/// About what its head was, as it was sent.
fn head_bytes(request: &Request) -> usize {
    let line = request.method().as_str().len() + request.uri().to_string().len();
    // A colon and a space, and the end of the line.
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    line + headers.sum::<usize>()
}

impl Guard {
    /// Whether a request is for us: `target` is the authority of an absolute-form request target, `local` the
    /// address that its connection came in on.
    fn admit(&self, target: Option<&str>, headers: &HeaderMap, local: Option<IpAddr>) -> Result<(), Refusal> {
        let value = single(headers, HOST)?.ok_or(Refusal::Missing(HOST))?;
        let host: Authority = text(HOST, value)?.parse().map_err(|_| malformed(HOST, value))?;
        if !self.is_ours(&host, local) {
            return Err(Refusal::ForeignHost(lossy(value)));
        }
        // Of two names, a proxy on the way may have checked the other one (RFC 9112, section 3.2.2).
        if let Some(target) = target
            && target.parse::<Authority>().ok().as_ref() != Some(&host)
        {
            return Err(Refusal::ForeignTarget(target.to_owned()));
        }
        let Some(value) = single(headers, ORIGIN)? else {
            return Ok(());
        };
        if self.is_our_origin(text(ORIGIN, value)?, &host) { Ok(()) } else { Err(Refusal::ForeignOrigin(lossy(value))) }
    }

    fn is_ours(&self, authority: &Authority, local: Option<IpAddr>) -> bool {
        let is_known = match &authority.host {
            Host::Name(name) => name == "localhost",
            Host::Address(address) => {
                [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)].contains(address)
                    || local.is_some_and(|local| local.to_canonical() == *address)
            }
        };
        is_known || self.is_allowed(authority)
    }

    /// Whether a page of `origin` may call us: one that we served ourselves under the name `host`, or an allowed one.
    fn is_our_origin(&self, origin: &str, host: &Authority) -> bool {
        let Some((scheme, authority)) = origin.split_once("://") else {
            return false;
        };
        let default_port = match scheme.to_ascii_lowercase().as_str() {
            "http" => 80,
            "https" => 443,
            _ => return false,
        };
        let Ok(mut origin) = authority.parse::<Authority>() else {
            return false;
        };
        origin.port.get_or_insert(default_port);
        let is_same = origin.host == host.host && origin.port == host.port.or(Some(default_port));
        is_same || self.is_allowed(&origin)
    }

    fn is_allowed(&self, authority: &Authority) -> bool {
        self.allowed_hosts.iter().any(|allowed| allowed.matches(authority))
    }
}

fn single(headers: &HeaderMap, name: HeaderName) -> Result<Option<&HeaderValue>, Refusal> {
    let mut values = headers.get_all(&name).iter();
    let value = values.next();
    if values.next().is_some() { Err(Refusal::Repeated(name)) } else { Ok(value) }
}

fn text(header: HeaderName, value: &HeaderValue) -> Result<&str, Refusal> {
    value.to_str().map_err(|_| malformed(header, value))
}

fn malformed(header: HeaderName, value: &HeaderValue) -> Refusal {
    Refusal::Malformed { header, value: lossy(value) }
}

fn lossy(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the guard says to a request with these `Host` and `Origin` headers, with `eggs.example` allowed on any
    /// port and `ham.example` on 8443, on a connection to 192.0.2.7.
    fn admit(target: Option<&str>, hosts: &[&str], origins: &[&str]) -> Result<(), Refusal> {
        let guard = Guard { allowed_hosts: vec!["eggs.example".parse().unwrap(), "ham.example:8443".parse().unwrap()] };
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_bytes(host.as_bytes()).unwrap());
        }
        for origin in origins {
            headers.append(ORIGIN, HeaderValue::from_bytes(origin.as_bytes()).unwrap());
        }
        guard.admit(target, &headers, Some(Ipv4Addr::new(192, 0, 2, 7).into()))
    }

    #[test]
    fn our_own_names_are_admitted_with_any_port() {
        for host in [
            "localhost",
            "LocalHost:5000",
            "localhost.:5000",
            "127.0.0.1",
            "127.0.0.1:1",
            "[::1]:5000",
            "192.0.2.7",
            "[::ffff:192.0.2.7]:80",
            "eggs.example",
            "Eggs.Example:99",
            "ham.example:8443",
        ] {
            assert_eq!(admit(None, &[host], &[]), Ok(()), "{host}");
        }
    }

    #[test]
    fn other_names_are_refused() {
        for host in [
            "evil.example",
            "localhost.evil.example",
            "evil.localhost",
            "127.0.0.1.evil.example",
            "127.0.0.2",
            "127.1",
            "0.0.0.0",
            "192.0.2.8",
            "[::]",
            "x.eggs.example",
            "ham.example",
            "ham.example:80",
        ] {
            assert_eq!(admit(None, &[host], &[]), Err(Refusal::ForeignHost(host.to_owned())), "{host}");
        }
        for host in ["", "localhost@evil.example", "evil.example@localhost", "localhost, evil.example", "löcal"] {
            assert!(matches!(admit(None, &[host], &[]), Err(Refusal::Malformed { .. })), "{host}");
        }
    }

    #[test]
    fn a_host_is_named_once() {
        assert_eq!(admit(None, &[], &[]), Err(Refusal::Missing(HOST)));
        assert_eq!(admit(None, &["localhost", "localhost"], &[]), Err(Refusal::Repeated(HOST)));
        assert_eq!(admit(None, &["localhost", "evil.example"], &[]), Err(Refusal::Repeated(HOST)));
        let origin = "http://localhost";
        assert_eq!(admit(None, &["localhost"], &[origin, origin]), Err(Refusal::Repeated(ORIGIN)));
    }

    #[test]
    fn an_absolute_target_names_the_host_that_the_header_names() {
        assert_eq!(admit(Some("localhost:5000"), &["localhost:5000"], &[]), Ok(()));
        for (target, host) in
            [("evil.example", "localhost"), ("localhost", "127.0.0.1"), ("evil@localhost", "localhost")]
        {
            assert_eq!(admit(Some(target), &[host], &[]), Err(Refusal::ForeignTarget(target.to_owned())));
        }
        assert!(admit(Some("localhost"), &["evil.example"], &[]).is_err());
        assert!(admit(Some("localhost"), &[], &[]).is_err());
    }

    #[test]
    fn our_own_and_allowed_origins_are_admitted() {
        for (host, origin) in [
            ("localhost:5000", "http://localhost:5000"),
            ("LOCALHOST:5000", "HTTP://localhost.:5000"),
            ("localhost", "http://localhost:80"),
            ("localhost:80", "http://localhost"),
            ("localhost:443", "https://localhost"),
            ("[::1]:5000", "http://[::1]:5000"),
            ("localhost:5000", "https://eggs.example"),
            ("localhost:5000", "https://ham.example:8443"),
        ] {
            assert_eq!(admit(None, &[host], &[origin]), Ok(()), "{host} {origin}");
        }
    }

    #[test]
    fn other_origins_are_refused() {
        for (host, origin) in [
            ("localhost:5000", "null"),
            ("localhost:5000", ""),
            ("localhost:5000", "localhost:5000"),
            ("localhost:5000", "http://localhost"),
            ("localhost:5000", "http://localhost:3000"),
            ("localhost:5000", "http://127.0.0.1:5000"),
            ("localhost:80", "https://localhost"),
            ("localhost:5000", "http://localhost:5000/"),
            ("localhost:5000", "http://localhost:5000@evil.example"),
            ("localhost:5000", "file://localhost:5000"),
            ("localhost:5000", "http://evil.example"),
            ("localhost:5000", "https://ham.example"),
            ("eggs.example", "http://evil.example"),
        ] {
            let refusal = admit(None, &[host], &[origin]);
            assert_eq!(refusal, Err(Refusal::ForeignOrigin(origin.to_owned())), "{host} {origin}");
        }
    }
}
