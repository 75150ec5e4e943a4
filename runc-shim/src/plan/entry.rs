//! The plan of another process in a container that runs (`exec`).

use super::{Choices, Step, rights, session, terminal};
use crate::spec::{Arch, Container};

/// What is known of a container that is entered.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The machine's own calling convention.
    pub arch: Arch,
    /// Whether the container has a user namespace that is not ours.
    pub user_namespace: bool,
    /// What the caller chose.
    pub choices: Choices,
}

/// 1. What needs the host's `/proc`, or a right that the container's user
///    namespace does not give, comes before the join.
/// 2. Inside, the order is that of [`super::steps`].
pub(super) fn steps(container: &Container, entry: &Entry) -> Vec<Step> {
    let process = &container.process;
    let mut steps = Vec::with_capacity(24);
    steps.extend(process.oom_score_adj.map(Step::SetOomScore));
    steps.extend(process.rlimits.iter().copied().map(Step::SetLimit));
    steps.extend(process.scheduler.map(Step::Schedule));
    steps.extend(process.io_priority.map(Step::SetIoPriority));
    // It is born in the container's cgroup: there is no time before that.
    steps.extend(process.exec_affinity.last.map(Step::SetAffinity));
    steps.extend(container.memory_policy.map(Step::SetMemoryPolicy));
    steps.extend(container.personality.map(Step::SetPersonality));
    steps.extend(process.apparmor_profile.clone().map(Step::SetAppArmor));
    if let Some(label) = process.selinux_label.clone() {
        steps.push(Step::RequireSelinux);
        steps.push(Step::SetSelinux(label));
    }
    steps.push(Step::JoinContainer);
    if entry.user_namespace {
        steps.push(Step::BecomeNamespaceRoot);
    }
    session(&entry.choices, &mut steps);
    terminal(container, false, &mut steps);
    steps.push(Step::EnterFolder(process.cwd.clone()));
    steps.push(Step::FindProgram);
    rights(container, false, &mut steps);
    steps
}
