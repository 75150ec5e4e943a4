//! The ids of an entry with `security: strict`: it has a user namespace, and a
//! range of the machine's ids that nobody else has.

use crate::spec::{Container, Entry, IdMapping, Located, Namespace, Security};

/// As many as programs expect: all that 16 bits tell apart.
const COUNT: u32 = 1 << 16;

/// Gives the entry its range, unless it says something of a user namespace
/// itself. The first id of that range, which its root is: its files must be
/// that one's.
pub(super) fn give(container: &mut Container, entry: &Entry, security: Security) -> Option<u32> {
    if security != Security::Strict || container.userns.is_some() {
        return None;
    }
    // Entries are counted from 100, so no range touches the machine's own ids.
    let first = entry.id.checked_mul(COUNT)?;
    let mapping = IdMapping {
        container_id: 0,
        host_id: first,
        size: COUNT,
    };
    container.userns = Some(Located {
        value: Namespace::New,
        place: entry.place.clone(),
    });
    container.uid_mappings = Some(vec![mapping]);
    container.gid_mappings = Some(vec![mapping]);
    Some(first)
}
