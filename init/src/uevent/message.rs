//! The kernel's uevents: `ACTION@DEVPATH`, then `KEY=VALUE` strings, each with
//! a NUL behind it (`lib/kobject_uevent.c`).

/// What a message says of a block device: whether it is there, and its name
/// below `/dev`.
pub(super) fn disk(message: &[u8]) -> Option<(bool, &str)> {
    let mut lines = message.split(|byte| *byte == 0);
    let first = lines.next()?;
    let there = match first.split(|byte| *byte == b'@').next()? {
        b"add" | b"change" => true,
        b"remove" => false,
        _ => return None,
    };
    let (mut block, mut name) = (false, None);
    for line in lines {
        block |= line == b"SUBSYSTEM=block";
        if let Some(device) = line.strip_prefix(b"DEVNAME=") {
            name = std::str::from_utf8(device).ok();
        }
    }
    let name = name.filter(|name| block && crate::disks::links::is_disk(name));
    name.map(|name| (there, name))
}

/// A device that has been added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Added<'a> {
    /// Whose module it wants.
    pub(super) modalias: Option<&'a [u8]>,
    /// Whether events can be read from it: `/dev/input/eventN`.
    pub(super) has_events: bool,
    /// Whether it is a hardware watchdog.
    pub(super) is_watchdog: bool,
}

/// What `message` says has been added.
pub(super) fn added(message: &[u8]) -> Option<Added<'_>> {
    let mut lines = message.split(|byte| *byte == 0);
    if !lines.next()?.starts_with(b"add@") {
        return None;
    }
    let mut added = Added::default();
    for line in lines {
        if let Some(modalias) = line.strip_prefix(b"MODALIAS=") {
            added.modalias = Some(modalias).filter(|modalias| !modalias.is_empty());
        } else if line.starts_with(b"DEVNAME=input/event") {
            added.has_events = true;
        } else if line == b"SUBSYSTEM=watchdog" {
            added.is_watchdog = true;
        }
    }
    Some(added)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_is_added() {
        let add =
            b"add@/devices/pci0000:00/x\0ACTION=add\0SUBSYSTEM=pci\0MODALIAS=pci:v1\0SEQNUM=1\0";
        let of = |modalias| {
            Some(Added {
                modalias,
                ..Added::default()
            })
        };
        assert_eq!(added(add), of(Some(&b"pci:v1"[..])));
        assert_eq!(
            added(b"remove@/devices/x\0ACTION=remove\0MODALIAS=pci:v1\0"),
            None
        );
        assert_eq!(added(b"add@/devices/x\0ACTION=add\0"), of(None));
        assert_eq!(added(b"add@/devices/x\0MODALIAS=\0"), of(None));
        let event = added(b"add@/devices/x/input3/event3\0DEVNAME=input/event3\0");
        assert!(event.is_some_and(|added| added.has_events && added.modalias.is_none()));
        assert_eq!(added(b"libudev\0\xfe\xed"), None);
        assert_eq!(added(b""), None);
    }

    #[test]
    fn disks() {
        let message = |action: &str, subsystem: &str, name: &str| {
            format!("{action}@/devices/x\0SUBSYSTEM={subsystem}\0DEVNAME={name}\0")
        };
        let added = message("add", "block", "vda1");
        assert_eq!(disk(added.as_bytes()), Some((true, "vda1")));
        let changed = message("change", "block", "sr0");
        assert_eq!(disk(changed.as_bytes()), Some((true, "sr0")));
        let removed = message("remove", "block", "vda");
        assert_eq!(disk(removed.as_bytes()), Some((false, "vda")));
        for other in [
            message("add", "net", "eth0"),
            message("bind", "block", "vda"),
            message("add", "block", "ram0"),
            message("add", "block", "../etc"),
        ] {
            assert_eq!(disk(other.as_bytes()), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = added(&bytes);
            let _ = disk(&bytes);
        }
    }
}
