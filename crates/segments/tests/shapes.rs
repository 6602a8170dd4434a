//! Drawn maps: the shipped ones against counting by hand, and every mistake a file can hold.

use segad_core::SegmentSource as _;
use segad_segments::{
    QualityReport, SegmentsError as E, Shapes, StaticMap, shipped, shipped_names,
};

const HEAD: &str =
    "title = 't'\nreference = { height = 10, width = 20 }\nsegments = ['back', 'part']\n";

fn shape(text: &str) -> Result<Shapes, E> {
    Shapes::parse(
        "map.toml",
        &format!("{HEAD}[[shape]]\nsegment = 'part'\n{text}"),
    )
}

#[test]
fn elpv_areas_by_hand() {
    let shapes = shipped("elpv-mono").unwrap();
    let areas = shapes.rasterise(300, 300).unwrap().areas();
    // Columns 5…295; busbars take rows 46…58, 144…156 and 242…254.
    assert_eq!(areas[5..], [291 * 13; 3]);
    assert_eq!(areas[2..4], [291 * 85; 2]);
    // Rows 5…45 and 255…295, less a triangle of 30 × 30 at each corner; its hypotenuse runs through
    // pixel centres, of which one end of a row is inside and the other is not.
    for band in [1, 4] {
        assert!(areas[band].abs_diff(291 * 41 - 2 * 450) <= 30, "{areas:?}");
    }
    assert_eq!(areas.iter().sum::<usize>(), 300 * 300);
    let report = QualityReport::new(&shapes.rasterise(256, 256).unwrap(), shapes.names());
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    assert!(report.segments[1..].iter().all(|s| s.components == 1));
    assert!(report.segments[1..].iter().all(|s| s.pixels > 2000));
}

#[test]
fn shipped_maps_hold_at_common_sizes() {
    assert_eq!(
        shipped_names().collect::<Vec<_>>(),
        ["elpv-mono", "screws", "vad"]
    );
    for (name, count) in [("elpv-mono", 8), ("screws", 5), ("vad", 7)] {
        let shapes = shipped(name).unwrap();
        assert_eq!(shapes.names().len(), count);
        for side in [64, 224, 256, 512] {
            let source = StaticMap::new(&shapes, side, side).unwrap();
            assert_eq!(source.static_map().unwrap().height(), side);
        }
    }
    let vad = shipped("vad").unwrap();
    assert!(vad.note().unwrap().contains("to be checked"));
    let map = vad.rasterise(512, 512).unwrap();
    let at = |x: usize, y: usize| map.labels()[y * 512 + x];
    // Corner, rim, ring below, solder, wire, pin, middle mark; and nothing of the rim below y =
    // 420.
    let points = [
        (5, 5),
        (12, 250),
        (256, 470),
        (178, 100),
        (170, 200),
        (120, 350),
        (257, 357),
        (60, 430),
    ];
    assert_eq!(points.map(|(x, y)| at(x, y)), [0, 1, 2, 3, 4, 5, 6, 0]);
    assert!(
        matches!(shipped("pcb9"), Err(E::UnknownName { known, .. }) if known.contains("elpv-mono"))
    );
}

#[test]
fn later_shapes_cover_earlier_ones() {
    let text = format!(
        "{HEAD}[[shape]]\nsegment = 'part'\nkind = 'rectangle'\nx = 0\ny = 0\nwidth = 10\nheight = 10\n\
         [[shape]]\nsegment = 'back'\nkind = 'ellipse'\ncentre = [5, 5]\nradii = [2, 2]\n"
    );
    let map = Shapes::parse("map.toml", &text)
        .unwrap()
        .rasterise(10, 20)
        .unwrap();
    // 12 pixel centres lie within 2 of (5, 5).
    assert_eq!(map.areas(), [100 + 12, 100 - 12]);
}

#[test]
fn sizes_scale() {
    let half = shape("kind = 'rectangle'\nx = 0\ny = 0\nwidth = 10\nheight = 10").unwrap();
    for (height, width) in [(10, 20), (7, 8), (100, 2)] {
        assert_eq!(
            half.rasterise(height, width).unwrap().areas(),
            [height * width / 2; 2]
        );
    }
}

#[test]
fn mistakes_are_named() {
    let message = |result: Result<Shapes, E>| result.unwrap_err().to_string();
    let rectangle = "kind = 'rectangle'\nx = 1\ny = 1\nwidth = 2\nheight = 2\n";
    for (text, parts) in [
        (format!("{rectangle}colour = 3"), ["map.toml", "colour"]),
        ("kind = 'star'\nx = 1".to_owned(), ["star", "rectangle"]),
        (
            "kind = 'rectangle'\nx = 1\ny = 1\nwidth = 2".to_owned(),
            ["map.toml", "height"],
        ),
        (
            rectangle.replace("width = 2", "width = 0"),
            ["shape 1 (rectangle, segment \"part\")", "above 0"],
        ),
        (
            rectangle.replace("x = 1", "x = 20"),
            ["outside the reference of 10×20", "shape 1"],
        ),
        (rectangle.replace("x = 1", "x = nan"), ["finite", "shape 1"]),
        (
            "kind = 'polygon'\npoints = [[1, 1], [2, 2]]".to_owned(),
            ["2 points", "polygon"],
        ),
        (
            "kind = 'polygon'\npoints = [[1, 1], [2, 2], [nan, 1]]".to_owned(),
            ["finite", "polygon"],
        ),
        (
            "kind = 'ring'\ncentre = [5, 5]\nouter = [2, 2]\ninner = [1, 2]".to_owned(),
            ["inner", "below outer"],
        ),
    ] {
        let found = message(shape(&text));
        assert!(parts.iter().all(|p| found.contains(p)), "{found}");
    }
    for (text, parts) in [
        (HEAD.replace("title", "titel"), ["titel", "map.toml"]),
        (HEAD.replace("'part'", "'back'"), ["appears twice", "back"]),
        (
            HEAD.replace("['back', 'part']", "[]"),
            ["0 names", "1 to 255"],
        ),
        (
            format!("{HEAD}allow_empty = ['x']"),
            ["unknown segment \"x\"", "part"],
        ),
        (
            HEAD.replace("height = 10", "height = 0"),
            ["0×20", "at least 1"],
        ),
        (
            format!("{HEAD}[[shape]]\nsegment = 'prat'\n{rectangle}"),
            ["unknown segment \"prat\"", "\"part\""],
        ),
    ] {
        let found = message(Shapes::parse("map.toml", &text));
        assert!(parts.iter().all(|p| found.contains(p)), "{found}");
    }
}

#[test]
fn covered_segments_are_errors_unless_allowed() {
    let all =
        "[[shape]]\nsegment = 'part'\nkind = 'rectangle'\nx = 0\ny = 0\nwidth = 20\nheight = 10\n";
    let error = Shapes::parse("map.toml", &format!("{HEAD}{all}"))
        .unwrap()
        .rasterise(10, 20)
        .unwrap_err();
    assert!(
        matches!(&error, E::EmptySegment { segment, .. } if segment == "back"),
        "{error}"
    );
    let allowed = format!("{HEAD}allow_empty = ['back']\n{all}");
    let shapes = Shapes::parse("map.toml", &allowed).unwrap();
    let map = shapes.rasterise(10, 20).unwrap();
    assert_eq!(map.areas(), [0, 200]);
    let report = QualityReport::new(&map, shapes.names());
    assert_eq!(report.warnings, ["segment \"back\" is empty"]);
    // Too small to hold a pixel centre.
    let speck = shape("kind = 'ellipse'\ncentre = [5, 5]\nradii = [0.1, 0.1]").unwrap();
    assert!(speck.rasterise(10, 20).is_err());
    let small = shape("kind = 'ellipse'\ncentre = [5, 5]\nradii = [2, 2]").unwrap();
    let report = QualityReport::new(&small.rasterise(10, 20).unwrap(), small.names());
    assert_eq!(
        report.warnings,
        ["segment \"part\" has 12 pixels, fewer than 64"]
    );
}

#[test]
fn inside_is_for_posed_maps() {
    let text = format!("{HEAD}inside = 'part'");
    let error = StaticMap::new(&Shapes::parse("map.toml", &text).unwrap(), 10, 20).unwrap_err();
    assert!(error.to_string().contains("posed"), "{error}");
}
