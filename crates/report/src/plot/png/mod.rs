//! Plots as PNG, for programs that cannot show SVG. Draws the few elements that [`super::canvas::Canvas`]
//! writes, in light colours, with fonts that are compiled in, so that the same plot is the
//! same picture on every machine.

mod element;
mod raster;
mod text;

use super::Plot;
use crate::ReportError;
use element::{Element, elements};
use raster::{Pixels, Point};

/// Pixels of the picture per unit of the drawing, for fine screens and print.
const SCALE: f32 = 2.0;

impl Plot {
    /// The plot as a PNG file, light on white, twice as wide and high as the drawing.
    ///
    /// # Errors
    /// [`ReportError::Picture`] naming the plot.
    pub fn png(&self) -> Result<Vec<u8>, ReportError> {
        let fault = |problem: String| ReportError::Picture {
            plot: self.name.clone(),
            problem,
        };
        let width = self.width * SCALE as u32;
        let height = self.height * SCALE as u32;
        let mut pixels = Pixels::new(width as usize, height as usize);
        for element in elements(&self.body).map_err(fault)? {
            draw(&mut pixels, &element).map_err(fault)?;
        }
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        // Mostly flat colour: slower levels hardly make smaller files, and a run writes dozens.
        encoder.set_compression(png::Compression::Fast);
        let written = encoder
            .write_header()
            .and_then(|mut w| w.write_image_data(&pixels.bytes()));
        written.map_err(|e| fault(e.to_string()))?;
        Ok(file)
    }
}

/// The stroke that the style sheet of plots gives a class, in light mode.
fn stroke_of(class: &str) -> Option<[u8; 3]> {
    match class {
        "axis" => Some([0x57, 0x60, 0x6a]),
        "grid" => Some([0xd8, 0xde, 0xe4]),
        "rule" => Some([0x24, 0x29, 0x2f]),
        _ => None,
    }
}

/// The fill that it gives a class.
fn fill_of(class: &str) -> Option<[u8; 3]> {
    match class {
        "dim" => Some([0x65, 0x6d, 0x76]),
        "mark" | "" => Some([0x24, 0x29, 0x2f]),
        _ => None,
    }
}

/// A colour as `#rrggbb`; `None` for `none`.
fn colour(text: &str) -> Result<Option<[u8; 3]>, String> {
    if text == "none" {
        return Ok(None);
    }
    let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6);
    let value = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let value = value.ok_or_else(|| format!("colour {text}"))?;
    let [_, red, green, blue] = value.to_be_bytes();
    Ok(Some([red, green, blue]))
}

fn draw(pixels: &mut Pixels, element: &Element<'_>) -> Result<(), String> {
    let class = element.get("class").unwrap_or_default();
    match element.name {
        "line" => {
            let colour = stroke_of(class).ok_or("a line without a class that has a stroke")?;
            let from = (scaled(element, "x1")?, scaled(element, "y1")?);
            let to = (scaled(element, "x2")?, scaled(element, "y2")?);
            pixels.stroke(&[from, to], SCALE, &element.dashes(SCALE)?, colour);
        }
        "rect" => {
            let x = scaled(element, "x")?;
            let y = scaled(element, "y")?;
            let right = x + scaled(element, "width")?;
            let bottom = y + scaled(element, "height")?;
            if let Some(colour) = colour(element.get("fill").unwrap_or("none"))? {
                let corners = [(x, y), (right, y), (right, bottom), (x, bottom)];
                pixels.fill(&corners, colour, 1.0);
            }
        }
        "path" => draw_path(pixels, element, fill_of(class))?,
        "text" => {
            let size = element.number_or("font-size", 12.0)?;
            let style = text::Style {
                size: size * SCALE,
                bold: element.get("font-weight") == Some("600"),
                anchor: element.get("text-anchor").unwrap_or("start"),
                degrees: element.rotation()?,
            };
            let colour = fill_of(class).ok_or("text of a class without a colour")?;
            let at = (scaled(element, "x")?, scaled(element, "y")?);
            text::write(pixels, at, &element.text, &style, colour)?;
        }
        other => return Err(format!("element {other}, which plots do not have")),
    }
    Ok(())
}

/// A path; without a fill of its own it has that of its class.
fn draw_path(
    pixels: &mut Pixels,
    element: &Element<'_>,
    class_fill: Option<[u8; 3]>,
) -> Result<(), String> {
    let (points, closed) = element.path()?;
    let mut points: Vec<Point> = points
        .into_iter()
        .map(|(x, y)| (x * SCALE, y * SCALE))
        .collect();
    let fill = match element.get("fill") {
        Some(text) => colour(text)?,
        None => class_fill,
    };
    if let Some(fill) = fill {
        pixels.fill(&points, fill, element.number_or("fill-opacity", 1.0)?);
    }
    if let Some(stroke) = element.get("stroke").map(colour).transpose()?.flatten() {
        if closed {
            points.extend(points.first().copied());
        }
        let width = scaled(element, "stroke-width")?;
        pixels.stroke(&points, width, &element.dashes(SCALE)?, stroke);
    }
    Ok(())
}

/// A length or coordinate of an element in pixels of the picture.
fn scaled(element: &Element<'_>, name: &str) -> Result<f32, String> {
    Ok(element.number(name)? * SCALE)
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
        (info.width, info.height, bytes.as_chunks::<3>().0.to_vec())
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
        assert_eq!(pixels[0], [128; 3]);
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
    fn what_plots_do_not_have_is_named() {
        let error = plot("<circle cx=\"1\"/>\n").png().unwrap_err().to_string();
        assert!(error.contains("circle"), "{error}");
    }
}
