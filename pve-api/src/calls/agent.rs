//! The QEMU guest agent.

use super::common::AGENT_UNRESTRICTED;
use crate::action::Action;
use crate::call::{Call, get, opt, post};
use crate::grammar::Grammar as G;

const AUDIT: &str = "VM.GuestAgent.Audit or VM.GuestAgent.Unrestricted on /vms/{vmid}";

calls! {
    /// The interfaces of a running VM.
    INTERFACES = get(qemu!("/agent/network-get-interfaces"), AUDIT).by_agent();
    /// Its operating system.
    SYSTEM = get(qemu!("/agent/get-osinfo"), AUDIT).by_agent();
    /// Its own name.
    HOST_NAME = get(qemu!("/agent/get-host-name"), AUDIT).by_agent();
    /// Its time zone.
    TIME_ZONE = get(qemu!("/agent/get-timezone"), AUDIT).by_agent();
    /// Who is logged in.
    LOGINS = get(qemu!("/agent/get-users"), AUDIT).by_agent();
    /// Its mounted filesystems, with how full each is.
    FILESYSTEMS = get(qemu!("/agent/get-fsinfo"), AUDIT).by_agent();
    /// Starts a command inside a VM. `command` may be given more than once: the
    /// program and its arguments.
    EXEC = post(qemu!("/agent/exec"), Action::GuestExec, AGENT_UNRESTRICTED)
        .by_agent()
        .takes(&[opt("command", G::Anything), opt("input-data", G::Anything)]);
    /// What such a command has printed. It answers once only after the command
    /// has ended.
    EXEC_STATUS = get(qemu!("/agent/exec-status"), AGENT_UNRESTRICTED).by_agent()
        .is(Action::GuestExec)
        .takes(&[opt("pid", G::Int(0, 4_294_967_295))]);
}
