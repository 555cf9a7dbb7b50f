//! CPU, memory, disk sizes and options of a guest.

mod change;
mod resize_disk;
mod set_guest_options;
mod set_guest_resources;
mod settings;
#[cfg(test)]
mod tests;

pub(crate) use resize_disk::ResizeDisk;
pub(crate) use set_guest_options::SetGuestOptions;
pub(crate) use set_guest_resources::SetGuestResources;
