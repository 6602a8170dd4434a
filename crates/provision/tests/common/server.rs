//! A web server on this machine that misbehaves as told.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the server does with one request; the last one stands for all that follow.
#[derive(Clone, Debug)]
pub(super) enum Behave {
    /// As a server should, ranges included.
    Well,
    /// Announces everything that was asked for and closes the connection after so many bytes.
    BreakAfter(usize),
    /// Sends so many bytes and then nothing.
    Stall(usize),
    /// Knows no ranges.
    NoRanges,
    /// Another status.
    Status(u16),
    /// Leads elsewhere.
    Redirect(String),
}

pub(super) struct Server {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Serves the same content under every path.
    pub(super) fn start(content: Vec<u8>, behaviour: Vec<Behave>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = requests.clone();
        std::thread::spawn(move || {
            for (n, stream) in listener.incoming().flatten().enumerate() {
                let behave = behaviour[n.min(behaviour.len() - 1)].clone();
                // A client that hangs up early is part of the tests.
                drop(answer(stream, &content, &behave, &log));
            }
        });
        Self { address, requests }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.address)
    }

    /// First line of each request, with the range that it asks for.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(
    mut stream: TcpStream,
    content: &[u8],
    behave: &Behave,
    log: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? > 0 {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let line = head
        .lines()
        .next()
        .unwrap_or_default()
        .trim_end_matches(" HTTP/1.1")
        .to_owned();
    let range = head.lines().find_map(|l| {
        l.to_ascii_lowercase()
            .strip_prefix("range: bytes=")
            .map(str::to_owned)
    });
    let start = range
        .as_deref()
        .and_then(|r| r.trim_end_matches('-').parse::<usize>().ok());
    log.lock().unwrap().push(match start {
        Some(start) => format!("{line} from {start}"),
        None => line,
    });
    let known = !matches!(behave, Behave::NoRanges);
    let (status, more, body): (u16, String, &[u8]) = match (behave, start) {
        (Behave::Status(status), _) => (*status, String::new(), b"sorry"),
        (Behave::Redirect(to), _) => (302, format!("Location: {to}\r\n"), b""),
        (_, Some(start)) if known && start >= content.len() => (
            416,
            format!("Content-Range: bytes */{}\r\n", content.len()),
            b"",
        ),
        (_, Some(start)) if known => {
            let (last, all) = (content.len() - 1, content.len());
            (
                206,
                format!("Content-Range: bytes {start}-{last}/{all}\r\n"),
                &content[start..],
            )
        }
        _ => (200, String::new(), content),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n"
    )?;
    match behave {
        Behave::BreakAfter(n) => stream.write_all(&body[..*n.min(&body.len())]),
        Behave::Stall(n) => {
            stream.write_all(&body[..*n.min(&body.len())])?;
            std::thread::sleep(Duration::from_secs(4));
            Ok(())
        }
        _ => stream.write_all(body),
    }
}
