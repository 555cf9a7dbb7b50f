//! What a tool may do to the cluster, as clients are told before they call it.

/// What a tool does to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Effects {
    pub(crate) read_only: bool,
    pub(crate) destructive: bool,
    pub(crate) idempotent: bool,
    pub(crate) open_world: bool,
    pub(crate) dangerous: bool,
}

/// Changes nothing.
pub(crate) const READ: Effects = Effects {
    read_only: true,
    destructive: false,
    idempotent: true,
    open_world: false,
    dangerous: false,
};

/// Changes something without losing anything.
pub(crate) const WRITE: Effects = Effects {
    read_only: false,
    idempotent: false,
    ..READ
};

/// Sets something to a wanted state; idempotent.
pub(crate) const SET: Effects = Effects {
    read_only: false,
    ..READ
};

/// Interrupts a guest or loses data.
pub(crate) const DESTROY: Effects = Effects {
    destructive: true,
    ..WRITE
};

impl Effects {
    /// It reaches beyond the cluster.
    pub(crate) const fn open(self) -> Self {
        Self {
            open_world: true,
            ..self
        }
    }

    /// Calling it twice has the effect of calling it once.
    pub(crate) const fn idempotent(self) -> Self {
        Self {
            idempotent: true,
            ..self
        }
    }

    /// It can do what its arguments alone do not show.
    pub(crate) const fn dangerous(self) -> Self {
        Self {
            dangerous: true,
            ..self
        }
    }
}
