//! Progress of a task, for the client that called the tool.

use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::RequestContext;
use rmcp::{Peer, RoleServer};

use super::running::Progress;

/// Sends the progress of a task to the client, if it asked for that.
pub(super) struct Client<'a> {
    peer: &'a Peer<RoleServer>,
    token: Option<ProgressToken>,
    meter: Meter,
}

/// Turns a progress that may repeat a value into one that always increases.
#[derive(Default)]
struct Meter {
    last: f64,
}

impl<'a> Client<'a> {
    pub(super) fn new(context: &'a RequestContext<RoleServer>) -> Self {
        Self {
            peer: &context.peer,
            token: context.meta.get_progress_token(),
            meter: Meter::default(),
        }
    }

    pub(super) async fn progress(&mut self, now: Progress) {
        let Some(token) = &self.token else {
            return;
        };
        let percent = self.meter.advance(now.fraction);
        let mut progress =
            ProgressNotificationParam::new(token.clone(), percent).with_message(now.message);
        if now.fraction.is_some() {
            progress = progress.with_total(100.0);
        }
        // A client that is gone hears nothing.
        let _ = self.peer.notify_progress(progress).await;
    }
}

impl Meter {
    /// In percent, and always more than before, but never all of it: that is
    /// for the answer to say.
    fn advance(&mut self, fraction: Option<f32>) -> f64 {
        let percent = f64::from(fraction.unwrap_or_default().clamp(0.0, 1.0)) * 100.0;
        // A hundredth of what is left can be added for ever.
        let least = self.last + (100.0 - self.last) / 100.0;
        self.last = if percent.is_finite() && percent < 100.0 {
            percent.max(least)
        } else {
            least
        };
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_only_ever_increases() {
        let mut meter = Meter::default();
        let mut last = 0.0;
        let reports = [
            None,
            Some(0.4),
            Some(0.4),
            Some(0.1),
            None,
            Some(0.9),
            Some(1.0),
        ];
        let stuck = std::iter::repeat_n(Some(0.95), 300);
        for fraction in reports.into_iter().chain(stuck).chain([Some(f32::NAN)]) {
            let now = meter.advance(fraction);
            assert!(now > last && now < 100.0, "{now} after {last}");
            last = now;
        }
    }
}
