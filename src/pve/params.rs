//! Parameters of a request, form-encoded as pveproxy reads them.

use std::borrow::Cow;
use std::fmt;

use url::form_urlencoded;

/// Parameters of a request, in order.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Params(Vec<(Cow<'static, str>, String)>);

impl Params {
    /// No parameters.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// With one more parameter. A name can occur several times.
    pub(crate) fn set(mut self, name: impl Into<Cow<'static, str>>, value: impl ToString) -> Self {
        self.0.push((name.into(), value.to_string()));
        self
    }

    /// With one more parameter if there is a value.
    pub(crate) fn opt(
        self,
        name: impl Into<Cow<'static, str>>,
        value: Option<impl ToString>,
    ) -> Self {
        match value {
            Some(value) => self.set(name, value),
            None => self,
        }
    }

    /// Adds a boolean, as `0` or `1`: Proxmox refuses `true`.
    pub(crate) fn flag(self, name: impl Into<Cow<'static, str>>, value: bool) -> Self {
        self.set(name, u8::from(value))
    }

    /// Adds a boolean where there is one.
    pub(crate) fn opt_flag(self, name: impl Into<Cow<'static, str>>, value: Option<bool>) -> Self {
        self.opt(name, value.map(u8::from))
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names and values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_ref(), value.as_str()))
    }

    /// The query or body. Everything is encoded: Proxmox cuts a form value at
    /// a bare `=` and a pair at `;`.
    pub(crate) fn encode(&self) -> String {
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(self.iter())
            .finish()
    }
}

/// Names alone: a value may be a password.
impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_encoded_whole() {
        let params = Params::new()
            .set("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0")
            .set("sshkeys", "ssh-ed25519%20AAAA")
            .flag("onboot", true);
        assert_eq!(
            params.encode(),
            "net0=virtio%3DBC%3A24%3A11%3A00%3A00%3A01%2Cbridge%3Dvmbr0\
             &sshkeys=ssh-ed25519%2520AAAA&onboot=1"
        );
    }

    #[test]
    fn debug_names_but_does_not_tell() {
        let params = Params::new().set("cipassword", "hush");
        assert_eq!(format!("{params:?}"), r#"["cipassword"]"#);
    }

    proptest! {
        #[test]
        fn any_value_survives(value in any::<String>()) {
            let encoded = Params::new().set("a", &value).encode();
            prop_assert!(!encoded[2..].contains(['=', '&', ';', ' ']));
            let back: Vec<_> = form_urlencoded::parse(encoded.as_bytes()).collect();
            prop_assert_eq!(back, vec![("a".into(), value.into())]);
        }
    }
}
