//! `POST /v1/inspect`.

use crate::app::App;
use crate::body;
use crate::content::{Answer, Refusal};
use crate::metrics::Metrics;
use crate::reply::{Fault, data_url, json};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use segad_core::{BoxError, Label, Reason};
use segad_imaging::{encode_labels_png, encode_png, heatmap};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::time::Instant;

/// The type of bytes of which nothing is said.
const BYTES: &str = "application/octet-stream";

/// An image that was sent. It is counted when its request ends, however that comes about.
struct Sent<'a> {
    metrics: &'a Metrics,
    is_judged: bool,
}

impl<'a> Sent<'a> {
    fn new(metrics: &'a Metrics) -> Self {
        Self {
            metrics,
            is_judged: false,
        }
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        self.metrics.image(self.is_judged);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    /// Whether to answer with heat maps and segments, as PNG in data URLs.
    #[serde(default)]
    pictures: bool,
}

#[derive(Serialize)]
struct Reply {
    score: f32,
    threshold: f64,
    verdict: Label,
    probability: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    reasons: Vec<Reason>,
    maps: Vec<Map>,
    #[serde(skip_serializing_if = "Option::is_none")]
    segments: Option<String>,
}

#[derive(Serialize)]
struct Map {
    detector: String,
    height: usize,
    width: usize,
    max: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    picture: Option<String>,
}

pub(crate) async fn inspect(
    State(app): State<Arc<App>>,
    options: Result<Query<Options>, axum::extract::rejection::QueryRejection>,
    request: Request,
) -> Result<Response, Fault> {
    let mut image = Sent::new(&app.metrics);
    let reply = judge(app.clone(), options, request).await;
    image.is_judged = reply.is_ok();
    reply
}

async fn judge(
    app: Arc<App>,
    options: Result<Query<Options>, axum::extract::rejection::QueryRejection>,
    request: Request,
) -> Result<Response, Fault> {
    // Cloned out of the app, since the work moves to a thread of its own.
    let inspector = app
        .content
        .inspector
        .clone()
        .ok_or_else(|| Fault::absent("model"))?;
    let Query(options) =
        options.map_err(|e| Fault::new(StatusCode::BAD_REQUEST, "query", e.body_text()))?;
    let (parts, body) = request.into_parts();
    check_type(&parts.headers)?;
    let received = body::read(
        &parts.headers,
        body,
        app.limits.body,
        &app.limits,
        &app.budget,
    )
    .await?;
    let metrics = app.metrics.clone();
    let threshold = app.threshold;
    let inspect = move || {
        let start = Instant::now();
        let answer = inspector.inspect(&received.bytes)?;
        metrics.inspected(answer.verdict.is_bad(), start.elapsed());
        reply(answer, threshold, options.pictures).map_err(|e| Refusal::Internal(e.to_string()))
    };
    match app.inspections.run(inspect).await? {
        Ok(reply) => json(&reply),
        Err(Refusal::Image(m)) => Err(Fault::new(StatusCode::UNPROCESSABLE_ENTITY, "image", m)),
        Err(Refusal::Internal(m)) => Err(Fault::internal(m)),
    }
}

/// Accepts only types that a form on another site's page cannot send.
fn check_type(headers: &HeaderMap) -> Result<(), Fault> {
    let Some(stated) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let stated = stated
        .to_str()
        .unwrap_or("?")
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    let known: Vec<&str> = [segad_imaging::media_types(), vec![BYTES]].concat();
    if known.iter().any(|t| t.eq_ignore_ascii_case(stated)) {
        return Ok(());
    }
    let message = format!(
        "content-type = {stated}: expected {}{}",
        known.join(", "),
        hint(stated)
    );
    Err(Fault::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "content_type",
        &message,
    ))
}

/// What to send instead of a type that is nearly right.
fn hint(stated: &str) -> String {
    let (kind, name) = stated.split_once('/').unwrap_or(("", stated));
    let name = name.to_ascii_lowercase();
    // `image/jpg`, `image/x-png`, `jpeg`
    let name = name.strip_prefix("x-").unwrap_or(&name);
    if let Some(meant) = segad_imaging::media_type_of(name.as_ref()) {
        return format!("; did you mean {meant}?");
    }
    match kind.to_ascii_lowercase().as_str() {
        "multipart" => "; send the file itself as the body, not a form".to_owned(),
        "application" if name == "www-form-urlencoded" => {
            format!("; with curl, use --data-binary and -H 'content-type: {BYTES}'")
        }
        _ => String::new(),
    }
}

fn reply(answer: Answer, threshold: f64, pictures: bool) -> Result<Reply, BoxError> {
    let Answer {
        score,
        verdict,
        probability,
        warnings,
        reasons,
        maps,
        segments,
    } = answer;
    let maps = maps.into_iter().map(|m| {
        // Pictures are many times as large as the rest, so only who asks gets them.
        let picture = if pictures {
            Some(data_url(&encode_png(&heatmap(&m.map, m.low, m.high)?)?))
        } else {
            None
        };
        Ok(Map {
            detector: m.detector,
            height: m.map.height(),
            width: m.map.width(),
            max: m.map.max(),
            picture,
        })
    });
    let maps = maps.collect::<Result<_, BoxError>>()?;
    let segments = segments
        .filter(|_| pictures)
        .map(|s| encode_labels_png(&s))
        .transpose()?;
    let segments = segments.map(|png| data_url(&png));
    Ok(Reply {
        score,
        threshold,
        verdict,
        probability,
        warnings,
        reasons,
        maps,
        segments,
    })
}
