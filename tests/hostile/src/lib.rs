//! A component that tries to break out.
//!
//! It has the same world as the real one, so that a host loads it like any
//! other. Each tool is one attack: it carries the attack out and reports what
//! came of it as `{"outcome": …}`, so that a test can tell a refusal by the
//! sandbox from an attack that never took place.

mod arguments;
mod attack;
mod attacks;
mod bindings;
mod component;
