//! Standard input, whose waiting ends when a run is stopped.

use segad_core::Cancel;
use std::io::{self, BufRead, ErrorKind, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// Bytes read at once, at most.
const CHUNK: usize = 1 << 16;
/// How often a waiting reader looks whether it should end.
const LOOK: Duration = Duration::from_millis(50);

/// Bytes of a source; they end with it, or when a run is stopped.
pub(crate) struct Stoppable {
    chunks: Receiver<io::Result<Vec<u8>>>,
    chunk: Vec<u8>,
    taken: usize,
    stop: Cancel,
}

impl Stoppable {
    /// The bytes of `source`, until `stop` is cancelled.
    pub(crate) fn new(source: impl Read + Send + 'static, stop: &Cancel) -> Self {
        // One chunk ahead: whoever writes waits for whoever reads.
        let (send, chunks) = sync_channel(1);
        // Nothing ends a read that waits, so its thread is left behind and ends with the process.
        thread::spawn(move || pass_on(source, &send));
        Self {
            chunks,
            chunk: Vec::new(),
            taken: 0,
            stop: stop.clone(),
        }
    }
}

fn pass_on(mut source: impl Read, chunks: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut chunk = vec![0; CHUNK];
        let read = match source.read(&mut chunk) {
            Ok(0) => return,
            Ok(count) => {
                chunk.truncate(count);
                Ok(chunk)
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => Err(e),
        };
        let is_last = read.is_err();
        // Fails only when nobody reads any more.
        if chunks.send(read).is_err() || is_last {
            return;
        }
    }
}

impl BufRead for Stoppable {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.taken == self.chunk.len() {
            match self.chunks.recv_timeout(LOOK) {
                Ok(chunk) => {
                    self.chunk = chunk?;
                    self.taken = 0;
                }
                Err(RecvTimeoutError::Timeout) if !self.stop.is_cancelled() => {}
                Err(_) => break,
            }
        }
        Ok(&self.chunk[self.taken..])
    }

    fn consume(&mut self, count: usize) {
        self.taken += count;
    }
}

impl Read for Stoppable {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(into)?;
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn bytes_come_as_they_are() {
        let bytes: Vec<u8> = (0..CHUNK * 3 + 7).map(|n| n as u8).collect();
        let mut found = Vec::new();
        let mut reader = Stoppable::new(io::Cursor::new(bytes.clone()), &Cancel::default());
        reader.read_to_end(&mut found).unwrap();
        assert!(found == bytes);
    }

    #[test]
    fn a_waiting_read_ends_when_it_should() {
        let (mut writer, source) = UnixStream::pair().unwrap();
        let stop = Cancel::default();
        let mut reader = Stoppable::new(source, &stop);
        writer.write_all(b"a.png\nb").unwrap();
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert_eq!(line, "a.png\n");
        stop.cancel();
        // The other end is still open.
        assert_eq!(reader.read_line(&mut line).unwrap(), 1);
        assert_eq!(reader.read_line(&mut line).unwrap(), 0);
    }

    #[test]
    fn an_error_is_given_once() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let mut reader = Stoppable::new(Broken, &Cancel::default());
        assert_eq!(reader.fill_buf().unwrap_err().to_string(), "broken");
        assert_eq!(reader.fill_buf().unwrap(), b"");
    }
}
