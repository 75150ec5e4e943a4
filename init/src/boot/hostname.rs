//! The machine's name: from the command line, the image, the kernel, or the
//! first network card, in this order.

use std::fs;

use nix::unistd;

use crate::Error;

/// Sets it. `given` is the command line's.
///
/// # Errors
/// The kernel refused the name: it is longer than 64 bytes.
pub(super) fn set(given: Option<&str>) -> Result<(), Error> {
    let name = match given.map(str::to_owned).or_else(of_image) {
        Some(name) => name,
        None if kernel_has_one() => return Ok(()),
        None => of_network_card(fs::read_to_string("/sys/class/net/eth0/address").ok()),
    };
    unistd::sethostname(&name).map_err(Error::os("set host name", &name))
}

fn of_image() -> Option<String> {
    let text = fs::read_to_string("/etc/hostname").ok()?;
    let name = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#'))?;
    Some(name.to_owned())
}

/// `CONFIG_DEFAULT_HOSTNAME`, where it is a name.
fn kernel_has_one() -> bool {
    unistd::gethostname().is_ok_and(|name| !name.is_empty() && name != "(none)")
}

/// `hullkit-525400123456`: so that machines of one image differ.
fn of_network_card(address: Option<String>) -> String {
    match address {
        Some(address) => {
            let digits: String = address.chars().filter(char::is_ascii_hexdigit).collect();
            format!("hullkit-{digits}")
        }
        None => "hullkit".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_card_and_of_none() {
        let address = Some("52:54:00:12:34:56\n".to_owned());
        assert_eq!(of_network_card(address), "hullkit-525400123456");
        assert_eq!(of_network_card(None), "hullkit");
    }
}
