//! Reads the text of `/metrics`, as far as it is shown.

/// Samples by name, with their labels as they were written.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Exposition(Vec<(String, String, f64)>);

impl Exposition {
    /// None where a line is no sample.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(parse_line).collect::<Option<_>>().map(Self)
    }

    /// All samples of that name together; none where there are none.
    pub(super) fn sum(&self, name: &str) -> Option<f64> {
        let values = self.0.iter().filter(|(known, ..)| known == name).map(|(.., value)| *value);
        values.reduce(|sum, value| sum + value)
    }

    /// The sample of that name whose only label is this.
    pub(super) fn labelled(&self, name: &str, label: &str, value: &str) -> Option<f64> {
        let labels = format!("{label}=\"{value}\"");
        let found = self.0.iter().find(|(known, known_labels, _)| known == name && *known_labels == labels);
        found.map(|(.., value)| *value)
    }

    /// The value of the only label of the only sample of that name.
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        let (_, labels, _) = self.0.iter().find(|(known, ..)| known == name)?;
        labels.split('"').nth(1)
    }
}

fn parse_line(line: &str) -> Option<(String, String, f64)> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}')?),
        None => (series, ""),
    };
    let is_name =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':'));
    if !is_name {
        return None;
    }
    Some((name.to_owned(), labels.to_owned(), value.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_found_by_name_and_label() {
        let text = "# HELP a_total x\n# TYPE a_total counter\na_total{k=\"v w\"} 1\na_total{k=\"x\"} 2.5\nb 3e1\ni{version=\"1.0\"} 1\n";
        let read = Exposition::parse(text).unwrap();
        assert_eq!((read.sum("a_total"), read.sum("b"), read.sum("c")), (Some(3.5), Some(30.0), None));
        assert_eq!(read.labelled("a_total", "k", "v w"), Some(1.0));
        assert_eq!(read.labelled("a_total", "k", "y"), None);
        assert_eq!(read.label("i"), Some("1.0"));
    }

    #[test]
    fn what_is_no_exposition_is_none() {
        for text in ["<html>", "{\"error\": \"x\"}", "a", "a b", "a{ 1"] {
            assert_eq!(Exposition::parse(text), None, "{text}");
        }
    }
}
