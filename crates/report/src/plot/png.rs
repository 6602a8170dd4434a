//! Plots as PNG, for programs that cannot show SVG.

use super::Plot;
use crate::ReportError;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};
use std::fmt::Display;
use std::sync::LazyLock;

/// Pixels of the picture per unit of the drawing, for fine screens and print.
const SCALE: f32 = 2.0;

/// Only fonts that are compiled in: the same plot is the same picture on every machine.
static OPTIONS: LazyLock<Options<'static>> = LazyLock::new(|| {
    let mut options = Options::default();
    let fonts = options.fontdb_mut();
    fonts.load_font_data(dejavu::sans::regular().to_vec());
    fonts.load_font_data(dejavu::sans::bold().to_vec());
    options
});

impl Plot {
    /// The plot as a PNG file, light on white, twice as wide and high as the drawing.
    ///
    /// # Errors
    /// [`ReportError::Picture`] naming the plot.
    pub fn png(&self) -> Result<Vec<u8>, ReportError> {
        let tree = Tree::from_str(&self.svg(), &OPTIONS).map_err(|e| self.fault(e))?;
        let size = tree.size().to_int_size();
        let size = size.scale_by(SCALE).expect("plots are far from any limit");
        let mut pixels = Pixmap::new(size.width(), size.height()).expect("no side is 0");
        // Style sheets for dark mode are skipped, since nobody's preference is known here.
        resvg::render(
            &tree,
            Transform::from_scale(SCALE, SCALE),
            &mut pixels.as_mut(),
        );
        pixels.encode_png().map_err(|e| self.fault(e))
    }

    fn fault(&self, problem: impl Display) -> ReportError {
        ReportError::Picture {
            plot: self.name.clone(),
            problem: problem.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(body: &str) -> Plot {
        Plot {
            name: "p".to_owned(),
            title: "p".to_owned(),
            csv: String::new(),
            width: 40,
            height: 20,
            body: body.to_owned(),
        }
    }

    /// Width, height and pixels.
    fn read(file: &[u8]) -> (u32, u32, Vec<[u8; 3]>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file))
            .read_info()
            .unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        let pixels = bytes.as_chunks::<4>().0.iter();
        (
            info.width,
            info.height,
            pixels.map(|&[r, g, b, _]| [r, g, b]).collect(),
        )
    }

    #[test]
    fn rectangles_and_lines_lie_where_they_should() {
        let body = "<rect fill=\"#0072b2\" x=\"10\" y=\"5\" width=\"10\" height=\"10\"><title>&lt;</title></rect>\n\
                    <line class=\"rule\" x1=\"0\" y1=\"18\" x2=\"40\" y2=\"18\"/>\n";
        let (width, height, pixels) = read(&plot(body).png().unwrap());
        assert_eq!((width, height), (80, 40));
        let at = |x: usize, y: usize| pixels[y * 80 + x];
        assert_eq!(at(20, 10), [0x00, 0x72, 0xb2]);
        assert_eq!(
            (at(39, 29), at(19, 10), at(40, 10)),
            ([0x00, 0x72, 0xb2], [255; 3], [255; 3])
        );
        // One unit wide, centred: rows 35 and 36 of the picture.
        assert_eq!(
            (at(3, 35), at(3, 36), at(3, 34)),
            ([0x24, 0x29, 0x2f], [0x24, 0x29, 0x2f], [255; 3])
        );
        let blue = pixels.iter().filter(|p| **p == [0x00, 0x72, 0xb2]).count();
        assert_eq!(blue, 400);
    }

    #[test]
    fn paths_are_filled_with_their_opacity_and_text_is_written() {
        let triangle =
            "<path fill=\"#000000\" fill-opacity=\"0.5\" stroke=\"none\" d=\"M0 0L40 0L0 20Z\"/>\n";
        let (.., pixels) = read(&plot(triangle).png().unwrap());
        assert!((126..=129).contains(&pixels[0][0]), "{:?}", pixels[0]);
        assert_eq!(pixels[80 * 40 - 1], [255; 3]);
        let dark: f64 = pixels.iter().map(|p| f64::from(255 - p[0]) / 127.5).sum();
        assert!(
            (dark - 1600.0).abs() < 20.0,
            "half of 80 × 40 pixels: {dark}"
        );
        let words = |anchor: &str| {
            let body =
                format!("<text text-anchor=\"{anchor}\" x=\"20\" y=\"15\">≥ 5 % &amp;</text>\n");
            read(&plot(&body).png().unwrap()).2
        };
        let middle = |pixels: &[[u8; 3]]| {
            let dark: Vec<usize> = (0..pixels.len())
                .filter(|&i| pixels[i][0] < 128)
                .map(|i| i % 80)
                .collect();
            assert!(dark.len() > 50, "{} dark pixels", dark.len());
            dark.iter().sum::<usize>() as f64 / dark.len() as f64
        };
        let [start, centred] = ["start", "middle"].map(|a| middle(&words(a)));
        assert!(
            start > 50.0 && (centred - 40.0).abs() < 6.0,
            "{start} {centred}"
        );
    }

    #[test]
    fn a_plot_that_cannot_be_drawn_is_named() {
        let error = plot("<rect").png().unwrap_err().to_string();
        assert!(error.starts_with("picture of p: "), "{error}");
    }
}
