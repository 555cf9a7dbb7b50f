//! Many measurements of one thing.

use serde_json::{Value, json};

/// The median of many measurements, the range of the middle four fifths, and that of all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample {
    pub(super) median: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) least: f64,
    pub(super) most: f64,
    pub(super) count: usize,
}

impl Sample {
    /// None without measurements.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            median: at(&sorted, 0.5)?,
            low: at(&sorted, 0.1)?,
            high: at(&sorted, 0.9)?,
            least: at(&sorted, 0.0)?,
            most: at(&sorted, 1.0)?,
            count: sorted.len(),
        })
    }

    pub(super) fn to_json(self) -> Value {
        json!({ "median": self.median, "p10": self.low, "p90": self.high, "count": self.count })
    }
}

/// The median of measurements; 0 without any.
pub(super) fn median(values: &[f64]) -> f64 {
    Sample::of(values).map_or(0.0, |sample| sample.median)
}

/// The value at a quantile, from 0 to 1; none without measurements.
pub(super) fn quantile(values: &[f64], quantile: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    at(&sorted, quantile)
}

/// The value at a quantile, interpolated.
fn at(sorted: &[f64], quantile: f64) -> Option<f64> {
    let rank = quantile * sorted.len().checked_sub(1)? as f64;
    let below = sorted.get(rank.floor() as usize)?;
    let above = sorted.get(rank.ceil() as usize)?;
    Some(below + (above - below) * rank.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_interpolated() {
        assert_eq!(Sample::of(&[]), None);
        let one = Sample::of(&[7.0]).unwrap();
        assert_eq!((one.low, one.median, one.high), (7.0, 7.0, 7.0));
        let many: Vec<f64> = (0..=10).rev().map(f64::from).collect();
        let many = Sample::of(&many).unwrap();
        assert_eq!((many.low, many.median, many.high), (1.0, 5.0, 9.0));
        assert_eq!(median(&[1.0, 2.0]), 1.5);
    }
}
