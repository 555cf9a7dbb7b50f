//! Guests: the list, one in full, its addresses and its load.

mod config;
mod get_guest;
mod get_guest_metrics;
mod get_guest_network;
mod list_guests;
mod read;
mod tags;
#[cfg(test)]
mod tests;

pub(crate) use get_guest::GetGuest;
pub(crate) use get_guest_metrics::GetGuestMetrics;
pub(crate) use get_guest_network::GetGuestNetwork;
pub(crate) use list_guests::ListGuests;
