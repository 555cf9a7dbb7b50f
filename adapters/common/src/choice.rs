//! Which tools a build offers.

/// The tools that a build offers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice {
    /// Their names, separated by commas; all but the dangerous ones without.
    named: Option<&'static str>,
}

/// What `cargo xtask adapters` chose for this build.
pub(crate) const fn of_this_build() -> Choice {
    Choice {
        named: option_env!("ADAPTER_TOOLS"),
    }
}

impl Choice {
    /// Whether the build names this tool. None where it names none at all.
    pub(crate) fn names(self, name: &str) -> Option<bool> {
        self.named
            .map(|named| named.split(',').any(|one| one == name))
    }

    /// Whether a tool is offered.
    pub(crate) fn offers(self, name: &str, dangerous: bool) -> bool {
        self.names(name).unwrap_or(!dangerous)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_offers_what_it_names_and_nothing_else() {
        let choice = Choice {
            named: Some("look,run"),
        };
        assert!(choice.offers("look", false));
        assert!(choice.offers("run", true));
        for other in ["write", "loo", "look,run", ""] {
            assert!(!choice.offers(other, false), "{other:?}");
        }
        assert!(!Choice { named: Some("") }.offers("look", false));
    }

    #[test]
    fn without_a_choice_only_dangerous_tools_are_left_out() {
        let choice = Choice { named: None };
        assert!(choice.offers("write", false));
        assert!(!choice.offers("run", true));
    }
}
