//! `linux.intelRdt`: how the container shares caches and memory bandwidth.

use super::raw;
use super::{Invalid, Result};

/// A class of service of resctrl(5), or a group that is only watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rdt {
    /// The class; without one it is the container's id.
    pub class: Option<String>,
    /// Lines of its `schemata`, each `RESOURCE:DOMAIN=VALUE;…`.
    pub schemata: Vec<String>,
    /// Whether a group of the container's own is watched in the class.
    pub monitoring: bool,
}

impl Rdt {
    pub(super) fn validate(raw: raw::Rdt) -> Result<Self> {
        let field = "linux.intelRdt";
        if let Some(class) = raw.clos_id.as_deref() {
            check_class(&format!("{field}.closID"), class)?;
        }
        // The specification: of the cache's lines those about memory are left
        // out where the memory's are given.
        let mut schemata = lines(&format!("{field}.l3CacheSchema"), &raw.l3_cache_schema)?;
        let memory = lines(&format!("{field}.memBwSchema"), &raw.mem_bw_schema)?;
        if let Some(other) = memory.iter().find(|line| !line.starts_with("MB:")) {
            let problem = format!("\"{other}\" does not begin with MB:");
            return Err(Invalid::new(format!("{field}.memBwSchema"), problem));
        }
        schemata.retain(|line| memory.is_empty() || !line.starts_with("MB:"));
        schemata.extend(memory);
        for (i, text) in raw.schemata.iter().enumerate() {
            schemata.extend(lines(&format!("{field}.schemata[{i}]"), text)?);
        }
        Ok(Self {
            class: raw.clos_id,
            schemata,
            monitoring: raw.enable_monitoring || raw.enable_cmt || raw.enable_mbm,
        })
    }
}

/// A class is a folder of resctrl's, and not one of the kernel's own.
fn check_class(field: &str, class: &str) -> Result<()> {
    const KERNELS: [&str; 6] = ["", ".", "..", "info", "mon_groups", "mon_data"];
    if KERNELS.contains(&class) || class.contains(['/', '\n', '\0']) {
        let problem = format!("\"{class}\" is not the name of a class of service");
        return Err(Invalid::new(field, problem));
    }
    Ok(())
}

fn lines(field: &str, text: &str) -> Result<Vec<String>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| match line.split_once(':') {
            Some((resource, values))
                if !resource.is_empty() && values.contains('=') && !line.contains('\0') =>
            {
                Ok(line.to_owned())
            }
            _ => {
                let problem = format!("\"{line}\" is not of the form RESOURCE:DOMAIN=VALUE;…");
                Err(Invalid::new(field, problem))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_cache_about_memory_give_way_to_memory_s_own() {
        let rdt = |l3: &str, memory: &str| {
            let raw = raw::Rdt {
                l3_cache_schema: l3.to_owned(),
                mem_bw_schema: memory.to_owned(),
                schemata: vec!["L2:0=3".to_owned()],
                ..raw::Rdt::default()
            };
            Rdt::validate(raw).unwrap().schemata.join(" ")
        };
        assert_eq!(rdt("L3:0=f\nMB:0=20", "MB:0=10"), "L3:0=f MB:0=10 L2:0=3");
        assert_eq!(rdt("L3:0=f\n\nMB:0=20\n", ""), "L3:0=f MB:0=20 L2:0=3");
        assert_eq!(rdt("", ""), "L2:0=3");
    }
}
