//! The `control` file (`deb-control(5)`).

/// The `control` file of a package (`deb-control(5)`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The package's name.
    pub package: String,
    /// Its version, as dpkg writes it.
    pub version: String,
    /// `amd64`, `arm64`, `all`, …
    pub architecture: String,
    fields: Vec<(String, String)>,
}

impl Control {
    /// A field by its name, whose case does not count. Continuation lines are
    /// joined with newlines, without their leading blank.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&str> {
        let found = self
            .fields
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(field));
        found.map(|(_, value)| value.as_str())
    }

    /// Parses the text of a `control` file; the error is a reason in words.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut fields: Vec<(String, String)> = Vec::new();
        for (number, line) in text.lines().enumerate().map(|(i, line)| (i + 1, line)) {
            if line.trim().is_empty() {
                continue;
            }
            if let Some(more) = line.strip_prefix([' ', '\t']) {
                let (_, value) = fields
                    .last_mut()
                    .ok_or_else(|| format!("line {number} continues no field"))?;
                value.push('\n');
                value.push_str(more.trim_end());
                continue;
            }
            let (name, value) = line
                .split_once(':')
                .filter(|(name, _)| !name.is_empty() && !name.contains(char::is_whitespace))
                .ok_or_else(|| format!("line {number} is not `Field: value`"))?;
            if fields
                .iter()
                .any(|(other, _)| other.eq_ignore_ascii_case(name))
            {
                return Err(format!("line {number} has `{name}` again"));
            }
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
        let required = |name: &str| {
            let found = fields
                .iter()
                .find(|(other, _)| other.eq_ignore_ascii_case(name));
            found
                .map(|(_, value)| value.clone())
                .filter(|value| !value.is_empty() && !value.contains(char::is_whitespace))
                .ok_or_else(|| format!("`{name}` is missing, empty or not one word"))
        };
        Ok(Self {
            package: required("Package")?,
            version: required("Version")?,
            architecture: required("Architecture")?,
            fields,
        })
    }
}
