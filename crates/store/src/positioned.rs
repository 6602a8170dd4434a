//! Files as the Parquet library reads and writes them: from any thread, and with the operating
//! system's errors kept.

use crate::error::{Damage, Result, StoreError};
use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use segad_files::FileError;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The last error of the operating system, kept because the Parquet library turns most of them into
/// text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusal(Arc<Mutex<Option<io::Error>>>);

impl Refusal {
    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|e| {
            // Readers and writers repeat an interrupted call.
            if e.kind() != io::ErrorKind::Interrupted {
                // `io::Error` cannot be cloned; its code can.
                let copy = e
                    .raw_os_error()
                    .map_or_else(|| e.kind().into(), io::Error::from_raw_os_error);
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy);
            }
        })
    }

    /// The operating system's error if there was one, else the other.
    pub(crate) fn or(&self, path: &Path, other: StoreError) -> StoreError {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(cause) => FileError::new("read or write the file", path, cause).into(),
            None => other,
        }
    }
}

/// A writer that notes the operating system's errors.
pub(crate) struct Recorded<W> {
    pub(crate) inner: W,
    pub(crate) refusal: Refusal,
}

impl<W: Write> Write for Recorded<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.refusal.note(self.inner.write(buffer))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.refusal.note(self.inner.flush())
    }
}

/// A file read at given offsets. (`File`'s own `ChunkReader` shares one position between threads.)
#[derive(Clone, Debug)]
pub(crate) struct At {
    file: Arc<File>,
    pub(crate) size: u64,
    refusal: Refusal,
}

impl At {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            file: Arc::new(segad_files::open(path)?),
            size: segad_files::size_and_time(path)?.0,
            refusal: Refusal::default(),
        })
    }

    /// Fails unless the file begins and ends as Parquet files do.
    pub(crate) fn check_ends(&self, path: &Path) -> Result<()> {
        const MAGIC: &[u8; 4] = b"PAR1";
        const LEAST: u64 = 12; // two magics and the length of the footer
        if self.size < LEAST {
            let damage = Damage::Size {
                expected: LEAST,
                actual: self.size,
            };
            return Err(StoreError::damaged(path, damage));
        }
        for offset in [0, self.size - 4] {
            let mut found = [0; 4];
            self.file
                .read_exact_at(&mut found, offset)
                .map_err(|e| FileError::new("read the file", path, e))?;
            if found != *MAGIC {
                return Err(StoreError::damaged(path, Damage::Magic("Parquet")));
            }
        }
        Ok(())
    }

    /// Calls into the Parquet library. Damage that no digest revealed can make it panic; that
    /// becomes an error here.
    pub(crate) fn guarded<T>(
        &self,
        path: &Path,
        run: impl FnOnce() -> Result<T, ParquetError>,
    ) -> Result<T> {
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(e)) => Err(self.refusal.or(path, StoreError::content(path, e))),
            Err(_) => Err(StoreError::content(path, "the Parquet library fails on it")),
        }
    }
}

pub(crate) struct AtReader {
    at: At,
    offset: u64,
}

impl Length for At {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for At {
    type T = io::BufReader<AtReader>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(io::BufReader::new(AtReader {
            at: self.clone(),
            offset: start,
        }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        if start
            .checked_add(length as u64)
            .is_none_or(|end| end > self.size)
        {
            return Err(ParquetError::EOF(format!(
                "{length} bytes at {start} of {}",
                self.size
            )));
        }
        let mut buffer = vec![0; length];
        self.refusal
            .note(self.file.read_exact_at(&mut buffer, start))?;
        Ok(buffer.into())
    }
}

impl Read for AtReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self
            .at
            .refusal
            .note(self.at.file.read_at(buffer, self.offset))?;
        self.offset += n as u64;
        Ok(n)
    }
}
