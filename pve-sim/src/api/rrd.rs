//! Metrics of the past, as `rrddata` gives them.

use serde_json::{Value, json};

use crate::clock::now;
use crate::endpoint::Answer;

pub(crate) const TIMEFRAMES: &[&str] = &["hour", "day", "week", "month", "year"];
/// Nodes keep their history longer.
pub(crate) const NODE_TIMEFRAMES: &[&str] = &["hour", "day", "week", "month", "year", "decade"];
pub(crate) const FUNCTIONS: &[&str] = &["AVERAGE", "MAX"];

/// One point per step; those before `first`, and all when it is down, have a time only.
pub(crate) fn points(timeframe: &str, first: i64, up: bool, at: impl Fn(f64) -> Value) -> Answer {
    let (step, count) = match timeframe {
        "hour" => (60, 60),
        "day" => (60, 1440),
        "week" => (1800, 336),
        "month" => (1800, 1488),
        "year" => (21_600, 1460),
        _ => (604_800, 570),
    };
    // The newest point is still being written.
    let last = now() / step * step;
    let list = (1..count).rev().map(|back| {
        let time = last - back * step;
        let mut point = if up && time >= first && back > 1 {
            #[expect(
                clippy::cast_precision_loss,
                reason = "seconds since 1970 stay below 2^53"
            )]
            at(time as f64)
        } else {
            json!({})
        };
        if let Some(fields) = point.as_object_mut() {
            fields.insert("time".into(), json!(time));
        }
        point
    });
    Ok(list.collect())
}
