//! A node that did not answer the node that was asked.

use crate::error::Error;
use crate::pve::failure::response::ErrorResponse;
use crate::pve::unknown_node::{self, Known};

pub(super) fn explain(response: &ErrorResponse, said: &str) -> Option<Error> {
    if !response.is_node_away() && response.status != 596 {
        return None;
    }
    let name = response.asked.request.node().unwrap_or("in question");
    let says = |words: &str| response.says(words);
    if says("hostname lookup '") || says("no such cluster node") {
        return Some(unknown_node::error(name, Known::Said(said)));
    }
    if says("broken pipe") && response.asked.request.asks_agent() {
        return Some(Error::Conflict(format!(
            "the service on node {name} closed the connection ({said}), which is what Proxmox does \
             if the guest's agent cannot start a program: give its full path, and check that it \
             exists and is executable"
        )));
    }
    Some(Error::Unreachable(if says("certificate") {
        format!(
            "the node that was asked does not trust node {name} ({said}): its name has to be exact \
             (case matters), and its certificate valid; pvecm updatecerts on {name} renews it"
        )
    } else if says("broken pipe") {
        format!(
            "the service on node {name} closed the connection before it answered {} ({said}): look \
             at the node's syslog",
            response.asked.request
        )
    } else if says("connection refused") {
        format!(
            "the API service of node {name} refused the connection ({said}): pveproxy or pvedaemon \
             is stopped or restarting there; try again, and look at the node's services"
        )
    } else if says("timed out") || says("timeout") {
        format!(
            "node {name} did not answer in time ({said}): it is offline, cut off or overloaded; look \
             at the cluster's status"
        )
    } else {
        format!(
            "node {name} did not answer the node that was asked ({said}): it is offline or cut off; \
             look at the cluster's status"
        )
    }))
}
