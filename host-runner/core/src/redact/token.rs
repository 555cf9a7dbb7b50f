//! Forms of Proxmox's tokens and tickets.

/// `PVE:user@realm:HEX::…`, or `PVEVNC:HEX::…`.
pub(super) fn is_ticket(name: &str, rest: &str) -> bool {
    let (start, _) = split(rest, rest.floor_char_boundary(256));
    let mut fields = start.split(':');
    let Some(mut time) = fields.next() else {
        return false;
    };
    if time.contains('@') {
        time = fields.next().unwrap_or_default();
    }
    name.starts_with('P')
        && time.bytes().all(|b| b.is_ascii_hexdigit())
        && !time.is_empty()
        && fields.next() == Some("")
        && fields.next().is_some()
}

/// Whether the text starts with one, as the secrets of tokens are.
pub(super) fn is_uuid(text: &str) -> bool {
    let mut bytes = text.bytes();
    (0..36).all(|at| {
        bytes.next().is_some_and(|byte| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    })
}

/// Both parts of a text, or all of it where it is not that long.
pub(super) fn split(text: &str, at: usize) -> (&str, &str) {
    text.split_at_checked(at).unwrap_or((text, ""))
}
