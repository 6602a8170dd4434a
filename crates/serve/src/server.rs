use crate::app::App;
use crate::connection;
use crate::content::Content;
use crate::error::ServeError;
use crate::guard::Hosts;
use crate::limits::{Limits, Settings};
use crate::metrics::Held;
use crate::routes;
use segad_core::Cancel;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How often to check whether to stop.
const LOOK: Duration = Duration::from_millis(50);

/// A server that listens and does not answer yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
    app: Arc<App>,
}

/// What became of the images that were sent to a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Images with a verdict.
    pub judged: u64,
    /// Images without one; each reply said why.
    pub refused: u64,
}

impl Server {
    /// Starts to listen, so that the address is known and clients may connect.
    ///
    /// # Errors
    /// [`ServeError::Setting`], [`ServeError::Bind`].
    pub fn bind(settings: Settings, content: Content) -> Result<Self, ServeError> {
        let Settings {
            listen,
            hosts,
            limits,
        } = settings;
        limits.check()?;
        let (listener, address) = open_socket(listen).map_err(|cause| ServeError::Bind {
            address: listen,
            cause,
        })?;
        let hosts = Hosts::new(&hosts, address);
        let app = Arc::new(App::new(content, limits.clone(), hosts));
        Ok(Self {
            listener,
            address,
            limits,
            app,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is cancelled; then takes no more connections, finishes running requests
    /// for at most [`Limits::drain_time`], and returns what became of the images that were sent.
    ///
    /// # Errors
    /// [`ServeError::System`].
    pub fn run(self, stop: &Cancel) -> Result<Served, ServeError> {
        let metrics = self.app.metrics.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(App::threads(&self.limits))
            .build()
            .map_err(|cause| ServeError::System {
                what: "cannot start the server's thread",
                cause,
            })?;
        let drain_time = self.limits.drain_time;
        let served = runtime.block_on(self.serve(stop));
        // Jobs on blocking threads cannot be stopped; those still running are left behind.
        runtime.shutdown_timeout(drain_time);
        served.map_err(|cause| ServeError::System {
            what: "cannot listen",
            cause,
        })?;
        let [refused, judged] = metrics.images();
        Ok(Served { judged, refused })
    }

    async fn serve(self, stop: &Cancel) -> std::io::Result<()> {
        let Self {
            listener,
            limits,
            app,
            ..
        } = self;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let router = routes::router(app.clone());
        let (stopping, stopped) = watch::channel(false);
        let places = Arc::new(Semaphore::new(limits.connections));
        let mut connections = JoinSet::new();
        while !stop.is_cancelled() {
            // Finished connections are taken out, or the set would grow without end.
            while connections.try_join_next().is_some() {}
            match timeout(LOOK, accept(&listener, &places)).await {
                Ok(Ok((place, stream))) => {
                    let router = router.clone();
                    let limits = limits.clone();
                    let stopped = stopped.clone();
                    let metrics = app.metrics.clone();
                    connections.spawn(async move {
                        let _open = Held::new(&metrics.connections);
                        connection::serve(stream, router, &limits, stopped).await;
                        drop(place);
                    });
                }
                // Out of file descriptors, or the client left already.
                Ok(Err(e)) => {
                    tracing::warn!("a connection could not be accepted: {e}");
                    sleep(LOOK).await;
                }
                Err(_) => {}
            }
        }
        drop(listener);
        app.stopping.store(true, Ordering::Relaxed);
        let _ = stopping.send(true);
        let drained = async { while connections.join_next().await.is_some() {} };
        if timeout(limits.drain_time + LOOK, drained).await.is_err() {
            tracing::warn!("{} requests were cut off", connections.len());
        }
        Ok(())
    }
}

fn open_socket(listen: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(listen)?;
    // As tokio demands of a listener that it takes over.
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// A place first, then a client: those beyond the last place wait in the system's queue.
async fn accept(
    listener: &tokio::net::TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(OwnedSemaphorePermit, TcpStream)> {
    // Before accepting: what cannot be served waits in the system's own queue.
    let place = places
        .clone()
        .acquire_owned()
        .await
        .map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((place, stream))
}
