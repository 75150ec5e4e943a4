//! Parts of a configuration that come by themselves: the process of `exec`,
//! the limits of `update`.

use super::raw::{Pids, Process, Resources, Spec};
use super::{Invalid, Result, read};

/// Reads a `process` that stands alone.
///
/// # Errors
/// As [`super::Container::parse`].
pub(crate) fn read_process(text: &[u8]) -> Result<Process> {
    let spec = read_within(text, b"{\"process\":", b"}")?;
    spec.process
        .ok_or_else(|| Invalid::new("process", "is missing"))
}

/// Reads `resources` that stand alone.
///
/// # Errors
/// As [`super::Container::parse`].
pub(crate) fn read_resources(text: &[u8]) -> Result<Resources> {
    read_within(text, b"{\"linux\":{\"resources\":", b"}}").map(|spec| spec.linux.resources)
}

/// As the field of a whole configuration, so that it is read by what reads
/// those, and what is wrong is named by its place there.
fn read_within(text: &[u8], before: &[u8], after: &[u8]) -> Result<Spec> {
    // Only an object is one field's value, whatever it holds.
    let text = text.trim_ascii();
    if !text.starts_with(b"{") {
        return Err(Invalid::new("the file", "does not hold a JSON object"));
    }
    read(&[before, text, after].concat())
}

impl Process {
    /// Takes the place of the container's own process. What it leaves out of
    /// rights and limits is as the container has it.
    pub(crate) fn replace(&mut self, other: Self) {
        let own = std::mem::replace(self, other);
        if self.rlimits.is_empty() {
            self.rlimits = own.rlimits;
        }
        if self.apparmor_profile.is_empty() {
            self.apparmor_profile = own.apparmor_profile;
        }
        if self.selinux_label.is_empty() {
            self.selinux_label = own.selinux_label;
        }
        self.capabilities = self.capabilities.take().or(own.capabilities);
        self.oom_score_adj = self.oom_score_adj.or(own.oom_score_adj);
    }

    /// Adds capabilities as runc does: to those that count, and to the ambient
    /// ones where the container has inheritable ones.
    pub(crate) fn add_capabilities(&mut self, names: &[String]) {
        let sets = self.capabilities.get_or_insert_default();
        let names = || names.iter().cloned();
        sets.bounding.extend(names());
        sets.effective.extend(names());
        sets.permitted.extend(names());
        if !sets.inheritable.is_empty() {
            sets.inheritable.extend(names());
            sets.ambient.extend(names());
        }
    }
}

impl Resources {
    /// Limits processes and threads.
    pub(crate) fn set_pids(&mut self, limit: Option<i64>) {
        self.pids = Some(Pids { limit });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named_by_its_place() {
        let error = |text: &str| read_process(text.as_bytes()).unwrap_err().to_string();
        assert!(error("{\"args\": [1]}").starts_with("process.args[0]: "));
        assert_eq!(error("[]"), "the file: does not hold a JSON object");
        assert!(read_process(b"{}{}").is_err());
        assert!(read_process(b"{}, \"process\": {}").is_err());
        let limits = read_resources(b" {\"pids\": {\"limit\": 5}}\n").unwrap();
        assert_eq!(limits.pids.and_then(|pids| pids.limit), Some(5));
    }

    #[test]
    fn a_process_that_says_nothing_of_rights_gets_the_containers() {
        let mut own = read_process(
            b"{\"args\":[\"a\"],\"capabilities\":{\"bounding\":[\"CAP_KILL\"]},\"oomScoreAdj\":5}",
        )
        .unwrap();
        let other = read_process(b"{\"args\":[\"b\"]}").unwrap();
        own.replace(other);
        assert_eq!(own.args, ["b"]);
        assert_eq!(own.capabilities.as_ref().unwrap().bounding, ["CAP_KILL"]);
        assert_eq!(own.oom_score_adj, Some(5));
        own.add_capabilities(&["CAP_CHOWN".to_owned()]);
        let sets = own.capabilities.unwrap();
        assert_eq!(sets.effective, ["CAP_CHOWN"]);
        assert!(sets.ambient.is_empty());
    }
}
