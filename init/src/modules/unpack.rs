//! Modules that the image holds compressed.

use std::io::{self, Read};

/// The largest module, in bytes: what `hull kernel import` takes.
const MAX_MODULE: u64 = 256 << 20;

/// The module in a file that is one Zstandard frame (RFC 8878), which says at
/// its beginning how much it holds.
///
/// # Errors
/// The file cannot be read, is broken, does not say how much it holds, or holds
/// more than 256 MiB.
pub fn zstd(file: impl Read) -> io::Result<Vec<u8>> {
    let mut packed = Vec::new();
    file.take(MAX_MODULE).read_to_end(&mut packed)?;
    let invalid = |reason: &str| io::Error::new(io::ErrorKind::InvalidData, reason.to_owned());
    let size = zstd_safe::get_frame_content_size(&packed)
        .map_err(|_| invalid("it is no Zstandard frame"))?
        .ok_or_else(|| invalid("it does not say how large the module is"))?;
    let size = usize::try_from(size.min(MAX_MODULE + 1)).unwrap_or(0);
    if size as u64 > MAX_MODULE {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    let mut module = Vec::new();
    module.try_reserve_exact(size).map_err(io::Error::other)?;
    zstd_safe::decompress(&mut module, &packed)
        .map_err(|code| invalid(zstd_safe::get_error_name(code)))?;
    Ok(module)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(module: &[u8], with_size: bool) -> Vec<u8> {
        let mut packer = zstd_safe::CCtx::create();
        packer
            .set_parameter(zstd_safe::CParameter::ContentSizeFlag(with_size))
            .unwrap();
        let mut packed = Vec::with_capacity(zstd_safe::compress_bound(module.len()));
        packer.compress2(&mut packed, module).unwrap();
        packed
    }

    #[test]
    fn what_was_packed_comes_out() {
        let module: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        assert_eq!(zstd(&*packed(&module, true)).unwrap(), module);
    }

    #[test]
    fn what_is_broken_says_how() {
        let good = packed(&[7; 1000], true);
        for (bytes, reason) in [
            (
                &b"\x7fELF, and no frame at all"[..],
                "it is no Zstandard frame",
            ),
            (&good[..good.len() - 1], "Src size is incorrect"),
            (
                &packed(&[7; 1000], false),
                "it does not say how large the module is",
            ),
        ] {
            assert_eq!(zstd(bytes).unwrap_err().to_string(), reason);
        }
        // A frame header that claims 2^63 bytes.
        let mut huge = b"\x28\xb5\x2f\xfd\xe0".to_vec();
        huge.extend((1_u64 << 63).to_le_bytes());
        assert_eq!(
            zstd(&*huge).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
    }
}
