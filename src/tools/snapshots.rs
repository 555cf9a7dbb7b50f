//! To come: snapshots.
