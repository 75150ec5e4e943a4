//! The signature at a module's end (`Documentation/admin-guide/module-signing.rst`
//! and `include/linux/module_signature.h` of the kernel).

/// What becomes of the modules' signatures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signatures {
    /// Cut off: modules load ten times as fast, and taint the kernel.
    #[default]
    Strip,
    /// Kept, for kernels in lockdown.
    Keep,
}

/// Stands at the very end of a signed module.
const MARKER: &[u8] = b"~Module signature appended~\n";
/// Length of `struct module_signature`, in bytes.
const DESCRIPTOR: usize = 12;
/// Offset in it of the signature's length, big-endian, 4 bytes.
const SIG_LEN: usize = 8;

/// The module without its signature; the whole of it if it has none.
///
/// # Errors
/// It claims a signature longer than itself.
pub fn strip(module: &[u8]) -> Result<&[u8], &'static str> {
    let Some(signed) = module.strip_suffix(MARKER) else {
        return Ok(module);
    };
    let bad = "its signature is longer than the module";
    let (rest, descriptor) = signed.split_last_chunk::<DESCRIPTOR>().ok_or(bad)?;
    let (_, length) = descriptor.split_at(SIG_LEN);
    let length = length
        .iter()
        .fold(0usize, |n, &byte| n << 8 | usize::from(byte));
    let end = rest.len().checked_sub(length).ok_or(bad)?;
    Ok(&rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module with a signature of these bytes.
    fn signed(module: &[u8], signature: &[u8]) -> Vec<u8> {
        let length = u32::try_from(signature.len()).unwrap().to_be_bytes();
        [
            module,
            signature,
            &[0, 0, 2, 0, 0, 0, 0, 0],
            &length,
            MARKER,
        ]
        .concat()
    }

    #[test]
    fn no_signature_is_no_change() {
        assert_eq!(strip(b"\x7fELF").unwrap(), b"\x7fELF");
        assert_eq!(strip(b"").unwrap(), b"");
    }

    #[test]
    fn a_lie_is_an_error() {
        assert!(strip(MARKER).is_err());
        let mut module = signed(b"module", b"pkcs7");
        let at = module.len() - MARKER.len() - 4;
        module[at] = 0xff;
        assert!(strip(&module).is_err());
    }

    proptest::proptest! {
        #[test]
        fn strips_what_was_appended(module: Vec<u8>, signature: Vec<u8>) {
            assert_eq!(strip(&signed(&module, &signature)).unwrap(), module);
        }

        #[test]
        fn any_bytes_are_survived(mut bytes: Vec<u8>) {
            bytes.extend_from_slice(MARKER);
            let _ = strip(&bytes);
        }
    }
}
