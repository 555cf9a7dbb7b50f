//! What the kernel knows of a process in a container.

use std::fs;

use anyhow::{Context, Result};

/// What was read of a process while it ran.
pub(super) struct Process {
    status: String,
    mounts: String,
}

impl Process {
    /// The process of this name below another.
    pub(super) fn find(ancestor: u32, name: &str) -> Result<Self> {
        let mut family = vec![ancestor];
        let mut processes = Vec::new();
        for entry in fs::read_dir("/proc")?.flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|id| id.parse().ok()) else {
                continue;
            };
            // It may have ended meanwhile.
            if let Ok(status) = fs::read_to_string(entry.path().join("status")) {
                processes.push((id, status));
            }
        }
        // Children may come before their parents in the list.
        loop {
            let known = family.len();
            for (id, status) in &processes {
                let parent = field(status, "PPid").and_then(|parent| parent.parse().ok());
                if parent.is_some_and(|parent| family.contains(&parent)) && !family.contains(id) {
                    family.push(*id);
                }
            }
            if family.len() == known {
                break;
            }
        }
        let (id, status) = processes
            .into_iter()
            .find(|(id, status)| family.contains(id) && field(status, "Name") == Some(name))
            .with_context(|| format!("no process {name} runs below process {ancestor}"))?;
        Ok(Self {
            status,
            mounts: fs::read_to_string(format!("/proc/{id}/mountinfo"))?,
        })
    }

    /// A line of its status.
    pub(super) fn status(&self, name: &str) -> Result<&str> {
        field(&self.status, name).with_context(|| format!("the kernel does not report {name}"))
    }

    /// User and group, each once where it has no others to change to.
    pub(super) fn user(&self) -> Result<String> {
        let mut all = Vec::new();
        for field in ["Uid", "Gid"] {
            // Real, effective, saved and of the file system.
            let mut ids: Vec<&str> = self.status(field)?.split_whitespace().collect();
            ids.dedup();
            all.push(ids.join(","));
        }
        Ok(all.join(":"))
    }

    /// Whether it is in no other group besides.
    pub(super) fn has_only_its_group(&self) -> Result<bool> {
        let own = self.status("Gid")?.split_whitespace().next();
        let mut groups = self.status("Groups")?.split_whitespace();
        Ok(groups.all(|group| Some(group) == own))
    }

    /// Whether its root is mounted read-only.
    pub(super) fn has_read_only_root(&self) -> Result<bool> {
        // `36 35 98:0 / / ro,relatime - ext4 /dev/root rw`
        let (_, options) = self
            .mounts
            .lines()
            .rev()
            .filter_map(|line| {
                let mut words = line.split_whitespace().skip(4);
                Some((words.next()?, words.next()?))
            })
            .find(|(point, _)| *point == "/")
            .context("the session has no root")?;
        Ok(options.split(',').any(|option| option == "ro"))
    }
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
}
