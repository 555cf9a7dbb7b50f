//! Cloud-init: the settings from which a VM sets itself up when it boots.

pub(crate) mod address;
mod drive;
mod get_cloud_init;
mod keys;
mod mask;
mod set_cloud_init;
#[cfg(test)]
mod tests;

pub(crate) use get_cloud_init::GetCloudInit;
pub(crate) use set_cloud_init::SetCloudInit;
