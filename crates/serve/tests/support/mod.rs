//! A server over made-up content, and a client that can misbehave.
#![allow(dead_code, reason = "each test binary uses its own part")]

use segad_core::{AnomalyMap, BoxError, Cancel, Image, Label, LabelMap, Reason};
use segad_imaging::{Limits as ImageLimits, decode_with, encode_png};
use segad_serve::{
    About, Answer, Content, Gallery, ImageSet, Inspect, Item, Layer, LayerKind, Limits, MapPicture,
    Refusal, Server, Settings,
};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The score is the mean of the red channel over 255; bad from one half on.
pub(crate) struct Means {
    pub delay: Duration,
}

impl Inspect for Means {
    fn about(&self) -> About {
        About {
            name: "means".into(),
            threshold: 0.5,
            segments: vec!["upper".into(), "lower".into()],
            detectors: vec!["red".into()],
            facts: vec![],
        }
    }

    fn inspect(&self, bytes: &[u8]) -> Result<Answer, Refusal> {
        thread::sleep(self.delay);
        let image = decode_with(bytes, ImageLimits { pixels: 1 << 20 })
            .map_err(|e| Refusal::Image(e.to_string()))?;
        if image.pixel(0, 0) == Some([1, 2, 3]) {
            panic!("an inspector with a bug");
        }
        let (height, width) = (image.height(), image.width());
        let values: Vec<f32> = image
            .rgb()
            .chunks_exact(3)
            .map(|p| f32::from(p[0]) / 255.0)
            .collect();
        let score =
            (values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64) as f32;
        let labels = (0..height * width)
            .map(|i| u8::from(i / width >= height / 2))
            .collect();
        let wrong = |e: segad_core::CoreError| Refusal::Internal(e.to_string());
        Ok(Answer {
            score,
            verdict: if score >= 0.5 {
                Label::Bad
            } else {
                Label::Good
            },
            probability: Some(f64::from(score)),
            warnings: vec![],
            reasons: vec![Reason {
                segment: "upper".into(),
                detector: "red".into(),
                statistic: "mean".into(),
                value: Some(score),
                usual: Some([0.0, 0.4]),
                contribution: f64::from(score) - 0.5,
            }],
            maps: vec![MapPicture {
                detector: "red".into(),
                map: AnomalyMap::new(height, width, values).map_err(wrong)?,
                low: 0.0,
                high: 1.0,
            }],
            segments: Some(LabelMap::new(height, width, labels, 2).map_err(wrong)?),
        })
    }
}

/// A grey PNG of one level.
pub(crate) fn grey(side: usize, level: u8) -> Vec<u8> {
    encode_png(&Image::from_grey(side, side, &vec![level; side * side]).unwrap()).unwrap()
}

/// A name that would run a script if it were taken for markup.
pub(crate) const NASTY: &str = "<img src=x onerror=\"document.title='owned'\">&amp;\"'";

/// Ten good images with scores 0, 0.1 … 0.9, four cracks from 0.5 on, one scratch at 0.1.
pub(crate) struct Pictures(Arc<ImageSet>);

impl Pictures {
    pub(crate) fn new() -> Self {
        let item = |label, group: &str, score: f32, id: String| Item {
            id,
            label,
            group: group.into(),
            score,
        };
        let mut items: Vec<Item> = (0..10)
            .map(|i| {
                item(
                    Label::Good,
                    "good",
                    i as f32 / 10.0,
                    format!("good/{i}.png"),
                )
            })
            .collect();
        items.extend((0..4).map(|i| {
            item(
                Label::Bad,
                "crack",
                0.5 + i as f32 / 10.0,
                format!("crack/{i}.png"),
            )
        }));
        items.push(item(Label::Bad, NASTY, 0.1, format!("../../etc/{NASTY}")));
        let layer = |name: &str, kind| Layer {
            name: name.into(),
            kind,
        };
        let layers = vec![
            layer("photo", LayerKind::Photo),
            layer("heat", LayerKind::Map),
        ];
        let notes = vec![format!("note {NASTY}")];
        Self(Arc::new(ImageSet {
            notes,
            set_aside: Vec::new(),
            level: 0.95,
            auroc: None,
            threshold: Some(0.45),
            layers,
            items,
        }))
    }
}

impl Gallery for Pictures {
    fn names(&self) -> Vec<String> {
        ["first", NASTY, "damaged"].map(str::to_owned).to_vec()
    }

    fn set(&self, set: usize) -> Result<Arc<ImageSet>, BoxError> {
        if set == 2 {
            Err("scores.parquet is damaged".into())
        } else {
            Ok(self.0.clone())
        }
    }

    fn picture(&self, _: usize, item: usize, layer: usize) -> Result<Image, BoxError> {
        let score = self.0.items[item].score;
        if item == 9 {
            return Err("good/9.png: the file is empty".into());
        }
        Ok(Image::from_rgb(
            30,
            60,
            [(score * 255.0) as u8, layer as u8, 0].repeat(30 * 60),
        )?)
    }
}

/// A server on a thread of its own; dropping it stops it.
pub(crate) struct Running {
    pub address: SocketAddr,
    stop: Cancel,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start(limits: Limits, inspector: Means) -> Self {
        let content = Content {
            inspector: Some(Arc::new(inspector)),
            gallery: Some(Arc::new(Pictures::new())),
        };
        Self::serve(limits, content)
    }

    pub(crate) fn serve(limits: Limits, content: Content) -> Self {
        let settings = Settings {
            listen: "127.0.0.1:0".parse().unwrap(),
            limits,
            ..Settings::default()
        };
        let server = Server::bind(settings, content).unwrap();
        let (address, stop) = (server.address(), Cancel::default());
        let shared = stop.clone();
        let thread = thread::spawn(move || server.run(&shared).map(drop).unwrap());
        Self {
            address,
            stop,
            thread: Some(thread),
        }
    }

    /// [`Running::quick`] with other pictures.
    pub(crate) fn with_pictures(change: impl FnOnce(&mut ImageSet)) -> Self {
        let mut pictures = Pictures::new();
        change(Arc::make_mut(&mut pictures.0));
        let content = Content {
            inspector: None,
            gallery: Some(Arc::new(pictures)),
        };
        Self::serve(Limits::default(), content)
    }

    pub(crate) fn quick() -> Self {
        Self::start(
            Limits::default(),
            Means {
                delay: Duration::ZERO,
            },
        )
    }

    /// Asks the server to stop, without waiting.
    pub(crate) fn ask_to_stop(&self) {
        self.stop.cancel();
    }

    /// Stops and waits until it has.
    pub(crate) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !thread::panicking() {
                ended.unwrap();
            }
        }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.connect().ask("GET", path, &[], b"").unwrap()
    }

    pub(crate) fn post(&self, path: &str, kind: &str, body: &[u8]) -> Reply {
        self.connect()
            .ask("POST", path, &[("content-type", kind)], body)
            .unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

/// HTTP/1.1 by hand, so that it can be done wrong.
pub(crate) struct Client {
    pub stream: TcpStream,
    reader: BufReader<TcpStream>,
    host: String,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        stream
            .set_write_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        Self {
            stream,
            reader,
            host: address.to_string(),
        }
    }

    /// One request and its answer; the connection may be used again.
    pub(crate) fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Reply> {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(n, _)| *n == "host") {
            head.push_str(&format!("host: {}\r\n", self.host));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        let sent = self
            .send(format!("{head}\r\n").as_bytes())
            .and_then(|()| self.send(body));
        // A server that refuses answers before it has read everything.
        self.reply().map_err(|e| sent.err().unwrap_or(e))
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    pub(crate) fn reply(&mut self) -> std::io::Result<Reply> {
        let broken = |m: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, m.to_owned());
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|s| s.parse().ok())
            .ok_or_else(|| broken(&line))?;
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let length = headers
            .iter()
            .find(|(n, _)| n == "content-length")
            .and_then(|(_, v)| v.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.reader.read_exact(&mut body)?;
        Ok(Reply {
            status,
            headers,
            body,
        })
    }

    /// True if the server closes the connection without a further word.
    pub(crate) fn closed(&mut self) -> bool {
        let mut rest = Vec::new();
        matches!(self.reader.read_to_end(&mut rest), Ok(0)) || rest.is_empty()
    }
}
