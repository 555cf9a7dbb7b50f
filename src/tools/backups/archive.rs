//! The backup that a vzdump task has made, read from the task's log.

/// The volids of the backups that a vzdump log reports as made.
pub(super) fn archives(lines: &[String]) -> Option<String> {
    let storage = lines
        .iter()
        .find_map(|line| line.split_once("starting new backup job: vzdump "))
        .and_then(|(_, arguments)| {
            let mut words = arguments.split_whitespace();
            words
                .find_map(|word| match word.strip_prefix("--storage") {
                    Some("") => Some(None),
                    Some(rest) => rest.strip_prefix('=').map(Some),
                    None => None,
                })?
                .or_else(|| words.next())
        });
    let quoted = |line: &'_ str, before: &str| -> Option<String> {
        let (_, rest) = line.split_once(before)?;
        Some(rest.split_once('\'')?.0.to_owned())
    };
    let archives: Vec<String> = lines
        .iter()
        .filter_map(|line| {
            if let Some(path) = quoted(line, "creating Proxmox Backup Server archive '") {
                return Some(
                    storage.map_or(path.clone(), |storage| format!("{storage}:backup/{path}")),
                );
            }
            let path = quoted(line, "creating vzdump archive '")?;
            let name = path.rsplit('/').next().unwrap_or(&path);
            Some(storage.map_or(path.clone(), |storage| format!("{storage}:backup/{name}")))
        })
        .collect();
    (!archives.is_empty()).then(|| archives.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_by_a_task() {
        let lines = |text: &[&str]| {
            text.iter()
                .map(|line| (*line).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            archives(&lines(&[
                "INFO: starting new backup job: vzdump 200 --storage local --mode stop --compress zstd",
                "INFO: Starting Backup of VM 200 (lxc)",
                "INFO: creating vzdump archive '/var/lib/vz/dump/vzdump-lxc-200-2026_11_22-08_04_13.tar.zst'",
                "INFO: archive file size: 1MB",
            ])),
            Some("local:backup/vzdump-lxc-200-2026_11_22-08_04_13.tar.zst".into())
        );
        assert_eq!(
            archives(&lines(&[
                "INFO: starting new backup job: vzdump 100 101 --mode snapshot --storage=pbs",
                "INFO: creating Proxmox Backup Server archive 'vm/100/2026-11-22T08:04:13Z'",
                "INFO: creating Proxmox Backup Server archive 'vm/101/2026-11-22T08:05:13Z'",
            ])),
            Some(
                "pbs:backup/vm/100/2026-11-22T08:04:13Z, pbs:backup/vm/101/2026-11-22T08:05:13Z"
                    .into()
            )
        );
        assert_eq!(archives(&lines(&["INFO: nothing"])), None);
    }
}
