//! Property strings: `virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1`.

/// A parsed property string: a default value, and named ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Properties(Vec<(Option<String>, String)>);

impl Properties {
    /// Reads any text: what has no `=` counts as a value without a name.
    pub(crate) fn parse(text: &str) -> Self {
        Self(
            text.split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(|part| match part.split_once('=') {
                    Some((key, value)) => (Some(key.trim().to_owned()), value.to_owned()),
                    None => (None, part.to_owned()),
                })
                .collect(),
        )
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(name, _)| name.as_deref() == Some(key))
            .map(|(_, value)| value.as_str())
    }

    /// The value of a key, as a boolean.
    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        self.get(key)
            .map(|value| matches!(value, "1" | "on" | "yes" | "true"))
    }

    /// The value without a name, such as a disk's volid.
    pub(crate) fn bare(&self) -> Option<&str> {
        self.0
            .iter()
            .find(|(name, _)| name.is_none())
            .map(|(_, value)| value.as_str())
    }

    /// The keys and values, in order.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .filter_map(|(name, value)| Some((name.as_deref()?, value.as_str())))
    }

    /// Sets a key in its place, or at the end.
    pub(crate) fn insert(&mut self, key: &str, value: impl Into<String>) {
        let value = value.into();
        match self
            .0
            .iter_mut()
            .find(|(name, _)| name.as_deref() == Some(key))
        {
            Some((_, old)) => *old = value,
            None => self.0.push((Some(key.to_owned()), value)),
        }
    }

    /// The same without a value that has no name.
    pub(crate) fn without_bare(mut self, value: &str) -> Self {
        self.0.retain(|(name, own)| name.is_some() || own != value);
        self
    }

    /// Takes a key away.
    pub(crate) fn remove(&mut self, key: &str) {
        self.0.retain(|(name, _)| name.as_deref() != Some(key));
    }
}

impl std::fmt::Display for Properties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            if let Some(name) = name {
                write!(f, "{name}=")?;
            }
            f.write_str(value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn disk_and_nic() {
        let disk = Properties::parse("local:100/vm-100-disk-0.qcow2,iothread=1,size=32M");
        assert_eq!(disk.bare(), Some("local:100/vm-100-disk-0.qcow2"));
        assert_eq!(disk.flag("iothread"), Some(true));
        assert_eq!(disk.get("size"), Some("32M"));
        let nic = Properties::parse("virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1");
        assert_eq!(nic.pairs().next(), Some(("virtio", "BC:24:11:00:00:01")));
    }

    #[test]
    fn insert_keeps_the_rest() {
        let mut ip = Properties::parse("ip=192.0.2.50/24,gw=192.0.2.1");
        ip.insert("ip", "dhcp");
        ip.remove("gw");
        ip.insert("ip6", "auto");
        assert_eq!(ip.to_string(), "ip=dhcp,ip6=auto");
    }

    proptest! {
        #[test]
        fn round_trip(pairs in prop::collection::vec(("[a-z][a-z0-9_-]{0,8}", "[A-Za-z0-9:/._-]{1,12}"), 1..6)) {
            let text = pairs.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",");
            prop_assert_eq!(Properties::parse(&text).to_string(), text);
        }

        #[test]
        fn any_text_is_read(text in any::<String>()) {
            let _ = Properties::parse(&text);
        }
    }
}
