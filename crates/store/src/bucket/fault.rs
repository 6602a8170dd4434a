//! What went wrong, in words that help.

use crate::error::ErrorKind;
use object_store::Error;

/// What an error of the service comes to, and what to do about it.
pub(super) fn explain(error: &Error) -> (ErrorKind, String) {
    let chain = std::iter::successors(Some(error as &dyn std::error::Error), |e| e.source());
    let text = chain.map(ToString::to_string).collect::<Vec<_>>();
    let has = |code: &str| text.iter().any(|t| t.contains(code));
    let (kind, problem) = if has("NoSuchBucket") {
        let problem = "there is no such bucket; create it, or correct its name";
        (ErrorKind::NotFound, problem)
    } else if has("RequestTimeTooSkewed") {
        let problem = "this machine's clock differs from the service's by too much; set the clock";
        (ErrorKind::Permission, problem)
    } else if has("InvalidAccessKeyId") || has("SignatureDoesNotMatch") || has("InvalidToken") {
        let problem = "the service does not accept the credentials; check AWS_ACCESS_KEY_ID, \
                       AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or the profile";
        (ErrorKind::Permission, problem)
    } else if matches!(
        error,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. }
    ) {
        let problem = "the credentials do not permit it; they need to read, write, list and \
                       delete objects";
        (ErrorKind::Permission, problem)
    } else if has("/latest/api/token") {
        let problem = "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
                       AWS_PROFILE";
        (ErrorKind::Permission, problem)
    } else {
        // The last cause says what happened; those before it mostly repeat it.
        let last = text.last().map_or("", String::as_str);
        let kind = match has("403 Forbidden") || has("401 Unauthorized") {
            true => ErrorKind::Permission,
            false => ErrorKind::Io,
        };
        return (kind, last.to_owned());
    };
    (kind, problem.to_owned())
}
