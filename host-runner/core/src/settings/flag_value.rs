//! What the environment and the file of settings give for options of the command line.

use super::flag::{FLAGS, Flag};
use super::source::Source;
use super::sources::Sources;
use super::variable::Variable;

/// A value that the environment or a file gives for an option.
#[derive(Debug, Clone)]
pub(crate) struct FlagValue {
    /// The option.
    pub(crate) flag: &'static Flag,
    /// Its value, as it would be typed.
    pub(crate) value: String,
    /// Where it comes from.
    pub(crate) place: Source,
}

impl Sources {
    /// The options that the environment and the file give. A file that was found and not
    /// named gives none: it may belong to another program, and would widen a policy.
    pub(crate) fn flags(&self) -> Vec<FlagValue> {
        let given = FLAGS.iter().filter_map(|flag| {
            let (value, place) = self.get(Variable::Flag(flag))?;
            let is_of_file = matches!(place, Source::File(_));
            let counts = !is_of_file || (self.named && !flag.only_environment);
            counts.then(|| FlagValue {
                flag,
                value: value.to_owned(),
                place,
            })
        });
        given.collect()
    }
}

/// The options that decide which file is read, as the environment gives them.
pub(crate) fn early_flags() -> Vec<FlagValue> {
    let early = FLAGS.iter().filter(|flag| flag.only_environment);
    let given = early.filter_map(|flag| {
        let value = std::env::var(flag.name).ok()?;
        let value = value.trim();
        (!value.is_empty()).then(|| FlagValue {
            flag,
            value: value.to_owned(),
            place: Source::Environment,
        })
    });
    given.collect()
}
