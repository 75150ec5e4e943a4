//! Terminals: a person in front of one is `qemu-agent terminal`, who waits for
//! one at a console socket is `qemu-agent console`.

use serde_json::json;

use crate::case::Case;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = foreground();
    cases.extend(sockets());
    cases
}

/// A container whose program has a terminal.
fn with_terminal(name: &'static str, command: &str) -> Case {
    Case::new(name, command).with("/process/terminal", json!(true))
}

/// `run` and `exec` in front of a terminal of one's own.
fn foreground() -> Vec<Case> {
    vec![
        with_terminal(
            "terminal-run",
            "busybox tty; busybox stty size; echo ready; read x; echo got $x; readlink /proc/self/fd/2; sed 's/.*) //' /proc/$$/stat | { read s pp pg se tty rest; test $tty != 0 && echo controls; }; exit 5",
        )
        .script("qemu-agent terminal wait=ready 'type=hello\\n' -- runc-shim --root /run/state run --bundle . $1; ls /run/state")
        .says("/dev/pts/0")
        .says("24 80")
        .says("got hello")
        .says("controls")
        .says("exit status: 5")
        .says("terminal as it was")
        .never_says("terminal-run\n"),
        with_terminal(
            "terminal-resize",
            "trap 'busybox stty size; exit 0' WINCH; echo ready; while :; do usleep 20000; done",
        )
        .script("qemu-agent terminal wait=ready size=50x120 -- runc-shim --root /run/state run --bundle . $1")
        .says("50 120")
        .says("exit status: 0"),
        with_terminal(
            "terminal-interrupt",
            "trap 'echo; echo interrupted; exit 3' INT; echo ready; while :; do usleep 20000; done",
        )
        .script("qemu-agent terminal wait=ready 'type=^C' -- runc-shim --root /run/state run --bundle . $1")
        .says("interrupted")
        .says("exit status: 3"),
        // Everything that was written before the end arrives, though nobody
        // has a terminal of his own.
        with_terminal("terminal-in-a-pipe", "busybox seq 1 20000; echo last")
            .script("runc-shim --root /run/state run --bundle . $1 </dev/null | tr -d '\\r' | sha1sum; { busybox seq 1 20000; echo last; } | sha1sum; echo hello | runc-shim --root /run/state run --bundle . $1 | tail -1 | tr -d '\\r'")
            .says("a30edc52f4aaf695a27d3961713d350bfe16569a  -")
            .says("last"),
        with_terminal("terminal-exec", "")
            .with("/process/terminal", json!(false))
            .with("/process/args", json!(["/bin/sleep", "100"]))
            .script(
                "r='runc-shim --root /run/state'; $r run --detach --bundle . $1
                qemu-agent terminal wait=ready 'type=yes\\n' -- $r exec --tty --user 1000 $1 /bin/sh -c 'busybox tty; busybox stty size; echo ready; read x; echo got $x; echo to the tty > /dev/tty; exit 4'
                $r exec $1 /bin/sh -c 'busybox tty'; $r delete --force $1",
            )
            .says("/dev/pts/0")
            .says("24 80")
            .says("got yes")
            .says("to the tty")
            .says("exit status: 4")
            .says("not a tty"),
        with_terminal("terminal-without-devpts", "echo never")
            .with("/mounts/1", json!({"destination": "/dev/pts", "type": "tmpfs", "source": "tmpfs"}))
            .says("runc-shim: run terminal-without-devpts: open a terminal, on /dev/console too: No such file or directory (the container has no devpts at /dev/pts)")
            .says("rc=1")
            .never_says("never\n"),
    ]
}

/// Terminals that are handed over.
fn sockets() -> Vec<Case> {
    let listen = |steps: &str| {
        format!(
            "qemu-agent console /run/console {steps} & while [ ! -S /run/console ]; do usleep 10000; done"
        )
    };
    vec![
        with_terminal(
            "console-socket",
            "busybox tty; busybox stty size; echo by console > /dev/console; echo by tty > /dev/tty; echo ready; read x; echo got $x; id -u",
        )
        .with("/process/consoleSize", json!({"height": 33, "width": 111}))
        .with("/process/user", json!({"uid": 1000, "gid": 1000}))
        .script(&format!(
            "r='runc-shim --root /run/state'; {}
            $r create --bundle . --console-socket /run/console --pid-file /tmp/pid $1; echo created=$?
            $r start $1; echo started=$?; wait; $r delete --force $1; rm /run/console",
            listen("wait=ready 'type=hello\\n'")
        ))
        .says("received /dev/ptmx")
        .says("created=0")
        .says("started=0")
        .says("/dev/pts/0")
        .says("33 111")
        .says("by console")
        .says("by tty")
        .says("got hello")
        .says("1000"),
        with_terminal("console-socket-user-namespace", "busybox tty; echo ready; id -u; ls -n /dev/pts/0 | busybox awk '{print $3}'")
            .with("/linux/uidMappings", json!([{"containerID": 0, "hostID": 100_000, "size": 1000}]))
            .with("/linux/gidMappings", json!([{"containerID": 0, "hostID": 100_000, "size": 1000}]))
            .with("/mounts/3", json!({"destination": "/sys", "type": "bind", "source": "/sys", "options": ["rbind", "ro"]}))
            .namespace("user")
            .script(&format!(
                "{}; runc-shim --root /run/state run --detach --bundle . --console-socket /run/console $1; echo rc=$?; wait; runc-shim --root /run/state delete --force $1; rm /run/console",
                listen("wait=ready")
            ))
            .says("received /dev/ptmx")
            .says("/dev/pts/0")
            .says("0")
            .says("rc=0"),
        with_terminal("console-socket-exec", "")
            .with("/process/terminal", json!(false))
            .with("/process/args", json!(["/bin/sleep", "100"]))
            .script(&format!(
                "r='runc-shim --root /run/state'; $r run --detach --bundle . $1; {}
                echo '{{\"terminal\": true, \"consoleSize\": {{\"height\": 10, \"width\": 20}}, \"args\": [\"/bin/sh\", \"-c\", \"busybox stty size; echo ready; read x; echo got $x\"], \"env\": [\"PATH=/bin\"], \"cwd\": \"/\"}}' > /tmp/process
                $r exec --detach --process /tmp/process --console-socket /run/console --pid-file /tmp/pid $1; echo rc=$?; wait; $r delete --force $1; rm /run/console",
                listen("wait=ready 'type=hello\\n'")
            ))
            .says("10 20")
            .says("got hello")
            .says("rc=0"),
        with_terminal("terminal-refused", "true")
            .script(
                "r='runc-shim --root /run/state'; $r create --bundle . $1; $r run --detach --bundle . $1
                $r create --bundle . --console-socket /run/nobody $1; echo rc=$?; ls /run/state /sys/fs/cgroup | grep $1
                sed 's/\"terminal\":true/\"terminal\":false/' config.json > /tmp/config.json; $r create --bundle /tmp --console-socket /run/nobody $1",
            )
            .says("runc-shim: create terminal-refused: the process wants a terminal, so it needs --console-socket or a command that stays with it")
            .says("runc-shim: run terminal-refused: the process wants a terminal, so it needs --console-socket or a command that stays with it")
            .says("runc-shim: create terminal-refused: connect to the console socket /run/nobody: No such file or directory")
            .says("runc-shim: create terminal-refused: --console-socket is given, and the process wants no terminal")
            .never_says("terminal-refused\n"),
    ]
}
