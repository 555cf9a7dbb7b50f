//! A component that tries to break out.
