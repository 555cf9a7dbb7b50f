//! To come: cloudinit.
