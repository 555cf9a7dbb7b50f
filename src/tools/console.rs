//! To come: console.
