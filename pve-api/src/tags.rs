//! Tags of guests.

/// The tags in a guest's `tags`. Proxmox separates them by `;`, older versions
/// by `,` or a space.
pub fn tags(text: &str) -> impl Iterator<Item = &str> {
    text.split([';', ',', ' ']).filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    #[test]
    fn any_separator() {
        let tags: Vec<_> = super::tags("prod;web,a  b;").collect();
        assert_eq!(tags, ["prod", "web", "a", "b"]);
    }
}
