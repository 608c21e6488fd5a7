//! The fields of a JSON object in a request under `/v1`: every one is known, is there once and is what it should be, or a
//! refusal names it. `null` is no value here: what is not wanted is left out, so that nobody takes it for "no limit".

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::Error;

/// The most of a client's own name for a field that a refusal repeats, in characters.
const NAME_SHOWN_MAX: usize = 64;

/// The fields of one object, as they were sent.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    /// What stands before their names where they are those of an object within another.
    prefix: String,
    values: Vec<(&'static str, &'a RawValue)>,
}

/// What a number may be, both ends included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound<T> {
    pub(crate) least: T,
    pub(crate) most: T,
    /// The operator's setting that `most` comes from, if it does.
    pub(crate) setting: Option<&'static str>,
}

impl<'a> Fields<'a> {
    /// Those of a body, which is one object.
    pub(crate) fn of_body(body: &'a [u8], known: &[&'static str]) -> Result<Self, Error> {
        Self::parse(body, String::new(), known)
    }

    fn parse(text: &'a [u8], prefix: String, known: &[&'static str]) -> Result<Self, Error> {
        let not_json = |cause: serde_json::Error| Error::NotJson(cause.to_string());
        if !text.trim_ascii_start().starts_with(b"{") {
            let IgnoredAny = serde_json::from_slice(text).map_err(not_json)?;
            return Err(Error::NotObject { example: "{}" });
        }
        let mut json = serde_json::Deserializer::from_slice(text);
        let mut found = Found { prefix: &prefix, known, values: Vec::new(), error: None };
        json.deserialize_map(&mut found).and_then(|()| json.end()).map_err(not_json)?;
        let Found { values, error, .. } = found;
        match error {
            Some(error) => Err(error),
            None => Ok(Self { prefix, values }),
        }
    }

    fn name(&self, field: &str) -> String {
        format!("{}{field}", self.prefix)
    }

    /// What was sent for a field; none where it was left out.
    fn value(&self, field: &str) -> Option<&'a str> {
        self.values.iter().find(|(name, _)| *name == field).map(|(_, value)| value.get())
    }

    fn wrong_type(&self, field: &str, wanted: String, value: &str) -> Error {
        wrong_type(self.name(field), wanted, value)
    }

    pub(crate) fn string(&self, field: &str) -> Result<Option<String>, Error> {
        self.value(field).map(|value| string(&self.name(field), value)).transpose()
    }

    /// The names and strings of the object that a field is, whatever the names.
    pub(crate) fn strings(&self, field: &str) -> Result<Option<BTreeMap<String, String>>, Error> {
        let Some(value) = self.value(field) else { return Ok(None) };
        if !value.starts_with('{') {
            return Err(self.wrong_type(field, "an object of strings".to_owned(), value));
        }
        let found: BTreeMap<String, &RawValue> =
            serde_json::from_str(value).map_err(|cause| Error::NotJson(cause.to_string()))?;
        let named = |(name, value): (String, &RawValue)| {
            let shown: String = name.chars().take(NAME_SHOWN_MAX).collect();
            let text = string(&self.name(&format!("{field}.{shown}")), value.get())?;
            Ok((name, text))
        };
        found.into_iter().map(named).collect::<Result<_, _>>().map(Some)
    }

    /// False where it was left out.
    pub(crate) fn flag(&self, field: &str) -> Result<bool, Error> {
        match self.value(field) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(value) => Err(self.wrong_type(field, "true or false".to_owned(), value)),
        }
    }

    /// Whatever a field is, read as a whole; `wanted` where it is none of that.
    pub(crate) fn json<T: DeserializeOwned>(&self, field: &str, wanted: &str) -> Result<Option<T>, Error> {
        let Some(value) = self.value(field) else { return Ok(None) };
        let wanted = |_| Error::OutOfRange { field: self.name(field), wanted: wanted.to_owned() };
        serde_json::from_str(value).map(Some).map_err(wanted)
    }

    /// The fields of the object that a field is; none of them where it was left out.
    pub(crate) fn object(&self, field: &str, known: &[&'static str]) -> Result<Self, Error> {
        let prefix = format!("{}.", self.name(field));
        match self.value(field) {
            None => Ok(Self { prefix, values: Vec::new() }),
            Some(value) if value.starts_with('{') => Self::parse(value.as_bytes(), prefix, known),
            Some(value) => Err(self.wrong_type(field, "an object".to_owned(), value)),
        }
    }

    pub(crate) fn count(&self, field: &str, bound: Bound<u64>) -> Result<Option<u64>, Error> {
        self.number(field, "a whole number", bound, whole)
    }

    pub(crate) fn seconds(&self, field: &str, bound: Bound<f64>) -> Result<Option<Duration>, Error> {
        let seconds = self.number(field, "a number of seconds", bound, |text| text.parse().ok())?;
        Ok(seconds.map(Duration::from_secs_f64))
    }

    fn number<T: PartialOrd + std::fmt::Display>(
        &self,
        field: &str,
        what: &str,
        Bound { least, most, setting }: Bound<T>,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.value(field) else { return Ok(None) };
        let setting = setting.map(|setting| format!(" ({setting})")).unwrap_or_default();
        let wanted = format!("{what} from {least} to {most}{setting}");
        if !value.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            return Err(self.wrong_type(field, wanted, value));
        }
        match parse(value).filter(|number| (&least..=&most).contains(&number)) {
            Some(number) => Ok(Some(number)),
            None => Err(Error::OutOfRange { field: self.name(field), wanted }),
        }
    }
}

/// A whole number, also as `5e8` or `512.0`, which some programs write.
fn whole(text: &str) -> Option<u64> {
    // Beyond this not every whole number is a double.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole and in range")]
        (number.fract() == 0.0 && (0.0..=EXACT_MAX).contains(&number)).then_some(number as u64)
    })
}

/// The text that a field's value is, as it was sent.
pub(crate) fn string(field: &str, value: &str) -> Result<String, Error> {
    if !value.starts_with('"') {
        return Err(wrong_type(field.to_owned(), "a string".to_owned(), value));
    }
    serde_json::from_str(value).map_err(|cause| Error::NotJson(cause.to_string()))
}

fn wrong_type(field: String, wanted: String, value: &str) -> Error {
    Error::WrongType { field, wanted, found: kind(value) }
}

/// What a value is, by how it begins.
fn kind(value: &str) -> &'static str {
    match value.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// Takes the fields of an object in, up to the first that must not be there.
struct Found<'k, 'a> {
    prefix: &'k str,
    known: &'k [&'static str],
    values: Vec<(&'static str, &'a RawValue)>,
    error: Option<Error>,
}

impl<'a> Visitor<'a> for &mut Found<'_, 'a> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry::<Cow<'a, str>, &'a RawValue>()? {
            let field = || format!("{}{}", self.prefix, name.chars().take(NAME_SHOWN_MAX).collect::<String>());
            let known = self.known.iter().find(|known| **known == name);
            let is_repeated = self.values.iter().any(|(before, _)| *before == name);
            match known {
                // The rest of the body is still to be JSON.
                _ if self.error.is_some() => {}
                None => self.error = Some(Error::UnknownField { field: field(), known: self.known.join(", ") }),
                Some(_) if is_repeated => self.error = Some(Error::RepeatedField { field: field() }),
                Some(known) => self.values.push((known, value)),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 3] = ["name", "count", "inner"];
    const BOUND: Bound<u64> = Bound { least: 2, most: 10, setting: Some("count_max") };

    fn refusal<T: std::fmt::Debug>(body: &str, read: impl FnOnce(&Fields<'_>) -> Result<T, Error>) -> String {
        match Fields::of_body(body.as_bytes(), &KNOWN).and_then(|fields| read(&fields)) {
            Ok(value) => panic!("{body} is taken: {value:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_is_there_is_had_and_what_is_not_is_none() {
        let body = br#" {"name": "\u0065gg", "inner": {"count": 10}} "#;
        let fields = Fields::of_body(body, &KNOWN).unwrap();
        assert_eq!(fields.string("name").unwrap().as_deref(), Some("egg"));
        assert_eq!(fields.count("count", BOUND).unwrap(), None);
        assert_eq!(fields.object("inner", &["count"]).unwrap().count("count", BOUND).unwrap(), Some(10));
        let none = Fields::of_body(b"{}", &KNOWN).unwrap();
        assert_eq!(none.object("inner", &["count"]).unwrap().count("count", BOUND).unwrap(), None);
    }

    #[test]
    fn a_number_out_of_its_range_is_refused_with_the_range() {
        for number in ["0", "1", "11", "-1", "-0", "2.5", "1e0", "1e999", "-1e999", "99999999999999999999999"] {
            let message = refusal(&format!(r#"{{"count": {number}}}"#), |fields| fields.count("count", BOUND));
            assert_eq!(message, "`count` must be a whole number from 2 to 10 (count_max)", "{number}");
        }
        let bound = Bound { least: 0.5, most: 2.0, setting: None };
        for number in ["0", "-1", "0.4", "2.01", "1e999", "-1e999"] {
            let message = refusal(&format!(r#"{{"count": {number}}}"#), |fields| fields.seconds("count", bound));
            assert_eq!(message, "`count` must be a number of seconds from 0.5 to 2", "{number}");
        }
    }

    #[test]
    fn another_type_is_refused_by_name_and_null_too() {
        for (value, found) in
            [("null", "null"), ("true", "a boolean"), (r#""3""#, "a string"), ("[3]", "an array"), ("{}", "an object")]
        {
            let message = refusal(&format!(r#"{{"inner": {{"count": {value}}}}}"#), |fields| {
                fields.object("inner", &["count"])?.count("count", BOUND)
            });
            let expected = format!("`inner.count` must be a whole number from 2 to 10 (count_max), not {found}");
            assert_eq!(message, expected);
        }
        assert_eq!(refusal(r#"{"name": 3}"#, |fields| fields.string("name")), "`name` must be a string, not a number");
        let message = refusal(r#"{"inner": null}"#, |fields| fields.object("inner", &[]).map(drop));
        assert_eq!(message, "`inner` must be an object, not null");
    }

    #[test]
    fn what_is_unknown_or_there_twice_is_refused_by_name() {
        let none = |_: &Fields<'_>| Ok(());
        let message = refusal(r#"{"nam": 1}"#, none);
        assert_eq!(message, "there is no field `nam`: the fields here are name, count, inner");
        let message = refusal(r#"{"inner": {"x": 1}}"#, |fields| fields.object("inner", &["count"]).map(drop));
        assert_eq!(message, "there is no field `inner.x`: the fields here are count");
        assert!(refusal(&format!(r#"{{"{}": 1}}"#, "x".repeat(100_000)), none).len() < 200);
        assert_eq!(refusal(r#"{"name": 1, "name": 1}"#, none), "`name` is there more than once: give it once");
    }

    #[test]
    fn what_is_no_object_or_no_json_is_refused() {
        for body in ["[]", "null", "3", r#""name""#] {
            assert_eq!(refusal(body, |_| Ok(())), "the body must be a JSON object such as {}", "{body}");
        }
        for body in ["", "{", r#"{"count": NaN}"#, r#"{"count": 1} x"#, r#"{"count": 01}"#, r#"{"x": 1, "#, "{1: 2}"] {
            assert!(refusal(body, |_| Ok(())).starts_with("the body is not valid JSON: "), "{body}");
        }
        let deep = format!("{{\"count\": {}", "[".repeat(100_000));
        assert!(refusal(&deep, |_| Ok(())).starts_with("the body is not valid JSON: "));
    }
}
