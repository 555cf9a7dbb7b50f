//! To come: cluster.
