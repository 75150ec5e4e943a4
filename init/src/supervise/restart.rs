//! Whether a service that ended by itself is started again.

use hullkit_bundle::supervision::Restart;

/// Whether `policy` wants it, after an end that was a failure or not.
#[must_use]
pub(super) fn wanted(policy: Restart, failed: bool) -> bool {
    match policy {
        Restart::Always => true,
        Restart::OnFailure => failed,
        Restart::Never => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_policy() {
        let table = [
            (Restart::Always, true, true),
            (Restart::Always, false, true),
            (Restart::OnFailure, true, true),
            (Restart::OnFailure, false, false),
            (Restart::Never, true, false),
            (Restart::Never, false, false),
        ];
        for (policy, failed, expected) in table {
            assert_eq!(
                wanted(policy, failed),
                expected,
                "{policy:?}, failed: {failed}"
            );
        }
    }
}
