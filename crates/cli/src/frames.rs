//! Splits a stream of bytes into pictures: concatenated PNG and JPEG files, as cameras and `ffmpeg
//! -f image2pipe` send them.

use std::io::{BufRead, ErrorKind, Read};

const PNG: [u8; 8] = *b"\x89PNG\r\n\x1a\n";
const JPEG: [u8; 2] = [0xff, 0xd8];

/// Larger frames are not taken into memory.
pub(crate) const LARGEST_FRAME: usize = 256 << 20;

/// Cuts a stream into frames. A frame that is truncated, too large or of an unknown kind is an
/// error in its place; the next one is searched for after it.
pub(crate) struct Frames<R> {
    from: R,
    ended: bool,
}

/// True if these bytes may begin a PNG or JPEG.
pub(crate) fn looks_like_a_picture(head: &[u8]) -> bool {
    let fits = |magic: &[u8]| !head.is_empty() && magic.iter().zip(head).all(|(a, b)| a == b);
    fits(&PNG) || fits(&JPEG)
}

impl<R: BufRead> Frames<R> {
    /// Frames of a stream.
    pub(crate) fn new(from: R) -> Self {
        Self { from, ended: false }
    }

    fn byte(&mut self, frame: &mut Vec<u8>) -> Result<u8, String> {
        let mut one = [0];
        self.bytes(frame, &mut one)?;
        Ok(one[0])
    }

    fn bytes(&mut self, frame: &mut Vec<u8>, into: &mut [u8]) -> Result<(), String> {
        // A length from a broken stream must not take all memory.
        if frame.len() + into.len() > LARGEST_FRAME {
            return Err(format!("a frame of more than {} MiB", LARGEST_FRAME >> 20));
        }
        self.from.read_exact(into).map_err(|e| self.end(e))?;
        frame.extend_from_slice(into);
        Ok(())
    }

    fn take(&mut self, frame: &mut Vec<u8>, count: usize) -> Result<(), String> {
        if frame.len() + count > LARGEST_FRAME {
            return Err(format!("a frame of more than {} MiB", LARGEST_FRAME >> 20));
        }
        let taken = self
            .from
            .by_ref()
            .take(count as u64)
            .read_to_end(frame)
            .map_err(|e| self.end(e))?;
        if taken == count {
            Ok(())
        } else {
            Err(self.end(ErrorKind::UnexpectedEof.into()))
        }
    }

    fn end(&mut self, error: std::io::Error) -> String {
        self.ended = true;
        match error.kind() {
            ErrorKind::UnexpectedEof => "the stream ends within a frame".to_owned(),
            _ => format!("the stream cannot be read: {error}"),
        }
    }

    fn png(&mut self, frame: &mut Vec<u8>) -> Result<(), String> {
        loop {
            let mut head = [0; 8];
            self.bytes(frame, &mut head)?;
            let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
            self.take(frame, length.saturating_add(4))?;
            // Chunks say how long they are, so that pixels are never searched for an end.
            if &head[4..] == b"IEND" {
                return Ok(());
            }
        }
    }

    fn jpeg(&mut self, frame: &mut Vec<u8>) -> Result<(), String> {
        let mut byte = self.byte(frame)?;
        loop {
            // A marker: any number of ff, then its code.
            if byte != 0xff {
                return Err("a JPEG with garbage between its segments".to_owned());
            }
            while byte == 0xff {
                byte = self.byte(frame)?;
            }
            match byte {
                0xd9 => return Ok(()),
                0x01 | 0xd0..=0xd8 => byte = self.byte(frame)?,
                marker => {
                    let mut length = [0; 2];
                    self.bytes(frame, &mut length)?;
                    let length = usize::from(u16::from_be_bytes(length));
                    self.take(frame, length.saturating_sub(2))?;
                    byte = self.byte(frame)?;
                    if marker == 0xda {
                        byte = self.scan(frame, byte)?;
                    }
                }
            }
        }
    }

    /// Coded data up to the next marker, whose first byte is returned; its code is the next byte to
    /// come.
    fn scan(&mut self, frame: &mut Vec<u8>, mut byte: u8) -> Result<u8, String> {
        loop {
            while byte != 0xff {
                byte = self.byte(frame)?;
            }
            // Looked at without taking it: the byte may start the next segment.
            let next = match self.from.fill_buf() {
                Ok(buffer) => buffer
                    .first()
                    .copied()
                    .ok_or_else(|| ErrorKind::UnexpectedEof.into()),
                Err(e) => Err(e),
            };
            match next {
                // A stuffed zero or a restart: the data go on.
                Ok(0x00 | 0xd0..=0xd7) => {
                    self.byte(frame)?;
                    byte = self.byte(frame)?;
                }
                Ok(_) => return Ok(byte),
                Err(e) => return Err(self.end(e)),
            }
        }
    }

    /// Skips to the next byte that may begin a frame; how many bytes were passed over.
    fn skip(&mut self) -> Result<usize, String> {
        let mut skipped = 0;
        loop {
            let buffer = self
                .from
                .fill_buf()
                .map_err(|e| format!("the stream cannot be read: {e}"))?;
            if buffer.is_empty() {
                self.ended = true;
                return Ok(skipped);
            }
            let at = buffer.iter().position(|b| *b == PNG[0] || *b == JPEG[0]);
            let step = at.unwrap_or(buffer.len());
            self.from.consume(step);
            skipped += step;
            if at.is_some() {
                return Ok(skipped);
            }
        }
    }
}

impl<R: BufRead> Iterator for Frames<R> {
    type Item = Result<Vec<u8>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut unknown = 0;
        loop {
            if self.ended {
                return (unknown > 0)
                    .then(|| Err(format!("{unknown} bytes that are neither PNG nor JPEG")));
            }
            match self.skip() {
                Ok(n) => unknown += n,
                Err(e) => {
                    self.ended = true;
                    return Some(Err(e));
                }
            }
            if self.ended {
                continue;
            }
            // Report what was skipped first; the frame waits for the next call.
            if unknown > 0 {
                return Some(Err(format!(
                    "{unknown} bytes that are neither PNG nor JPEG"
                )));
            }
            let mut frame = Vec::new();
            let magic: &[u8] = match self.byte(&mut frame) {
                Ok(b) if b == PNG[0] => &PNG,
                Ok(_) => &JPEG,
                Err(e) => return Some(Err(e)),
            };
            // A byte that looks like a start is no picture yet; what was read counts as unknown
            // bytes.
            let mut fits = true;
            for expected in &magic[1..] {
                match self.byte(&mut frame) {
                    Ok(b) => fits &= b == *expected,
                    Err(_) => fits = false,
                }
                if !fits {
                    break;
                }
            }
            if !fits {
                unknown += frame.len();
                continue;
            }
            let rest = if magic.len() == PNG.len() {
                self.png(&mut frame)
            } else {
                self.jpeg(&mut frame)
            };
            return Some(rest.map(|()| frame));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_core::Image;

    fn png(value: u8) -> Vec<u8> {
        segad_imaging::encode_png(&Image::from_grey(3, 2, &[value; 6]).unwrap()).unwrap()
    }

    /// A JPEG's skeleton: a table whose bytes look like markers, coded data with a stuffed ff and a
    /// restart.
    fn jpeg() -> Vec<u8> {
        let table = [0xff, 0xdb, 0x00, 0x06, 0xff, 0xd9, 0xff, 0xd8];
        let scan = [
            0xff, 0xda, 0x00, 0x04, 0x01, 0x02, 0x55, 0xff, 0x00, 0x12, 0xff, 0xd3, 0x77,
        ];
        [&JPEG[..], &table, &scan, &[0xff, 0xd9]].concat()
    }

    fn frames(bytes: &[u8]) -> Vec<Result<Vec<u8>, String>> {
        // A small buffer, so that every boundary falls between two reads somewhere.
        Frames::new(std::io::BufReader::with_capacity(3, bytes)).collect()
    }

    #[test]
    fn pictures_are_cut_where_they_end() {
        let stream = [png(1), jpeg(), jpeg(), png(200)].concat();
        let expected = [png(1), jpeg(), jpeg(), png(200)].map(Ok);
        assert_eq!(frames(&stream), expected);
        assert_eq!(frames(b""), []);
    }

    #[test]
    fn what_is_between_them_is_an_error_in_its_place() {
        let found = frames(
            &[
                b"hello".to_vec(),
                png(1),
                b"\xff\x00..".to_vec(),
                jpeg(),
                b"end".to_vec(),
            ]
            .concat(),
        );
        assert_eq!(found.len(), 5, "{found:?}");
        assert!(found[0].as_ref().unwrap_err().contains("5 bytes"));
        assert_eq!(found[1], Ok(png(1)));
        assert!(found[2].as_ref().unwrap_err().contains("4 bytes"));
        assert_eq!(found[3], Ok(jpeg()));
        assert!(found[4].is_err());
    }

    #[test]
    fn a_stream_that_ends_within_a_frame() {
        for whole in [png(5), jpeg()] {
            for length in 8..whole.len() {
                let found = frames(&[png(9), whole[..length].to_vec()].concat());
                assert_eq!(found.len(), 2);
                assert!(found[0].is_ok() && found[1].is_err(), "{length}: {found:?}");
            }
        }
    }

    #[test]
    fn heads_are_recognised() {
        assert!(looks_like_a_picture(b"\x89PN") && looks_like_a_picture(&[0xff]));
        assert!(!looks_like_a_picture(b"") && !looks_like_a_picture(b"/images/a.png\n"));
    }
}
