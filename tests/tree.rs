//! A folder as a camera, a copy or a careless hand may leave it: files of many kinds, each with its
//! fate.

use jpeg_encoder::{ColorType as JpegColour, Encoder as JpegEncoder};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What an inspection makes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Judged,
    Refused,
}

/// The tree.
pub(crate) struct Tree {
    pub root: PathBuf,
    /// Each file that gets a record.
    pub files: BTreeMap<PathBuf, Fate>,
    pub hidden: usize,
    /// Links to folders listed already.
    pub links: usize,
    /// Kinds of content, name, place or file.
    pub kinds: usize,
}

impl Tree {
    /// Makes it at `root`, which does not exist.
    pub(crate) fn grow(root: &Path) -> Self {
        let mut tree = Self {
            root: root.to_owned(),
            files: BTreeMap::new(),
            hidden: 0,
            links: 0,
            kinds: 0,
        };
        tree.add_images();
        tree.add_damage();
        tree.add_names();
        tree.add_places();
        tree.add_hidden();
        tree.add_links();
        tree.add_specials();
        tree
    }

    fn write(&self, name: &Path, bytes: &[u8]) -> PathBuf {
        let path = self.root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// A file of a kind of its own.
    fn add(&mut self, name: impl AsRef<Path>, bytes: &[u8], fate: Fate) {
        self.kinds += 1;
        self.repeat(name, bytes, fate);
    }

    /// A file of a kind that is there already.
    fn repeat(&mut self, name: impl AsRef<Path>, bytes: &[u8], fate: Fate) {
        let path = self.write(name.as_ref(), bytes);
        self.files.insert(path, fate);
    }

    fn refused(&mut self, name: &str, bytes: &[u8]) {
        self.add(format!("damage/{name}"), bytes, Fate::Refused);
    }

    /// Formats of which the decoder may learn more: it decides.
    fn decoded(&mut self, name: &str, bytes: &[u8]) {
        let fate = match segad_imaging::read(bytes, &segad_imaging::Reading::default()) {
            Ok(_) => Fate::Judged,
            Err(_) => Fate::Refused,
        };
        self.add(format!("formats/{name}"), bytes, fate);
    }

    fn add_images(&mut self) {
        let judged: [(&str, Vec<u8>); 16] = [
            (
                "grey.png",
                png(png::ColorType::Grayscale, png::BitDepth::Eight),
            ),
            (
                "grey4.png",
                png(png::ColorType::Grayscale, png::BitDepth::Four),
            ),
            (
                "grey2.png",
                png(png::ColorType::Grayscale, png::BitDepth::Two),
            ),
            (
                "grey1.png",
                png(png::ColorType::Grayscale, png::BitDepth::One),
            ),
            ("rgb.png", png(png::ColorType::Rgb, png::BitDepth::Eight)),
            (
                "opaque.png",
                png(png::ColorType::Rgba, png::BitDepth::Eight),
            ),
            (
                "grey-opaque.png",
                png(png::ColorType::GrayscaleAlpha, png::BitDepth::Eight),
            ),
            (
                "palette.png",
                png(png::ColorType::Indexed, png::BitDepth::Eight),
            ),
            ("rgb.jpg", jpeg(JpegColour::Rgb, false)),
            ("grey.jpeg", jpeg(JpegColour::Luma, false)),
            ("progressive.JPG", jpeg(JpegColour::Rgb, true)),
            ("jpeg-named.png", jpeg(JpegColour::Rgb, false)),
            ("png-named.jpg", photo(1)),
            ("no-extension", photo(2)),
            ("photo.jfif", jpeg(JpegColour::Rgb, false)),
            ("picture.tmp", photo(3)),
        ];
        for (name, bytes) in judged {
            self.add(format!("images/{name}"), &bytes, Fate::Judged);
        }
        let trailing = [photo(4), vec![0; 1000]].concat();
        self.decoded("trailing.png", &trailing);
        self.decoded(
            "deep.png",
            &png(png::ColorType::Grayscale, png::BitDepth::Sixteen),
        );
        self.decoded("cmyk.jpg", &jpeg(JpegColour::Cmyk, false));
        self.decoded("one.png", &segad_imaging::encode_png(&grey(1, 1)).unwrap());
        self.decoded(
            "wide.png",
            &segad_imaging::encode_png(&grey(3, 2000)).unwrap(),
        );
        self.decoded(
            "large.png",
            &segad_imaging::encode_png(&grey(3000, 3000)).unwrap(),
        );
        let bmp = [
            b"BM".as_slice(),
            &[54, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40],
            &[0; 39],
        ]
        .concat();
        for (n, (name, bytes)) in [
            ("a.bmp", bmp.as_slice()),
            ("a.tif", b"II*\0\x08\0\0\0\0\0\0\0\0\0"),
            ("b.tiff", b"MM\0*\0\0\0\x08\0\0\0\0\0\0"),
            (
                "a.webp",
                b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\0\0\0\0\0\0\0\0\0",
            ),
            ("a.gif", b"GIF89a\x01\0\x01\0\0\0\0;"),
            ("a.avif", b"\0\0\0\x1cftypavif\0\0\0\0"),
            ("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0"),
            ("a.jp2", b"\0\0\0\x0cjP  \r\n\x87\n"),
            ("a.jxl", b"\xff\x0a\xfa\x1f\x01\x90"),
            ("a.ppm", b"P6 2 1 255\n\0\x10\x20\x30\x40\x50"),
            ("a.pgm", b"P5 2 1 255\n\0\x10"),
            ("a.psd", b"8BPS\0\x01\0\0"),
        ]
        .into_iter()
        .enumerate()
        {
            self.decoded(&format!("{n}{name}"), bytes);
        }
    }

    fn add_damage(&mut self) {
        let (whole, photo_jpeg) = (photo(5), jpeg(JpegColour::Rgb, false));
        self.refused("empty.png", b"");
        self.refused("one-byte.png", &whole[..1]);
        self.refused("half.png", &whole[..whole.len() / 2]);
        self.refused("half.jpg", &photo_jpeg[..photo_jpeg.len() / 2]);
        self.refused("no-end.jpg", &photo_jpeg[..photo_jpeg.len() - 2]);
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        self.refused("flipped.png", &flipped);
        // Of 60,000 × 60,000 pixels, by a header with the right check sum.
        self.refused("huge.png", &huge_png());
        let mut huge = photo_jpeg;
        let frame = huge.windows(2).position(|w| w == b"\xff\xc0").unwrap();
        huge[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
        self.refused("huge.jpg", &huge);
        for (name, bytes) in [
            ("page.png", b"<html>404</html>".as_slice()),
            ("notes.txt", b"not a photograph"),
            ("list.csv", b"path,label\na.png,good\n"),
            ("card.json", b"{}"),
            ("paper.pdf", b"%PDF-1.7"),
            ("images.zip", b"PK\x03\x04"),
            ("images.gz", b"\x1f\x8b\x08"),
            ("program", b"\x7fELF"),
            ("film.mp4", b"\0\0\0\x18ftypmp42"),
            ("map.npy", b"\x93NUMPY\x01\0"),
            ("model.segad", b"SEGAD\r\n\x1a"),
            ("zeros.png", &[0; 4096]),
        ] {
            self.refused(name, bytes);
        }
        for (name, head) in [("sparse.png", &b""[..]), ("sparse-png.png", &whole)] {
            self.refused(name, head);
            let path = self.root.join("damage").join(name);
            let file = std::fs::File::options().write(true).open(path).unwrap();
            file.set_len(1 << 40).unwrap();
        }
        for n in 0..60 {
            self.repeat(format!("damage/cut/{n}.png"), &whole[..n], Fate::Refused);
        }
    }

    fn add_names(&mut self) {
        for (n, name) in [
            b"with space.png".as_slice(),
            "é 中.png".as_bytes(),
            b"caf\xe9.png",
            b"line\nbreak.png",
            b"-dash.png",
            b"2024-05-01T12:30:00.png",
            b"50%.png",
            b"quote'\".png",
            b"back\\slash.png",
            b"two..dots..png",
            b"UPPER.PNG",
            &[b'n'; 250],
        ]
        .into_iter()
        .enumerate()
        {
            let name = Path::new("names").join(OsStr::from_bytes(name));
            self.add(name, &photo(10 + n), Fate::Judged);
        }
    }

    fn add_places(&mut self) {
        let mut folder = PathBuf::from("depth");
        for depth in 0..=20 {
            self.repeat(folder.join("photo.png"), &photo(30 + depth), Fate::Judged);
            folder.push(format!("{depth}"));
        }
        let same = photo(60);
        for n in 0..40 {
            self.repeat(format!("line/same-{n}.png"), &same, Fate::Judged);
        }
        for n in 0..230 {
            self.repeat(format!("line/{n:03}.png"), &photo(100 + n), Fate::Judged);
        }
        // A depth, a duplicate and a plain photograph.
        self.kinds += 3;
    }

    fn add_hidden(&mut self) {
        for name in [
            ".DS_Store",
            "names/._with space.png",
            ".hidden.png",
            "line/Thumbs.db",
            "line/desktop.ini",
        ] {
            self.write(Path::new(name), &photo(7));
            self.hidden += 1;
            self.kinds += 1;
        }
        for folder in [
            ".ipynb_checkpoints",
            "line/__MACOSX",
            "$RECYCLE.BIN",
            "lost+found",
            "line/@eaDir",
        ] {
            // A folder counts once.
            self.write(&Path::new(folder).join("a.png"), &photo(8));
            self.write(&Path::new(folder).join("b.png"), &photo(9));
            self.hidden += 1;
            self.kinds += 1;
        }
    }

    fn add_links(&mut self) {
        let folder = self.root.join("links");
        std::fs::create_dir_all(&folder).unwrap();
        for (name, target, fate) in [
            ("photo.png", "../images/rgb.png", Fate::Judged),
            ("dangling.png", "nowhere.png", Fate::Refused),
            ("itself.png", "itself.png", Fate::Refused),
            ("endless.png", "/dev/zero", Fate::Refused),
            ("nothing.png", "/dev/null", Fate::Refused),
            // Readable by its permissions, not by its content: what a failing disk gives.
            ("broken-disk.png", "/proc/1/mem", Fate::Refused),
        ] {
            symlink(target, folder.join(name)).unwrap();
            self.files.insert(folder.join(name), fate);
            self.kinds += 1;
        }
        std::fs::hard_link(self.root.join("images/rgb.png"), folder.join("hard.png")).unwrap();
        self.files.insert(folder.join("hard.png"), Fate::Judged);
        for (name, target) in [("up", ".."), ("here", ".")] {
            symlink(target, folder.join(name)).unwrap();
            self.links += 1;
            self.kinds += 1;
        }
        // A folder elsewhere, in which another link leads back.
        let aside = self.root.with_file_name("aside");
        std::fs::create_dir_all(&aside).unwrap();
        std::fs::write(aside.join("photo.png"), photo(61)).unwrap();
        symlink(&self.root, aside.join("back")).unwrap();
        symlink(&aside, folder.join("aside")).unwrap();
        self.files
            .insert(folder.join("aside/photo.png"), Fate::Judged);
        self.links += 1;
        self.kinds += 3;
    }

    fn add_specials(&mut self) {
        let folder = self.root.join("specials");
        std::fs::create_dir_all(&folder).unwrap();
        let pipe = folder.join("pipe.png");
        assert!(
            Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        let socket = folder.join("socket.png");
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        for path in [pipe, socket] {
            self.files.insert(path, Fate::Refused);
            self.kinds += 1;
        }
        let locked = "specials/locked.png";
        // The superuser reads whatever the permissions say; for it, `links/broken-disk.png` is the
        // file that cannot be read.
        let is_root = std::fs::metadata("/proc/self")
            .is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
        self.add(
            locked,
            &photo(62),
            if is_root { Fate::Judged } else { Fate::Refused },
        );
        let locked = self.root.join(locked);
        std::fs::set_permissions(locked, std::os::unix::fs::PermissionsExt::from_mode(0o000))
            .unwrap();
    }

    /// How many files have this fate.
    pub(crate) fn count(&self, fate: Fate) -> usize {
        self.files.values().filter(|f| **f == fate).count()
    }
}

fn grey(height: usize, width: usize) -> segad_core::Image {
    segad_core::Image::from_grey(height, width, &vec![128; height * width]).unwrap()
}

/// A photograph of a plate with a hole.
pub(crate) fn photo(n: usize) -> Vec<u8> {
    crate::product::plate(n, false)
}

/// A picture of this kind, whatever it shows.
fn png(colour: png::ColorType, depth: png::BitDepth) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 64, 64);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    if colour == png::ColorType::Indexed {
        encoder.set_palette((0..768).map(|v| (v / 3) as u8).collect::<Vec<u8>>());
    }
    let has_alpha = matches!(
        colour,
        png::ColorType::Rgba | png::ColorType::GrayscaleAlpha
    );
    let samples = colour.samples();
    let line = 64 * samples * depth as usize / 8;
    let data: Vec<u8> = (0..64 * line)
        .map(|i| match has_alpha && i % samples == samples - 1 {
            true => 255,
            false => (i * 7 % 251) as u8,
        })
        .collect();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&data).unwrap();
    writer.finish().unwrap();
    bytes
}

fn jpeg(colour: JpegColour, progressive: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new(&mut bytes, 90);
    encoder.set_progressive(progressive);
    let samples = match colour {
        JpegColour::Luma => 1,
        JpegColour::Cmyk => 4,
        _ => 3,
    };
    let data: Vec<u8> = (0..64 * 64 * samples).map(|i| (i / 64) as u8).collect();
    encoder.encode(&data, 64, 64, colour).unwrap();
    bytes
}

fn huge_png() -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = png::Encoder::new(&mut bytes, 60_000, 60_000);
    // The writer is dropped before any row is written, and ends the file.
    drop(encoder.write_header().unwrap());
    bytes
}
