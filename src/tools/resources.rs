//! To come: resources.
