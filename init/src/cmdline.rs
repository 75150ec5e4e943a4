//! The kernel command line: the kernel's rules for splitting it, and our
//! options in it (`docs/cmdline.md`).

use crate::ready::Address;

/// What the command line asks of `/init`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cmdline {
    /// `hullkit.runtime=PATH`: the OCI runtime in place of the image's own.
    pub runtime: Option<String>,
    /// `hullkit.hostname=NAME`, else the kernel's own `hostname=NAME`.
    pub hostname: Option<String>,
    /// `hullkit.modules=A,B`: loaded at boot whatever the hardware is.
    pub modules: Vec<String>,
    /// `hullkit.coldplug=0`: no modules for the hardware that is there.
    pub coldplug: bool,
    /// `hullkit.uevent=0`: no modules for hardware that comes later.
    pub uevent: bool,
    /// `module_blacklist=A,B` and `modprobe.blacklist=A,B`: modules that no
    /// device loads.
    pub blacklist: Vec<String>,
    /// `MODULE.PARAMETER=VALUE`, in order: the module's name with `_` for
    /// `-`, and the rest as `finit_module(2)` takes it.
    pub module_options: Vec<(String, String)>,
    /// `linuxkit.runc_debug`: the runtime is called with `--debug`.
    pub runtime_debug: bool,
    /// `linuxkit.runc_console`: what onboot and onshutdown containers write
    /// goes to the console as well.
    pub runtime_console: bool,
    /// `hullkit.ready=ADDRESS`: who is told when all services are ready.
    pub ready: Option<String>,
    /// `hullkit.emergency`: nothing is started but a console.
    pub emergency: bool,
    /// `hullkit.watchdog=SECONDS`: in what time a hardware watchdog wants a sign
    /// of life; 0: it is left alone.
    pub watchdog: u32,
    /// `hullkit.crash-test`: two signals have PID 1 fail, for tests.
    pub crash_test: bool,
    /// What cannot be obeyed, a line each.
    pub problems: Vec<String>,
}

impl Default for Cmdline {
    fn default() -> Self {
        Self {
            runtime: None,
            hostname: None,
            modules: Vec::new(),
            coldplug: true,
            uevent: true,
            blacklist: Vec::new(),
            module_options: Vec::new(),
            runtime_debug: false,
            runtime_console: false,
            ready: None,
            emergency: false,
            watchdog: 60,
            crash_test: false,
            problems: Vec::new(),
        }
    }
}

/// The options with one of our prefixes, as they are written.
const OPTIONS: [&str; 12] = [
    "hullkit.coldplug",
    "hullkit.crash_test",
    "hullkit.emergency",
    "hullkit.hostname",
    "hullkit.modules",
    "hullkit.ready",
    "hullkit.runtime",
    "hullkit.uevent",
    "hullkit.watchdog",
    "linuxkit.runc_console",
    "linuxkit.runc_debug",
    "linuxkit.unified_cgroup_hierarchy",
];

impl Cmdline {
    /// Reads the command line that the machine was started with.
    ///
    /// # Errors
    /// `/proc` is not mounted.
    pub fn read() -> std::io::Result<Self> {
        let text = std::fs::read("/proc/cmdline")?;
        Ok(Self::parse(&String::from_utf8_lossy(&text)))
    }

    /// Takes what is ours out of the command line `text`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut cmdline = Self::default();
        let mut kernel_hostname = None;
        for (name, value) in params(text) {
            // To the kernel `-` and `_` are the same in a parameter's name.
            let name = name.replace('-', "_");
            match name.as_str() {
                "hostname" => kernel_hostname = value.map(str::to_owned),
                "module_blacklist" | "modprobe.blacklist" => {
                    cmdline.blacklist.extend(module_list(value));
                }
                _ => match name.split_once('.') {
                    Some(("hullkit" | "linuxkit", _)) => cmdline.ours(&name, value),
                    Some((module, parameter)) if !module.is_empty() && !parameter.is_empty() => {
                        let option = finit_option(parameter, value);
                        cmdline.module_options.push((module.to_owned(), option));
                    }
                    _ => {}
                },
            }
        }
        cmdline.hostname = cmdline.hostname.or(kernel_hostname);
        cmdline
    }

    fn ours(&mut self, name: &str, value: Option<&str>) {
        match name {
            "hullkit.runtime" => match value {
                Some(path) if path.starts_with('/') => self.runtime = Some(path.to_owned()),
                _ => self.refuse(name, value, "an absolute path"),
            },
            "hullkit.hostname" => match value {
                Some(host) if !host.is_empty() => self.hostname = Some(host.to_owned()),
                _ => self.refuse(name, value, "a name"),
            },
            "hullkit.modules" => self.modules.extend(module_list(value)),
            "hullkit.coldplug" => self.coldplug = self.flag(name, value, true),
            "hullkit.uevent" => self.uevent = self.flag(name, value, true),
            "hullkit.ready" => match value.filter(|value| Address::parse(value).is_some()) {
                Some(address) => self.ready = Some(address.to_owned()),
                None => self.refuse(name, value, "virtio:NAME or vsock:CID:PORT"),
            },
            "hullkit.emergency" => self.emergency = self.flag(name, value, false),
            "hullkit.watchdog" => match value.and_then(|value| value.parse().ok()) {
                Some(seconds @ 0..=3600) => self.watchdog = seconds,
                _ => self.refuse(name, value, "a number of seconds up to 3600"),
            },
            "hullkit.crash_test" => self.crash_test = self.flag(name, value, false),
            "linuxkit.runc_debug" => self.runtime_debug = self.flag(name, value, false),
            "linuxkit.runc_console" => self.runtime_console = self.flag(name, value, false),
            "linuxkit.unified_cgroup_hierarchy" => {
                if !self.flag(name, value, true) {
                    self.problems.push(format!(
                        "{name}=0: cgroup v1 is not supported, this is cgroup v2"
                    ));
                }
            }
            _ => self.unknown(name),
        }
    }

    /// A switch: alone, or with a value that says yes or no. `otherwise` is
    /// what it is when the value says neither.
    fn flag(&mut self, name: &str, value: Option<&str>, otherwise: bool) -> bool {
        match value {
            None | Some("1" | "y" | "yes" | "on" | "true") => true,
            Some("0" | "n" | "no" | "off" | "false") => false,
            Some(_) => {
                self.refuse(name, value, "0 or 1");
                otherwise
            }
        }
    }

    fn refuse(&mut self, name: &str, value: Option<&str>, wanted: &str) {
        let value = value.unwrap_or_default();
        self.problems
            .push(format!("{name}={value}: not {wanted}; ignored"));
    }

    fn unknown(&mut self, name: &str) {
        let nearest = OPTIONS
            .iter()
            .map(|option| (distance(name, option), *option))
            .min();
        self.problems.push(match nearest {
            // Farther than that, it is not what was meant.
            Some((distance, option)) if distance <= 3 => {
                format!("{name}: no such option; the nearest is {option}")
            }
            _ => format!("{name}: no such option"),
        });
    }
}

/// Splits `text` into parameters as the kernel does (`lib/cmdline.c`,
/// `next_arg`): blanks separate, double quotes keep blanks together and are
/// taken off where they stand around the whole or around the value; what
/// follows `--` belongs to nobody here.
pub fn params(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(is_blank);
        if rest.is_empty() {
            return None;
        }
        let mut quoted = false;
        let end = rest
            .find(|c: char| {
                quoted ^= c == '"';
                is_blank(c) && !quoted
            })
            .unwrap_or(rest.len());
        let (param, tail) = rest.split_at(end);
        rest = tail;
        Some(split(param))
    })
    .take_while(|param| *param != ("--", None))
}

/// One parameter, without its quotes.
fn split(param: &str) -> (&str, Option<&str>) {
    let whole = param.strip_prefix('"');
    let bare = whole.unwrap_or(param);
    let quoted = whole.is_some();
    match bare.split_once('=') {
        None => (if quoted { unquote_end(bare) } else { bare }, None),
        Some((name, value)) => {
            let inner = value.strip_prefix('"');
            let value = inner.unwrap_or(value);
            let ends = quoted || inner.is_some();
            (name, Some(if ends { unquote_end(value) } else { value }))
        }
    }
}

fn unquote_end(text: &str) -> &str {
    text.strip_suffix('"').unwrap_or(text)
}

/// The kernel's `isspace`: its ASCII half, and the no-break space of Latin-1,
/// which no UTF-8 text has alone.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r')
}

/// The names in `A,B`, with `_` for `-`.
fn module_list(value: Option<&str>) -> impl Iterator<Item = String> {
    value
        .unwrap_or_default()
        .split(',')
        .filter(|name| !name.is_empty())
        .map(|name| name.replace('-', "_"))
}

/// `PARAMETER[=VALUE]` as `finit_module(2)` splits it again: by the same rules.
fn finit_option(parameter: &str, value: Option<&str>) -> String {
    match value {
        None => parameter.to_owned(),
        Some(value) if value.contains(is_blank) => format!("{parameter}=\"{value}\""),
        Some(value) => format!("{parameter}={value}"),
    }
}

/// Levenshtein's distance: insertions, deletions and replacements of a byte.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (above, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let replaced = diagonal + usize::from(x != y);
            diagonal = *above;
            left = replaced.min(left + 1).min(*above + 1);
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
