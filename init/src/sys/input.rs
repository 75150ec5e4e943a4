//! Input devices, `linux/input.h`: which keys one has, and its events.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;

use nix::errno::Errno;

/// Bytes of a bit for each key up to `KEY_MAX` (0x2ff).
const KEY_BYTES: usize = 0x300 / 8;

/// The event type of keys and buttons.
const EV_KEY: u16 = 1;

/// `EVIOCGBIT(EV_KEY, KEY_BYTES)`, the same on all our architectures.
const GET_KEYS: libc::Ioctl = nix::request_code_read!(b'E', 0x20 + EV_KEY, KEY_BYTES);

/// Whether the open device has the key `code`.
///
/// # Errors
/// It is no input device, or is gone.
pub fn has_key(device: &File, code: u16) -> Result<bool, Errno> {
    let mut keys = [0_u8; KEY_BYTES];
    // SAFETY: the request fills at most as many bytes as its number says,
    // which are those of `keys`.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), GET_KEYS, keys.as_mut_ptr()) };
    Errno::result(result)?;
    Ok(bit(&keys, code))
}

fn bit(bits: &[u8], number: u16) -> bool {
    bits.get(usize::from(number / 8))
        .is_some_and(|byte| byte & (1 << (number % 8)) != 0)
}

/// Reads one event. Whether it says that the key `code` went down.
///
/// # Errors
/// `EAGAIN`: there is no event; `ENODEV`: the device is gone.
pub fn read_press(mut device: &File, code: u16) -> io::Result<bool> {
    let mut event = [0; size_of::<libc::input_event>()];
    device.read_exact(&mut event)?;
    Ok(is_press(&event, code))
}

/// An event ends with its type, its code and its value; what stands before is
/// the time.
fn is_press(event: &[u8], code: u16) -> bool {
    let Some((_, [t0, t1, c0, c1, value @ ..])) = event.split_last_chunk::<8>() else {
        return false;
    };
    let is = (
        u16::from_ne_bytes([*t0, *t1]),
        u16::from_ne_bytes([*c0, *c1]),
    );
    // 0 is its going up, 2 its being held.
    is == (EV_KEY, code) && i32::from_ne_bytes(*value) == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: u16, code: u16, value: i32) -> Vec<u8> {
        let time = [0; 16];
        let rest = [
            &kind.to_ne_bytes()[..],
            &code.to_ne_bytes(),
            &value.to_ne_bytes(),
        ];
        [&time[..], &rest.concat()].concat()
    }

    #[test]
    fn only_its_going_down_counts() {
        assert_eq!(event(1, 116, 1).len(), size_of::<libc::input_event>());
        assert!(is_press(&event(1, 116, 1), 116));
        for other in [(1, 116, 0), (1, 116, 2), (1, 30, 1), (0, 116, 1)] {
            assert!(
                !is_press(&event(other.0, other.1, other.2), 116),
                "{other:?}"
            );
        }
        assert!(!is_press(b"", 116));
    }

    #[test]
    fn keys_are_bits() {
        let mut keys = [0; KEY_BYTES];
        keys[14] = 1 << 4;
        assert!(bit(&keys, 116) && !bit(&keys, 115) && !bit(&keys, u16::MAX));
    }
}
