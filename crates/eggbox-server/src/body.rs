//! Reads the JSON body of a request, within its limits.

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http_body_util::BodyExt;

use crate::config::{DISCARD_BYTES_MAX, ServerConfig};
use crate::error::Error;

/// The bytes of a body that says it is JSON and keeps to `body_bytes_max` and `body_read_max`.
pub(crate) async fn read_json(request: Request, config: &ServerConfig) -> Result<Vec<u8>, Error> {
    check_content_type(request.headers())?;
    let too_large = Error::BodyTooLarge { body_bytes_max: config.body_bytes_max };
    // A client that asks first has not sent the body yet and does not have to.
    if request.headers().contains_key(EXPECT) && announced_bytes(request.headers()) > config.body_bytes_max as u64 {
        return Err(too_large);
    }
    match tokio::time::timeout(config.body_read_max, collect(request.into_body(), config.body_bytes_max)).await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => Err(too_large),
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

fn announced_bytes(headers: &HeaderMap) -> u64 {
    headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The whole body, or none if it has more than `bytes_max`; in that case its rest is read and thrown away up to
/// [`DISCARD_BYTES_MAX`], because a sender that is cut off while it writes may never see the answer.
async fn collect(mut body: Body, bytes_max: usize) -> Result<Option<Vec<u8>>, axum::Error> {
    let mut kept = Vec::new();
    let mut discarded_bytes = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        if discarded_bytes == 0 && data.len() <= bytes_max - kept.len() {
            kept.extend_from_slice(&data);
            continue;
        }
        kept = Vec::new();
        discarded_bytes += data.len();
        if discarded_bytes > DISCARD_BYTES_MAX {
            break;
        }
    }
    Ok((discarded_bytes == 0).then_some(kept))
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
    async fn a_body_is_kept_up_to_its_limit() {
        for (length, kept) in [(0, true), (7, true), (8, true), (9, false), (1000, false)] {
            let collected = collect(Body::from(vec![b'x'; length]), 8).await.unwrap();
            assert_eq!(collected, kept.then(|| vec![b'x'; length]), "{length}");
        }
    }
}
