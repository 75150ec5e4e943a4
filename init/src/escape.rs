//! Bytes that a text has as a mark and their number.

/// Undoes `mark` with `digits` digits of `radix` behind it; what is no such
/// number stays as it is.
pub(crate) fn undo(text: &str, mark: u8, digits: usize, radix: u32) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let number = after
            .get(..digits)
            .and_then(|number| std::str::from_utf8(number).ok());
        match number.and_then(|number| u8::from_str_radix(number, radix).ok()) {
            Some(byte) if first == mark => {
                bytes.push(byte);
                rest = after.get(digits..).unwrap_or_default();
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
