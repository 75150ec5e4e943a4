//! The kernel's uevents: `ACTION@DEVPATH`, then `KEY=VALUE` strings, each with
//! a NUL behind it (`lib/kobject_uevent.c`).

/// A device that has been added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Added<'a> {
    /// Whose module it wants.
    pub(super) modalias: Option<&'a [u8]>,
    /// Whether events can be read from it: `/dev/input/eventN`.
    pub(super) has_events: bool,
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
            let has_events = false;
            Some(Added {
                modalias,
                has_events,
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

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = added(&bytes);
        }
    }
}
