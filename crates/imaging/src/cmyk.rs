//! Inks to light, without a colour profile.

/// C, M, Y, K of 0 (none) to 255 (full) to R, G, B: `(255 − ink)·(255 − K)/255`, rounded, which is
/// what Pillow does.
pub(crate) fn to_rgb(cmyk: &[u8]) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(cmyk.len() / 4 * 3);
    for inks in cmyk.chunks_exact(4) {
        let light = 255 - u32::from(inks[3]);
        rgb.extend(inks[..3].iter().map(|&ink| {
            let product = (255 - u32::from(ink)) * light;
            ((product + 127) / 255) as u8
        }));
    }
    rgb
}

#[cfg(test)]
mod tests {
    #[test]
    fn inks_darken() {
        let inks = [0, 0, 0, 0, 255, 0, 0, 0, 0, 255, 0, 128, 9, 8, 7, 255];
        // By hand: 255·127/255 = 127.
        let rgb = [255, 255, 255, 0, 255, 255, 127, 0, 127, 0, 0, 0];
        assert_eq!(super::to_rgb(&inks), rgb);
    }
}
