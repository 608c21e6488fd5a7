//! Reads the JSON body of a request, within its limits.

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http_body_util::BodyExt;

use crate::config::{DISCARD_BYTES_MAX, ServerConfig};
use crate::error::Error;
use crate::room::{Room, Taken};

/// The bytes of a body that says it is JSON and keeps to `body_bytes_max` and `body_read_max`, with the room they have.
pub(crate) async fn read_json(request: Request, config: &ServerConfig, room: &Room) -> Result<(Vec<u8>, Taken), Error> {
    check_content_type(request.headers())?;
    let too_large = Error::BodyTooLarge { body_bytes_max: config.body_bytes_max };
    // A client that asks first has not sent the body yet and does not have to.
    if request.headers().contains_key(EXPECT) && announced_bytes(request.headers()) > config.body_bytes_max as u64 {
        return Err(too_large);
    }
    let mut taken = room.take();
    let collected = collect(request.into_body(), config.body_bytes_max, &mut taken);
    match tokio::time::timeout(config.body_read_max, collected).await {
        Ok(Ok(Collected::All(bytes))) => Ok((bytes, taken)),
        Ok(Ok(Collected::TooLarge)) => Err(too_large),
        Ok(Ok(Collected::NoRoom)) => Err(Error::NoRoomForBody { bodies_bytes_max: config.bodies_bytes_max }),
        Ok(Err(_)) => Err(Error::BodyCut),
        Err(_) => Err(Error::BodySlow { seconds: config.body_read_max.as_secs() }),
    }
}

/// `application/json`, and no other character set than UTF-8. A page of another site cannot send this type without
/// asking first (a CORS preflight), so it is also a guard against request forgery.
fn check_content_type(headers: &HeaderMap) -> Result<(), Error> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (first, second) = (values.next(), values.next());
    let value = match (first, second) {
        (None, _) => {
            return Err(Error::ContentType { found: "missing".to_owned() });
        }
        (_, Some(_)) => {
            return Err(Error::ContentType { found: "there more than once".to_owned() });
        }
        (Some(value), None) => String::from_utf8_lossy(value.as_bytes()),
    };
    let mut parts = value.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let is_utf8 = parts.filter_map(|parameter| parameter.split_once('=')).all(|(name, value)| {
        !name.eq_ignore_ascii_case("charset") || value.trim_matches('"').eq_ignore_ascii_case("utf-8")
    });
    if is_json && is_utf8 { Ok(()) } else { Err(Error::ContentType { found: format!("`{value}`") }) }
}

/// How many bytes a body is said to have; 0 where nothing is said.
pub(crate) fn announced_bytes(headers: &HeaderMap) -> u64 {
    headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// What came of reading a body.
#[derive(Debug, PartialEq, Eq)]
enum Collected {
    All(Vec<u8>),
    /// It has more bytes than it may.
    TooLarge,
    /// Others hold too much.
    NoRoom,
}

/// The whole body, if it has at most `bytes_max` and there is room for it; else its rest is read and thrown away up to
/// [`DISCARD_BYTES_MAX`], because a sender that is cut off while it writes may never see the answer.
async fn collect(mut body: Body, bytes_max: usize, room: &mut Taken) -> Result<Collected, axum::Error> {
    let mut collected = Collected::All(Vec::new());
    let mut discarded_bytes = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        if let Collected::All(kept) = &mut collected {
            let bytes = kept.len() + data.len();
            if bytes <= bytes_max && room.grow(bytes) {
                kept.extend_from_slice(&data);
                continue;
            }
            collected = if bytes > bytes_max { Collected::TooLarge } else { Collected::NoRoom };
        }
        discarded_bytes += data.len();
        if discarded_bytes > DISCARD_BYTES_MAX {
            break;
        }
    }
    Ok(collected)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn content_types(values: &[&str]) -> Result<(), Error> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_TYPE, HeaderValue::from_str(value).unwrap());
        }
        check_content_type(&headers)
    }

    #[test]
    fn json_in_utf8_is_taken() {
        for value in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "application/json; profile=x",
        ] {
            assert!(content_types(&[value]).is_ok(), "{value}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for value in [
            "",
            "text/plain",
            "text/plain; application/json",
            "application/json, text/plain",
            "application/jsonp",
            "application/x-www-form-urlencoded",
            "application/json; charset=utf-16",
        ] {
            assert!(content_types(&[value]).is_err(), "{value}");
        }
        assert_eq!(
            content_types(&[]).unwrap_err().to_string(),
            "the Content-Type is missing: send application/json, in UTF-8"
        );
        assert!(content_types(&["application/json", "application/json"]).is_err());
    }

    #[tokio::test]
    async fn a_large_body_needs_room() {
        let room = Room::new(1 << 20);
        let body = || Body::from(vec![b'x'; 1 << 20]);
        let (mut first, mut second) = (room.take(), room.take());
        assert!(matches!(collect(body(), 1 << 20, &mut first).await.unwrap(), Collected::All(_)));
        assert_eq!(collect(body(), 1 << 20, &mut second).await.unwrap(), Collected::NoRoom);
        drop(first);
        assert!(matches!(collect(body(), 1 << 20, &mut second).await.unwrap(), Collected::All(_)));
    }

    #[tokio::test]
    async fn a_body_is_kept_up_to_its_limit() {
        for (length, kept) in [(0, true), (7, true), (8, true), (9, false), (1000, false)] {
            let body = Body::from(vec![b'x'; length]);
            let collected = collect(body, 8, &mut Room::new(0).take()).await.unwrap();
            let expected = if kept { Collected::All(vec![b'x'; length]) } else { Collected::TooLarge };
            assert_eq!(collected, expected, "{length}");
        }
    }
}
