//! Network devices of the host that move into a container (`netDevices`).

use serde_json::{Value, json};

use crate::case::Case;

fn with_devices(name: &'static str, command: &str, devices: Value) -> Case {
    Case::new(name, command)
        .namespace("network")
        .with("/linux/netDevices", devices)
}

/// Makes a device with all that must stay, and some that must not.
const DEVICE: &str = "ip='busybox ip'; $ip link add hk0 type dummy; $ip link set hk0 mtu 1400 address 02:00:00:00:00:07 up
    $ip addr add 10.7.0.1/24 brd 10.7.0.255 dev hk0; $ip addr add 10.7.0.9/32 scope link dev hk0; $ip -6 addr add fd00::7/64 dev hk0";

/// What the device is and has.
const SHOW: &str = "show() { for about in link addr; do busybox ip $about show $1 | tr ' ' '\\n' | grep -e '^1400$' -e ^02: -e ,UP, -e ^10[.] -e ^fd | sort | tr '\\n' ' '; done; echo .; }";

const RUN: &str = "runc-shim --root /run/state run --bundle . $1; echo rc=$?";

pub(crate) fn all() -> Vec<Case> {
    let nothing = [
        with_devices("net-device-missing", "echo never", json!({"nosuch0": {}}))
            .says("runc-shim: run net-device-missing: move the network device nosuch0 into the container as nosuch0: No such device")
            .says("rc=1")
            .never_says("never\n"),
        with_devices("net-device-of-the-namespace", "echo never", json!({"lo": {"name": "x"}}))
            .says("runc-shim: run net-device-of-the-namespace: move the network device lo into the container as x: Invalid argument")
            .never_says("never\n"),
    ];
    let mut cases = Vec::from(nothing);
    if crate::setting("HULLKIT_MODULES").is_none() {
        println!("left out: net-devices, because HULLKIT_MODULES names no folder of modules");
        return cases;
    }
    cases.extend(moves());
    cases
}

fn moves() -> Vec<Case> {
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 1000}]);
    let up = "<BROADCAST,NOARP,UP,LOWER_UP>";
    let kept = format!(
        "02:00:00:00:00:07 1400 {up} 02:00:00:00:00:07 10.7.0.1/24 10.7.0.255 1400 {up} fd00::7/64 ."
    );
    let plain = format!("{up} {up} .");
    vec![
        with_devices("net-devices", &format!("{SHOW}; show net0; show hk1"), json!({"hk0": {"name": "net0"}, "hk1": {}}))
            .script(&format!("{DEVICE}; $ip link add hk1 type dummy; {RUN}; $ip link show hk0; $ip link show hk1"))
            .says(&kept)
            .says(&plain)
            .says("rc=0")
            .says("ip: can't find device 'hk0'")
            .says("ip: can't find device 'hk1'"),
        with_devices("net-devices-chosen-name", &format!("{SHOW}; show net0; show net1"), json!({"hk0": {"name": "net%d"}, "hk1": {"name": "net%d"}}))
            .script(&format!("{DEVICE}; $ip link add hk1 type dummy; {RUN}"))
            .says(&kept)
            .says(&plain)
            .says("rc=0"),
        with_devices("net-devices-user-namespace", &format!("{SHOW}; show hk0"), json!({"hk0": {}}))
            .namespace("user")
            .with("/linux/uidMappings", map.clone())
            .with("/linux/gidMappings", map)
            .script(&format!("{DEVICE}; {RUN}"))
            .says(&kept)
            .says("rc=0"),
        // A device whose name is taken stays where it was, as it was.
        with_devices("net-device-name-taken", "echo never", json!({"hk0": {"name": "lo"}}))
            .script(&format!("{DEVICE}; {SHOW}; {RUN}; show hk0; $ip link del hk0"))
            .says("runc-shim: run net-device-name-taken: move the network device hk0 into the container as lo: the name is taken there (a name with %d lets the kernel choose)")
            .says("rc=1")
            .says(&kept.replace("10.7.0.255", "10.7.0.255 10.7.0.9/32"))
            .never_says("never\n"),
    ]
}
