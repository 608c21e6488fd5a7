//! What stands behind the question mark of a request's address: every name is known and there once, and every value is what
//! it should be, or a refusal names it.

use std::time::Duration;

use axum::http::Uri;

use crate::error::Error;

/// The values of a query, decoded.
#[derive(Debug)]
pub(crate) struct Query {
    values: Vec<(&'static str, String)>,
    /// Those of a name that may be there more than once.
    repeated: Vec<(&'static str, String)>,
}

impl Query {
    pub(crate) fn of(uri: &Uri, known: &[&'static str]) -> Result<Self, Error> {
        Self::with_repeated(uri, known, &[])
    }

    /// The same, with names that may be there more than once.
    pub(crate) fn with_repeated(uri: &Uri, known: &[&'static str], repeatable: &[&'static str]) -> Result<Self, Error> {
        let mut query = Self { values: Vec::new(), repeated: Vec::new() };
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            if let Some(name) = repeatable.iter().find(|known| **known == name) {
                query.repeated.push((name, value.into_owned()));
                continue;
            }
            let Some(name) = known.iter().find(|known| **known == name) else {
                let known = [known, repeatable].concat().join(", ");
                return Err(Error::UnknownParameter { name: name.chars().take(64).collect(), known });
            };
            if query.text(name).is_some() {
                return Err(Error::RepeatedField { field: (*name).to_owned() });
            }
            query.values.push((name, value.into_owned()));
        }
        Ok(query)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a name that may be there more than once.
    pub(crate) fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.repeated.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// A number of seconds, both ends included.
    pub(crate) fn seconds(&self, name: &str, [least, most]: [f64; 2]) -> Result<Option<Duration>, Error> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let seconds = text.parse().ok().filter(|seconds| (least..=most).contains(seconds));
        let wanted = || format!("a number of seconds from {least} to {most}");
        let seconds = seconds.ok_or_else(|| Error::OutOfRange { field: name.to_owned(), wanted: wanted() })?;
        Ok(Some(Duration::from_secs_f64(seconds)))
    }

    /// A whole number, both ends included.
    pub(crate) fn count(&self, name: &str, [least, most]: [usize; 2]) -> Result<Option<usize>, Error> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let count = text.parse().ok().filter(|count| (least..=most).contains(count));
        let wanted = || format!("a whole number from {least} to {most}");
        count.map(Some).ok_or_else(|| Error::OutOfRange { field: name.to_owned(), wanted: wanted() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Result<Query, String> {
        let uri = Uri::try_from(format!("/path?{text}")).unwrap();
        Query::with_repeated(&uri, &["wait", "count"], &["label"]).map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_decoded_and_repeated_where_they_may_be() {
        let query = query("wait=1.5&label=a%3Db&label=c+d").unwrap();
        assert_eq!(query.seconds("wait", [0.0, 2.0]).unwrap(), Some(Duration::from_millis(1500)));
        assert_eq!(query.texts("label").collect::<Vec<_>>(), ["a=b", "c d"]);
        assert_eq!(query.count("count", [1, 2]).unwrap(), None);
    }

    #[test]
    fn others_are_refused_by_name() {
        for (text, message) in [
            ("x=1", "there is no parameter `x`: the parameters here are wait, count, label"),
            ("wait=1&wait=1", "`wait` is there more than once: give it once"),
        ] {
            assert_eq!(query(text).unwrap_err(), message);
        }
        for text in ["wait=", "wait=NaN", "wait=inf", "wait=-1", "wait=3"] {
            let error = query(text).unwrap().seconds("wait", [0.0, 2.0]).unwrap_err().to_string();
            assert_eq!(error, "`wait` must be a number of seconds from 0 to 2", "{text}");
        }
        assert!(query("count=0").unwrap().count("count", [1, 2]).is_err());
    }
}
