//! What is asked for behind the `?`: every name is known, is there once and has a value that it may have.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::error::Error;

/// The most of a client's own name that a refusal repeats, in characters.
const NAME_SHOWN_MAX: usize = 64;

/// The parameters of one request, as they were sent.
#[derive(Debug)]
pub(super) struct Query<'a> {
    values: Vec<(&'static str, &'a str)>,
}

impl<'a> Query<'a> {
    pub(super) fn parse(query: Option<&'a str>, known: &[&'static str]) -> Result<Self, Error> {
        let mut values: Vec<(&'static str, &str)> = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let shown = || name.chars().take(NAME_SHOWN_MAX).collect::<String>();
            let Some(known) = known.iter().find(|known| **known == name) else {
                return Err(Error::UnknownField { field: shown(), known: known.join(", ") });
            };
            if values.iter().any(|(before, _)| before == known) {
                return Err(Error::RepeatedField { field: shown() });
            }
            values.push((known, value));
        }
        Ok(Self { values })
    }

    /// None where it was left out, or is no UTF-8, which is told apart.
    pub(super) fn text(&self, name: &'static str) -> Option<Result<String, NotUtf8>> {
        let (_, value) = self.values.iter().find(|(known, _)| *known == name)?;
        // As forms have it; a plus sign itself is written %2B.
        let value: Cow<'_, str> = if value.contains('+') { value.replace('+', " ").into() } else { (*value).into() };
        Some(percent_decode_str(&value).decode_utf8().map(Cow::into_owned).map_err(|_| NotUtf8))
    }

    /// False where it was left out.
    pub(super) fn flag(&self, name: &'static str) -> Result<bool, Error> {
        match self.text(name) {
            None => Ok(false),
            Some(Ok(value)) if value == "true" => Ok(true),
            Some(Ok(value)) if value == "false" => Ok(false),
            Some(_) => Err(out_of_range(name, "`true` or `false`")),
        }
    }

    /// A number from 1 to `most`, which it is where it was left out.
    pub(super) fn count(&self, name: &'static str, most: usize) -> Result<usize, Error> {
        let Some(value) = self.text(name) else { return Ok(most) };
        let count = value.ok().and_then(|value| value.parse().ok()).filter(|count| (1..=most).contains(count));
        count.ok_or_else(|| out_of_range(name, &format!("a whole number from 1 to {most}")))
    }
}

/// A value that is no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotUtf8;

pub(super) fn out_of_range(name: &str, wanted: &str) -> Error {
    Error::OutOfRange { field: name.to_owned(), wanted: wanted.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 3] = ["path", "recursive", "limit"];

    #[test]
    fn what_is_there_is_decoded_and_what_is_not_has_its_default() {
        let query = Query::parse(Some("path=a%2Fb+c%2B&recursive=true&limit=3"), &KNOWN).unwrap();
        assert_eq!(query.text("path"), Some(Ok("a/b c+".to_owned())));
        assert_eq!((query.flag("recursive").unwrap(), query.count("limit", 10).unwrap()), (true, 3));
        for none in [None, Some(""), Some("&&")] {
            let query = Query::parse(none, &KNOWN).unwrap();
            assert_eq!((query.text("path"), query.flag("recursive").unwrap()), (None, false));
            assert_eq!(query.count("limit", 10).unwrap(), 10);
        }
        assert_eq!(Query::parse(Some("path=%ff"), &KNOWN).unwrap().text("path"), Some(Err(NotUtf8)));
    }

    #[test]
    fn what_is_unknown_repeated_or_out_of_range_is_refused_by_name() {
        for query in ["recursiv=true", "Path=a", "path=a&path=a", "=a", &"x".repeat(100_000)] {
            let refusal = Query::parse(Some(query), &KNOWN).unwrap_err().to_string();
            assert!(refusal.len() < 200, "{refusal}");
        }
        for query in ["recursive=", "recursive=1", "recursive", "recursive=%ff"] {
            let refused = Query::parse(Some(query), &KNOWN).unwrap().flag("recursive").unwrap_err();
            assert_eq!(refused.to_string(), "`recursive` must be `true` or `false`", "{query}");
        }
        for query in ["limit=0", "limit=11", "limit=-1", "limit=x", "limit=", "limit=1.0"] {
            let refused = Query::parse(Some(query), &KNOWN).unwrap().count("limit", 10).unwrap_err();
            assert_eq!(refused.to_string(), "`limit` must be a whole number from 1 to 10", "{query}");
        }
    }
}
