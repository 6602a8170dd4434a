//! Which path leads where, and what surrounds every answer.

use crate::app::App;
use crate::reply::{Fault, Refused, json, typed};
use crate::{assets, editor, guard, inspect, runs};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub(crate) fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for path in assets::paths() {
        router = router.route(path, get(move || async move { assets::file(path) }));
    }
    router
        .route("/healthz", get(health))
        .route("/metrics", get(metrics))
        .route("/v1/about", get(about))
        .route("/v1/inspect", post(inspect::inspect))
        .route("/v1/runs/{run}", get(runs::list))
        .route("/v1/runs/{run}/threshold", get(runs::threshold))
        .route(
            "/v1/runs/{run}/items/{item}/layers/{layer}",
            get(runs::picture),
        )
        .route("/v1/segments/check", post(editor::check))
        .route("/v1/segments/read", post(editor::read))
        .fallback(|| async { Fault::absent("page") })
        .method_not_allowed_fallback(|| async {
            Fault::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method",
                "method not allowed for this path",
            )
        })
        .layer(middleware::from_fn_with_state(app.clone(), around))
        .with_state(app)
}

/// Checks who asks, counts, and sets the headers of every answer.
async fn around(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    // Before the request is consumed; its path itself would make endless labels.
    let route = metric_route(request.uri().path());
    let mut response = match app
        .hosts
        .check(request.method(), request.uri(), request.headers())
    {
        Ok(()) => next.run(request).await,
        Err(fault) => fault.into_response(),
    };
    guard::protect(response.headers_mut());
    app.metrics.request(route, response.status().as_u16());
    if let Some(Refused(reason)) = response.extensions().get() {
        app.metrics.refused(reason);
    }
    response
}

/// The route as the metrics name it: one of a fixed set, whatever paths clients make up.
fn metric_route(path: &str) -> &'static str {
    match path {
        "/healthz" => "/healthz",
        "/metrics" => "/metrics",
        "/v1/about" => "/v1/about",
        "/v1/inspect" => "/v1/inspect",
        p if p.starts_with("/v1/runs/") => "/v1/runs",
        p if p.starts_with("/v1/segments/") => "/v1/segments",
        p if assets::paths().any(|a| a == p) => "page",
        _ => "other",
    }
}

async fn health(State(app): State<Arc<App>>) -> Result<Response, Fault> {
    if app.stopping.load(Ordering::Relaxed) {
        return Err(Fault::busy("the server is stopping"));
    }
    Ok(typed("text/plain; charset=utf-8", "ok\n".into()))
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    typed(
        "text/plain; version=0.0.4; charset=utf-8",
        app.metrics.text().into(),
    )
}

/// `GET /v1/about`
async fn about(State(app): State<Arc<App>>) -> Result<Response, Fault> {
    let runs = app
        .content
        .gallery
        .as_ref()
        .map_or_else(Vec::new, |g| g.names());
    json(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "model": app.content.inspector.as_ref().map(|i| i.about()),
        "runs": runs,
        "colours": segad_imaging::SEGMENT_COLOURS,
        "largest_body": app.limits.body,
    }))
}
