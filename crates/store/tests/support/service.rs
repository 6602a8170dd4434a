//! An S3 service on loopback, over a folder, that can misbehave.

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use s3s::Body;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

pub(crate) const BUCKET: &str = "results";
const USER: (&str, &str) = ("segad", "a secret that nobody may see");

/// What a service does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Answers 503 and does nothing.
    Busy,
    /// Hangs up before it does anything.
    Torn,
    /// Does what it was asked, and hangs up.
    Unanswered,
    /// Does what it was asked, and answers when nobody waits any more.
    Late,
    /// Answers every request with this status and code.
    Always(u16, &'static str),
    /// Says yes to conditional writes with this header whose condition does not hold.
    Ignores(&'static str),
}

#[derive(Default)]
struct State {
    data: PathBuf,
    requests: AtomicUsize,
    /// From now on: each of so many requests, the next of these faults.
    faults: Mutex<Option<(usize, Vec<Fault>)>>,
    /// Requests are served one by one, so that conditions hold as the protocol promises; those of
    /// the library that plays the service are checked before the write.
    turn: tokio::sync::Mutex<()>,
}

/// A running service.
pub(crate) struct S3 {
    /// Its buckets are folders here.
    pub(crate) data: PathBuf,
    address: SocketAddr,
    state: Arc<State>,
    _runtime: Runtime,
}

impl S3 {
    /// Starts it, with one bucket.
    pub(crate) fn start(data: &Path) -> Self {
        std::fs::create_dir_all(data.join(BUCKET)).unwrap();
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(data).unwrap());
        service.set_auth(SimpleAuth::from_single(USER.0, USER.1));
        let (service, state) = (
            service.build(),
            Arc::new(State {
                data: data.to_owned(),
                ..State::default()
            }),
        );
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("loopback has free ports");
        let address = listener.local_addr().unwrap();
        runtime.spawn(accept(listener, service, state.clone()));
        Self {
            data: data.to_owned(),
            address,
            state,
            _runtime: runtime,
        }
    }

    /// The variables by which programs find it.
    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        let variables = [
            ("AWS_ENDPOINT_URL", format!("http://{}", self.address)),
            ("AWS_ACCESS_KEY_ID", USER.0.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", USER.1.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_TIMEOUT", "2s".to_owned()),
        ];
        variables.map(|(k, v)| (k.to_owned(), v)).into()
    }

    /// From now on, each of `every` requests suffers the next of these faults.
    pub(crate) fn misbehave(&self, every: usize, faults: &[Fault]) {
        let faults = (every > 0).then(|| (every, faults.to_vec()));
        *self.state.faults.lock().unwrap() = faults;
    }

    /// How many requests came.
    pub(crate) fn requests(&self) -> usize {
        self.state.requests.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, service: S3Service, state: Arc<State>) {
    while let Ok((socket, _)) = listener.accept().await {
        let (service, state) = (service.clone(), state.clone());
        let serve = service_fn(move |request| answer(request, service.clone(), state.clone()));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), serve));
    }
}

type Answer = Result<Response<Body>, Box<dyn Error + Send + Sync>>;

async fn answer(request: Request<Incoming>, service: S3Service, state: Arc<State>) -> Answer {
    let number = state.requests.fetch_add(1, Ordering::Relaxed);
    let fault = match &*state.faults.lock().unwrap() {
        Some((every, faults)) if number.is_multiple_of(*every) => {
            Some(faults[number / every % faults.len()])
        }
        _ => None,
    };
    match fault {
        Some(Fault::Busy) => return refuse(503, "SlowDown"),
        Some(Fault::Torn) => return Err("torn".into()),
        Some(Fault::Always(status, code)) => return refuse(status, code),
        _ => {}
    }
    let bucket = request.uri().path().split('/').nth(1).unwrap_or_default();
    if !state.data.join(bucket).is_dir() {
        return refuse(404, "NoSuchBucket");
    }
    let is_write = request.method() == Method::PUT;
    let ignored = match fault {
        Some(Fault::Ignores(header)) => is_write && request.headers().contains_key(header),
        _ => false,
    };
    let turn = state.turn.lock().await;
    let answered = service.call(request.map(Body::from)).await;
    drop(turn);
    match fault {
        Some(Fault::Unanswered) => return Err("torn".into()),
        Some(Fault::Late) => tokio::time::sleep(Duration::from_millis(2500)).await,
        _ => {}
    }
    let mut answered = answered.map_err(|e| format!("{e:?}"))?;
    if ignored && answered.status() == StatusCode::PRECONDITION_FAILED {
        answered = Response::new(Body::from(String::new()));
        let tag = hyper::header::HeaderValue::from_static("\"any\"");
        answered.headers_mut().insert(hyper::header::ETAG, tag);
    }
    Ok(answered)
}

fn refuse(status: u16, code: &str) -> Answer {
    let body = format!("<Error><Code>{code}</Code><Message>no</Message></Error>");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status)?;
    Ok(response)
}
