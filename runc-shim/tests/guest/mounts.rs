//! Mounts: what their options promise.

use serde_json::{Value, json};

use crate::case::Case;

fn bind(source: &str, options: &[&str]) -> Value {
    json!({"destination": "/data", "type": "bind", "source": source, "options": options})
}

const RUN: &str = "runc-shim --root /run/state run --bundle . $1; echo rc=$?";

/// A mount with another one below it.
const NESTED: &str = "mkdir -p /tmp/r; mount -t tmpfs outer /tmp/r; mkdir /tmp/r/sub; mount -t tmpfs inner /tmp/r/sub";

pub(crate) fn all() -> Vec<Case> {
    let copy_up = json!({"destination": "/data", "type": "tmpfs", "source": "t", "options": ["tmpcopyup", "size=256k"]});
    vec![
        Case::new("tmpcopyup", "cat /data/f /data/d/g /data/link; stat -c '%a %u:%g %n' /data /data/d /data/suid; readlink /data/out; echo x > /data/new; touch /x")
            .with("/root", json!({"path": "/tmp/root", "readonly": true}))
            .with("/mounts/-", copy_up)
            .script(&format!(
                "cp -a /rootfs /tmp/root; cd /tmp/root/data; mkdir -m 750 d; echo of f > f; echo of g > d/g; ln -s f link; ln -s /etc/hosts out
                cp /rootfs/bin/busybox suid 2>/dev/null; : > suid; chown 3:4 suid; chown 3:0 d; chmod 4751 suid; chmod 1777 .; cd - > /dev/null; {RUN}; ls /tmp/root/data | tr '\\n' ' '; echo; rm -rf /tmp/root"))
            .says("of f")
            .says("of g")
            .says("1777 0:0 /data")
            .says("750 3:0 /data/d")
            .says("4751 3:4 /data/suid")
            .says("/etc/hosts")
            .says("touch: /x: Read-only file system")
            .says("d f link out suid "),
        Case::new("bind-read-only-and-what-is-below", "touch /data/x; touch /data/sub/x && echo below")
            .with("/mounts/-", bind("/tmp/r", &["rbind", "ro"]))
            .script(&format!("{NESTED}; {RUN}; umount /tmp/r/sub; umount /tmp/r; rmdir /tmp/r"))
            .says("touch: /data/x: Read-only file system")
            .says("below"),
        Case::new("bind-all-read-only", "touch /data/x; touch /data/sub/x; grep ' /data' /proc/self/mounts")
            .with("/mounts/-", bind("/tmp/r", &["rbind", "rro", "rnosuid", "rnodev", "rnoexec", "rnoatime"]))
            .script(&format!("{NESTED}; {RUN}; grep -c '/tmp/r.* ro' /proc/mounts; umount /tmp/r/sub; umount /tmp/r; rmdir /tmp/r"))
            .says("touch: /data/x: Read-only file system")
            .says("touch: /data/sub/x: Read-only file system")
            .says("outer /data tmpfs ro,nosuid,nodev,noexec,noatime,inode64 0 0")
            .says("inner /data/sub tmpfs ro,nosuid,nodev,noexec,noatime,inode64 0 0")
            .says("0"),
        locked(),
        Case::new("remount", "grep -e ' /data ' -e ' /proc ' /proc/self/mounts; touch /data/x")
            .with("/mounts/-", json!({"destination": "/data", "type": "tmpfs", "source": "mine", "options": ["nosuid", "nodev", "noexec", "noatime", "size=64k"]}))
            .with("/mounts/-", json!({"destination": "/data", "type": "tmpfs", "source": "ignored", "options": ["remount", "ro", "nodev", "size=128k"]}))
            .with("/mounts/-", json!({"destination": "/proc", "type": "bind", "source": "/no/such", "options": ["bind", "remount", "ro", "nosuid", "nodev", "noexec"]}))
            .says("mine /data tmpfs ro,nodev,noatime,size=128k,mode=755,inode64 0 0")
            .says("proc /proc proc ro,nosuid,nodev,noexec,relatime 0 0")
            .says("touch: /data/x: Read-only file system"),
        // A mount of the host that others see too: its flags are the
        // container's business, the filesystem stays as it is.
        Case::new("remount-of-what-others-see", "touch /data/x; echo x > /dev/null; touch /dev/x")
            .with("/mounts/-", bind("/tmp/r", &["bind"]))
            .with("/mounts/-", json!({"destination": "/data", "options": ["remount", "ro"]}))
            .with("/mounts/-", json!({"destination": "/dev", "options": ["remount", "ro", "nosuid"]}))
            .script(&format!("mkdir -p /tmp/r; {RUN}; touch /tmp/r/y && echo writable; rm -r /tmp/r"))
            .says("touch: /data/x: Read-only file system")
            .says("touch: /dev/x: Read-only file system")
            .says("writable"),
        user_namespace(Case::new("remount-keeps-locked", "grep ' /data ' /proc/self/mounts")
            .with("/mounts/-", bind("/tmp/l", &["bind"]))
            .with("/mounts/-", json!({"destination": "/data", "options": ["remount", "rw", "suid", "exec", "nosymfollow"]}))
            .script(&format!("mkdir -p /tmp/l; mount -t tmpfs -o ro,nosuid,nodev,noexec locked /tmp/l; {RUN}; umount /tmp/l")))
            .says("locked /data tmpfs ro,nosuid,nodev,noexec,relatime,nosymfollow,inode64 0 0")
            .says("rc=0"),
        Case::new("remount-of-nothing", "echo never")
            .with("/mounts/-", json!({"destination": "/etc", "options": ["remount", "ro"]}))
            .says("runc-shim: run remount-of-nothing: remount /etc: Invalid argument (nothing is mounted there)")
            .says("rc=1")
            .never_says("never\n"),
        // The kernel of 6.1 knows no id-mapped tmpfs.
        mapped("id-mapped", &["bind"], true, "1005:1006"),
        mapped("id-mapped-as-the-container", &["bind", "idmap"], false, "5:6"),
        Case::new("root-propagation", "grep ' /rootfs / ' /proc/self/mountinfo | grep -o 'shared:\\|master:\\|unbindable' | tr '\\n' ' '; echo .")
            .with("/linux/rootfsPropagation", json!("@"))
            .script(
                "mkdir /tmp/b; for p in private rprivate slave rslave shared rshared unbindable runbindable; do
                sed s/@/$p/ config.json > /tmp/b/config.json; echo $p $(runc-shim --root /run/state run --bundle /tmp/b $1 2>&1); done")
            .says("private .")
            .says("rprivate .")
            .says("slave master: .")
            .says("rslave master: .")
            .says("shared shared: .")
            .says("rshared shared: .")
            .says("unbindable unbindable .")
            .says("runbindable unbindable ."),
        Case::new("no-mount-namespace", "echo process $$; ls -d /cases 2>/dev/null || echo own root; echo x > /made; ls /dev | tr '\\n' ' '; echo")
            .with("/linux/namespaces", json!([{"type": "pid"}]))
            .with("/mounts", json!([]))
            .with("/root", json!({"path": "/tmp/root"}))
            .script(&format!("cp -a /rootfs /tmp/root; before=$(cat /proc/mounts | wc -l); {RUN}; after=$(cat /proc/mounts | wc -l); [ $before = $after ] && echo same; cat /tmp/root/made; rm -rf /tmp/root"))
            .says("process 1")
            .says("own root")
            .says("fd full null ptmx random stderr stdin stdout tty urandom zero ")
            .says("rc=0")
            .says("same")
            .says("x"),
    ]
}

fn user_namespace(case: Case) -> Case {
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 1000}]);
    case.with(
        "/linux/namespaces",
        json!([{"type": "user"}, {"type": "mount"}, {"type": "pid"}]),
    )
    .with("/linux/uidMappings", map.clone())
    .with("/linux/gidMappings", map)
    .with("/mounts/3", json!({"destination": "/sys", "type": "bind", "source": "/sys", "options": ["rbind", "ro"]}))
}

/// In a user namespace the attributes of the source stay, whatever is asked.
fn locked() -> Case {
    let case = Case::new("bind-keeps-locked", "grep ' /data ' /proc/self/mounts")
        .with("/mounts/-", bind("/tmp/l", &["bind", "ro", "suid", "dev", "exec"]))
        .script(&format!(
            "mkdir -p /tmp/l; mount -t tmpfs -o nosuid,nodev,noexec,noatime locked /tmp/l; {RUN}; umount /tmp/l"
        ))
        .says("locked /data tmpfs ro,nosuid,nodev,noexec,noatime,inode64 0 0")
        .says("rc=0");
    user_namespace(case)
}

fn mapped(name: &'static str, options: &[&str], own: bool, seen: &str) -> Case {
    let mut mount = bind("/tmp/ids", options);
    let mut case = Case::new(name, "stat -c %u:%g /data/f");
    if own {
        let map = json!([{"containerID": 0, "hostID": 1000, "size": 100}]);
        mount["uidMappings"] = map.clone();
        mount["gidMappings"] = map;
    } else {
        case = user_namespace(case);
    }
    case.with("/mounts/-", mount)
        .script(&format!(
            "mkdir -p /tmp/ids; echo > /tmp/ids/f; chown 5:6 /tmp/ids/f; out=$(runc-shim --root /run/state run --bundle . $1 2>&1); echo \"$out\"
            case $(uname -r) in 6.1.*) want='map the ids of /tmp/ids: its filesystem cannot do that with this kernel';; *) want={seen};; esac
            case $out in *\"$want\") echo as wanted;; esac"
        ))
        .says("as wanted")
}
