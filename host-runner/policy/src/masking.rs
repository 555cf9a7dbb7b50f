//! Which parameters of a request are secrets.

/// Stands in the place of a secret.
pub const MASK: &str = "***";

/// A parameter's value as it may be shown or logged.
///
/// Passwords are masked, and what goes into a guest may hold one: the input of
/// a command, and its arguments after the program.
pub fn masked(name: &str, value: &str) -> String {
    const SECRETS: [&str; 6] = [
        "cipassword",
        "password",
        "input-data",
        "command",
        "ssh-public-keys",
        "tickets",
    ];
    if SECRETS.contains(&name) || name.contains("secret") || name.contains("ticket") {
        return MASK.to_owned();
    }
    without_userinfo(value)
}

/// A URL may hold a user and a password.
fn without_userinfo(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else {
        return value.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{MASK}@{host}{tail}"),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked() {
        assert_eq!(masked("cipassword", "hunter2"), MASK);
        assert_eq!(masked("name", "web"), "web");
        assert_eq!(
            masked("url", "https://user:pw@example.com/a@b.iso"),
            "https://***@example.com/a@b.iso"
        );
        assert_eq!(
            masked("url", "https://example.com/a"),
            "https://example.com/a"
        );
    }
}
