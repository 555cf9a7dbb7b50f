//! To come: clone.
