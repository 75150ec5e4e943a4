//! The links below `/dev/disk`: made for a device that is there, removed with
//! it. They are all the memory that there is of them.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::names::{Name, id, place};
use super::{partition, superblock};
use crate::Error;

/// Where devices and their properties are.
#[derive(Clone, Debug)]
pub struct Places {
    /// `/sys`.
    pub sys: PathBuf,
    /// `/dev`.
    pub dev: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            sys: "/sys".into(),
            dev: "/dev".into(),
        }
    }
}

/// The block devices that are there: `vda`, `vda1`.
#[must_use]
pub fn devices(places: &Places) -> Vec<String> {
    let class = fs::read_dir(places.sys.join("class/block"));
    let names = class.into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| is_disk(name)).collect();
    names.sort();
    names
}

/// Whether a device of that name may hold something.
#[must_use]
pub fn is_disk(name: &str) -> bool {
    let none = ["ram", "zram", "fd", "nbd"];
    !name.is_empty() && !name.contains('/') && !none.iter().any(|kind| name.starts_with(kind))
}

/// Makes the links of the device `name` what they are to be, and removes those
/// that it had and has no more.
///
/// # Errors
/// The last link that could not be made or removed. The others are.
pub fn update(places: &Places, name: &str) -> Result<(), Error> {
    let wanted = names(places, name);
    let mut done = Ok(());
    for link in links_to(places, name) {
        let stays = |wanted: &Name| link == path(places, wanted);
        if !wanted.iter().any(stays) {
            done = done.and(remove_link(&link));
        }
    }
    for wanted in &wanted {
        done = done.and(make(places, wanted, name));
    }
    done
}

/// Removes the links of a device that has gone.
///
/// # Errors
/// As [`update`].
pub fn remove(places: &Places, name: &str) -> Result<(), Error> {
    let links = links_to(places, name);
    links
        .iter()
        .map(|link| remove_link(link))
        .fold(Ok(()), Result::and)
}

/// Makes the links of all devices, and removes those of devices that have gone
/// while nobody looked. What went wrong, a line each.
pub fn update_all(places: &Places) -> Vec<Error> {
    let there = devices(places);
    let stale = all_links(places).into_iter().filter(|(_, to)| {
        let name = to.file_name().and_then(|name| name.to_str());
        !name.is_some_and(|name| there.iter().any(|device| device == name))
    });
    let removed: Vec<_> = stale.map(|(link, _)| remove_link(&link)).collect();
    let made = there.iter().map(|name| update(places, name));
    removed
        .into_iter()
        .chain(made)
        .filter_map(Result::err)
        .collect()
}

fn path(places: &Places, name: &Name) -> PathBuf {
    places.dev.join("disk").join(name.by).join(&name.name)
}

fn target(device: &str) -> PathBuf {
    Path::new("../..").join(device)
}

/// Whoever has a name first keeps it.
fn make(places: &Places, name: &Name, device: &str) -> Result<(), Error> {
    let link = path(places, name);
    if let Some(folder) = link.parent() {
        fs::create_dir_all(folder).map_err(Error::path("make folder", folder))?;
    }
    match symlink(target(device), &link) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made.map_err(Error::path("link", &link)),
    }
}

fn remove_link(link: &Path) -> Result<(), Error> {
    match fs::remove_file(link) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(Error::path("remove", link)),
    }
}

/// The links to the device that there are.
fn links_to(places: &Places, device: &str) -> Vec<PathBuf> {
    let target = target(device);
    let links = all_links(places).into_iter();
    links
        .filter(|(_, to)| *to == target)
        .map(|(link, _)| link)
        .collect()
}

/// All links, and where they lead.
fn all_links(places: &Places) -> Vec<(PathBuf, PathBuf)> {
    let folders = fs::read_dir(places.dev.join("disk"));
    let folders = folders.into_iter().flatten().flatten();
    let links = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten());
    let links = links.flatten().map(|link| link.path());
    links
        .filter_map(|link| Some((link.clone(), fs::read_link(link).ok()?)))
        .collect()
}

/// All names of the device `name`.
fn names(places: &Places, name: &str) -> Vec<Name> {
    let class = places.sys.join("class/block").join(name);
    let size = attribute(&class, "size").and_then(|size| size.parse::<u64>().ok());
    if size.unwrap_or(0) == 0 {
        return Vec::new();
    }
    let mut all = Vec::new();
    if let Ok(disk) = File::open(places.dev.join(name))
        && let Some(found) = superblock::probe(&disk)
    {
        all.extend(found.uuid.map(|uuid| Name::new("by-uuid", &uuid)));
        all.extend(found.label.map(|label| Name::new("by-label", &label)));
    }
    let number = attribute(&class, "partition").and_then(|number| number.parse().ok());
    match number {
        None => all.extend(of_disk(places, &class, "")),
        Some(number) => {
            // The disk is the folder above.
            let Some(whole) = fs::canonicalize(&class)
                .ok()
                .and_then(|path| path.parent().map(Path::to_path_buf))
            else {
                return all;
            };
            all.extend(of_disk(places, &whole, &format!("-part{number}")));
            all.extend(of_table(places, &whole, number));
        }
    }
    all
}

/// The names that the partition table gives.
fn of_table(places: &Places, whole: &Path, number: u32) -> Vec<Name> {
    let block = attribute(whole, "queue/logical_block_size");
    let block = block.and_then(|block| block.parse().ok()).unwrap_or(512);
    let found = whole
        .file_name()
        .and_then(|name| File::open(places.dev.join(name)).ok())
        .and_then(|disk| partition::look_up(&disk, block, number))
        .unwrap_or_default();
    let uuid = found.uuid.map(|uuid| Name::new("by-partuuid", &uuid));
    let label = found.label.map(|label| Name::new("by-partlabel", &label));
    uuid.into_iter().chain(label).collect()
}

/// The names that the disk itself has, and its place.
fn of_disk(places: &Places, whole: &Path, part: &str) -> Vec<Name> {
    let by_id = ids(whole)
        .into_iter()
        .map(|id| ("by-id", format!("{id}{part}")));
    let real = fs::canonicalize(whole).ok();
    let real = real.and_then(|real| {
        let root = fs::canonicalize(places.sys.join("devices")).ok()?;
        Some(real.strip_prefix(root).ok()?.to_string_lossy().into_owned())
    });
    let by_path = real
        .and_then(|path| place(&path))
        .map(|place| ("by-path", format!("{place}{part}")));
    by_id
        .chain(by_path)
        .map(|(by, name)| Name { by, name })
        .collect()
}

/// What the disk says that it is, by its kind: the kernel's name tells.
fn ids(whole: &Path) -> Vec<String> {
    let name = whole.file_name().unwrap_or_default().to_string_lossy();
    let get = |file| attribute(whole, file).filter(|text| !text.is_empty());
    let pair = |kind: &str, model: Option<String>, serial: Option<String>| {
        let (model, serial) = (model?, serial?);
        Some(format!("{kind}-{}_{}", id(&model), id(&serial)))
    };
    let mut all = Vec::new();
    if name.starts_with("vd") {
        all.extend(get("serial").map(|serial| format!("virtio-{}", id(&serial))));
    } else if name.starts_with("nvme") {
        all.extend(pair("nvme", get("device/model"), get("device/serial")));
    } else if name.starts_with("mmcblk") {
        all.extend(pair("mmc", get("device/name"), get("device/serial")));
    } else if name.starts_with("dm-") {
        all.extend(get("dm/name").map(|name| format!("dm-name-{}", id(&name))));
        all.extend(get("dm/uuid").map(|uuid| format!("dm-uuid-{}", id(&uuid))));
    }
    let wide = get("wwid").or_else(|| get("device/wwid"));
    all.extend(wide.and_then(|wide| match wide.split_once('.') {
        Some(("naa", number)) => Some(format!("wwn-0x{}", id(number))),
        Some(("eui", _)) => Some(format!("nvme-{}", id(&wide))),
        Some(("t10", rest)) => Some(format!("scsi-1{}", id(rest))),
        _ => None,
    }));
    all
}

fn attribute(device: &Path, file: &str) -> Option<String> {
    let text = fs::read_to_string(device.join(file)).ok()?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with a virtio disk that has one partition, which holds ext4.
    fn machine() -> (tempfile::TempDir, Places) {
        let root = tempfile::tempdir().unwrap();
        let places = Places {
            sys: root.path().join("sys"),
            dev: root.path().join("dev"),
        };
        let disk = places
            .sys
            .join("devices/pci0000:00/0000:00:04.0/virtio1/block/vda");
        let part = disk.join("vda1");
        let class = places.sys.join("class/block");
        for folder in [&part, &class, &places.dev] {
            fs::create_dir_all(folder).unwrap();
        }
        symlink(&disk, class.join("vda")).unwrap();
        symlink(&part, class.join("vda1")).unwrap();
        for (file, text) in [
            (disk.join("size"), "100\n"),
            (disk.join("serial"), "data 1\n"),
            (part.join("size"), "50\n"),
            (part.join("partition"), "1\n"),
        ] {
            fs::write(file, text).unwrap();
        }
        let mut table = vec![0; 2048];
        table[440..444].copy_from_slice(&7u32.to_le_bytes());
        table[510..512].copy_from_slice(&[0x55, 0xaa]);
        fs::write(places.dev.join("vda"), table).unwrap();
        let mut ext = vec![0; 4096];
        ext[1080..1082].copy_from_slice(&[0x53, 0xef]);
        ext[1128] = 1;
        ext[1144..1148].copy_from_slice(b"data");
        fs::write(places.dev.join("vda1"), ext).unwrap();
        (root, places)
    }

    fn links(places: &Places) -> Vec<String> {
        let mut all: Vec<String> = ["vda", "vda1"]
            .into_iter()
            .flat_map(|device| links_to(places, device))
            .map(|link| {
                let name = link.strip_prefix(places.dev.join("disk")).unwrap();
                name.display().to_string()
            })
            .collect();
        all.sort();
        all
    }

    #[test]
    fn come_with_the_device_and_go_with_it() {
        let (_root, places) = machine();
        assert_eq!(devices(&places), ["vda", "vda1"]);
        for device in devices(&places) {
            update(&places, &device).unwrap();
        }
        let all = [
            "by-id/virtio-data_1",
            "by-id/virtio-data_1-part1",
            "by-label/data",
            "by-partuuid/00000007-01",
            "by-path/pci-0000:00:04.0",
            "by-path/pci-0000:00:04.0-part1",
            "by-uuid/01000000-0000-0000-0000-000000000000",
        ];
        assert_eq!(links(&places), all);
        // Formatted anew, it has other names.
        fs::write(places.dev.join("vda1"), vec![0; 4096]).unwrap();
        update(&places, "vda1").unwrap();
        assert!(!links(&places).iter().any(|link| link.contains("label")));
        remove(&places, "vda1").unwrap();
        // Of one that went while nobody looked.
        make(&places, &Name::new("by-label", "old"), "vdz").unwrap();
        assert!(update_all(&places).is_empty());
        assert!(links_to(&places, "vdz").is_empty());
        remove(&places, "vda1").unwrap();
        assert_eq!(
            links(&places),
            ["by-id/virtio-data_1", "by-path/pci-0000:00:04.0"]
        );
    }

    #[test]
    fn whoever_has_a_name_first_keeps_it() {
        let (_root, places) = machine();
        let name = Name::new("by-label", "data");
        make(&places, &name, "vda1").unwrap();
        make(&places, &name, "vdb1").unwrap();
        assert_eq!(links_to(&places, "vda1").len(), 1);
        assert!(links_to(&places, "vdb1").is_empty());
    }
}
