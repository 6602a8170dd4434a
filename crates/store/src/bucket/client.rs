//! The requests that a store makes of an object store, as calls that wait.

use super::fault::explain;
use super::settings::Settings;
use crate::error::{ErrorKind, Result, StoreError};
use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::aws::AmazonS3;
use object_store::path::Path as Key;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, UpdateVersion};
use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, SystemTime};
use tokio::runtime::{Builder, Runtime};

/// Bytes in one request; a file of more is sent and fetched in parts.
const PART: u64 = 16 << 20;

/// How often a conditional write is tried whose answer did not arrive.
const TRIES: u32 = 6;

/// An object with its content.
pub(super) struct Object {
    pub bytes: Vec<u8>,
    pub modified: SystemTime,
    pub etag: Option<String>,
}

/// What came of a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    Done,
    /// The object was there already, or had another content than was expected.
    Refused,
}

/// The objects below a prefix of a bucket, by their names below it.
pub(super) struct Client {
    s3: Arc<AmazonS3>,
    runtime: &'static Runtime,
    settings: Settings,
}

// Without what the client holds: it has the credentials.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.settings.url()).finish()
    }
}

impl Client {
    /// A client that gives up after so many retries of a request.
    pub(super) fn new(settings: Settings, retries: usize) -> Result<Self> {
        let url = settings.url();
        // First: it also chooses how TLS is done.
        let runtime = runtime().map_err(|e| StoreError::invalid(&url, e))?;
        let s3 = settings.builder(retries).build();
        Ok(Self {
            s3: Arc::new(s3.map_err(|e| StoreError::invalid(&url, e))?),
            runtime,
            settings,
        })
    }

    /// What messages call an object.
    pub(super) fn name(&self, object: &str) -> PathBuf {
        self.settings.url().join(object)
    }

    fn key(&self, object: &str) -> Key {
        Key::from(format!("{}/{object}", self.settings.prefix()))
    }

    /// Runs a request beside the caller, who may be inside another runtime.
    fn wait<T, F>(&self, request: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let (send, receive) = mpsc::sync_channel(1);
        self.runtime.spawn(async move {
            // Fails only if nobody waits any more.
            let _ = send.send(request.await);
        });
        receive.recv().unwrap_or_else(|_| {
            Err(Error::Generic {
                store: "S3",
                source: "the request was given up".into(),
            })
        })
    }

    pub(super) fn get(&self, object: &str) -> Result<Option<Object>> {
        let (s3, key) = (self.s3.clone(), self.key(object));
        let got = self.wait(async move {
            let got = s3.get(&key).await?;
            let meta = got.meta.clone();
            Ok((meta, got.bytes().await?))
        });
        let found = self.found("read the object", object, got)?;
        Ok(found.map(|(meta, bytes)| Object {
            bytes: bytes.to_vec(),
            modified: meta.last_modified.into(),
            etag: meta.e_tag,
        }))
    }

    pub(super) fn head(&self, object: &str) -> Result<Option<ObjectMeta>> {
        let (s3, key) = (self.s3.clone(), self.key(object));
        let got = self.wait(async move { s3.head(&key).await });
        self.found("look for the object", object, got)
    }

    /// All objects below a name, by their whole names below the prefix, in order.
    pub(super) fn list(&self, below: &str) -> Result<Vec<(String, ObjectMeta)>> {
        let (s3, key) = (self.s3.clone(), self.key(below));
        let listed: Vec<ObjectMeta> = self
            .wait(async move { s3.list(Some(&key)).try_collect().await })
            .map_err(|e| self.fault("list the objects", below, &e))?;
        let prefix = self.key("");
        let names = listed.into_iter().map(|meta| {
            let name = meta.location.prefix_match(&prefix);
            let name = name.map(|parts| {
                let parts: Vec<String> = parts.map(|p| p.as_ref().to_owned()).collect();
                parts.join("/")
            });
            (name.unwrap_or_default(), meta)
        });
        let mut found: Vec<_> = names.collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    /// Writes an object, whatever was there.
    pub(super) fn put(&self, object: &str, bytes: &[u8]) -> Result<()> {
        let (s3, key) = (self.s3.clone(), self.key(object));
        let bytes = Bytes::copy_from_slice(bytes);
        let put = self.wait(async move { s3.put(&key, bytes.into()).await });
        put.map(drop)
            .map_err(|e| self.fault("write the object", object, &e))
    }

    /// Creates an object. No other call may write the same bytes: where an answer is lost, they
    /// tell whether the object is this one.
    pub(super) fn create(&self, object: &str, bytes: &[u8]) -> Result<Put> {
        self.put_if(object, bytes, &PutMode::Create)
    }

    /// Replaces an object that has not changed since it was seen. For the bytes see
    /// [`Client::create`].
    pub(super) fn replace(&self, object: &str, bytes: &[u8], etag: Option<String>) -> Result<Put> {
        let seen = UpdateVersion {
            e_tag: etag,
            version: None,
        };
        self.put_if(object, bytes, &PutMode::Update(seen))
    }

    fn put_if(&self, object: &str, bytes: &[u8], mode: &PutMode) -> Result<Put> {
        let mut pause = Duration::from_millis(50);
        for tried in 1.. {
            let (s3, key, mode) = (self.s3.clone(), self.key(object), mode.clone());
            let payload = Bytes::copy_from_slice(bytes);
            let put =
                self.wait(async move { s3.put_opts(&key, payload.into(), mode.into()).await });
            match put {
                Ok(_) => return Ok(Put::Done),
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {
                    // An earlier try may have succeeded although its answer was lost.
                    let there = self.get(object)?;
                    return Ok(match there.is_some_and(|o| o.bytes == bytes) {
                        true => Put::Done,
                        false => Put::Refused,
                    });
                }
                // The library does not repeat these, as it cannot tell what became of them.
                Err(Error::Generic { .. }) if tried < TRIES => {
                    std::thread::sleep(pause);
                    pause *= 2;
                }
                Err(e) => return Err(self.fault("write the object", object, &e)),
            }
        }
        unreachable!("the last try returns")
    }

    /// Removes an object, if it is there.
    pub(super) fn delete(&self, object: &str) -> Result<()> {
        let (s3, key) = (self.s3.clone(), self.key(object));
        let deleted = self.wait(async move { s3.delete(&key).await });
        self.found("remove the object", object, deleted).map(drop)
    }

    /// Writes a file as an object.
    pub(super) fn upload(&self, from: &Path, object: &str) -> Result<()> {
        let (size, _) = segad_files::size_and_time(from)?;
        if size <= PART {
            return self.put(object, &segad_files::read(from)?);
        }
        let fault = |e: &Error| self.fault("write the object", object, e);
        let (s3, key) = (self.s3.clone(), self.key(object));
        let upload = self.wait(async move { s3.put_multipart(&key).await });
        let mut upload = upload.map_err(|e| fault(&e))?;
        let mut file = segad_files::open(from)?;
        for part in 0..size.div_ceil(PART) {
            let length = PART.min(size - part * PART);
            let mut bytes = Vec::new();
            (&mut file)
                .take(length)
                .read_to_end(&mut bytes)
                .map_err(|e| segad_files::FileError::new("read the file", from, e))?;
            let sent = self.wait(upload.put_part(Bytes::from(bytes).into()));
            sent.map_err(|e| fault(&e))?;
        }
        self.wait(async move { upload.complete().await })
            .map(drop)
            .map_err(|e| fault(&e))
    }

    /// Writes the first `size` bytes of an object to a file; false if there is no such object.
    pub(super) fn download(&self, object: &str, size: u64, to: &Path) -> Result<bool> {
        let mut file = segad_files::create(to)?;
        for part in 0..size.div_ceil(PART) {
            let range = part * PART..size.min((part + 1) * PART);
            let (s3, key) = (self.s3.clone(), self.key(object));
            let got = self.wait(async move { s3.get_range(&key, range).await });
            let Some(bytes) = self.found("read the object", object, got)? else {
                return Ok(false);
            };
            file.write_all(&bytes)
                .map_err(|e| segad_files::FileError::new("write the file", to, e))?;
        }
        Ok(true)
    }

    /// What was asked for, or `None` if it is not there. A bucket that is not there is an error.
    fn found<T>(
        &self,
        action: &'static str,
        object: &str,
        result: Result<T, Error>,
    ) -> Result<Option<T>> {
        match result {
            Ok(found) => Ok(Some(found)),
            Err(e @ Error::NotFound { .. }) if !e.to_string().contains("NoSuchBucket") => Ok(None),
            Err(e) => Err(self.fault(action, object, &e)),
        }
    }

    fn fault(&self, action: &'static str, object: &str, error: &Error) -> StoreError {
        let (kind, mut problem) = explain(error);
        if kind == ErrorKind::Io {
            let service = self.settings.endpoint().unwrap_or("that of AWS");
            problem.push_str(&format!(" (the service is {service})"));
        }
        StoreError::Service {
            path: self.name(object),
            action,
            problem,
            kind,
        }
    }
}

/// Where the requests of all clients run. It lives as long as the process: it must not be dropped
/// inside another runtime.
fn runtime() -> io::Result<&'static Runtime> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    // TLS is done by whichever library was installed first; none is by default.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let made = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("object-store")
        .enable_all()
        .build()?;
    Ok(RUNTIME.get_or_init(|| made))
}
