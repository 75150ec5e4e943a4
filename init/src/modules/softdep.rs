//! `modules.softdep`: what should be there when a module is, though it does
//! without: `softdep MODULE pre: NAME… post: NAME…`.

use super::dep::same;

/// What `text` says of `module`: (before it, behind it), names or aliases, in
/// the file's order.
#[must_use]
pub fn of<'a>(text: &'a str, module: &str) -> (Vec<&'a str>, Vec<&'a str>) {
    let (mut pre, mut post) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        if words.next() != Some("softdep") || !words.next().is_some_and(|m| same(m, module)) {
            continue;
        }
        // Words before the first key mean nothing, as with kmod.
        let mut list: Option<&mut Vec<&str>> = None;
        for word in words {
            match word {
                "pre:" => list = Some(&mut pre),
                "post:" => list = Some(&mut post),
                name => {
                    if let Some(list) = &mut list {
                        list.push(name);
                    }
                }
            }
        }
    }
    (pre, post)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_add_up() {
        let text = "\
# comment
softdep a-b pre: c d post: e
softdep x pre: y
softdep a_b pre: f
softdep a_b lost
softdep
";
        assert_eq!(of(text, "a_b"), (vec!["c", "d", "f"], vec!["e"]));
        assert_eq!(of(text, "x"), (vec!["y"], vec![]));
        assert_eq!(of(text, "z"), (vec![], vec![]));
    }
}
