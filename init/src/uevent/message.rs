//! The kernel's uevents: `ACTION@DEVPATH`, then `KEY=VALUE` strings, each with
//! a NUL behind it (`lib/kobject_uevent.c`).

/// The modalias of the device that `message` says has been added.
pub(super) fn added(message: &[u8]) -> Option<&[u8]> {
    let mut lines = message.split(|byte| *byte == 0);
    if !lines.next()?.starts_with(b"add@") {
        return None;
    }
    lines
        .find_map(|line| line.strip_prefix(b"MODALIAS="))
        .filter(|modalias| !modalias.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_is_added() {
        let add =
            b"add@/devices/pci0000:00/x\0ACTION=add\0SUBSYSTEM=pci\0MODALIAS=pci:v1\0SEQNUM=1\0";
        assert_eq!(added(add), Some(&b"pci:v1"[..]));
        assert_eq!(
            added(b"remove@/devices/x\0ACTION=remove\0MODALIAS=pci:v1\0"),
            None
        );
        assert_eq!(added(b"add@/devices/x\0ACTION=add\0"), None);
        assert_eq!(added(b"add@/devices/x\0MODALIAS=\0"), None);
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
