//! Answers: JSON, pictures, and refusals that say why.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// A refusal. `reason` is for programs and for the metrics, `message` for people.
#[derive(Debug)]
pub(crate) struct Fault {
    pub status: StatusCode,
    pub reason: &'static str,
    pub message: String,
}

impl Fault {
    pub(crate) fn new(
        status: StatusCode,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            reason,
            message: message.into(),
        }
    }

    pub(crate) fn absent(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("{what} not found"),
        )
    }

    pub(crate) fn busy(message: &str) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            format!("{message}; try again later"),
        )
    }

    pub(crate) fn internal(error: impl std::fmt::Display) -> Self {
        // For the log only: a message may name paths, which are nobody's business outside.
        tracing::error!("{error}");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "internal error; see the server's log",
        )
    }
}

/// Which reason a response was refused for, for the metrics.
#[derive(Clone, Copy)]
pub(crate) struct Refused(pub &'static str);

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let Self {
            status,
            reason,
            message,
        } = self;
        let body = serde_json::json!({ "error": reason, "message": message }).to_string();
        let mut response = typed("application/json", body.into());
        *response.status_mut() = status;
        response.extensions_mut().insert(Refused(reason));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE
        ) {
            // What is left of the body is not read.
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// A body of a type.
pub(crate) fn typed(kind: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<Response, Fault> {
    let body = serde_json::to_vec(value).map_err(Fault::internal)?;
    Ok(typed("application/json", body.into()))
}

/// A PNG as a URL that a page can show.
pub(crate) fn data_url(png: &[u8]) -> String {
    use base64::Engine as _;
    format!(
        "data:image/png;base64,{}",
        base64::engine::general_purpose::STANDARD.encode(png)
    )
}
