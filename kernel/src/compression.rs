//! Packing of modules, and unpacking of modules and kernel images.

use std::io::{self, Read};

/// The largest unpacked file, in bytes. Debian's largest kernel has 34 MB, its
/// largest module 10 MB.
pub(crate) const MAX_UNPACKED: u64 = 256 << 20;
/// What an xz decoder may take, in KiB.
const MAX_XZ_KIB: u32 = 128 << 10;
/// What a zstd decoder may take, as the logarithm of its window in bytes.
const MAX_ZSTD_WINDOW_LOG: u32 = 27;

/// The level at which a module is packed: once, at import. Beyond it little is
/// gained, and much more memory used.
const ZSTD_LEVEL: i32 = 19;

/// How an image's modules are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ModuleCompression {
    /// Each as Zstandard: an initramfs holds them in a quarter of the memory,
    /// and what is never loaded is never unpacked.
    #[default]
    Zstd,
    /// As they are.
    None,
}

impl ModuleCompression {
    /// What follows `.ko` in a module's file name.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Self::Zstd => ".zst",
            Self::None => "",
        }
    }

    /// The bytes of the file of `module`.
    pub(crate) fn pack(self, module: Vec<u8>) -> io::Result<Vec<u8>> {
        match self {
            Self::None => Ok(module),
            Self::Zstd => {
                let mut packer = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
                // It tells whoever unpacks it how much memory that takes.
                packer.include_contentsize(true)?;
                packer.compress(&module)
            }
        }
    }
}

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Xz,
    Zstd,
}

impl Compression {
    /// By the ending of a module's file name: the name before it and how it is
    /// compressed; none if it is no module.
    pub(crate) fn of_module(path: &str) -> Option<(&str, Self)> {
        [
            (".ko", Self::None),
            (".ko.gz", Self::Gzip),
            (".ko.xz", Self::Xz),
            (".ko.zst", Self::Zstd),
        ]
        .into_iter()
        .find_map(|(ending, how)| Some((path.strip_suffix(ending)?, how)))
    }

    /// By its first bytes.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        const XZ: &[u8] = b"\xfd7zXZ\0";
        const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
        if bytes.starts_with(b"\x1f\x8b") {
            Self::Gzip
        } else if bytes.starts_with(XZ) {
            Self::Xz
        } else if bytes.starts_with(ZSTD) {
            Self::Zstd
        } else {
            Self::None
        }
    }

    /// Unpacks `packed`, to at most [`MAX_UNPACKED`] bytes.
    pub(crate) fn unpack(self, packed: &[u8]) -> io::Result<Vec<u8>> {
        let stream: Box<dyn Read + '_> = match self {
            Self::None => Box::new(packed),
            Self::Gzip => Box::new(flate2::bufread::GzDecoder::new(packed)),
            Self::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(
                packed, false, MAX_XZ_KIB,
            )),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
                decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
        };
        let mut unpacked = Vec::new();
        stream.take(MAX_UNPACKED + 1).read_to_end(&mut unpacked)?;
        if unpacked.len() as u64 > MAX_UNPACKED {
            let reason = format!("more than {MAX_UNPACKED} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
        }
        unpacked.shrink_to_fit();
        Ok(unpacked)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn each_way_back_and_by_name() {
        let text = b"module ".repeat(1000);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).unwrap();
        let mut xz =
            lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::default()).unwrap();
        xz.write_all(&text).unwrap();
        let cases = [
            ("a.ko", Compression::None, text.clone()),
            ("a.ko.gz", Compression::Gzip, gzip.finish().unwrap()),
            ("a.ko.xz", Compression::Xz, xz.finish().unwrap()),
            (
                "a.ko.zst",
                Compression::Zstd,
                zstd::encode_all(&text[..], 1).unwrap(),
            ),
        ];
        for (name, how, packed) in cases {
            assert_eq!(Compression::of_module(name), Some(("a", how)));
            assert_eq!(Compression::of_bytes(&packed), how);
            assert_eq!(how.unpack(&packed).unwrap(), text);
            if how != Compression::None {
                assert!(
                    how.unpack(&packed[..packed.len() / 2]).is_err(),
                    "{how:?} cut short"
                );
            }
        }
        assert_eq!(Compression::of_module("modules.order"), None);
    }
}
