//! To come: logs.
