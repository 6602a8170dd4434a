//! Bodies of requests, bounded in size, time, and in memory of all of them together.

use crate::limits::Limits;
use crate::reply::Fault;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::BytesMut;
use http_body_util::BodyExt as _;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// Bytes of one permit of the memory that bodies share.
const UNIT: usize = 1 << 10;
/// How much of a refused body is still taken in, as a multiple of the limit, so that a client that
/// sends first and listens later hears why.
const LEFTOVER: usize = 4;

/// The memory that all bodies share.
#[derive(Clone)]
pub(crate) struct Budget(Arc<Semaphore>);

impl Budget {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self(Arc::new(Semaphore::new(limits.bodies / UNIT)))
    }
}

/// A body with its share of the memory.
pub(crate) struct Received {
    pub bytes: BytesMut,
    _share: Option<OwnedSemaphorePermit>,
}

/// Reads a body of at most `limit` bytes.
pub(crate) async fn read(
    headers: &HeaderMap,
    mut body: Body,
    limit: usize,
    limits: &Limits,
    budget: &Budget,
) -> Result<Received, Fault> {
    let too_large = || {
        let message = format!("the body is larger than {limit} bytes");
        Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    };
    // A stated length is refused before anything is read; one that lies is caught below.
    let stated = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if stated.is_some_and(|n| n > limit as u64) {
        // A client that asked whether to go on is told so by the answer itself.
        if !headers.contains_key(header::EXPECT) {
            discard(body, limit * LEFTOVER, limits).await;
        }
        return Err(too_large());
    }
    let deadline = Instant::now() + limits.body_time;
    let mut bytes = BytesMut::new();
    let mut share: Option<OwnedSemaphorePermit> = None;
    loop {
        let frame = timeout_at(deadline, body.frame()).await.map_err(|_| {
            let message = format!("the body did not arrive within {:?}", limits.body_time);
            Fault::new(StatusCode::REQUEST_TIMEOUT, "body_time", message)
        })?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|e| {
            let message = format!("the body broke off: {e}");
            Fault::new(StatusCode::BAD_REQUEST, "broken_body", message)
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > limit {
            discard(body, limit * LEFTOVER, limits).await;
            return Err(too_large());
        }
        // Memory is reserved as it fills, not as stated: a slow sender holds no more than it sent.
        let have = share.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = (bytes.len() + data.len())
            .div_ceil(UNIT)
            .saturating_sub(have);
        if more > 0 {
            let permit = u32::try_from(more)
                .ok()
                .and_then(|n| budget.0.clone().try_acquire_many_owned(n).ok());
            let Some(permit) = permit else {
                discard(body, limit, limits).await;
                return Err(Fault::busy("the memory for bodies is full"));
            };
            match &mut share {
                Some(share) => share.merge(permit),
                None => share = Some(permit),
            }
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Received {
        bytes,
        _share: share,
    })
}

/// Reads on without keeping anything, for a while.
async fn discard(mut body: Body, most: usize, limits: &Limits) {
    let deadline = Instant::now() + limits.drain_time;
    let mut seen = 0;
    while let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await {
        seen += frame.data_ref().map_or(0, bytes::Bytes::len);
        // A client may send without end; a little is read, so that it can read the refusal.
        if seen > most {
            break;
        }
    }
}
