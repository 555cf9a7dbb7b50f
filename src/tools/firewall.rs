//! To come: firewall.
