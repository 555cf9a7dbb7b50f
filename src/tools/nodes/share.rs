//! Shares of a node, in percent.

use crate::pve::Num;
use crate::text;

/// A share of a node's time in percent. A value below 0 or above 100 %
/// is an error of the report.
pub(super) fn share(number: Num<f64>) -> Option<f64> {
    (0.0..=1.0)
        .contains(&number.0)
        .then(|| text::round(number.0 * 100.0, 1))
}
