//! Shapes that the page draws: checked, painted and written by the same code that reads them for a
//! fit.

use crate::app::App;
use crate::body;
use crate::reply::{Fault, data_url, json};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use segad_core::BoxError;
use segad_segments::{QualityReport, SegmentsError, Shapes, ShapesFile, StaticMap};
use serde_json::json;
use std::sync::Arc;

/// Bytes of a file of shapes.
const LIMIT: usize = 1 << 20;
/// Side of the map that coverage is counted on: that of the anomaly maps.
const SIDE: usize = 256;
/// How errors name the file.
const NAME: &str = "shapes.toml";

async fn text(app: &App, request: Request, kind: &str) -> Result<String, Fault> {
    let (parts, body) = request.into_parts();
    let stated = parts
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    if stated.split(';').next().map(str::trim) != Some(kind) {
        let message = format!("the body must be {kind}");
        return Err(Fault::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content_type",
            message,
        ));
    }
    let received = body::read(&parts.headers, body, LIMIT, &app.limits, &app.budget).await?;
    let not_text =
        |e: std::str::Utf8Error| Fault::new(StatusCode::BAD_REQUEST, "text", e.to_string());
    Ok(std::str::from_utf8(&received.bytes)
        .map_err(not_text)?
        .to_owned())
}

fn wrong(e: impl std::fmt::Display) -> Fault {
    Fault::new(StatusCode::UNPROCESSABLE_ENTITY, "shapes", e.to_string())
}

/// `POST /v1/segments/check`: shapes as JSON; answers with the TOML text, what each segment covers,
/// and whether a fit would take it.
pub(crate) async fn check(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Fault> {
    let text = text(&app, request, "application/json").await?;
    let file: ShapesFile = serde_json::from_str(&text).map_err(wrong)?;
    let work = move || -> Result<serde_json::Value, BoxError> {
        let toml = file.to_toml()?;
        // What is saved is read back from its text, as a fit will do.
        let problem = Shapes::parse(NAME, &toml)
            .and_then(|s| fits(&s))
            .err()
            .map(|e| e.to_string());
        let painted = painted(file)?;
        Ok(json!({
            "toml": toml,
            "problem": problem,
            "coverage": painted.as_ref().map(|(report, _)| report),
            "picture": painted.as_ref().map(|(_, png)| data_url(png)),
        }))
    };
    json(&app.pictures.run(work).await?.map_err(wrong)?)
}

fn fits(shapes: &Shapes) -> Result<(), SegmentsError> {
    match StaticMap::new(shapes, SIDE, SIDE) {
        // A map for boards that lie anyhow is painted per image.
        Err(SegmentsError::Names { .. }) => shapes.rasterise(SIDE, SIDE).map(|_| ()),
        other => other.map(|_| ()),
    }
}

/// What is covered so far; while somebody draws, segments may be empty. `None` where shapes cannot
/// be painted at all.
fn painted(mut file: ShapesFile) -> Result<Option<(QualityReport, Vec<u8>)>, BoxError> {
    // While somebody draws, segments are still empty; that is no reason to show nothing.
    file.allow_empty.clone_from(&file.segments);
    let Ok(shapes) = Shapes::check(NAME, file) else {
        return Ok(None);
    };
    let map = shapes.rasterise(SIDE, SIDE)?;
    let png = segad_imaging::encode_labels_png(&map)?;
    Ok(Some((QualityReport::new(&map, shapes.names()), png)))
}

/// `POST /v1/segments/read`: a TOML file; answers with the shapes as JSON.
pub(crate) async fn read(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fault> {
    let text = text(&app, request, "application/toml").await?;
    let file = ShapesFile::parse(NAME, &text).map_err(wrong)?;
    Shapes::check(NAME, file.clone()).map_err(wrong)?;
    json(&file)
}
