//! What was measured: a histogram for each row, and how many attempts came out right.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;

use crate::catalog::{ROWS, Row, Unit};

/// Histograms count whole numbers: of these, there are so many in a unit.
const NANOSECONDS_PER_MILLISECOND: f64 = 1e6;
const THOUSANDTHS: f64 = 1e3;
/// Decimal digits that a histogram keeps of each value.
const DIGITS: u8 = 3;

#[derive(Debug)]
pub(crate) struct Measurement {
    histogram: Histogram<u64>,
    unit: Unit,
    pub(crate) attempts: u64,
    pub(crate) right: u64,
    /// What this run has to say about it.
    pub(crate) note: String,
}

#[derive(Debug, Default)]
pub(crate) struct Results {
    rows: BTreeMap<&'static str, Measurement>,
    /// In the order in which they were made.
    pub(crate) growth: Vec<Growth>,
}

/// How a server with so many idle sessions answers, beside an empty one.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Growth {
    pub(crate) idle_sessions: usize,
    pub(crate) new_ms: f64,
    pub(crate) new_empty_ms: f64,
    pub(crate) warm_ms: f64,
    pub(crate) warm_empty_ms: f64,
}

impl Measurement {
    fn new(unit: Unit) -> Result<Self> {
        Ok(Self { histogram: Histogram::new(DIGITS)?, unit, attempts: 0, right: 0, note: String::new() })
    }

    fn scale(&self) -> f64 {
        if self.unit == Unit::Milliseconds { NANOSECONDS_PER_MILLISECOND } else { THOUSANDTHS }
    }

    /// In the row's unit; `percent` from 0 to 100.
    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        self.histogram.value_at_percentile(percent) as f64 / self.scale()
    }

    pub(crate) fn samples(&self) -> u64 {
        self.histogram.len()
    }

    /// From 0 to 1.
    pub(crate) fn success(&self) -> f64 {
        self.right as f64 / self.attempts.max(1) as f64
    }
}

impl Results {
    fn at(&mut self, row: &'static Row) -> Result<&mut Measurement> {
        // `or_insert_with` cannot fail.
        if !self.rows.contains_key(row.key) {
            self.rows.insert(row.key, Measurement::new(row.unit)?);
        }
        self.rows.get_mut(row.key).ok_or_else(|| anyhow::anyhow!("no row {}", row.key))
    }

    /// One attempt of a row in milliseconds; `took` is none where it was refused.
    pub(crate) fn took(&mut self, row: &'static Row, took: Option<Duration>) -> Result<()> {
        let measurement = self.at(row)?;
        measurement.attempts += 1;
        if let Some(took) = took {
            measurement.right += 1;
            measurement.histogram.record(u64::try_from(took.as_nanos())?)?;
        }
        Ok(())
    }

    /// One value of a row, which so many attempts gave.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates and sizes, which fit")]
    pub(crate) fn value(&mut self, row: &'static Row, value: f64, right: u64, attempts: u64) -> Result<()> {
        let measurement = self.at(row)?;
        measurement.attempts += attempts;
        measurement.right += right;
        let scaled = value.max(0.0) * measurement.scale();
        measurement.histogram.record(scaled.round() as u64)?;
        Ok(())
    }

    pub(crate) fn note(&mut self, row: &'static Row, note: String) -> Result<()> {
        self.at(row)?.note = note;
        Ok(())
    }

    pub(crate) fn get(&self, row: &Row) -> Option<&Measurement> {
        self.rows.get(row.key)
    }

    /// The row's median in parts of the other's.
    pub(crate) fn ratio(&self, row: &Row) -> Option<f64> {
        let [own, other] = [self.get(row)?, self.get(row.against?)?].map(|row| row.percentile(50.0));
        (other > 0.0).then(|| own / other)
    }

    /// # Errors
    /// Where a row is missing.
    pub(crate) fn check(&self) -> Result<()> {
        for row in ROWS {
            let is_there = self.get(row).is_some_and(|measurement| measurement.samples() > 0);
            ensure!(is_there, "row `{}` is missing: nothing that it measures was answered", row.key);
        }
        Ok(())
    }
}
