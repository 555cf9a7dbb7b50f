//! To come: migrate.
