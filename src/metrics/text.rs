//! Prometheus' text format, version 0.0.4.

use std::fmt::{Display, Write};

/// What `Content-Type` says of it.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a family's samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A text under way.
#[derive(Debug, Default)]
pub(super) struct Text(String);

/// A label of a sample: its name and value.
pub(super) type Label<'a> = (&'a str, &'a str);

impl Text {
    pub(super) fn into_string(self) -> String {
        self.0
    }

    /// Begins a family of samples; one that has none is left out.
    pub(super) fn family<'a>(&'a mut self, name: &'a str, kind: Kind, help: &'a str) -> Family<'a> {
        Family {
            text: &mut self.0,
            name,
            kind,
            help,
            begun: false,
        }
    }
}

/// The samples of one name.
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'a str,
    kind: Kind,
    help: &'a str,
    begun: bool,
}

impl Family<'_> {
    /// Adds a sample.
    pub(super) fn sample(&mut self, labels: &[Label<'_>], value: impl Display) {
        self.line("", labels, None, value);
    }

    /// Adds a histogram: how many there are up to each bound and over the one before, the last ones over all bounds.
    pub(super) fn histogram(
        &mut self,
        labels: &[Label<'_>],
        bounds: impl Iterator<Item = f64>,
        counts: &[u64],
        sum: f64,
    ) {
        let mut total = 0;
        let bounds = bounds.map(Some).chain([None]);
        for (bound, count) in bounds.zip(counts) {
            total += count;
            let bound = bound.map_or("+Inf".to_owned(), |it| it.to_string());
            self.line("_bucket", labels, Some(("le", &bound)), total);
        }
        self.line("_sum", labels, None, sum);
        self.line("_count", labels, None, total);
    }

    fn line(
        &mut self,
        suffix: &str,
        labels: &[Label<'_>],
        last: Option<Label<'_>>,
        value: impl Display,
    ) {
        self.begin();
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        let mut before = '{';
        for (name, value) in labels.iter().chain(&last) {
            self.text.push(before);
            before = ',';
            self.text.push_str(name);
            self.text.push_str("=\"");
            escape(self.text, value);
            self.text.push('"');
        }
        let end = if before == ',' { "}" } else { "" };
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{end} {value}");
    }

    fn begin(&mut self) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let (name, help) = (self.name, self.help);
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }
}

/// Writes a label's value.
fn escape(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_has_its_help_and_type_once_and_before_its_samples() {
        let mut text = Text::default();
        let mut family = text.family("a_total", Kind::Counter, "How many.");
        family.sample(&[], 1);
        family.sample(&[("b", "c"), ("d", "e")], 2.5);
        text.family("none", Kind::Gauge, "There is none.");
        let expected = "# HELP a_total How many.\n# TYPE a_total counter\na_total 1\na_total{b=\"c\",d=\"e\"} 2.5\n";
        assert_eq!(text.into_string(), expected);
    }

    #[test]
    fn a_histogram_counts_up_to_each_bound_and_ends_with_all() {
        let mut text = Text::default();
        let mut family = text.family("h", Kind::Histogram, "How long.");
        let bounds = [0.00001, 0.5].into_iter();
        family.histogram(&[("a", "b")], bounds, &[2, 1, 4], 3.25);
        let text = text.into_string();
        let samples: Vec<_> = text.lines().skip(2).collect();
        let expected = [
            "h_bucket{a=\"b\",le=\"0.00001\"} 2",
            "h_bucket{a=\"b\",le=\"0.5\"} 3",
            "h_bucket{a=\"b\",le=\"+Inf\"} 7",
            "h_sum{a=\"b\"} 3.25",
            "h_count{a=\"b\"} 7",
        ];
        assert_eq!(samples, expected);
    }

    #[test]
    fn what_would_end_a_labels_value_is_escaped() {
        let mut text = Text::default();
        let mut family = text.family("a", Kind::Gauge, "It.");
        family.sample(&[("b", "\"\\\nü")], 0);
        assert!(text.into_string().ends_with("a{b=\"\\\"\\\\\\nü\"} 0\n"));
    }
}
