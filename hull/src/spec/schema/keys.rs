//! The table of keys: what each is called, is for, and may be.

use super::{Key, Shape};
use Shape::{Flag, List, Map, Number, OneOf, Text, TextMap, Whole, Word};

const fn key(name: &'static str, shape: Shape, what: &'static str) -> Key {
    Key {
        name,
        shape,
        what,
        default: "",
        example: "",
        required: false,
    }
}

impl Key {
    const fn default(self, default: &'static str) -> Self {
        Self { default, ..self }
    }

    const fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    const fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }
}

const TEXTS: Shape = List(&Text);
const ID: Shape = OneOf(&[Whole, Text]);
const TIME: &str = "A time: a whole number and a unit (200ms, 10s, 5m, 1h).";
const SECURITY: Shape = Word(&["default", "linuxkit", "strict"]);

/// The top of a file.
pub(super) const TOP: &[Key] = &[
    key("kernel", Map(KERNEL), "The kernel, and where it comes from.")
        .example("{image: 'hullkit/kernel:6.12', cmdline: console=ttyS0}"),
    key(
        "init",
        TEXTS,
        "Images that are unpacked into the root, in order. LinuxKit's own init, runc and containerd are left out: ours take their place.",
    )
    .default("our init alone")
    .example("['linuxkit/init:v1']"),
    key(
        "onboot",
        List(&Shape::Entry),
        "Containers that run one after another at boot, each to its end.",
    )
    .example("[{name: dhcp, image: hullkit/dhcp}]"),
    key(
        "onshutdown",
        List(&Shape::Entry),
        "Containers that run one after another on the way down, each to its end.",
    )
    .example("[{name: bye, image: busybox, command: [echo, bye]}]"),
    key(
        "services",
        List(&Shape::Entry),
        "Containers that run at the same time, supervised. Their names are unique.",
    )
    .example("[{name: redis, image: 'redis:7'}]"),
    key("files", List(&Map(FILE)), "Files, folders and links in the root.")
        .example("[{path: etc/motd, contents: hello, mode: '0644'}]"),
    key(
        "volumes",
        List(&Map(VOLUME)),
        "Folders that containers share, and that outlive them until the machine stops.",
    )
    .example("[{name: data}]"),
    key(
        "security",
        SECURITY,
        "How entries are confined that do not say: linuxkit is LinuxKit's result, field for field; strict adds user, ipc and uts namespaces and a read-only root.",
    )
    .default("default")
    .example("strict"),
    key(
        "log",
        Map(LOG_FOLDER),
        "Where the logs of all entries are kept on a disk as well.",
    )
    .default("in memory only")
    .example("{path: /var/log/, maxSize: 10M}"),
    key(
        "trust",
        Map(TRUST),
        "Passed over, as in LinuxKit today: `--policy FILE` says which images are taken.",
    )
    .example("{org: [linuxkit]}"),
];

const TRUST: &[Key] = &[
    key("image", TEXTS, "Images whose signatures were checked."),
    key(
        "org",
        TEXTS,
        "Organisations whose images' signatures were checked.",
    ),
];

const KERNEL: &[Key] = &[
    key("image", Text, "The image that holds the kernel. Without one no kernel is built."),
    key("cmdline", Text, "The kernel's command line."),
    key("binary", Text, "The kernel's path in the image.").default("kernel"),
    key(
        "tar",
        Text,
        "The path in the image of a tar that is unpacked into the root (modules); \"\" or none: there is none.",
    )
    .default("kernel.tar"),
    key("ucode", Text, "The path in the image of a cpio that is put before the initrd (microcode)."),
];

const FILE: &[Key] = &[
    key("path", Text, "Where it goes in the image.").required(),
    key("contents", Text, "The file's text."),
    key(
        "source",
        Text,
        "A file of the building machine that is copied; ~/ is the home folder.",
    ),
    key("optional", Flag, "Leave it out when source cannot be read.").default("false"),
    key("symlink", Text, "Where the link points."),
    key("directory", Flag, "It is a folder.").default("false"),
    key(
        "metadata",
        Word(&["yaml", "json"]),
        "The file holds the build files themselves, as one.",
    ),
    key("mode", Text, "Permission bits: octal, in quotes.")
        .default("\"0600\", of folders \"0700\""),
    key("uid", ID, "Owner: a number, root, or the name of an entry.").default("0"),
    key("gid", ID, "Group: a number, root, or the name of an entry.").default("0"),
];

const VOLUME: &[Key] = &[
    key("name", Text, "Its name: a-z, 0-9, _ and -; unique.").required(),
    key("image", Text, "What is in it. Without one it is empty."),
    key("readonly", Flag, "It may only be bound with the option ro.").default("false"),
    key(
        "format",
        Word(&["filesystem", "oci"]),
        "filesystem: the image unpacked; oci: an OCI image layout.",
    )
    .default("filesystem"),
    key(
        "platforms",
        TEXTS,
        "With format oci: which of the image's platforms.",
    )
    .default("the build's"),
];

/// What stands in every entry.
pub(super) const NAMED: &[Key] = &[
    key("name", Text, "Its name: letters, digits, _, . and -.").required(),
    key(
        "image",
        Text,
        "The image: a name (redis:7), oci:DIR[:TAG], docker-archive:FILE, dir:DIR, or @pkg:DIR, the image that the package folder DIR makes.",
    )
    .required(),
];

/// LinuxKit's keys of an entry; also those of the label
/// `org.mobyproject.config`.
pub(super) const CONTAINER: &[Key] = &[
    key("command", TEXTS, "The program and its arguments.")
        .default("the image's Entrypoint and Cmd")
        .example("[/bin/sh, -c, date]"),
    key("env", TEXTS, "The environment: NAME=value.")
        .default("the image's Env")
        .example("[PATH=/bin]"),
    key("cwd", Text, "The working directory.")
        .default("the image's WorkingDir, else /")
        .example("/srv"),
    key("uid", ID, "The user: a number, root, or the name of an entry (each has an id of its own).")
        .default("0; the image's User is not used")
        .example("1000"),
    key("gid", ID, "The group: a number, root, or the name of an entry.")
        .default("0")
        .example("1000"),
    key("additionalGids", List(&ID), "Further groups.").example("[20, c]"),
    key(
        "capabilities",
        TEXTS,
        "What it may do as root: capabilities by name (CAP_NET_ADMIN), or [all], or [none].",
    )
    .default("the label's, else none")
    .example("[CAP_CHOWN]"),
    key(
        "capabilities.add",
        TEXTS,
        "Capabilities put behind the label's. Means nothing beside capabilities.",
    )
    .example("[CAP_CHOWN]"),
    key(
        "ambient",
        TEXTS,
        "Capabilities that a program keeps which does not run as root, in the same words.",
    )
    .example("[CAP_NET_BIND_SERVICE]"),
    key(
        "noNewPrivileges",
        Flag,
        "Setuid programs and file capabilities gain nothing.",
    )
    .default("true; with security: linuxkit false")
    .example("false"),
    key(
        "rlimits",
        TEXTS,
        "Limits of the process: \"NAME,SOFT,HARD\"; a limit may be unlimited.",
    )
    .example("['nofile,1024,unlimited']"),
    key(
        "oomScoreAdj",
        Whole,
        "How gladly the kernel ends it when memory runs out: -1000 (never) to 1000.",
    )
    .example("-500"),
    key(
        "readonly",
        Flag,
        "The root cannot be written to. Else it is an overlay on a tmpfs, and writes are gone at the next boot.",
    )
    .default("false")
    .example("true"),
    key("hostname", Text, "Its host name. Brings a uts namespace of its own.").example("web"),
    key(
        "tmpfs",
        TEXTS,
        "Empty file systems in memory: \"DESTINATION[:OPTION,…]\".",
    )
    .example("['/tmp:size=64m']"),
    key(
        "binds",
        TEXTS,
        "Bind mounts: \"SOURCE:DESTINATION[:OPTION,…]\". Without options rw,rbind,rshared, with options these and rbind. A source without / at its front is a volume.",
    )
    .example("['/var/lib/x:/data']"),
    key(
        "binds.add",
        TEXTS,
        "Bind mounts put behind the label's. Means nothing beside binds.",
    )
    .example("['/etc/x:/etc/x:ro']"),
    key(
        "mounts",
        List(&Map(MOUNT)),
        "Mounts of any type, as in the OCI specification. At one destination a mount counts before a bind, a bind before a tmpfs.",
    )
    .example("[{type: tmpfs, destination: /x, options: [ro]}]"),
    key(
        "devices",
        List(&Map(DEVICE)),
        "Device nodes, with the right to use them; path: all with a type is the right to use all of that type.",
    )
    .example("[{path: /dev/fuse, type: c, major: 10, minor: 229, mode: '0666'}]"),
    key(
        "net",
        Text,
        "The network namespace: host or root, new or none, or the path of one.",
    )
    .default("host")
    .example("new"),
    key("ipc", Text, "The ipc namespace: host or root, new, or the path of one.")
        .default("host")
        .example("new"),
    key("uts", Text, "The uts namespace: host or root, new, or the path of one.")
        .default("host")
        .example("new"),
    key("pid", Text, "The pid namespace: host or root, new, or the path of one.")
        .default("new")
        .example("host"),
    key(
        "userns",
        Text,
        "The user namespace: host or root, new (with uidMappings and gidMappings), or the path of one.",
    )
    .default("host")
    .example("host"),
    key(
        "uidMappings",
        List(&Map(MAPPING)),
        "Which users inside are which outside, in a new user namespace.",
    )
    .example("[{containerID: 0, hostID: 100000, size: 65536}]"),
    key(
        "gidMappings",
        List(&Map(MAPPING)),
        "Which groups inside are which outside, in a new user namespace.",
    )
    .example("[{containerID: 0, hostID: 100000, size: 65536}]"),
    key("maskedPaths", TEXTS, "Paths that are hidden from it.")
        .default("see security")
        .example("[/proc/kcore]"),
    key("readonlyPaths", TEXTS, "Paths that it cannot write to.")
        .default("see security")
        .example("[/proc/sys]"),
    key(
        "sysctl",
        TextMap,
        "Kernel parameters of namespaces that are its own; values in quotes.",
    )
    .example("{net.ipv4.ip_forward: '1'}"),
    key("annotations", TextMap, "Written into config.json.").example("{org.example.a: b}"),
    key(
        "resources",
        Shape::Resources,
        "Limits of its cgroup, as linux.resources in the OCI specification.",
    )
    .example("{memory: {limit: 67108864}, pids: {limit: 100}}"),
    key("cgroupsPath", Text, "Its cgroup.")
        .default("/hullkit/SECTION/BUNDLE")
        .example("/x"),
    key(
        "rootfsPropagation",
        Word(&[
            "", "private", "rprivate", "rshared", "rslave", "runbindable", "shared", "slave",
            "unbindable",
        ]),
        "How mounts below its root spread.",
    )
    .example("rslave"),
    key(
        "runtime",
        Map(RUNTIME),
        "What PID 1 does around the container. Each key by itself is the YAML's, else the label's.",
    )
    .example("{mkdir: [/var/lib/x]}"),
];

const MOUNT: &[Key] = &[
    key(
        "destination",
        Text,
        "Where. proc, devpts, sysfs, cgroup and mqueue know theirs.",
    ),
    key(
        "type",
        Text,
        "The type. May be left out for the sources cgroup, devpts, mqueue, proc, sysfs and for the destination /dev.",
    ),
    key("source", Text, "What is mounted.").default("the type"),
    key("options", TEXTS, "Mount options."),
    key(
        "uidmappings",
        List(&Map(MAPPING)),
        "Taken as LinuxKit takes it: of no effect there, refused here.",
    ),
    key(
        "gidmappings",
        List(&Map(MAPPING)),
        "Taken as LinuxKit takes it: of no effect there, refused here.",
    ),
];

const DEVICE: &[Key] = &[
    key(
        "path",
        Text,
        "Where the node is made; all: no node, the right alone.",
    ),
    key("type", Text, "b, c, p or u; with path: all also a."),
    key("major", Whole, "The major number.").default("0"),
    key("minor", Whole, "The minor number.").default("0"),
    key(
        "mode",
        Text,
        "Permission bits: octal, in quotes. Needed for a node.",
    ),
];

const MAPPING: &[Key] = &[
    key("containerID", Whole, "The first id inside.").default("0"),
    key("hostID", Whole, "The first id outside.").default("0"),
    key("size", Whole, "How many.").default("0"),
];

const RUNTIME: &[Key] = &[
    key("cgroups", TEXTS, "Cgroups made before it."),
    key(
        "mounts",
        List(&Map(MOUNT)),
        "Mounted before it, outside it; a relative destination is below its root.",
    ),
    key(
        "mkdir",
        TEXTS,
        "Folders made after these mounts; a relative one is below its root.",
    ),
    key(
        "interfaces",
        List(&Map(INTERFACE)),
        "Network interfaces made for it, or moved to it.",
    ),
    key(
        "bindNS",
        Map(BIND_NS),
        "Paths where its namespaces are kept.",
    ),
    key("namespace", Text, "containerd's: read, told of, not used."),
];

const INTERFACE: &[Key] = &[
    key(
        "name",
        Text,
        "Its name in the container. Alone: the interface that is moved.",
    ),
    key(
        "add",
        Text,
        "The link type to create: dummy, bridge, veth, wireguard, …",
    ),
    key(
        "peer",
        Text,
        "A veth whose other end, of this name, stays outside.",
    ),
    key(
        "createInRoot",
        Flag,
        "It is created outside, then moved (WireGuard).",
    )
    .default("false"),
];

const BIND_NS: &[Key] = &[
    key("cgroup", Text, "Of the cgroup namespace."),
    key("ipc", Text, "Of the ipc namespace."),
    key("mnt", Text, "Of the mount namespace."),
    key("net", Text, "Of the network namespace."),
    key("pid", Text, "Of the pid namespace."),
    key("user", Text, "Of the user namespace."),
    key("uts", Text, "Of the uts namespace."),
];

/// Our own keys of an entry; also those of the label `org.hullkit.config`.
pub(super) const SUPERVISE: &[Key] = &[
    key(
        "restart",
        Word(&["always", "on-failure", "never"]),
        "When it is started again after its end; on-failure: after a signal or a code other than 0.",
    )
    .default("always")
    .example("never"),
    key("backoff", Map(BACKOFF), "The pause before it is started again.")
        .example("{initial: 1s, max: 1m}"),
    key(
        "after",
        TEXTS,
        "Services that are started, and ready, before it.",
    )
    .example("[]"),
    key(
        "requires",
        TEXTS,
        "The same, and it is not started unless they run and are ready.",
    )
    .example("[]"),
    key(
        "stopSignal",
        OneOf(&[Text, Whole]),
        "The signal that asks it to stop: a name (SIGINT, SIGRTMIN+3) or a number.",
    )
    .default("the image's StopSignal, else SIGTERM")
    .example("SIGINT"),
    key(
        "stopTimeout",
        Text,
        "The time after the stop signal until all that is in its cgroup is killed.",
    )
    .default("10s")
    .example("1m"),
    key("timeout", Text, "It is killed when it takes longer.")
        .default("none; of onshutdown 90s")
        .example("30s"),
    key(
        "onFailure",
        Word(&["continue", "stop", "reboot", "poweroff"]),
        "What its failure means; stop: no further entry and, at boot, no service.",
    )
    .default("continue")
    .example("stop"),
    key(
        "ready",
        OneOf(&[Word(&["notify"]), Map(READY)]),
        "When it counts as ready, which is what after and requires wait for.",
    )
    .default("when it runs")
    .example("notify"),
    key(
        "health",
        OneOf(&[Word(&["none"]), Map(HEALTH)]),
        "A check that is made again and again; none: no check.",
    )
    .default("the image's HEALTHCHECK")
    .example("{tcp: 80, interval: 10s}"),
    key(
        "watchdog",
        Text,
        "It must say WATCHDOG=1 (sd_notify) within this time, again and again.",
    )
    .default("none")
    .example("30s"),
    key(
        "sockets",
        List(&Map(SOCKET)),
        "Sockets that PID 1 opens for it, which outlive its restarts.",
    )
    .default("none")
    .example("[{listenStream: 80, name: http}]"),
    key(
        "lazy",
        Flag,
        "With sockets: it is started when somebody comes to one of them.",
    )
    .default("false")
    .example("true"),
    key(
        "fdStore",
        Whole,
        "How many descriptors it may leave with PID 1 from one run to the next, at most 64.",
    )
    .default("0")
    .example("8"),
    key(
        "log",
        OneOf(&[Word(&["none"]), Map(LOG)]),
        "Where its log is kept on a disk as well; none: in memory only.",
    )
    .default("the file's log, in the folder that it names")
    .example("{path: /var/log/web.log, maxSize: 10M, maxFiles: 3}"),
    key(
        "startLimit",
        Map(START_LIMIT),
        "How often it may be started, and what happens beyond that.",
    )
    .example("{burst: 5, interval: 1m}"),
    key(
        "oom",
        Word(&["restart", "stop", "reboot"]),
        "What happens when the kernel ends it for want of memory.",
    )
    .default("restart")
    .example("stop"),
    key("critical", Flag, "Its final failure reboots the machine.")
        .default("false")
        .example("false"),
    key(
        "security",
        SECURITY,
        "How it is confined: linuxkit is LinuxKit's result, field for field; strict adds user, ipc and uts namespaces and a read-only root.",
    )
    .default("the file's, else the label's, else default")
    .example("strict"),
];

const BACKOFF: &[Key] = &[
    key("initial", Text, TIME).default("200ms"),
    key("max", Text, TIME).default("30s"),
    key(
        "factor",
        Number,
        "Each further pause is so many times as long: 1 to 100.",
    )
    .default("2"),
    key(
        "reset",
        Text,
        "After running for so long the pause is initial again.",
    )
    .default("10s"),
];

const EXEC: Key = key(
    "exec",
    TEXTS,
    "A program that is run inside it: [PROGRAM, ARGUMENT, …].",
);
const TCP: Key = key(
    "tcp",
    OneOf(&[Whole, Text]),
    "A port of its own, or \"ADDRESS:PORT\", that takes connections.",
);
const UNIX: Key = key(
    "unix",
    Text,
    "A socket's path inside it that takes connections.",
);
const HTTP: Key = key(
    "http",
    Text,
    "http://ADDRESS[:PORT][/PATH] that answers; the address is a number or localhost.",
);

const READY: &[Key] = &[
    key("notify", Flag, "It says READY=1 (sd_notify)."),
    key(
        "fd",
        Whole,
        "It writes a newline to the descriptor of this number, 3 to 255.",
    ),
    key("delay", Text, "It has run for so long."),
    EXEC,
    TCP,
    UNIX,
    HTTP,
    key("timeout", Text, "After this time it has failed.").default("90s"),
];

const HEALTH: &[Key] = &[
    EXEC,
    TCP,
    UNIX,
    HTTP,
    key("interval", Text, "The time between checks, at least 100ms.").default("30s"),
    key("timeout", Text, "A check that takes longer has failed.").default("30s"),
    key(
        "retries",
        Whole,
        "So many failures in a row make it unhealthy.",
    )
    .default("3"),
    key(
        "startPeriod",
        Text,
        "Failures in this time after its start do not count.",
    )
    .default("0s"),
    key(
        "action",
        Word(&["restart", "none", "reboot", "poweroff"]),
        "What is done when it is unhealthy.",
    )
    .default("restart"),
];

const LOG: &[Key] = &[
    key(
        "path",
        Text,
        "The file; with / at its end a folder, in which it has its own name.",
    ),
    LOG_SIZE,
    LOG_FILES,
];

const LOG_FOLDER: &[Key] = &[
    key(
        "path",
        Text,
        "A folder, with / at its end; each entry's file has its own name there.",
    ),
    LOG_SIZE,
    LOG_FILES,
];

const LOG_SIZE: Key = key(
    "maxSize",
    OneOf(&[Whole, Text]),
    "How large a file grows before the next is begun, from 64K.",
)
.default("10M");

const LOG_FILES: Key = key("maxFiles", Whole, "How many files there are at most.").default("5");

const SOCKET: &[Key] = &[
    key(
        "listenStream",
        OneOf(&[Whole, Text]),
        "A port, \"ADDRESS:PORT\" with a numeric address, or a path below /run, /tmp or /var of the machine.",
    ),
    key(
        "listenDatagram",
        OneOf(&[Whole, Text]),
        "The same, for datagrams; one of both is needed.",
    ),
    key("name", Text, "Its name in LISTEN_FDNAMES.").default("the service's"),
    key(
        "backlog",
        Whole,
        "How many connections may wait, 1 to 4096.",
    )
    .default("4096"),
    key("mode", Text, "Of a path: its permissions, in octal.").default("0666"),
    key("owner", Text, "Of a path: \"UID:GID\" in numbers.").default("0:0"),
];

const START_LIMIT: &[Key] = &[
    key("burst", Whole, "So many starts …").required(),
    key("interval", Text, "… within this time.").required(),
    key(
        "action",
        Word(&["stop", "reboot", "poweroff"]),
        "What is done beyond that.",
    )
    .default("stop"),
];
