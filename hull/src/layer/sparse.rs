//! Sparse files in pax form, as GNU tar writes them: formats 0.0, 0.1 and 1.0
//! (GNU tar's manual, "Storing Sparse Files").

use std::io::{self, BufRead, BufReader, Read};

use super::spool::Spool;

/// More pieces than this, nobody's file has.
const MAX_PIECES: usize = 1 << 20;

/// What the pax records of a sparse file say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sparse {
    /// Its name; the entry's own is made up.
    pub(super) name: Option<Vec<u8>>,
    /// Its size, in bytes.
    pub(super) size: u64,
    /// Where its data lies: offset and length, in bytes. Before the data where
    /// there is none (format 1.0).
    map: Option<Vec<(u64, u64)>>,
}

impl Sparse {
    /// Reads the records; `None` of a file that is not sparse.
    pub(super) fn read<'a>(
        records: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> io::Result<Option<Self>> {
        let mut sparse = Self::default();
        let mut numbers: Vec<u64> = Vec::new();
        let (mut is_sparse, mut major) = (false, 0);
        for (key, value) in records {
            let Some(key) = key.strip_prefix(b"GNU.sparse.") else {
                continue;
            };
            is_sparse = true;
            match key {
                b"name" => sparse.name = Some(value.to_vec()),
                b"size" | b"realsize" => sparse.size = number(value)?,
                b"major" => major = number(value)?,
                b"minor" | b"numblocks" => {}
                // 0.0 has a pair of records for each piece.
                b"offset" | b"numbytes" => numbers.push(number(value)?),
                b"map" => {
                    let all = value.split(|&b| b == b',').filter(|n| !n.is_empty());
                    numbers = all.map(number).collect::<io::Result<_>>()?;
                }
                _ => return Err(broken("a record of sparse files that is not known")),
            }
        }
        if !is_sparse {
            return Ok(None);
        }
        if major == 0 {
            sparse.map = Some(pairs(&numbers)?);
        }
        Ok(Some(sparse))
    }

    /// Puts the file together.
    pub(super) fn unpack(self, data: impl Read, out: &mut Spool) -> io::Result<()> {
        let mut data = BufReader::new(data);
        let map = match self.map {
            Some(map) => map,
            None => leading_map(&mut data)?,
        };
        let mut end = 0;
        for (offset, len) in map {
            let next = offset.checked_add(len);
            if offset < end || next.is_none_or(|next| next > self.size) {
                return Err(broken(
                    "the pieces of the file overlap, or lie behind its end",
                ));
            }
            out.skip_to(offset)?;
            if io::copy(&mut (&mut data).take(len), out)? != len {
                return Err(broken("the file's data ends too early"));
            }
            end = offset + len;
        }
        out.skip_to(self.size)
    }
}

/// Format 1.0: the map stands before the data, a decimal number a line, the
/// count first, filled up to whole blocks.
fn leading_map(data: &mut impl BufRead) -> io::Result<Vec<(u64, u64)>> {
    let mut read = 0;
    let mut line = || {
        let mut line = Vec::new();
        read += data.take(24).read_until(b'\n', &mut line)?;
        let digits = line.strip_suffix(b"\n");
        number(digits.ok_or_else(|| broken("its map is cut off"))?)
    };
    let count = line()?;
    if count > MAX_PIECES as u64 {
        return Err(broken("its map is too long"));
    }
    let numbers: Vec<u64> = (0..count * 2).map(|_| line()).collect::<io::Result<_>>()?;
    let fill = (512 - read % 512) % 512;
    io::copy(&mut data.take(fill as u64), &mut io::sink())?;
    pairs(&numbers)
}

fn pairs(numbers: &[u64]) -> io::Result<Vec<(u64, u64)>> {
    let pairs = numbers.chunks_exact(2);
    if !pairs.remainder().is_empty() || numbers.len() / 2 > MAX_PIECES {
        return Err(broken("its map is not a list of pairs"));
    }
    Ok(pairs.map(|pair| (pair[0], pair[1])).collect())
}

fn number(digits: &[u8]) -> io::Result<u64> {
    let text = std::str::from_utf8(digits).ok();
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| broken("its map has something that is no number"))
}

fn broken(what: &str) -> io::Error {
    io::Error::other(format!("a sparse file in pax form: {what}"))
}
