//! How far a pull or a push is, for people: a bar for each blob, on a
//! terminal only.

use std::io::IsTerminal as _;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Where bars are drawn, if anywhere.
#[derive(Clone, Debug, Default)]
pub struct Progress(Option<MultiProgress>);

impl Progress {
    /// Bars on standard error, unless that is no terminal or `quiet`.
    #[must_use]
    pub fn on_terminal(quiet: bool) -> Self {
        let wanted = !quiet && std::io::stderr().is_terminal();
        Self(wanted.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr())))
    }

    /// A bar for something of `len` bytes.
    pub(super) fn bar(&self, name: String, len: u64) -> Bar {
        Bar(self.0.as_ref().map(|all| {
            let style = "{prefix:12} [{bar:30}] {bytes:>10}/{total_bytes} {bytes_per_sec} {msg}";
            let style = ProgressStyle::with_template(style)
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(len).with_style(style.progress_chars("=> "));
            all.add(bar.with_prefix(name))
        }))
    }
}

/// How far one blob is.
#[derive(Clone, Debug)]
pub(super) struct Bar(Option<ProgressBar>);

impl Bar {
    /// So many bytes more.
    pub(super) fn add(&self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(bytes);
        }
    }

    /// So many bytes in all.
    pub(super) fn set(&self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.set_position(bytes);
        }
    }

    /// It is there.
    pub(super) fn done(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
