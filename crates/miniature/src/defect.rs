//! Pictures of a part, good and bad.

use crate::MiniatureError;
use crate::canvas::{Colour, Figure, Item, Pattern, View, changed, paint};
use crate::common::in_file;
use crate::part::{Draw, Part};
use segad_core::{Image, Seed};

/// Kinds of defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Scratch,
    Spot,
    Crack,
    Missing,
    Displaced,
    Doubled,
    WrongColour,
}

impl Kind {
    /// Defects of the surface.
    pub(crate) const STRUCTURAL: [Self; 3] = [Self::Scratch, Self::Spot, Self::Crack];
    /// All kinds; those of components are logical, and only parts with components can have them.
    pub(crate) const ALL: [Self; 7] = [
        Self::Scratch,
        Self::Missing,
        Self::Spot,
        Self::Displaced,
        Self::Crack,
        Self::Doubled,
        Self::WrongColour,
    ];

    /// The kinds that a part can have.
    pub(crate) fn of(part: &Part) -> &'static [Self] {
        if part.loose.is_empty() {
            &Self::STRUCTURAL
        } else {
            &Self::ALL
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Scratch => "scratch",
            Self::Spot => "spot",
            Self::Crack => "crack",
            Self::Missing => "missing component",
            Self::Displaced => "displaced component",
            Self::Doubled => "doubled component",
            Self::WrongColour => "wrong colour",
        }
    }
}

/// A picture, and for a bad one the pixels that its defect changed.
pub(crate) struct Picture {
    pub image: Image,
    pub mask: Vec<bool>,
}

/// A defect that changes fewer pixels than this is drawn again.
const VISIBLE: usize = 6;

/// Takes a picture of a part. The same seed gives the same picture.
pub(crate) fn picture(
    part: &Part,
    defect: Option<Kind>,
    (height, width): (usize, usize),
    seed: Seed,
    path: &str,
) -> Result<Picture, MiniatureError> {
    let mut draw = Draw::new(seed);
    let view = View {
        shift: (draw.between(-0.015, 0.015), draw.between(-0.015, 0.015)),
        brightness: draw.between(-5.0, 5.0),
        noise: draw.bits(),
    };
    // The same view with and without the defect: the difference is exactly the mask.
    let good = paint(&part.items(), view, height, width);
    let Some(kind) = defect else {
        return Ok(Picture {
            image: in_file(path, Image::from_rgb(height, width, good))?,
            mask: vec![false; height * width],
        });
    };
    // Some draws fall on a place where they change nothing, such as a dark spot on black.
    for _ in 0..20 {
        let bad = paint(&damaged(part, kind, &mut draw), view, height, width);
        let mask = changed(&good, &bad);
        if mask.iter().filter(|&&m| m).count() >= VISIBLE {
            return Ok(Picture {
                image: in_file(path, Image::from_rgb(height, width, bad))?,
                mask,
            });
        }
    }
    let kind = kind.name();
    in_file(
        path,
        Err(format!(
            "a {kind} is not visible at {height}×{width} pixels"
        )),
    )
}

/// The items of a damaged part. `kind` must be one of [`Kind::of`] the part.
fn damaged(part: &Part, kind: Kind, draw: &mut Draw) -> Vec<Item> {
    let mut part = part.clone();
    let loose = &mut part.loose;
    // Drawn for every kind: the order of draws decides the pixels.
    let x = draw.between(0.25, 0.75);
    let y = draw.between(0.25, 0.75);
    let chosen = draw.below(loose.len().max(1));
    match kind {
        Kind::Scratch => {
            let shade = if draw.below(2) == 0 { 235.0 } else { 15.0 };
            let rx = draw.between(0.12, 0.25);
            let angle = draw.between(0.0, 3.1);
            loose.push(mark(Figure::rectangle(x, y, rx, 0.014, angle), [shade; 3]));
        }
        Kind::Spot => {
            let rx = draw.between(0.03, 0.07);
            let ry = draw.between(0.03, 0.07);
            let colour = [120.0, 90.0, 60.0].map(|brightest| draw.between(0.0, brightest));
            loose.push(mark(Figure::ellipse(x, y, rx, ry), colour));
        }
        Kind::Crack => {
            let mut x = x;
            let mut y = y;
            let mut angle = draw.between(0.0, 6.2);
            for _ in 0..3 {
                angle += draw.between(-1.0, 1.0);
                loose.push(mark(Figure::rectangle(x, y, 0.07, 0.012, angle), [5.0; 3]));
                x += 0.12 * libm::cosf(angle);
                y += 0.12 * libm::sinf(angle);
            }
        }
        Kind::Missing => drop(loose.remove(chosen)),
        Kind::Displaced => loose[chosen] = moved_at_random(loose[chosen], 0.1, draw),
        Kind::Doubled => loose.push(moved_at_random(loose[chosen], 0.2, draw)),
        Kind::WrongColour => {
            let item = &mut loose[chosen];
            item.colour = item.colour.map(|c| 255.0 - c);
            item.colour.rotate_left(1);
        }
    }
    part.items()
}

fn mark(shape: Figure, colour: Colour) -> Item {
    Item {
        shape,
        colour,
        pattern: Pattern::Plain,
        contrast: 4.0,
    }
}

fn moved_at_random(item: Item, distance: f32, draw: &mut Draw) -> Item {
    let angle = draw.between(0.0, 6.2);
    let shape = item
        .shape
        .moved(distance * libm::cosf(angle), distance * libm::sinf(angle));
    Item { shape, ..item }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shot(part: &Part, kind: Option<Kind>, seed: u64) -> Picture {
        picture(part, kind, (64, 80), Seed(seed), "x").unwrap()
    }

    #[test]
    fn every_kind_shows_and_its_mask_is_where_the_picture_changed() {
        for part in [
            Part::piezo(),
            Part::object("pcb1"),
            Part::texture("grid"),
            Part::cell(),
        ] {
            let good = shot(&part, None, 5);
            assert!(good.mask.iter().all(|m| !m));
            for &kind in Kind::of(&part) {
                let bad = shot(&part, Some(kind), 5);
                let differs = good
                    .image
                    .rgb()
                    .chunks(3)
                    .zip(bad.image.rgb().chunks(3))
                    .map(|(a, b)| a != b);
                // A changed pixel may change by too little for the mask, never the other way round.
                assert!(
                    differs
                        .zip(&bad.mask)
                        .all(|(differs, &masked)| differs || !masked),
                    "{kind:?}"
                );
                let area = bad.mask.iter().filter(|&&m| m).count();
                assert!(
                    (VISIBLE..64 * 80 / 4).contains(&area),
                    "{kind:?}: {area} pixels"
                );
            }
        }
    }

    #[test]
    fn pictures_repeat_and_differ() {
        let part = Part::object("candle");
        assert_eq!(
            shot(&part, Some(Kind::Crack), 1).image,
            shot(&part, Some(Kind::Crack), 1).image
        );
        assert_ne!(shot(&part, None, 1).image, shot(&part, None, 2).image);
        assert_ne!(
            shot(&part, None, 1).image,
            shot(&Part::object("cashew"), None, 1).image
        );
    }
}
