//! From the bytes of a list to its text and the sign between its fields.

/// Between fields: of tables in English, of those in languages with decimal commas, of spreadsheets.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// UTF-8, or UTF-16 as spreadsheets write it, with its mark.
pub(super) fn decode(bytes: &[u8]) -> Result<String, String> {
    let wide = |read: fn([u8; 2]) -> u16| {
        let units = bytes[2..].chunks(2).map(|pair| match *pair {
            [a, b] => read([a, b]),
            // Half a unit: no valid one, so that decoding says so.
            _ => 0xd800,
        });
        char::decode_utf16(units)
            .collect::<Result<String, _>>()
            .map_err(|e| format!("not UTF-16, which its first bytes announce: {e}"))
    };
    match bytes {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest),
        _ => utf8(bytes),
    }
}

fn utf8(bytes: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(bytes);
    text.map(str::to_owned)
        .map_err(|e| format!("not UTF-8 ({e}); save the list as UTF-8 or UTF-16"))
}

/// The delimiter that gives the first line most columns that are known.
pub(super) fn delimiter(text: &str, columns: &[&str]) -> u8 {
    let header = text.lines().next().unwrap_or_default();
    let known = |delimiter: &u8| {
        let fields = header.split(char::from(*delimiter));
        let names = fields.map(|field| field.trim().trim_matches('"'));
        names.filter(|name| columns.contains(name)).count()
    };
    // Of equals, the last; so the comma goes last.
    let best = DELIMITERS.into_iter().rev().max_by_key(known);
    best.unwrap_or(b',')
}
