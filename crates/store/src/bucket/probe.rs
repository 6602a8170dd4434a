//! Whether a service can be used: it must allow every request that a store makes, and refuse a
//! conditional write whose condition does not hold.

use super::client::{Client, Put};
use crate::error::{ErrorKind, Result, StoreError};
use segad_files::Owner;
use std::time::SystemTime;

/// Tries every kind of request; returns the service's time.
///
/// # Errors
/// [`StoreError::Service`] with what the service does not allow or does not do.
pub(super) fn check(client: &Client) -> Result<SystemTime> {
    let object = name();
    let refuse = |problem: &str| StoreError::Service {
        path: client.name(&object),
        action: "use the object store",
        problem: problem.to_owned(),
        kind: ErrorKind::Invalid,
    };
    // A service that ignores the conditions would let two workers hold one lease.
    if client.create(&object, b"first")? != Put::Done {
        return Err(refuse("it refuses to create an object that is not there"));
    }
    let first = client.get(&object)?;
    let first = first.ok_or_else(|| refuse("an object that was written is not there"))?;
    if client.create(&object, b"second")? == Put::Done {
        client.delete(&object)?;
        return Err(refuse(
            "it ignores `If-None-Match: *` and overwrites objects; choose a service with \
             conditional writes",
        ));
    }
    let replaced = client.replace(&object, b"third", first.etag.clone())?;
    let stale = client.replace(&object, b"fourth", first.etag)?;
    let content = client.get(&object)?.map(|o| o.bytes);
    client.delete(&object)?;
    match (replaced, stale) {
        (Put::Done, Put::Refused) if content.as_deref() == Some(b"third") => Ok(first.modified),
        (Put::Refused, _) => Err(refuse(
            "it refuses `If-Match` with the object's own ETag; choose a service with conditional \
             writes",
        )),
        _ => Err(refuse(
            "it ignores `If-Match` and overwrites objects that have changed; choose a service \
             with conditional writes",
        )),
    }
}

/// The service's time, as it dates an object.
pub(super) fn time(client: &Client) -> Result<SystemTime> {
    let object = name();
    client.put(&object, b"time")?;
    let written = client.head(&object)?;
    client.delete(&object)?;
    written
        .map(|meta| meta.last_modified.into())
        .ok_or_else(|| StoreError::Service {
            path: client.name(&object),
            action: "ask for the time",
            problem: "an object that was written is not there".to_owned(),
            kind: ErrorKind::Io,
        })
}

fn name() -> String {
    format!("v1/probe/{}", Owner::current().unique_tag())
}
