//! What others on this machine can learn of this process.

use rustix::process::{Resource, Rlimit, setrlimit};

/// Sees to it that no core dump holds the token, and that only root can read
/// the process's memory and environment.
///
/// Where the system refuses, the program goes on: it has lost a precaution and
/// nothing else.
pub(crate) fn keep_private() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::debug!("core dumps cannot be turned off: {error}");
    }
    // The limit above holds for files; a kernel that pipes dumps to a program
    // asks for this.
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
            tracing::debug!("the process cannot be hidden from its own user: {error}");
        }
    }
}
