//! `@pkg:DIR` where an image is named.

use hullkit_bundle::layout::Section;

use super::node::{Kind, Node};
use super::read::Reader;

/// Replaces each image that begins with `@` by what it stands for.
pub(super) fn resolve(
    r: &mut Reader,
    file: &mut Node,
    template: &dyn Fn(&str) -> Result<String, String>,
) {
    for (field, node) in images(file) {
        let line = node.line;
        if let Kind::Text(text) = &mut node.kind
            && text.starts_with('@')
        {
            match template(text) {
                Ok(image) => *text = image,
                Err(message) => r.problem(line, &field, message),
            }
        }
    }
}

/// The places of a file where images are named.
fn images(file: &mut Node) -> Vec<(String, &mut Node)> {
    let mut images = Vec::new();
    for (top, node) in values(file) {
        let is_list = Section::ALL.iter().any(|s| s.as_str() == top) || top == "volumes";
        if top == "kernel" {
            images.extend(image("kernel", node));
            continue;
        }
        match (top.as_str(), &mut node.kind) {
            ("init", Kind::List(items)) => {
                let items = items.iter_mut().enumerate();
                images.extend(items.map(|(n, item)| (format!("init[{n}]"), item)));
            }
            (top, Kind::List(items)) if is_list => {
                for (n, item) in items.iter_mut().enumerate() {
                    images.extend(image(&format!("{top}[{n}]"), item));
                }
            }
            _ => {}
        }
    }
    images
}

fn image<'n>(field: &str, node: &'n mut Node) -> Option<(String, &'n mut Node)> {
    let mut pairs = values(node);
    let (_, image) = pairs.find(|(key, _)| key == "image")?;
    Some((format!("{field}.image"), image))
}

fn values(node: &mut Node) -> impl Iterator<Item = (String, &mut Node)> {
    let pairs = match &mut node.kind {
        Kind::Map(pairs) => &mut pairs[..],
        _ => &mut [],
    };
    pairs.iter_mut().map(|(key, node)| (key.text.clone(), node))
}
