//! What `report_waste` looks at.

pub(super) mod finding;
pub(super) mod guests;
pub(super) mod load;
pub(super) mod survey;
pub(super) mod volumes;
