//! The appearance of the classes.

use crate::canvas::{Colour, Figure, Item, Pattern};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use segad_core::Seed;

/// A product or texture.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Background and body.
    pub fixed: Vec<Item>,
    /// Components that can be missing, displaced, doubled, of a wrong colour. A texture has none.
    pub loose: Vec<Item>,
}

/// A random number generator.
pub(crate) struct Draw(ChaCha8Rng);

impl Draw {
    pub(crate) fn new(seed: Seed) -> Self {
        Self(seed.rng())
    }

    pub(crate) fn bits(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Uniform from `low` to `high`.
    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        // 24 bits fit an f32 exactly, so nothing is rounded to `high`.
        low + (high - low) * ((self.bits() >> 8) as f32 / (1 << 24) as f32)
    }

    /// Uniform from 0 to `n` − 1.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.bits()) * n as u64) >> 32) as usize
    }

    fn colour(&mut self, low: f32, high: f32) -> Colour {
        std::array::from_fn(|_| self.between(low, high))
    }
}

fn plain(shape: Figure, colour: Colour, contrast: f32) -> Item {
    Item {
        shape,
        colour,
        pattern: Pattern::Plain,
        contrast,
    }
}

/// In pixels of a picture of 512×512.
fn ellipse(x: f32, y: f32, rx: f32, ry: f32) -> Figure {
    let [x, y, rx, ry] = [x, y, rx, ry].map(|pixels| pixels / 512.0);
    Figure::ellipse(x, y, rx, ry)
}

/// In pixels of a picture of 512×512; the angle in radians.
fn bar(x: f32, y: f32, rx: f32, ry: f32, angle: f32) -> Figure {
    let [x, y, rx, ry] = [x, y, rx, ry].map(|pixels| pixels / 512.0);
    Figure::rectangle(x, y, rx, ry, angle)
}

impl Part {
    /// All items in the order of painting.
    pub(crate) fn items(&self) -> Vec<Item> {
        [self.fixed.as_slice(), &self.loose].concat()
    }

    /// An object: a textured body with three to five components, whose shapes and colours are
    /// decided by the class's name.
    pub(crate) fn object(class: &str) -> Self {
        // Not by the caller's seed: a class looks the same whatever images of it are drawn.
        let mut draw = Draw::new(Seed(0).derive("miniature object").derive(class));
        let background = plain(Figure::EVERYTHING, draw.colour(20.0, 70.0), 6.0);
        let rx = draw.between(0.33, 0.4);
        let ry = draw.between(0.3, 0.4);
        let shape = match draw.below(2) {
            0 => Figure::ellipse(0.5, 0.5, rx, ry),
            _ => Figure::rectangle(0.5, 0.5, rx, ry, 0.0),
        };
        let pattern = match draw.below(3) {
            0 => Pattern::Plain,
            1 => Pattern::Stripes {
                waves: draw.between(5.0, 9.0),
                angle: draw.between(0.0, 3.0),
            },
            _ => Pattern::Fields {
                fields: draw.between(7.0, 11.0),
            },
        };
        let body = Item {
            shape,
            colour: draw.colour(110.0, 190.0),
            pattern,
            contrast: 9.0,
        };
        let count = 3 + draw.below(3);
        // Around the centre, evenly spaced from a random direction.
        let turn = draw.between(0.0, std::f32::consts::TAU);
        let mut loose = Vec::with_capacity(count);
        for i in 0..count {
            let angle = turn + std::f32::consts::TAU * i as f32 / count as f32;
            let x = 0.5 + 0.58 * rx * libm::cosf(angle);
            let y = 0.5 + 0.58 * ry * libm::sinf(angle);
            let rx = draw.between(0.05, 0.075);
            let ry = draw.between(0.05, 0.075);
            let shape = match draw.below(2) {
                0 => Figure::ellipse(x, y, rx, ry),
                _ => Figure::rectangle(x, y, rx, ry, draw.between(0.0, 1.5)),
            };
            loose.push(plain(shape, draw.colour(0.0, 90.0), 5.0));
        }
        Self {
            fixed: vec![background, body],
            loose,
        }
    }

    /// A texture: one pattern everywhere.
    pub(crate) fn texture(class: &str) -> Self {
        let mut draw = Draw::new(Seed(0).derive("miniature texture").derive(class));
        let pattern = match draw.below(2) {
            0 => Pattern::Stripes {
                waves: draw.between(6.0, 12.0),
                angle: draw.between(0.0, 3.0),
            },
            _ => Pattern::Fields {
                fields: draw.between(8.0, 14.0),
            },
        };
        let colour = draw.colour(90.0, 180.0);
        Self {
            fixed: vec![Item {
                shape: Figure::EVERYTHING,
                colour,
                pattern,
                contrast: 14.0,
            }],
            loose: vec![],
        }
    }

    /// VAD's piezo element, with proportions measured on the picture in the data set's README:
    /// housing, piezo disc with its rim, two solder dots, two wires, two pins.
    pub(crate) fn piezo() -> Self {
        let fixed = vec![
            plain(Figure::EVERYTHING, [35.0, 35.0, 40.0], 6.0),
            plain(ellipse(256.0, 250.0, 256.0, 235.0), [70.0, 72.0, 78.0], 8.0),
            plain(
                ellipse(256.0, 258.0, 225.0, 226.0),
                [165.0, 140.0, 80.0],
                6.0,
            ),
            Item {
                shape: ellipse(256.0, 250.0, 196.0, 200.0),
                colour: [185.0, 185.0, 180.0],
                pattern: Pattern::Stripes {
                    waves: 14.0,
                    angle: 0.6,
                },
                contrast: 8.0,
            },
        ];
        let loose = vec![
            plain(
                bar(122.0, 340.0, 24.0, 88.0, 0.1),
                [205.0, 190.0, 120.0],
                5.0,
            ),
            plain(
                bar(395.0, 330.0, 24.0, 90.0, -0.1),
                [205.0, 190.0, 120.0],
                5.0,
            ),
            plain(bar(172.0, 205.0, 11.0, 58.0, 0.0), [150.0, 50.0, 45.0], 5.0),
            plain(bar(368.0, 200.0, 11.0, 50.0, 0.2), [45.0, 50.0, 140.0], 5.0),
            plain(
                ellipse(178.0, 100.0, 48.0, 48.0),
                [225.0, 225.0, 230.0],
                7.0,
            ),
            plain(
                ellipse(352.0, 112.0, 46.0, 46.0),
                [225.0, 225.0, 230.0],
                7.0,
            ),
        ];
        Self { fixed, loose }
    }

    /// A solar cell: three busbars across a grainy square. Busbars do not count as components,
    /// since all defects of a cell are structural.
    pub(crate) fn cell() -> Self {
        let mut fixed = vec![
            plain(Figure::EVERYTHING, [15.0; 3], 3.0),
            Item {
                shape: Figure::rectangle(0.5, 0.5, 0.49, 0.49, 0.0),
                colour: [150.0; 3],
                pattern: Pattern::Stripes {
                    waves: 30.0,
                    angle: std::f32::consts::FRAC_PI_2,
                },
                contrast: 10.0,
            },
        ];
        fixed.extend([52.0, 150.0, 248.0].map(|row| {
            let shape = Figure::rectangle(0.5, row / 300.0, 0.49, 0.02, 0.0);
            plain(shape, [60.0; 3], 3.0)
        }));
        Self {
            fixed,
            loose: vec![],
        }
    }
}
