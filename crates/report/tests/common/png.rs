//! A PNG writer for test pictures: RGB, no compression.

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |mut c, &b| {
        c ^= u32::from(b);
        for _ in 0..8 {
            c = if c & 1 == 1 {
                0xedb8_8320 ^ (c >> 1)
            } else {
                c >> 1
            };
        }
        c
    })
}

fn chunk(out: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    out.extend((data.len() as u32).to_be_bytes());
    let body = [kind.as_slice(), data].concat();
    out.extend(&body);
    out.extend(crc(&body).to_be_bytes());
}

/// A square picture from a function of column and row; side at most 140, so that one stored block
/// holds it.
pub(crate) fn png(side: u16, colour: impl Fn(u16, u16) -> [u8; 3]) -> Vec<u8> {
    let mut raw = Vec::new();
    for y in 0..side {
        raw.push(0);
        (0..side).for_each(|x| raw.extend(colour(x, y)));
    }
    let (mut a, mut b) = (1u32, 0u32);
    for &byte in &raw {
        a = (a + u32::from(byte)) % 65521;
        b = (b + a) % 65521;
    }
    let length = u16::try_from(raw.len()).unwrap();
    let mut data = vec![0x78, 0x01, 0x01];
    data.extend(length.to_le_bytes());
    data.extend((!length).to_le_bytes());
    data.extend(raw);
    data.extend((b << 16 | a).to_be_bytes());
    let side = u32::from(side).to_be_bytes();
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(
        &mut out,
        b"IHDR",
        &[side.as_slice(), &side, &[8, 2, 0, 0, 0]].concat(),
    );
    chunk(&mut out, b"IDAT", &data);
    chunk(&mut out, b"IEND", &[]);
    out
}
