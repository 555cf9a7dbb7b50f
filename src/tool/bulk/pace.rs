//! In which order several guests are changed, and how many of them at a time.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use pve_api::calls;

use crate::pve::{Guest, GuestConfig, Params, Properties, Pve};

/// How many guests are changed at a time. Proxmox's own bulk actions have as many workers.
const WORKERS: usize = 4;

/// In which order guests are changed, and how many at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// By vmid, four at a time.
    Any,
    /// By vmid, one on each node at a time: vzdump locks its node, and a second one would
    /// wait for hours and then fail.
    OnePerNode,
    /// By the startup order of the guests, as at the start of a node: a database before
    /// what needs it. Guests of one rank are changed four at a time, those of the next
    /// once these have ended.
    StartupOrder,
    /// The same backwards, as at the shutdown of a node.
    ShutdownOrder,
}

/// From how long on a request that fails shows that its node hangs.
pub(super) const SILENCE: Duration = Duration::from_secs(5);

/// When a guest's turn is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    /// Lower ranks come first.
    pub(super) rank: u64,
    /// How long to wait after its start before the next rank.
    pub(super) up: Duration,
}

/// The rank of a guest without a startup order: Proxmox starts it last.
const LAST: u64 = 1 << 32;

/// The longest delay of a startup order that is kept to.
const MOST_UP_SECONDS: u64 = 3_600;

impl Pace {
    /// Whether another guest may be begun, where so many are being changed, so many of them
    /// on its node.
    pub(super) fn has_room(self, running: usize, on_its_node: usize) -> bool {
        match self {
            Self::OnePerNode => on_its_node == 0,
            Self::Any | Self::StartupOrder | Self::ShutdownOrder => running < WORKERS,
        }
    }

    /// The turn of each guest. Reads their configurations where the startup order counts; a
    /// guest whose configuration cannot be read counts as one without an order.
    pub(super) fn turns(self, pve: &Pve, guests: &[Guest]) -> Vec<Turn> {
        if matches!(self, Self::Any | Self::OnePerNode) {
            return guests.iter().map(|_| Turn::default()).collect();
        }
        let reachable = |guest: &&Guest| guest.reachable(pve).is_ok();
        let request = |guest: &Guest| (guest.request(&calls::guests::CONFIG), Params::new());
        pve.start(guests.iter().filter(reachable).map(request));
        let mut silent = BTreeSet::new();
        guests
            .iter()
            .map(|guest| {
                let is_silent = silent.contains(&guest.node);
                let read = (!is_silent && reachable(&guest)).then(|| {
                    let started = Instant::now();
                    let config = GuestConfig::read(pve, guest).ok();
                    // The others of this node would take as long.
                    if config.is_none() && started.elapsed() >= SILENCE {
                        silent.insert(guest.node.clone());
                    }
                    config
                });
                let config = read.flatten();
                let startup = config.as_ref().and_then(|config| config.get("startup"));
                let turn = Turn::of(startup.unwrap_or_default());
                match self {
                    // Nothing waits for what has shut down.
                    Self::ShutdownOrder => Turn {
                        rank: LAST - turn.rank.min(LAST),
                        up: Duration::ZERO,
                    },
                    _ => turn,
                }
            })
            .collect()
    }
}

impl Default for Turn {
    fn default() -> Self {
        Self {
            rank: LAST,
            up: Duration::ZERO,
        }
    }
}

impl Turn {
    /// Reads a `startup`: `order=1,up=30,down=60`, `1`.
    fn of(startup: &str) -> Self {
        let startup = Properties::parse(startup);
        let number = |text: &str| text.trim().parse::<u32>().ok();
        let order = startup.get("order").or(startup.bare()).and_then(number);
        let up = startup.get("up").and_then(number).unwrap_or(0);
        Self {
            rank: order.map_or(LAST, u64::from),
            up: Duration::from_secs(u64::from(up).min(MOST_UP_SECONDS)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn startup_orders() {
        for (text, rank, seconds) in [
            ("order=1,up=30,down=60", 1, 30),
            ("2", 2, 0),
            ("up=5", LAST, 5),
            ("", LAST, 0),
            ("order=x,up=-1", LAST, 0),
        ] {
            let turn = Turn::of(text);
            assert_eq!((turn.rank, turn.up.as_secs()), (rank, seconds), "{text}");
        }
    }

    #[test]
    fn one_backup_runs_on_a_node_and_four_changes_run_in_all() {
        assert!(Pace::OnePerNode.has_room(9, 0) && !Pace::OnePerNode.has_room(1, 1));
        assert!(Pace::Any.has_room(3, 3) && !Pace::Any.has_room(4, 0));
    }
}
