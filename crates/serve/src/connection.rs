//! One connection: HTTP/1.1 with bounds on the head of a request and on the connection's life.

use crate::limits::Limits;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::pin::pin;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// Bytes of the head of a request, and of what is read ahead of a body.
const BUFFER: usize = 64 << 10;
/// Headers of a request.
const HEADERS: usize = 64;

/// Serves requests until the client leaves, time is up, or `stopping` changes; then the request at
/// hand is finished.
pub(crate) async fn serve(
    stream: TcpStream,
    router: Router,
    limits: &Limits,
    mut stopping: watch::Receiver<bool>,
) {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time);
    builder.max_buf_size(BUFFER).max_headers(HEADERS);
    let connection =
        builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let stop = async {
        let _ = stopping.wait_for(|&s| s).await;
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => Ok(ended),
        () = stop => Err(()),
        () = sleep(limits.connection_time) => Err(()),
    };
    let ended = match ended {
        Ok(ended) => Ok(ended),
        Err(()) => {
            // The request at hand is answered, but no other is begun on this connection.
            connection.as_mut().graceful_shutdown();
            timeout(limits.drain_time, connection).await
        }
    };
    match ended {
        Ok(Err(e)) => tracing::debug!("a connection ended: {e}"),
        Err(_) => tracing::debug!("a connection was cut off"),
        Ok(Ok(())) => {}
    }
}
