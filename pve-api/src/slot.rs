//! Slots of disks and drives, as a guest's configuration names them: `scsi0`,
//! `mp1`, `rootfs`.

use crate::text::whole;

/// What a slot is on: the part of its name before the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// `scsi0`
    Scsi,
    /// `virtio0`
    Virtio,
    /// `sata0`
    Sata,
    /// `ide0`
    Ide,
    /// `efidisk0`: variables of a VM's firmware.
    Efi,
    /// `tpmstate0`: the state of a VM's TPM.
    Tpm,
    /// `rootfs`, which has no number: a container's root file system.
    Root,
    /// `mp0`: a volume that a container mounts.
    MountPoint,
    /// `unused0`: a volume that was detached.
    Unused,
}

impl Bus {
    const ALL: [Self; 9] = [
        Self::Scsi,
        Self::Virtio,
        Self::Sata,
        Self::Ide,
        Self::Efi,
        Self::Tpm,
        Self::Root,
        Self::MountPoint,
        Self::Unused,
    ];

    /// The bus of a setting's name with any number, including one that Proxmox does not
    /// accept. None if the setting is not a disk.
    pub fn of(key: &str) -> Option<Self> {
        let name = key.trim_end_matches(|c: char| c.is_ascii_digit());
        let has_number = name.len() < key.len();
        let mut all = Self::ALL.into_iter();
        all.find(|bus| bus.name() == name && has_number == (*bus != Self::Root))
    }

    /// Its name, to which the number of a slot is added.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scsi => "scsi",
            Self::Virtio => "virtio",
            Self::Sata => "sata",
            Self::Ide => "ide",
            Self::Efi => "efidisk",
            Self::Tpm => "tpmstate",
            Self::Root => "rootfs",
            Self::MountPoint => "mp",
            Self::Unused => "unused",
        }
    }

    /// Its slots, in order.
    pub fn slots(self) -> impl Iterator<Item = String> {
        let count = match self {
            Self::Scsi => 31,
            Self::Virtio => 16,
            Self::Sata => 6,
            Self::Ide => 4,
            Self::Efi | Self::Tpm | Self::Root => 1,
            Self::MountPoint | Self::Unused => 256,
        };
        (0..count).map(move |number| match self {
            Self::Root => self.name().to_owned(),
            _ => format!("{}{number}", self.name()),
        })
    }

    /// Whether it is one of a VM's buses for disks.
    pub const fn is_of_drives(self) -> bool {
        matches!(self, Self::Scsi | Self::Virtio | Self::Sata | Self::Ide)
    }

    /// Whether it has drives of removable media.
    pub const fn has_cd(self) -> bool {
        matches!(self, Self::Scsi | Self::Sata | Self::Ide)
    }

    /// Whether VMs have it.
    pub const fn is_of_vms(self) -> bool {
        self.is_of_drives() || matches!(self, Self::Efi | Self::Tpm | Self::Unused)
    }

    /// Whether containers have it.
    pub const fn is_of_containers(self) -> bool {
        matches!(self, Self::Root | Self::MountPoint | Self::Unused)
    }
}

/// Whether a text is a slot with a number as Proxmox writes it.
pub fn is_slot(text: &str) -> bool {
    Bus::of(text).is_some_and(|bus| {
        let number = text.get(bus.name().len()..).unwrap_or_default();
        bus == Bus::Root || number.len() <= 3 && whole(number).is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_settings() {
        for bus in Bus::ALL {
            for slot in bus.slots() {
                assert_eq!(Bus::of(&slot), Some(bus));
                assert!(is_slot(&slot), "{slot}");
            }
        }
        for other in ["scsihw", "scsi", "rootfs0", "net0", "0", "", "unused"] {
            assert_eq!(Bus::of(other), None, "{other}");
        }
        // A disk to Proxmox or not, it is nothing else.
        assert_eq!(Bus::of("scsi007"), Some(Bus::Scsi));
        for odd in ["scsi007", "mp1000", "scsi00"] {
            assert!(!is_slot(odd), "{odd}");
        }
    }
}
