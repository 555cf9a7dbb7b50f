//! Why a request is refused.

use crate::params::Errors;

/// Why a request is refused, as PVE's exceptions are.
#[derive(Debug, Clone)]
pub(crate) struct Fail {
    pub(crate) status: u16,
    pub(crate) message: String,
    pub(crate) errors: Errors,
    /// Refusals of the proxying node have a reason phrase alone.
    pub(crate) bare: bool,
}

impl Fail {
    /// A plain error of a handler: 500 with its text.
    pub(crate) fn die(message: impl Into<String>) -> Fail {
        let mut message = message.into();
        message.push('\n');
        Fail {
            status: 500,
            message,
            errors: Errors::new(),
            bare: false,
        }
    }

    pub(crate) fn params(errors: Errors) -> Fail {
        Fail {
            status: 400,
            message: "Parameter verification failed.\n".into(),
            errors,
            bare: false,
        }
    }

    /// One parameter is refused by the handler.
    pub(crate) fn param(name: &str, message: impl Into<String>) -> Fail {
        Fail::params([(name.to_owned(), message.into())].into())
    }

    pub(crate) fn denied(what: &str) -> Fail {
        Fail {
            status: 403,
            message: format!("Permission check failed ({what})\n"),
            errors: Errors::new(),
            bare: false,
        }
    }

    /// The name of an unknown node, which the proxying node looks up in vain.
    pub(crate) fn is_name_lookup(&self) -> bool {
        self.message.starts_with("hostname lookup ")
    }

    /// A refusal that does not name what is missing.
    pub(crate) fn denied_unnamed() -> Fail {
        Fail {
            status: 403,
            message: "Permission check failed\n".into(),
            errors: Errors::new(),
            bare: false,
        }
    }

    pub(crate) fn bare(status: u16, reason: impl Into<String>) -> Fail {
        Fail {
            status,
            message: reason.into(),
            errors: Errors::new(),
            bare: true,
        }
    }
}
