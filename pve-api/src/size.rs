//! Sizes of disks and memory.

/// The bytes of a size as configurations and the resize call write it:
/// `32G`, `512M`, `1.5T`, or plain bytes.
pub fn parse(text: &str) -> Option<u64> {
    let (digits, scale) = match text.char_indices().last()? {
        (at, 'K') => (text.get(..at)?, 10),
        (at, 'M') => (text.get(..at)?, 20),
        (at, 'G') => (text.get(..at)?, 30),
        (at, 'T') => (text.get(..at)?, 40),
        _ => (text, 0),
    };
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) if plain(fraction) => (whole, fraction),
        Some(_) => return None,
        None => (digits, "0"),
    };
    if !plain(whole) {
        return None;
    }
    let unit = 1u64 << scale;
    let whole: u64 = whole.parse().ok()?;
    let fraction: f64 = format!("0.{fraction}").parse().ok()?;
    whole
        .checked_mul(unit)?
        .checked_add((fraction * unit as f64) as u64)
}

/// Reads `10GB`, `10G`, `10 GiB`, `10240M` and `1.5T` as bytes, as
/// people write sizes. Every unit
/// counts by 1024, as Proxmox's own do, and a number without a unit is bytes.
pub fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => "",
        "k" | "kb" | "kib" => "K",
        "m" | "mb" | "mib" => "M",
        "g" | "gb" | "gib" => "G",
        "t" | "tb" | "tib" => "T",
        _ => return None,
    };
    parse(&format!("{number}{unit}"))
}

/// A number of bytes as a whole number of MiB, or of KiB below one MiB: disks
/// and memory have no smaller parts, and `0.3T` is not meant to the byte.
pub fn whole(bytes: u64) -> u64 {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    let part = if bytes < MIB { KIB } else { MIB };
    let over = bytes % part;
    if over == 0 {
        bytes
    } else if over < part / 2 && bytes > part {
        bytes - over
    } else {
        bytes.saturating_add(part - over)
    }
}

/// A number of bytes as Proxmox takes it: `10G`, or `1536M` where it is not a
/// whole number of the larger unit.
pub fn parameter(bytes: u64) -> String {
    for (shift, unit) in [(40, "T"), (30, "G"), (20, "M"), (10, "K")] {
        if bytes > 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_as_configurations_write_them() {
        assert_eq!(parse("32M"), Some(33_554_432));
        assert_eq!(parse("1.5G"), Some(1_610_612_736));
        assert_eq!(parse("1048576"), Some(1_048_576));
        for nonsense in [
            "",
            "G",
            "-1G",
            "+1G",
            "1.G",
            "1e3",
            "1 G",
            "32g",
            "9999999999T",
            "é",
        ] {
            assert_eq!(parse(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn units_count_by_1024() {
        const GIB: u64 = 1 << 30;
        for text in [
            "10GB", "10G", "10 GiB", "10g", "10240M", "10240 MB", "10.0G", " 10 gib ",
        ] {
            assert_eq!(bytes(text), Some(10 * GIB), "{text}");
        }
        assert_eq!(bytes("1.5T"), Some(1536 * GIB));
        assert_eq!(bytes("1.7G"), Some(1_825_361_100));
        assert_eq!(bytes("512"), Some(512));
        assert_eq!(bytes("0"), Some(0));
        for text in [
            "",
            "G",
            "-1G",
            "1.2.3G",
            "10 X",
            "1e9",
            "ten",
            "99999999999T",
            ".",
            "1,5G",
        ] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    #[test]
    fn parameters_are_whole() {
        for text in ["10G", "1536M", "2T", "512", "0", "3K"] {
            assert_eq!(parameter(bytes(text).unwrap()), text);
        }
        assert_eq!(parameter(bytes("1024G").unwrap()), "1T");
    }

    #[test]
    fn odd_numbers_of_bytes_are_rounded() {
        for (text, parameter_of) in [
            ("0.3TB", "314573M"),
            ("1.7G", "1741M"),
            ("10G", "10G"),
            ("512K", "512K"),
            ("0.7K", "1K"),
            ("0", "0"),
        ] {
            assert_eq!(
                parameter(whole(bytes(text).unwrap())),
                parameter_of,
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_safe(text in any::<String>()) {
            let _ = bytes(&text);
        }
    }
}
