//! Outages: what clients see while a node's daemons restart, as upgrades and
//! certificate renewals make them do.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until};

/// What a request meets during an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meets {
    /// pveproxy is gone: open connections are reset, new ones are refused.
    Nothing,
    /// Something else responds. With 595, pveproxy runs and pvedaemon does not.
    Answer(u16),
}

impl Meets {
    pub(crate) fn reason(status: u16) -> &'static str {
        match status {
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            504 => "Gateway Timeout",
            595 => "Connection refused",
            _ => "",
        }
    }
}

/// One outage, or one in every period.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Outage {
    /// How long it lasts; without it, until the next `outage`.
    #[serde(default)]
    ms: Option<u64>,
    /// The time from the beginning of one outage to the next; the first comes at its end.
    #[serde(default)]
    every_ms: Option<u64>,
    /// A status to answer, instead of closing the port.
    #[serde(default)]
    answer: Option<u16>,
}

impl Outage {
    /// `1500`, `1500/4000`, either with `:595` behind it.
    pub(crate) fn parse(text: &str) -> Result<Outage, String> {
        let number = |text: &str| {
            text.parse::<u64>()
                .map_err(|_| format!("outage '{text}': not a number"))
        };
        let (times, answer) = match text.split_once(':') {
            None => (text, None),
            Some((times, status)) => (
                times,
                Some(u16::try_from(number(status)?).map_err(|error| error.to_string())?),
            ),
        };
        let (ms, every_ms) = match times.split_once('/') {
            None => (times, None),
            Some((ms, every)) => (ms, Some(number(every)?)),
        };
        Outage {
            ms: Some(number(ms)?),
            every_ms,
            answer,
        }
        .checked()
    }

    pub(crate) fn from_fields(fields: Map<String, Value>) -> Result<Outage, String> {
        serde_json::from_value::<Outage>(Value::Object(fields))
            .map_err(|error| error.to_string())?
            .checked()
    }

    /// A single one.
    pub(crate) fn once(ms: u64, answer: Option<u16>) -> Outage {
        Outage {
            ms: Some(ms),
            every_ms: None,
            answer,
        }
    }

    fn checked(self) -> Result<Outage, String> {
        if let Some(every) = self.every_ms
            && self.ms.is_none_or(|ms| ms >= every)
        {
            return Err("an outage is shorter than its period".into());
        }
        if let Some(status) = self.answer
            && !(400..=599).contains(&status)
        {
            return Err(format!("{status} is not the status of an error"));
        }
        Ok(self)
    }

    fn meets(&self) -> Meets {
        self.answer.map_or(Meets::Nothing, Meets::Answer)
    }
}

/// Whether the cluster can be reached now, and what is planned.
pub(crate) struct Outages {
    planned: watch::Sender<Option<Outage>>,
    now: watch::Sender<Option<Meets>>,
    /// Planning and its first effect happen together.
    order: Mutex<()>,
}

impl Outages {
    pub(crate) fn new(outage: Option<Outage>) -> Outages {
        let outages = Outages {
            planned: watch::Sender::new(None),
            now: watch::Sender::new(None),
            order: Mutex::new(()),
        };
        if let Some(outage) = outage {
            outages.plan(outage);
        }
        outages
    }

    /// Replaces what was planned. A single outage has begun when this returns; one of 0 ms ends
    /// them all.
    pub(crate) fn plan(&self, outage: Outage) {
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, planned) = match (outage.ms, outage.every_ms) {
            (Some(0), _) => (None, None),
            (_, Some(_)) => (None, Some(outage)),
            (_, None) => (Some(outage.meets()), Some(outage)),
        };
        self.now.send_replace(now);
        self.planned.send_replace(planned);
    }

    pub(crate) fn now(&self) -> Option<Meets> {
        *self.now.borrow()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Option<Meets>> {
        self.now.subscribe()
    }

    /// Begins and ends the outages that are planned, until the task is aborted.
    pub(crate) async fn keep(&self) {
        let mut planned = self.planned.subscribe();
        loop {
            let outage = planned.borrow_and_update().clone();
            let act = async {
                let Some(outage) = outage else {
                    return std::future::pending().await;
                };
                let Some(length) = outage.ms.map(Duration::from_millis) else {
                    return std::future::pending().await;
                };
                let Some(every) = outage.every_ms.map(Duration::from_millis) else {
                    sleep(length).await;
                    self.now.send_replace(None);
                    return std::future::pending().await;
                };
                let mut next = tokio::time::Instant::now() + every;
                loop {
                    sleep_until(next).await;
                    self.now.send_replace(Some(outage.meets()));
                    sleep(length).await;
                    self.now.send_replace(None);
                    next += every;
                }
            };
            tokio::select! {
                changed = planned.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                () = act => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outages_are_parsed() {
        let outage = Outage::parse("1500/4000:595").unwrap();
        assert_eq!(
            (outage.ms, outage.every_ms, outage.answer),
            (Some(1500), Some(4000), Some(595))
        );
        assert_eq!(Outage::parse("700").unwrap().meets(), Meets::Nothing);
        assert!(Outage::parse("4000/1500").is_err());
        assert!(Outage::parse("1500:200").is_err());
        assert!(Outage::parse("soon").is_err());
    }
}
