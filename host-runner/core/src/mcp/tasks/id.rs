//! The id of a task: a part that nobody can guess and, where a task of Proxmox VE was
//! running when it was given out, the tool that follows that task and its UPID:
//! `0123…cdef.wait_task.UPID:…`, with several clusters `0123…cdef.wait_task@NAME.UPID:…`. By these, a later process answers for the id as well.

use std::fmt::Write as _;

use host_runner_policy::Upid;

use crate::engine::ProxmoxTask;

/// 128 bits.
const SECRET_BYTES: usize = 16;
/// The longest id that this program gives out.
const MAX_ID_BYTES: usize = 640;

/// What an id of an earlier process says. Anybody may have written it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Earlier<'a> {
    /// The tool that follows the task.
    pub(super) tool: &'a str,
    /// The cluster of the task, where there are several.
    pub(super) cluster: Option<&'a str>,
    pub(super) upid: &'a str,
}

/// A new id. None if the system has no random numbers.
pub(super) fn new(task: Option<&ProxmoxTask>, cluster: Option<&str>) -> Option<String> {
    let mut secret = [0; SECRET_BYTES];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(&mut secret).ok()?;
    let mut id = String::new();
    for byte in secret {
        let _ = write!(id, "{byte:02x}");
    }
    let of = cluster.map(|name| format!("@{name}")).unwrap_or_default();
    let follows = task.map(|task| format!("{id}.{}{of}.{}", task.followed_by, task.upid));
    Some(follows.filter(|long| earlier(long).is_some()).unwrap_or(id))
}

/// What an id says of the task that it is about.
pub(super) fn earlier(id: &str) -> Option<Earlier<'_>> {
    if id.len() > MAX_ID_BYTES {
        return None;
    }
    let mut parts = id.splitn(3, '.');
    let (secret, tool, upid) = (parts.next()?, parts.next()?, parts.next()?);
    let is_secret =
        secret.len() == 2 * SECRET_BYTES && secret.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (tool, cluster) = match tool.split_once('@') {
        Some((tool, cluster)) => (tool, Some(cluster)),
        None => (tool, None),
    };
    let is_cluster = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_cluster = cluster.is_none_or(|name| !name.is_empty() && name.bytes().all(is_cluster));
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_tool = !tool.is_empty() && tool.bytes().all(is_name);
    let is_upid = upid.parse::<Upid>().is_ok();
    (is_secret && is_tool && is_cluster && is_upid).then_some(Earlier {
        tool,
        cluster,
        upid,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_PVE1: &str = "UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:a.b@pam!full:";

    fn task(upid: &str) -> ProxmoxTask {
        ProxmoxTask {
            upid: upid.to_owned(),
            followed_by: "wait_task".to_owned(),
            stopped_by: "stop_task".to_owned(),
        }
    }

    #[test]
    fn an_id_says_which_task_it_is_about() {
        let id = new(Some(&task(OF_PVE1)), None).unwrap();
        let expected = Earlier {
            tool: "wait_task",
            cluster: None,
            upid: OF_PVE1,
        };
        assert_eq!(earlier(&id), Some(expected));
        let of_paris = new(Some(&task(OF_PVE1)), Some("paris-1")).unwrap();
        let earlier_of_paris = earlier(&of_paris).unwrap();
        assert_eq!(earlier_of_paris.tool, "wait_task");
        assert_eq!(earlier_of_paris.cluster, Some("paris-1"));
        let plain = new(None, None).unwrap();
        assert_eq!(earlier(&plain), None);
        assert_eq!(plain.len(), 32);
        assert_ne!(new(None, None), new(None, None));
        // The names of users of a realm such as LDAP are not only ASCII.
        let of_ldap = "UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:LAB\\o'n\u{e9}@ldap:";
        let id = new(Some(&task(of_ldap)), None).unwrap();
        assert_eq!(earlier(&id).map(|earlier| earlier.upid), Some(of_ldap));
    }

    #[test]
    fn what_is_not_an_upid_is_in_no_id() {
        let long = OF_PVE1.replace("100", &"x".repeat(MAX_ID_BYTES));
        let two_lines = OF_PVE1.replace("100", "10\n0");
        for upid in ["", "100", "UPID:", &two_lines, &long] {
            assert_eq!(new(Some(&task(upid)), None).unwrap().len(), 32, "{upid}");
        }
    }

    #[test]
    fn what_this_program_does_not_write_is_refused() {
        let secret = "0123456789abcdef0123456789abcdef";
        assert!(earlier(&format!("{secret}.wait_task.{OF_PVE1}")).is_some());
        for id in [
            String::new(),
            secret.to_owned(),
            format!("{secret}.wait_task"),
            format!("{secret}..{OF_PVE1}"),
            format!("{secret}.wait_task@.{OF_PVE1}"),
            format!("{secret}.wait_task@a b.{OF_PVE1}"),
            format!("{secret}.@paris.{OF_PVE1}"),
            format!("{secret}.wait task.{OF_PVE1}"),
            format!("{secret}x.wait_task.{OF_PVE1}"),
            format!("{secret}.wait_task."),
            format!("{secret}.wait_task.100"),
            format!(".wait_task.{OF_PVE1}"),
        ] {
            assert_eq!(earlier(&id), None, "{id}");
        }
    }
}
