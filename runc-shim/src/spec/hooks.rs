//! `hooks`: programs run at stages of the container's life.

use super::raw;
use super::{Invalid, Result, absolute_path, c_text};
use serde::Deserialize;

/// A program with its arguments. No text holds a NUL byte.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Hook {
    /// Absolute.
    pub path: String,
    /// `argv`, the program's name included; never empty.
    pub args: Vec<String>,
    /// `NAME=value`, each.
    pub env: Vec<String>,
    /// Seconds after which it is killed and has failed.
    pub timeout: Option<u32>,
}

/// The hooks of each stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Hooks {
    /// In the runtime's namespaces, after the container's were made and before
    /// its root is entered: the deprecated `prestart` and then `createRuntime`.
    pub create_runtime: Vec<Hook>,
    /// In the container's namespaces, before its root is entered.
    pub create_container: Vec<Hook>,
    /// In the container, after `start` and before the program.
    pub start_container: Vec<Hook>,
    /// In the runtime's namespaces, after the program was started.
    pub poststart: Vec<Hook>,
    /// In the runtime's namespaces, after the container was deleted.
    pub poststop: Vec<Hook>,
}

impl Hooks {
    pub(super) fn validate(raw: &raw::Hooks) -> Result<Self> {
        let mut create_runtime = validate("hooks.prestart", &raw.prestart)?;
        create_runtime.extend(validate("hooks.createRuntime", &raw.create_runtime)?);
        Ok(Self {
            create_runtime,
            create_container: validate("hooks.createContainer", &raw.create_container)?,
            start_container: validate("hooks.startContainer", &raw.start_container)?,
            poststart: validate("hooks.poststart", &raw.poststart)?,
            poststop: validate("hooks.poststop", &raw.poststop)?,
        })
    }
}

fn validate(field: &str, raw: &[raw::Hook]) -> Result<Vec<Hook>> {
    let hook = |(i, hook): (usize, &raw::Hook)| -> Result<Hook> {
        let field = format!("{field}[{i}]");
        absolute_path(&format!("{field}.path"), &hook.path)?;
        if hook.timeout == Some(0) {
            return Err(Invalid::new(
                format!("{field}.timeout"),
                "0 is not at least 1",
            ));
        }
        for text in hook.args.iter().chain(&hook.env) {
            c_text(&field, text)?;
        }
        let mut args = hook.args.clone();
        if args.is_empty() {
            args.push(hook.path.clone());
        }
        Ok(Hook {
            path: hook.path.clone(),
            args,
            env: hook.env.clone(),
            timeout: hook.timeout,
        })
    };
    raw.iter().enumerate().map(hook).collect()
}
