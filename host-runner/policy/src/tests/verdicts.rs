//! The table of (policy, request) → verdict, and what holds for any request.

use proptest::prelude::*;

use super::*;

/// For observe, operate, admin, and admin with --read-only: `a` allowed, `-`
/// refused by what the policy allows, `B` built in, `?` not in the table, `S`
/// not understood.
#[rustfmt::skip]
const TABLE: &[(&str, &str, &str, &str)] = &[
    // reads
    ("GET", "/version", "", "aaaa"),
    ("GET", "/nodes", "", "aaaa"),
    ("GET", "/cluster/resources?type=vm", "", "aaaa"),
    ("GET", "/cluster/status", "", "aaaa"),
    ("GET", "/cluster/tasks", "", "aaaa"),
    ("GET", "/cluster/log?max=50", "", "aaaa"),
    ("GET", "/cluster/nextid", "", "aaaa"),
    ("GET", "/access/permissions", "", "aaaa"),
    ("GET", "/nodes/pve1/status", "", "aaaa"),
    ("GET", "/nodes/pve1/tasks/UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:root@pam!full:/log?limit=12", "", "aaaa"),
    ("GET", "/nodes/pve1/storage/local/content?content=iso", "", "aaaa"),
    ("GET", "/nodes/pve1/tasks/UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:EXAMPLE%5Cann@ldap:/status", "", "aaaa"),
    ("GET", "/nodes/pve1/tasks/UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:%C3%BC.o%27neill@sso!a:/status", "", "aaaa"),
    ("GET", "/nodes/pve1/tasks/UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:a%2Fb@pam:/status", "", "SSSS"),
    ("GET", "/nodes/pve1/tasks/UPID:pve1:0000011D:000BED85:6B02AFAA:qm%5Cstart:100:a@pam:/status", "", "SSSS"),
    ("GET", "/nodes/pve1/tasks/UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:a%20b@pam:/status", "", "SSSS"),
    ("GET", "/nodes/pve1/query-url-metadata?url=https%3A%2F%2Fexample.com%2Fa.iso", "", "-aa-"),
    ("GET", "/nodes/pve1/query-url-metadata?url=http%3A%2F%2F169.254.169.254%2Flatest", "", "BBBB"),
    ("GET", "/nodes/pve1/query-url-metadata?url=http%3A%2F%2F%5B%3A%3Affff%3A127.0.0.1%5D%3A8006%2F", "", "BBBB"),
    ("GET", "/nodes/pve1/query-url-metadata?url=http%3A%2F%2F0x7f.1%2F", "", "BBBB"),
    ("GET", "/nodes/pve1/query-url-metadata?url=file%3A%2F%2F%2Fetc%2Fpasswd", "", "????"),
    ("GET", "/nodes/localhost/status", "", "????"),
    ("GET", "/nodes/pve1.example.com/status", "", "????"),
    ("GET", "/nodes/pve1/qemu/100/config?snapshot=before", "", "aaaa"),
    ("GET", "/nodes/pve1/qemu/100/config?snapshot=before%00", "", "????"),
    ("GET", "/nodes/pve1/qemu/100/config?other=1", "", "????"),
    ("GET", "/nodes/pve1/tasks?statusfilter=error,unknown&source=archive&limit=5", "", "aaaa"),
    ("GET", "/nodes/pve1/tasks?start=100&limit=50", "", "aaaa"),
    ("GET", "/nodes/pve1/tasks?statusfilter=error%0Aok", "", "????"),
    ("GET", "/cluster/nextid?vmid=100", "", "????"),
    ("GET", "/nodes/pve1/qemu/100/config", "", "aaaa"),
    ("GET", "/nodes/pve1/lxc/200/interfaces", "", "aaaa"),
    ("GET", "/nodes/pve1/qemu/100/firewall/rules", "", "aaaa"),
    ("GET", "/nodes/pve1/qemu/100/agent/network-get-interfaces", "", "aaaa"),
    ("GET", "/nodes/pve1/time", "", "aaaa"),
    ("GET", "/nodes/pve1/syslog?limit=10", "", "aaaa"),
    ("GET", "/cluster/ha/resources", "", "aaaa"),
    ("GET", "/access/users?full=1", "", "aaaa"),
    ("GET", "/access/users?enabled=1", "", "????"),
    ("GET", "/access/users/a@pve/token", "", "????"),
    ("GET", "/access/acl", "", "aaaa"),
    ("GET", "/access/roles", "", "aaaa"),
    ("GET", "/cluster/backup", "", "aaaa"),
    ("GET", "/cluster/backup/nightly/included_volumes", "", "aaaa"),
    ("GET", "/cluster/backup/nightly%2F..%2Fx/included_volumes", "", "SSSS"),
    ("GET", "/cluster/ha/rules", "", "aaaa"),
    ("GET", "/cluster/sdn/vnets", "", "aaaa"),
    ("GET", "/cluster/sdn/vnets?running=1", "", "????"),
    ("GET", "/storage", "", "aaaa"),
    ("GET", "/storage/nas", "", "????"),
    ("GET", "/nodes/pve1/services", "", "aaaa"),
    ("GET", "/nodes/pve1/disks/list", "", "aaaa"),
    ("GET", "/nodes/pve1/disks/smart?disk=%2Fdev%2Fsda", "", "aaaa"),
    ("GET", "/nodes/pve1/disks/smart?disk=%2Fdev%2Fsda%20x", "", "????"),
    ("GET", "/nodes/pve1/disks/zfs", "", "aaaa"),
    ("GET", "/nodes/pve1/disks/zfs/tank", "", "aaaa"),
    ("DELETE", "/nodes/pve1/disks/zfs/tank", "", "BBBB"),
    ("GET", "/nodes/pve1/disks/lvmthin", "", "aaaa"),
    ("GET", "/nodes/pve1/ceph/status", "", "aaaa"),
    ("GET", "/nodes/pve1/certificates/info", "", "aaaa"),
    ("GET", "/nodes/pve1/subscription", "", "aaaa"),
    ("GET", "/nodes/pve1/apt/update", "", "aaaa"),
    ("POST", "/nodes/pve1/apt/update", "", "BBBB"),
    ("GET", "/nodes/pve1/apt/versions", "", "aaaa"),
    ("GET", "/nodes/pve1/rrddata?timeframe=hour", "", "aaaa"),
    ("GET", "/nodes/pve1/rrddata?timeframe=year", "", "????"),
    ("GET", "/nodes/pve1/qemu/100/agent/get-osinfo", "", "aaaa"),
    ("GET", "/nodes/pve1/qemu/100/agent/get-fsinfo", "", "aaaa"),
    ("GET", "/nodes/pve1/qemu/100/agent/get-users", "", "aaaa"),
    ("GET", "/nodes/pve1/qemu/100/agent/file-read?file=%2Fetc%2Fpasswd", "", "????"),
    ("GET", "/pools", "", "aaaa"),
    ("GET", "/pools?poolid=prod", "", "????"),
    ("GET", "/pools/prod", "", "????"),
    // power
    ("POST", "/nodes/pve1/qemu/100/status/start", "", "-aa-"),
    ("POST", "/nodes/pve1/qemu/100/status/shutdown", "timeout=60", "-aa-"),
    ("POST", "/nodes/pve1/qemu/100/status/shutdown", "timeout=60&forceStop=0", "-aa-"),
    ("POST", "/nodes/pve1/qemu/100/status/shutdown", "forceStop=1", "--a-"),
    ("POST", "/nodes/pve1/lxc/200/status/shutdown", "forceStop=yes", "--a-"),
    ("POST", "/nodes/pve1/lxc/200/status/shutdown", "forceStop=maybe", "????"),
    ("POST", "/nodes/pve1/qemu/100/status/shutdown", "timeout=0", "--a-"),
    ("POST", "/nodes/pve1/qemu/100/status/shutdown", "timeout=00", "????"),
    ("POST", "/nodes/pve1/qemu/100/status/shutdown", "timeout=-1", "????"),
    ("POST", "/nodes/pve1/qemu/101/status/shutdown", "timeout=60", "--a-"),
    ("POST", "/nodes/pve1/qemu/999/status/shutdown", "timeout=60", "--a-"),
    ("POST", "/nodes/pve1/lxc/200/status/reboot", "", "-aa-"),
    ("POST", "/nodes/pve1/lxc/200/status/reboot", "timeout=60", "-aa-"),
    ("POST", "/nodes/pve1/lxc/200/status/reboot", "timeout=5", "--a-"),
    ("POST", "/nodes/pve1/qemu/100/status/reboot", "timeout=5", "-aa-"),
    ("POST", "/nodes/pve1/qemu/100/status/reboot", "", "-aa-"),
    ("POST", "/nodes/pve1/qemu/100/status/suspend", "todisk=1", "-aa-"),
    ("POST", "/nodes/pve1/qemu/100/status/stop", "", "--a-"),
    ("POST", "/nodes/pve1/qemu/100/status/reset", "", "--a-"),
    ("POST", "/nodes/pve1/lxc/200/status/stop", "", "--a-"),
    ("POST", "/nodes/pve1/lxc/200/status/reset", "", "????"),
    ("POST", "/nodes/pve1/qemu/100/status/start", "skiplock=1", "BBBB"),
    ("POST", "/nodes/pve1/qemu/100/status/start", "machine=pc", "????"),
    ("POST", "/nodes/pve1/qemu/100/status/current", "", "????"),
    ("PUT", "/nodes/pve1/qemu/100/status/start", "", "????"),
    ("GET", "/nodes/pve1/qemu/100/status/start", "", "????"),
    // making guests
    ("POST", "/nodes/pve1/qemu/9000/clone", "newid=105&name=web02&full=1", "-aa-"),
    ("POST", "/nodes/pve1/lxc/9001/clone", "newid=105&hostname=ct02", "-aa-"),
    ("POST", "/nodes/pve1/qemu/9000/clone", "newid=5", "????"),
    ("POST", "/nodes/pve1/qemu", "vmid=105&archive=local%3Abackup%2Fa.vma.zst&unique=1", "-aa-"),
    ("POST", "/nodes/pve1/qemu", "vmid=100&archive=local%3Abackup%2Fa.vma.zst&force=1", "BBBB"),
    ("POST", "/nodes/pve1/qemu", "vmid=105&scsi0=local%3A8", "????"),
    ("POST", "/nodes/pve1/qemu", "vmid=105&args=-device%20x", "BBBB"),
    ("POST", "/nodes/pve1/qemu", "vmid=105", "????"),
    ("POST", "/nodes/pve1/qemu", "vmid=105&archive=%2Fvar%2Fa.vma", "????"),
    ("POST", "/nodes/pve1/qemu", "vmid=105&archive=local%3Abackup%2F..%2Fa.vma", "????"),
    ("POST", "/nodes/pve1/qemu", "vmid=105&archive=local%3Abackup%2Fa.vma.zst&start=1", "????"),
    ("POST", "/nodes/pve1/lxc", "vmid=105&ostemplate=local%3Avztmpl%2Fa.tar.zst", "BBBB"),
    ("POST", "/nodes/pve1/lxc", "vmid=105&ostemplate=local%3Abackup%2Fa.tar.zst&restore=1", "-aa-"),
    ("POST", "/nodes/pve1/lxc", "vmid=105&ostemplate=local%3Abackup%2Fa.tar.zst&restore=1&force=1", "BBBB"),
    ("POST", "/nodes/pve1/qemu/100/template", "", "--B-"),
    ("POST", "/nodes/pve1/qemu", "vmid=105&memory=512&cores=1&scsi0=local%3A8&net0=virtio%2Cbridge%3Dvmbr0", "-aa-"),
    ("POST", "/nodes/pve1/qemu", "vmid=105&memory=512&cores=1&scsi0=local%3A0%2Cimport-from%3Dlocal%3Aimport%2Fa.raw&ide2=local%3Acloudinit", "-aa-"),
    ("POST", "/nodes/pve1/qemu", "vmid=105&memory=512&cores=1&scsi0=local%3A100%2Fvm-100-disk-0.qcow2", "????"),
    ("POST", "/nodes/pve1/qemu", "vmid=105&memory=512&cores=1&scsi0=local%3A0%2Cimport-from%3Dlocal%3A100%2Fvm-100-disk-0.raw", "????"),
    ("POST", "/nodes/pve1/qemu", "vmid=105&memory=512&cores=1&scsi0=%2Fdev%2Fsda", "????"),
    ("POST", "/nodes/pve1/qemu", "vmid=105&memory=512&cores=1&cipassword=x", "????"),
    ("POST", "/nodes/pve1/qemu", "vmid=105&memory=512&cores=1&start=1", "????"),
    ("POST", "/nodes/pve1/qemu", "vmid=105&memory=512&cores=1&hostpci0=01%3A00", "????"),
    ("POST", "/nodes/pve1/qemu", "vmid=100&memory=512&cores=1&force=1", "BBBB"),
    ("POST", "/nodes/pve1/lxc", "unprivileged=1&vmid=105&ostemplate=local%3Avztmpl%2Fa.tar.zst&rootfs=local%3A8&memory=512&cores=1", "-aa-"),
    ("POST", "/nodes/pve1/lxc", "unprivileged=0&vmid=105&ostemplate=local%3Avztmpl%2Fa.tar.zst&rootfs=local%3A8&memory=512&cores=1", "BBBB"),
    ("POST", "/nodes/pve1/lxc", "unprivileged=1&vmid=105&ostemplate=local%3Avztmpl%2Fa.tar.zst&memory=512&cores=1", "????"),
    ("POST", "/nodes/pve1/lxc", "unprivileged=1&vmid=105&ostemplate=local%3Avztmpl%2Fa.tar.zst&rootfs=%2Fsrv&memory=512&cores=1", "????"),
    ("POST", "/nodes/pve1/lxc", "unprivileged=1&vmid=105&ostemplate=local%3Avztmpl%2Fa.tar.zst&rootfs=local%3A8&memory=512&cores=1&features=keyctl%3D1", "????"),
    // configuration
    ("PUT", "/nodes/pve1/qemu/100/config", "cores=4&memory=4096&digest=aa", "-aa-"),
    ("PUT", "/nodes/pve1/lxc/200/config", "swap=0", "-aa-"),
    ("PUT", "/nodes/pve1/qemu/100/config", "tags=a%3Bb", "-aa-"),
    ("POST", "/nodes/pve1/qemu/100/config", "tags=a%3Bb", "????"),
    ("POST", "/nodes/pve1/lxc/200/config", "tags=a", "????"),
    ("PUT", "/nodes/pve1/qemu/100/config", "ciuser=debian&sshkeys=ssh-ed25519%2520AAAA&ipconfig0=ip%3Ddhcp", "-aa-"),
    ("PUT", "/nodes/pve1/qemu/100/config", "delete=description%2Ctags", "-aa-"),
    ("PUT", "/nodes/pve1/qemu/100/config", "delete=scsi0", "BBBB"),
    ("PUT", "/nodes/pve1/qemu/100/config", "delete=description%2Cunused0", "BBBB"),
    ("PUT", "/nodes/pve1/qemu/100/config", "delete=description%20unused0", "BBBB"),
    ("PUT", "/nodes/pve1/qemu/100/config", "delete=description%00unused0", "BBBB"),
    ("PUT", "/nodes/pve1/qemu/100/config", "delete=description&delete=unused0", "BBBB"),
    ("PUT", "/nodes/pve1/qemu/100/config", "delete=net0", "????"),
    ("PUT", "/nodes/pve1/lxc/200/config", "delete=mp0", "BBBB"),
    ("PUT", "/nodes/pve1/qemu/100/config", "scsi0=none", "BBBB"),
    ("PUT", "/nodes/pve1/qemu/100/config", "scsi1=local%3A101%2Fvm-101-disk-0.qcow2", "BBBB"),
    ("PUT", "/nodes/pve1/qemu/100/config", "ide2=local%3Aiso%2Fa.iso%2Cmedia%3Dcdrom", "BBBB"),
    ("PUT", "/nodes/pve1/qemu/100/config", "args=-monitor%20tcp", "BBBB"),
    ("PUT", "/nodes/pve1/qemu/100/config", "hookscript=local%3Asnippets%2Fx.sh", "BBBB"),
    ("PUT", "/nodes/pve1/qemu/100/config", "hostpci0=01%3A00", "????"),
    ("PUT", "/nodes/pve1/qemu/100/config", "net0=virtio%2Cbridge%3Dvmbr0", "????"),
    ("PUT", "/nodes/pve1/qemu/100/config", "net0=virtio%2Cbridge%3Dvmbr0&digest=aa", "-aa-"),
    ("PUT", "/nodes/pve1/qemu/100/config", "net0=virtio&digest=aa", "????"),
    ("PUT", "/nodes/pve1/lxc/200/config", "net0=name%3Deth0%2Cbridge%3Dvmbr0%2Cip%3Ddhcp&digest=aa", "-aa-"),
    ("PUT", "/nodes/pve1/qemu/100/config", "agent=1&digest=aa", "-aa-"),
    ("PUT", "/nodes/pve1/qemu/100/config", "agent=1", "????"),
    ("PUT", "/nodes/pve1/qemu/100/config", "delete=agent&digest=aa", "????"),
    // The guest's configuration decides, which is not known here.
    ("PUT", "/nodes/pve1/qemu/100/config", "scsi5=local%3A8&digest=aa", "-BB-"),
    ("PUT", "/nodes/pve1/qemu/100/config", "ide2=local%3Aiso%2Fa.iso%2Cmedia%3Dcdrom&digest=aa", "-BB-"),
    ("PUT", "/nodes/pve1/lxc/200/config", "mp5=local%3A8%2Cmp%3D%2Fsrv&digest=aa", "-BB-"),
    // In a directory of the system, whatever the container has.
    ("PUT", "/nodes/pve1/lxc/200/config", "mp5=local%3A8%2Cmp%3D%2Fetc&digest=aa", "BBBB"),
    ("POST", "/nodes/pve1/qemu/100/move_disk", "disk=scsi0&storage=bulk&digest=aa", "-BB-"),
    ("POST", "/nodes/pve1/lxc/200/move_volume", "volume=rootfs&storage=bulk&digest=aa", "-BB-"),
    ("PUT", "/nodes/pve1/qemu/100/config", "cores=4&skiplock=1", "BBBB"),
    ("PUT", "/nodes/pve1/qemu/100/config", "cores=4&force=1", "BBBB"),
    ("PUT", "/nodes/pve1/qemu/100/config", "cicustom=user%3Dlocal%3Asnippets%2Fx", "????"),
    ("PUT", "/nodes/pve1/qemu/100/cloudinit", "", "-aa-"),
    ("PUT", "/nodes/pve1/qemu/100/resize", "disk=scsi0&size=%2B1G", "-aa-"),
    ("PUT", "/nodes/pve1/qemu/100/unlink", "idlist=scsi0", "BBBB"),
    ("PUT", "/nodes/pve1/qemu/100/unlink", "idlist=scsi0&force=1", "BBBB"),
    ("POST", "/nodes/pve1/qemu/100/move_disk", "disk=scsi0&storage=bulk&delete=1", "BBBB"),
    ("POST", "/nodes/pve1/qemu/100/move_disk", "disk=scsi0&storage=bulk", "????"),
    ("POST", "/nodes/pve1/lxc/200/move_volume", "volume=rootfs&storage=bulk&delete=1", "BBBB"),
    ("DELETE", "/nodes/pve1/storage/nas/prunebackups", "", "BBBB"),
    ("DELETE", "/nodes/pve1/ceph/pool/x", "", "BBBB"),
    // migration, snapshots, backups
    ("POST", "/nodes/pve1/qemu/100/migrate", "target=pve2&online=1", "-aa-"),
    ("POST", "/nodes/pve1/qemu/100/migrate", "target=pve2&force=1", "BBBB"),
    ("POST", "/nodes/pve1/qemu/100/migrate", "target=localhost", "????"),
    ("POST", "/nodes/pve1/qemu/100/migrate", "target=pve2&targetstorage=local%3Abulk,tank%3Alocal", "-aa-"),
    ("POST", "/nodes/pve1/qemu/100/migrate", "target=pve2&targetstorage=local%3Abulk%09tank%3Alocal", "????"),
    ("POST", "/nodes/pve1/qemu/100/migrate", "target=pve2&targetstorage=local%3Abulk%C2%A0tank%3Alocal", "????"),
    ("POST", "/nodes/pve1/qemu/100/migrate", "target=pve2&targetstorage=local%3Abulk%E3%80%80tank%3Alocal", "????"),
    ("POST", "/nodes/pve1/qemu/100/migrate", "target=pve2&targetstorage=local%00tank", "????"),
    ("POST", "/nodes/pve1/qemu/100/migrate", "online=1", "????"),
    ("POST", "/nodes/pve1/lxc/200/migrate", "target=pve2&restart=1", "-aa-"),
    ("POST", "/nodes/pve1/qemu/100/remote_migrate", "target-vmid=1", "BBBB"),
    ("POST", "/nodes/pve1/qemu/100/snapshot", "snapname=a1&vmstate=1", "-aa-"),
    ("DELETE", "/nodes/pve1/qemu/100/snapshot/a1", "", "-aa-"),
    ("DELETE", "/nodes/pve1/qemu/100/snapshot/a1?force=1", "", "BBBB"),
    ("POST", "/nodes/pve1/qemu/100/snapshot/a1/rollback", "start=1", "--a-"),
    ("POST", "/nodes/pve1/vzdump", "vmid=100&storage=nas&mode=snapshot&compress=zstd&remove=0", "-aa-"),
    ("POST", "/nodes/pve1/vzdump", "vmid=100&storage=nas&mode=snapshot&compress=zstd", "BBBB"),
    ("POST", "/nodes/pve1/vzdump", "vmid=100&storage=nas&remove=0", "????"),
    ("POST", "/nodes/pve1/vzdump", "storage=nas&remove=0&mode=snapshot", "????"),
    ("POST", "/nodes/pve1/vzdump", "vmid=100&remove=0&mode=stop&stop=1", "????"),
    ("POST", "/nodes/pve1/vzdump", "vmid=100&remove=0&mode=snapshot&prune-backups=keep-last%3D1", "BBBB"),
    ("POST", "/nodes/pve1/vzdump", "all=1&storage=nas", "????"),
    ("POST", "/nodes/pve1/vzdump", "vmid=100&script=%2Fx", "BBBB"),
    ("POST", "/nodes/pve1/vzdump", "vmid=100&remove=1", "BBBB"),
    // backup jobs, which keep all backups
    ("POST", "/cluster/backup", "schedule=daily&storage=nas&mode=snapshot&vmid=100%2C101&prune-backups=keep-all%3D1", "-aa-"),
    ("POST", "/cluster/backup", "schedule=sat%2003%3A15&storage=nas&mode=stop&all=1&prune-backups=keep-all%3D1&enabled=0&id=nightly", "-aa-"),
    ("POST", "/cluster/backup", "schedule=daily&storage=nas&mode=snapshot&pool=lab&prune-backups=keep-all%3D1&comment=a%20b&notes-template=%7B%7Bguestname%7D%7D", "-aa-"),
    ("POST", "/cluster/backup", "schedule=daily&storage=nas&mode=snapshot&all=1", "BBBB"),
    ("POST", "/cluster/backup", "schedule=daily&storage=nas&mode=snapshot&all=1&prune-backups=keep-last%3D3", "BBBB"),
    ("POST", "/cluster/backup", "schedule=daily&storage=nas&mode=snapshot&all=1&prune-backups=keep-all%3D1%2Ckeep-last%3D3", "BBBB"),
    ("POST", "/cluster/backup", "schedule=daily&storage=nas&mode=snapshot&all=1&prune-backups=keep-all%3D0", "BBBB"),
    ("POST", "/cluster/backup", "schedule=daily&storage=nas&mode=snapshot&all=1&prune-backups=keep-all%3D1%20", "BBBB"),
    ("POST", "/cluster/backup", "schedule=daily&storage=nas&mode=snapshot&all=1&prune-backups=0", "BBBB"),
    ("POST", "/cluster/backup", "schedule=daily&storage=nas&mode=snapshot&all=1&prune-backups=keep-all%3D1&prune-backups=keep-last%3D1", "BBBB"),
    ("POST", "/cluster/backup", "schedule=daily&storage=nas&mode=snapshot&all=1&prune-backups=keep-all%3D1&remove=1", "BBBB"),
    ("POST", "/cluster/backup", "schedule=daily&storage=nas&mode=snapshot&all=1&prune-backups=keep-all%3D1&maxfiles=1", "BBBB"),
    ("POST", "/cluster/backup", "schedule=daily&storage=nas&mode=snapshot&all=1&prune-backups=keep-all%3D1&script=%2Fx", "BBBB"),
    ("POST", "/cluster/backup", "schedule=daily&mode=snapshot&all=1&prune-backups=keep-all%3D1", "????"),
    ("POST", "/cluster/backup", "schedule=daily%0Adump&storage=nas&mode=snapshot&all=1&prune-backups=keep-all%3D1", "????"),
    ("POST", "/cluster/backup", "schedule=daily&storage=nas&mode=snapshot&all=1&prune-backups=keep-all%3D1&stop=1", "????"),
    ("PUT", "/cluster/backup/nightly", "vmid=100%2C101&prune-backups=keep-all%3D1", "--a-"),
    ("PUT", "/cluster/backup/0f0dfb98-3f0f-4d29-9dd5-20987202aae7", "delete=exclude&prune-backups=keep-all%3D1", "--a-"),
    ("PUT", "/cluster/backup/nightly", "enabled=0&comment=off&mode=snapshot", "--a-"),
    ("PUT", "/cluster/backup/nightly", "comment=off", "-aa-"),
    ("PUT", "/cluster/backup/nightly", "schedule=yearly&prune-backups=keep-all%3D1", "--a-"),
    ("PUT", "/cluster/backup/nightly", "schedule=*%2F5&prune-backups=keep-all%3D1", "????"),
    ("POST", "/cluster/backup", "schedule=*%3A0%2F15&storage=nas&mode=snapshot&all=1&prune-backups=keep-all%3D1", "????"),
    ("PUT", "/cluster/backup/nightly", "enabled=1", "BBBB"),
    ("PUT", "/cluster/backup/nightly", "schedule=hourly", "BBBB"),
    ("PUT", "/cluster/backup/nightly", "storage=local", "BBBB"),
    ("PUT", "/cluster/backup/nightly", "vmid=100", "BBBB"),
    ("PUT", "/cluster/backup/nightly", "delete=prune-backups", "BBBB"),
    ("PUT", "/cluster/backup/nightly", "delete=prune-backups&prune-backups=keep-all%3D1", "????"),
    ("PUT", "/cluster/backup/nightly", "comment=a&prune-backups=keep-daily%3D7", "BBBB"),
    ("DELETE", "/cluster/backup/nightly", "", "BBBB"),
    ("POST", "/cluster/backup/nightly", "prune-backups=keep-all%3D1", "BBBB"),
    // high availability
    ("POST", "/cluster/ha/resources", "sid=vm%3A100&state=started&max_restart=2", "--a-"),
    ("POST", "/cluster/ha/resources", "sid=ct%3A200&state=stopped", "--a-"),
    ("POST", "/cluster/ha/resources", "sid=100&state=started", "????"),
    ("POST", "/cluster/ha/resources", "sid=vm%3A100&state=disabled", "????"),
    ("POST", "/cluster/ha/resources", "sid=vm%3A100&state=started&group=a1", "????"),
    ("PUT", "/cluster/ha/resources/vm:100", "state=ignored&failback=0&comment=x&digest=aa", "--a-"),
    ("PUT", "/cluster/ha/resources/vm:100", "state=disabled&digest=aa", "--a-"),
    ("PUT", "/cluster/ha/resources/vm:100", "delete=state", "????"),
    ("PUT", "/cluster/ha/resources/100", "state=ignored", "????"),
    ("DELETE", "/cluster/ha/resources/vm:100?purge=1", "", "BBBB"),
    ("POST", "/cluster/ha/resources/vm:100/migrate", "node=pve2", "BBBB"),
    ("POST", "/cluster/ha/rules", "rule=a1&type=node-affinity&resources=vm%3A100&nodes=pve1", "BBBB"),
    // firewall
    ("POST", "/nodes/pve1/qemu/100/firewall/rules", "type=in&action=ACCEPT&enable=1", "-aa-"),
    ("PUT", "/nodes/pve1/qemu/100/firewall/rules/0", "enable=0&digest=aa", "-aa-"),
    ("DELETE", "/nodes/pve1/qemu/100/firewall/rules/0?digest=aa", "", "--a-"),
    ("POST", "/nodes/pve1/qemu/100/firewall/rules", "type=in&action=ACCEPT&comment=a%20caf%C3%A9", "-aa-"),
    ("POST", "/nodes/pve1/qemu/100/firewall/rules", "type=in&action=ACCEPT&comment=a%0A%5BOPTIONS%5D%0Aenable%3A%200", "????"),
    ("PUT", "/cluster/firewall/rules/0", "comment=a%0Db", "????"),
    ("PUT", "/cluster/firewall/rules/0", "comment=a%E2%80%A8b", "????"),
    ("PUT", "/cluster/firewall/rules/0", "delete=source%09type", "????"),
    ("PUT", "/nodes/pve1/firewall/options", "protection_synflood=1&nf_conntrack_max=32768", "-aa-"),
    ("PUT", "/cluster/firewall/options", "nftables=1", "????"),
    ("PUT", "/nodes/pve1/qemu/100/firewall/options", "enable=1", "-aa-"),
    ("PUT", "/cluster/firewall/options", "enable=1", "-aa-"),
    ("DELETE", "/cluster/firewall/groups/web", "", "????"),
    // images, tasks, agent
    ("POST", "/nodes/pve1/storage/local/download-url", "content=iso&filename=a.iso&url=https%3A%2F%2Fexample.com", "-aa-"),
    ("POST", "/nodes/pve1/aplinfo", "storage=local&template=a.tar.zst", "-aa-"),
    ("POST", "/nodes/pve1/storage/local/upload", "content=iso", "????"),
    ("DELETE", "/nodes/pve1/tasks/UPID:pve1:0000011D:000BED85:6B02AFAA:a:1:b@pam:", "", "-aa-"),
    ("POST", "/nodes/pve1/qemu/100/agent/exec", "command=ls&command=-l", "--a-"),
    ("GET", "/nodes/pve1/qemu/100/agent/exec-status?pid=1", "", "--a-"),
    ("POST", "/nodes/pve1/qemu/100/agent/file-write", "file=%2Fetc%2Fpasswd&content=x", "????"),
    ("GET", "/nodes/pve1/qemu/100/agent/file-read?file=%2Fetc%2Fshadow", "", "????"),
    ("POST", "/nodes/pve1/qemu/100/agent/set-user-password", "username=root&password=x", "????"),
    // what nobody may
    ("DELETE", "/nodes/pve1/qemu/100", "", "BBBB"),
    ("DELETE", "/nodes/pve1/qemu/100?purge=1", "", "BBBB"),
    ("DELETE", "/nodes/pve1/lxc/200", "", "BBBB"),
    ("DELETE", "/nodes/pve1/lxc/%32%30%30", "", "BBBB"),
    ("DELETE", "/storage/local", "", "BBBB"),
    ("DELETE", "/nodes/pve1/storage/local/content/local:100", "", "BBBB"),
    ("DELETE", "/pools/prod", "", "BBBB"),
    ("DELETE", "/cluster/ha/resources/vm:100", "", "BBBB"),
    ("POST", "/access/users", "userid=x@pve", "BBBB"),
    ("PUT", "/access/acl", "path=%2F&roles=Administrator", "BBBB"),
    ("PUT", "/access/password", "userid=x", "BBBB"),
    ("GET", "/access/ticket", "", "BBBB"),
    ("POST", "/access/users/root@pam/token/x", "", "BBBB"),
    ("GET", "/access/users", "", "aaaa"),
    ("POST", "/nodes/pve1/execute", "commands=x", "BBBB"),
    ("POST", "/nodes/pve1/termproxy", "", "BBBB"),
    ("POST", "/nodes/pve1/vncshell", "", "BBBB"),
    ("POST", "/nodes/pve1/spiceshell", "", "BBBB"),
    ("GET", "/nodes/pve1/vncwebsocket?port=5900", "", "BBBB"),
    ("POST", "/nodes/pve1/status", "command=shutdown", "BBBB"),
    ("PUT", "/nodes/pve1/disks/wipedisk", "disk=%2Fdev%2Fsda", "BBBB"),
    ("POST", "/nodes/pve1/qemu/100/monitor", "command=quit", "BBBB"),
    // not in the table
    ("GET", "/nodes/pve1/report", "", "????"),
    ("POST", "/cluster/backup", "vmid=100", "BBBB"),
    ("POST", "/nodes/pve1/stopall", "", "BBBB"),
    ("POST", "/cluster/bulk-action/guest/shutdown", "", "BBBB"),
    ("DELETE", "/cluster/replication/100-0", "", "BBBB"),
    ("POST", "/nodes/pve1/replication/100-0/schedule_now", "", "BBBB"),
    ("DELETE", "/cluster/config/nodes/pve2", "", "BBBB"),
    ("POST", "/nodes/pve1/services/pveproxy/stop", "", "BBBB"),
    ("PUT", "/nodes/pve1/network", "", "BBBB"),
    ("POST", "/cluster/ha/resources", "sid=vm%3A100", "????"),
    ("PUT", "/pools", "poolid=lab&vms=100", "BBBB"),
    ("POST", "/storage", "storage=x&type=dir", "BBBB"),
    ("PUT", "/cluster/options", "max_workers=1", "BBBB"),
    ("GET", "/nodes/pve1/qemu/100/config/x", "", "????"),
    ("GET", "/nodes/pve1/qemu/abc/config", "", "????"),
    ("GET", "/nodes/pve1/qemu/0100/config", "", "????"),
    ("PUT", "/nodes/pve1/qemu/100/config", "cores=1&cores=2", "????"),
    // not understood
    ("get", "/version", "", "SSSS"),
    ("PATCH", "/version", "", "SSSS"),
    ("GET", "", "", "SSSS"),
    ("GET", "/", "", "SSSS"),
    ("GET", "//version", "", "SSSS"),
    ("GET", "/nodes/", "", "SSSS"),
    ("GET", "/nodes/./status", "", "SSSS"),
    ("GET", "/nodes/../access/users", "", "SSSS"),
    ("GET", "/nodes/%2e%2e/status", "", "SSSS"),
    ("GET", "/nodes/%2E/status", "", "SSSS"),
    ("GET", "/nodes/pve1%2Fqemu/status", "", "SSSS"),
    ("GET", "/nodes/pve1%5cqemu/status", "", "SSSS"),
    ("GET", "/nodes/pve1%252f/status", "", "SSSS"),
    ("GET", "/nodes/pve1%25/status", "", "SSSS"),
    ("GET", "/nodes/pve1%/status", "", "SSSS"),
    ("GET", "/nodes/pve1%0d%0aHost:x/status", "", "SSSS"),
    ("GET", "/nodes/pve1%00/status", "", "SSSS"),
    ("GET", "/nodes/pve1%09/status", "", "SSSS"),
    ("GET", "/nodes/pve1;x/status", "", "SSSS"),
    ("GET", "/nodes/pve1%3Bx/status", "", "SSSS"),
    ("GET", "/nodes/pve1#x/status", "", "SSSS"),
    ("GET", "/nodes/pve1%23/status", "", "SSSS"),
    ("GET", "/nodes/pve1%3Fx/status", "", "SSSS"),
    ("GET", "/nodes/pv\u{e9}1/status", "", "SSSS"),
    ("GET", "/nodes/pv%C3%A9/status", "", "SSSS"),
    ("GET", "/nodes/pv%FF/status", "", "SSSS"),
    ("GET", "/cluster/resources?type=vm;x=1", "", "SSSS"),
    ("GET", "/cluster/resources?type", "", "SSSS"),
    ("GET", "/cluster/resources?type=a=b", "", "SSSS"),
    ("GET", "/cluster/resources?ty%00pe=a", "", "SSSS"),
    ("GET", "/version", "a=b", "SSSS"),
    ("DELETE", "/nodes/pve1/tasks/x", "a=b", "SSSS"),
    ("POST", "/nodes/pve1/qemu/100/status/start?skiplock=1", "", "SSSS"),
    ("POST", "/nodes/pve1/qemu/100/status/start", "skiplock", "SSSS"),
    ("POST", "/nodes/pve1/qemu/100/status/start", "a=1;skiplock=1", "SSSS"),
    ("POST", "/nodes/pve1/qemu/100/status/start", "a=b=c", "SSSS"),
    ("POST", "/nodes/pve1/qemu/100/status/start", "a=%zz", "SSSS"),
    ("POST", "/nodes/pve1/qemu/100/status/start", "{\"skiplock\":1}", "SSSS"),
];

#[test]
fn every_verdict_of_the_table() {
    let mut read_only = Policy::preset(Preset::Admin);
    read_only.read_only = true;
    let policies = [
        ("observe", Policy::preset(Preset::Observe)),
        ("operate", Policy::preset(Preset::Operate)),
        ("admin", Policy::preset(Preset::Admin)),
        ("read-only", read_only),
    ];
    let mut cases = 0;
    for (method, path, body, expected) in TABLE {
        for ((name, policy), expected) in policies.iter().zip(expected.chars()) {
            let verdict = decide(policy, method, path, body);
            let wanted: &[&str] = match expected {
                'a' => &["actions"],
                '-' => &["actions", "read-only"],
                'B' => &["built-in"],
                // --read-only looks at the method first.
                '?' => &["unknown-call", "read-only"],
                _ => &["request-shape"],
            };
            let case = format!("{name}: {method} {path} {body}: {verdict:?}");
            assert_eq!(verdict.allowed, expected == 'a', "{case}");
            assert!(wanted.contains(&verdict.rule.name()), "{case}");
            cases += 1;
        }
    }
    assert!(cases >= 300, "{cases} cases");
}

/// All that no policy can allow.
fn forbidden() -> Vec<(&'static str, &'static str, &'static str)> {
    TABLE
        .iter()
        .filter(|(.., expected)| *expected == "BBBB")
        .map(|(method, path, body, _)| (*method, *path, *body))
        .collect()
}

/// Any way to write a segment: some characters escaped, in either case.
fn encodings(segment: &'static str) -> impl Strategy<Value = String> {
    prop::collection::vec(0..3u8, segment.len()).prop_map(move |choices| {
        segment
            .bytes()
            .zip(choices)
            .map(|(byte, choice)| match choice {
                0 => char::from(byte).to_string(),
                1 => format!("%{byte:02x}"),
                _ => format!("%{byte:02X}"),
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn no_encoding_of_what_is_forbidden_is_allowed(
        (method, path, body) in prop::sample::select(forbidden()),
        choices in prop::collection::vec(0..4u8, 1..80),
        tail in prop::sample::select(vec!["", "", "", "/", "//", "/.", "/..", "%2f", "%5c", "%00", "%20", ";x", "#x"]),
    ) {
        let mut policy = Policy::preset(Preset::Admin);
        policy.allow = vec!["* /**".parse().unwrap()];
        let (plain, query) = path.split_once('?').unwrap_or((path, ""));
        let mut target = String::new();
        for (byte, choice) in plain.bytes().zip(choices.iter().cycle()) {
            match choice {
                1 if byte != b'/' => target.push_str(&format!("%{byte:02x}")),
                2 if byte != b'/' => target.push_str(&format!("%{byte:02X}")),
                // What is encoded twice is decoded twice by some.
                3 if byte != b'/' && choices.len() % 7 == 0 => target.push_str(&format!("%25{byte:02x}")),
                _ => target.push(char::from(byte)),
            }
        }
        target.push_str(tail);
        if !query.is_empty() {
            target.push_str(&format!("?{query}"));
        }
        let verdict = decide(&policy, method, &target, body);
        prop_assert!(!verdict.allowed, "{} {} {}: {:?}", method, target, body, verdict);
    }

    #[test]
    fn no_encoding_of_a_deletion_is_allowed(
        nodes in encodings("nodes"), node in encodings("pve1"), kind in encodings("qemu"), vmid in encodings("100"),
        tail in prop::sample::select(vec!["", "?purge=1", "/", "//", "/.", "/%2e", "?", "#", "%00", "%20", "/..", ";x"]),
    ) {
        let mut policy = Policy::preset(Preset::Admin);
        policy.allow = vec!["* /**".parse().unwrap()];
        let path = format!("/{nodes}/{node}/{kind}/{vmid}{tail}");
        prop_assert!(!decide(&policy, "DELETE", &path, "").allowed);
    }

    #[test]
    fn no_spelling_of_a_disk_removal_is_allowed(
        key in encodings("delete"), disk in encodings("unused0"),
        before in prop::sample::select(vec!["", "description%2C", "tags%20", "%20", "%2C%2C", "tags%3B", "tags%0A", "tags%09"]),
    ) {
        let mut policy = Policy::preset(Preset::Admin);
        policy.allow = vec!["* /**".parse().unwrap()];
        let body = format!("{key}={before}{disk}");
        prop_assert!(!decide(&policy, "PUT", "/nodes/pve1/qemu/100/config", &body).allowed);
    }

    /// A job that a request makes or changes keeps all backups afterwards, or the
    /// request has no part in what the job deletes.
    #[test]
    fn no_request_lets_a_backup_job_delete_more(
        (method, path, base) in prop::sample::select(vec![
            ("POST", "/cluster/backup", "schedule=daily&storage=nas&mode=snapshot&all=1"),
            ("PUT", "/cluster/backup/nightly", "vmid=100"),
            ("PUT", "/cluster/backup/nightly", ""),
            ("DELETE", "/cluster/backup/nightly", ""),
        ]),
        more in prop::collection::vec((
            prop::sample::select(vec![
                "prune-backups", "prune-backups", "Prune-Backups", "remove", "maxfiles", "enabled", "storage",
                "schedule", "vmid", "exclude", "pool", "delete", "mode", "comment", "protected", "repeat-missed", "starttime",
            ]),
            prop::sample::select(vec![
                "keep-all=1", "keep-all=1", "keep-all=0", "keep-all=1,keep-last=1", "keep-last=1", "keep-last=0", " keep-all=1",
                "keep-all=1\0", "keep-all=1;keep-last=1", "0", "1", "off", "on", "100", "prune-backups", "exclude", "nas",
                "hourly", "snapshot", "",
            ]),
        ), 0..5),
    ) {
        let mut policy = Policy::preset(Preset::Admin);
        policy.allow = vec!["* /**".parse().unwrap()];
        let form = url::form_urlencoded::Serializer::new(base.to_owned()).extend_pairs(&more).finish();
        let verdict = decide(&policy, method, path, &form);
        if verdict.allowed {
            let retention: Vec<&str> = more.iter().filter(|(name, _)| *name == "prune-backups").map(|(_, value)| *value).collect();
            let has_no_part = base.is_empty() && more.iter().all(|(name, value)| {
                matches!(*name, "comment" | "mode") || *name == "enabled" && matches!(*value, "0" | "off")
            });
            prop_assert!(retention == ["keep-all=1"] || has_no_part, "{} {} {}", method, path, form);
            for name in ["remove", "maxfiles", "protected", "repeat-missed", "starttime"] {
                prop_assert!(more.iter().all(|(other, _)| *other != name), "{}", form);
            }
            prop_assert!(!more.contains(&("delete", "prune-backups")), "{}", form);
            prop_assert_ne!(method, "DELETE");
        }
        // The request is refused for its retention alone, or would be allowed.
        let kept = decide(&policy, "POST", "/cluster/backup", "schedule=daily&storage=nas&mode=snapshot&all=1&prune-backups=keep-all%3D1");
        prop_assert!(kept.allowed);
    }

    #[test]
    fn any_request_gets_a_verdict(
        method in "[A-Z]{3,6}", target in any::<String>(), body in any::<String>(), path in "(/[a-z0-9%.;:]{0,6}){0,6}",
    ) {
        let policy = Policy::preset(Preset::Operate);
        let _ = policy.decide(request(&method, &target, &body).as_ref(), &directory());
        let _ = decide(&policy, &method, &path, &body);
    }

    #[test]
    fn what_is_read_is_what_a_form_reader_reads(pairs in prop::collection::vec(("[a-z][a-z0-9_-]{0,8}", any::<String>()), 0..5)) {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
        let read = request("POST", "/api2/json/nodes", &form).unwrap();
        prop_assert_eq!(read.params, pairs);
    }
}
