//! Consoles of guests.

mod get_console_url;

pub(crate) use get_console_url::GetConsoleUrl;
