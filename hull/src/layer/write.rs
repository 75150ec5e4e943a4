//! A tree as a tar stream.

use std::collections::HashMap;
use std::io::{self, Write};

use tar::{Builder, EntryType, Header};

use crate::tree::path::show;
use crate::tree::{Device, Kind, Leaf, Meta, Node, Tree};

/// Names up to this long stand in the header itself.
const SHORT: usize = 100;

/// Writes `tree` as a tar: GNU headers, with pax records where a name or an
/// attribute needs one. The same tree gives the same bytes.
///
/// # Errors
/// A file's content cannot be read (the error names it), or `out` fails.
pub fn write_tar(tree: &Tree, out: &mut dyn Write) -> io::Result<()> {
    let mut tar = Builder::new(out);
    let mut first_names: HashMap<*const Leaf, Vec<u8>> = HashMap::new();
    if tree.root.meta != Meta::root(0o755) {
        let header = header(&tree.root.meta, EntryType::Directory);
        append(&mut tar, header, b"./", b"", &tree.root.meta)?;
    }
    for (mut path, node) in tree.walk() {
        match node {
            Node::Dir(dir) => {
                path.push(b'/');
                let header = header(&dir.meta, EntryType::Directory);
                append(&mut tar, header, &path, b"", &dir.meta)?;
            }
            Node::Leaf(leaf) => {
                let shared = leaf.as_file().is_some() && std::sync::Arc::strong_count(leaf) > 1;
                if shared && let Some(target) = first_names.get(&std::sync::Arc::as_ptr(leaf)) {
                    let header = header(&leaf.meta, EntryType::Link);
                    append(&mut tar, header, &path, target, &Meta::default())?;
                    continue;
                }
                append_leaf(&mut tar, &path, leaf)
                    .map_err(|e| io::Error::other(format!("{}: {e}", show(&path))))?;
                if shared {
                    first_names.insert(std::sync::Arc::as_ptr(leaf), path);
                }
            }
        }
    }
    tar.finish()
}

fn append_leaf(tar: &mut Builder<&mut dyn Write>, path: &[u8], leaf: &Leaf) -> io::Result<()> {
    let meta = &leaf.meta;
    let device = |kind, number: &Device| {
        let mut header = header(meta, kind);
        header.set_device_major(number.major)?;
        header.set_device_minor(number.minor)?;
        Ok::<_, io::Error>(header)
    };
    match &leaf.kind {
        Kind::File(content) => {
            let mut header = header(meta, EntryType::Regular);
            header.set_size(content.len());
            extend(tar, &mut header, path, b"", meta)?;
            header.set_cksum();
            tar.append(&header, content.open()?)
        }
        Kind::Symlink(target) => append(tar, header(meta, EntryType::Symlink), path, target, meta),
        Kind::Char(number) => append(tar, device(EntryType::Char, number)?, path, b"", meta),
        Kind::Block(number) => append(tar, device(EntryType::Block, number)?, path, b"", meta),
        Kind::Fifo => append(tar, header(meta, EntryType::Fifo), path, b"", meta),
    }
}

/// An entry without content.
fn append(
    tar: &mut Builder<&mut dyn Write>,
    mut header: Header,
    path: &[u8],
    link: &[u8],
    meta: &Meta,
) -> io::Result<()> {
    extend(tar, &mut header, path, link, meta)?;
    header.set_cksum();
    tar.append(&header, io::empty())
}

fn header(meta: &Meta, kind: EntryType) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(meta.mode);
    header.set_uid(meta.uid.into());
    header.set_gid(meta.gid.into());
    header.set_mtime(meta.mtime);
    header.set_size(0);
    header
}

/// Puts the names into the header, and what does not fit there, and the
/// extended attributes, into pax records in front of it.
fn extend(
    tar: &mut Builder<&mut dyn Write>,
    header: &mut Header,
    path: &[u8],
    link: &[u8],
    meta: &Meta,
) -> io::Result<()> {
    let mut records: Vec<(String, &[u8])> = Vec::new();
    let old = header.as_old_mut();
    for (key, text, field) in [
        ("path", path, &mut old.name),
        ("linkpath", link, &mut old.linkname),
    ] {
        let short = text.len().min(SHORT);
        field[..short].copy_from_slice(&text[..short]);
        if text.len() > SHORT {
            records.push((key.to_owned(), text));
        }
    }
    for (name, value) in &meta.xattrs {
        let name = std::str::from_utf8(name)
            .map_err(|_| io::Error::other("an extended attribute's name is not UTF-8"))?;
        records.push((format!("SCHILY.xattr.{name}"), value));
    }
    if records.is_empty() {
        return Ok(());
    }
    tar.append_pax_extensions(records.iter().map(|(key, value)| (key.as_str(), *value)))
}
