//! `--decompress-kernel`: the kernel as it is once it has unpacked itself, for
//! what loads it otherwise than as a kernel.
//!
//! An arm64 kernel is gzip as a whole; a bzImage holds the packed kernel, with
//! its size as the last four bytes unless it is gzip (the kernel's
//! Documentation/arch/x86/boot.rst: `payload_offset`, `payload_length`).

use std::io::{self, Read};

use lzma_rust2::XzReader;

use crate::tree::Content;

/// No kernel is larger, in bytes.
const MAX: u64 = 512 << 20;
/// Where a bzImage's header has its fields.
const SETUP_SECTORS: usize = 0x1f1;
const BOOT_FLAG: usize = 0x1fe;
const MAGIC: usize = 0x202;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;

/// The unpacked kernel.
///
/// # Errors
/// It is packed in no way that we know, or broken.
pub fn decompressed(kernel: &Content) -> io::Result<Content> {
    let image = kernel.read()?;
    let packed = payload(&image)?;
    let mut unpacked = Vec::new();
    open(packed)?.take(MAX + 1).read_to_end(&mut unpacked)?;
    if unpacked.len() as u64 > MAX {
        return Err(io::Error::other("the unpacked kernel is too large"));
    }
    Ok(Content::from(unpacked))
}

/// The packed part of a kernel.
fn payload(image: &[u8]) -> io::Result<&[u8]> {
    let at = |offset: usize, len: usize| image.get(offset..offset + len);
    let is_bzimage =
        at(BOOT_FLAG, 2) == Some(b"\x55\xaa".as_slice()) && at(MAGIC, 4) == Some(b"HdrS");
    if !is_bzimage {
        return Ok(image);
    }
    let number = |offset| {
        let bytes = at(offset, 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_le_bytes) as usize
    };
    // 0 is 4, for the sake of very old loaders.
    let sectors = match at(SETUP_SECTORS, 1) {
        Some([0]) | None => 4,
        Some(sectors) => usize::from(sectors[0]),
    };
    let begin = (sectors + 1) * 512 + number(PAYLOAD_OFFSET);
    let end = begin.saturating_add(number(PAYLOAD_LENGTH));
    image
        .get(begin..end)
        .ok_or_else(|| io::Error::other("its header names a packed part beyond its end"))
}

/// A reader of what `packed` holds, told by its first bytes.
fn open(packed: &[u8]) -> io::Result<Box<dyn Read + '_>> {
    Ok(match packed {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::GzDecoder::new(packed)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Box::new(XzReader::new(packed, false)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::Decoder::new(packed)?.single_frame()),
        _ => {
            return Err(io::Error::other(
                "packed in a way that is not known here (allowed: gzip, xz, zstd), or not packed",
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A bzImage with nothing but a header and this packed part.
    fn bzimage(packed: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 512 * 3];
        image[SETUP_SECTORS] = 1;
        image[BOOT_FLAG..BOOT_FLAG + 2].copy_from_slice(b"\x55\xaa");
        image[MAGIC..MAGIC + 4].copy_from_slice(b"HdrS");
        image[PAYLOAD_OFFSET..PAYLOAD_OFFSET + 4].copy_from_slice(&512_u32.to_le_bytes());
        let len = u32::try_from(packed.len()).unwrap();
        image[PAYLOAD_LENGTH..PAYLOAD_LENGTH + 4].copy_from_slice(&len.to_le_bytes());
        image.extend(packed);
        image
    }

    fn unpacked(image: Vec<u8>) -> Result<Vec<u8>, String> {
        let content = decompressed(&Content::from(image)).map_err(|e| e.to_string())?;
        Ok(content.read().unwrap())
    }

    #[test]
    fn each_way_of_packing_is_undone() {
        let kernel = b"the kernel ".repeat(1000);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&kernel).unwrap();
        let gzip = gzip.finish().unwrap();
        let zstd = zstd::encode_all(&kernel[..], 1).unwrap();
        let options = lzma_rust2::XzOptions::with_preset(0);
        let mut xz = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
        xz.write_all(&kernel).unwrap();
        let xz = xz.finish().unwrap();
        assert_eq!(unpacked(gzip.clone()).unwrap(), kernel);
        for packed in [gzip, zstd, xz] {
            // The size stands behind it.
            let with_size = [&packed[..], b"\xf8\x2a\0\0"].concat();
            assert_eq!(unpacked(bzimage(&with_size)).unwrap(), kernel);
        }
    }

    #[test]
    fn what_is_not_packed_is_refused() {
        assert!(
            unpacked(b"\x7fELF".to_vec())
                .unwrap_err()
                .contains("not packed")
        );
        assert!(unpacked(Vec::new()).is_err());
        let mut short = bzimage(b"x");
        short.pop();
        assert!(unpacked(short).unwrap_err().contains("beyond its end"));
        assert!(unpacked(bzimage(b"\x1f\x8b\x08broken")).is_err());
    }
}
