//! Whose firewall a request is for, and the requests.

use pve_api::calls::firewall::{
    ADD_CLUSTER_RULE, ADD_GUEST_RULE, ADD_NODE_RULE, CLUSTER_OPTIONS, CLUSTER_REFERENCES,
    CLUSTER_RULES, DELETE_CLUSTER_RULE, DELETE_GUEST_RULE, DELETE_NODE_RULE, GUEST_OPTIONS,
    GUEST_REFERENCES, GUEST_RULES, NODE_OPTIONS, NODE_RULES, SET_CLUSTER_OPTIONS, SET_CLUSTER_RULE,
    SET_GUEST_OPTIONS, SET_GUEST_RULE, SET_NODE_OPTIONS, SET_NODE_RULE,
};
use pve_api::{Call, GuestCall};

use crate::pve::{At, Guest, Request};

/// Whose firewall it is.
#[derive(Debug, Clone)]
pub(super) enum Owner {
    Guest(Box<Guest>),
    Node(String),
    Cluster,
}

impl Owner {
    /// Reads the options.
    pub(super) fn options(&self) -> Request {
        self.request(&CLUSTER_OPTIONS, &NODE_OPTIONS, &GUEST_OPTIONS)
    }

    /// Changes options.
    pub(super) fn set_options(&self) -> Request {
        self.request(&SET_CLUSTER_OPTIONS, &SET_NODE_OPTIONS, &SET_GUEST_OPTIONS)
    }

    /// Reads the rules.
    pub(super) fn rules(&self) -> Request {
        self.request(&CLUSTER_RULES, &NODE_RULES, &GUEST_RULES)
    }

    /// Adds a rule, as the first.
    pub(super) fn add_rule(&self) -> Request {
        self.request(&ADD_CLUSTER_RULE, &ADD_NODE_RULE, &ADD_GUEST_RULE)
    }

    /// Changes or moves the rule at a position.
    pub(super) fn set_rule(&self, position: u32) -> Request {
        self.rule(position, &SET_CLUSTER_RULE, &SET_NODE_RULE, &SET_GUEST_RULE)
    }

    /// Removes the rule at a position.
    pub(super) fn delete_rule(&self, position: u32) -> Request {
        self.rule(
            position,
            &DELETE_CLUSTER_RULE,
            &DELETE_NODE_RULE,
            &DELETE_GUEST_RULE,
        )
    }

    /// Reads the aliases and IP sets that rules can name; those for nodes are the
    /// cluster's.
    pub(super) fn references(&self) -> Request {
        match self {
            Self::Guest(guest) => guest.request(&GUEST_REFERENCES),
            Self::Node(_) | Self::Cluster => CLUSTER_REFERENCES.at([]),
        }
    }

    fn request(
        &self,
        cluster: &'static Call,
        node: &'static Call,
        guest: &'static GuestCall,
    ) -> Request {
        match self {
            Self::Guest(owner) => owner.request(guest),
            Self::Node(name) => node.at([name]),
            Self::Cluster => cluster.at([]),
        }
    }

    fn rule(
        &self,
        position: u32,
        cluster: &'static Call,
        node: &'static Call,
        guest: &'static GuestCall,
    ) -> Request {
        let position = position.to_string();
        match self {
            Self::Guest(owner) => owner.request_named(guest, [&position]),
            Self::Node(name) => node.at([name, &position]),
            Self::Cluster => cluster.at([&position]),
        }
    }
}
