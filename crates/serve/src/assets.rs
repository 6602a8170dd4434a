//! The page: files of this crate, compiled in.

use crate::reply::{Fault, typed};
use axum::response::Response;

/// A path, the type of what it answers, and the file of the same name.
macro_rules! asset {
    ($path:literal, $kind:expr) => {
        asset!($path, $kind, $path)
    };
    ($path:literal, $kind:expr, $file:literal) => {
        ($path, $kind, include_str!(concat!("../assets", $file)))
    };
}

const FILES: [(&str, &str, &str); 8] = [
    asset!("/", "text/html; charset=utf-8", "/index.html"),
    asset!("/app.css", "text/css; charset=utf-8"),
    asset!("/app.js", SCRIPT),
    asset!("/editor.js", SCRIPT),
    asset!("/gallery.js", SCRIPT),
    asset!("/histogram.js", SCRIPT),
    asset!("/inspect.js", SCRIPT),
    asset!("/shapes.js", SCRIPT),
];
const SCRIPT: &str = "text/javascript; charset=utf-8";

pub(crate) fn paths() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(path, ..)| *path)
}

pub(crate) fn file(path: &str) -> Result<Response, Fault> {
    let found = FILES.iter().find(|(p, ..)| *p == path);
    found
        .map(|(_, kind, text)| typed(kind, (*text).into()))
        .ok_or_else(|| Fault::absent(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every way of a script to turn text into markup or code, and every way to fetch from
    /// elsewhere.
    #[test]
    fn nothing_becomes_markup_and_nothing_comes_from_elsewhere() {
        let forbidden = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "DOMParser",
            "srcdoc",
            "eval(",
            "new Function",
            "createContextualFragment",
            "setHTML",
            "javascript:",
            "@import",
            "<iframe",
            "style=",
            "onclick=",
            "onload=",
            "onerror=",
        ];
        for (path, _, text) in FILES {
            for word in forbidden {
                assert!(!text.contains(word), "{path} holds {word}");
            }
            assert!(
                !path.ends_with(".css") || !text.contains("url("),
                "{path} fetches something"
            );
            let own = text.replace("http://www.w3.org/2000/svg", "");
            for scheme in ["http:", "https:", "ws:", "wss:", "\"//", "'//"] {
                assert!(!own.contains(scheme), "{path} names {scheme}");
            }
        }
    }

    #[test]
    fn the_page_names_only_files_that_are_there() {
        let (_, _, page) = FILES[0];
        for part in page.split(['"']).filter(|p| p.starts_with('/')) {
            assert!(paths().any(|p| p == part), "{part}");
        }
        for (path, _, text) in FILES.iter().filter(|(_, kind, _)| *kind == SCRIPT) {
            for line in text.lines().filter(|l| l.starts_with("import ")) {
                let from = line.split('"').nth(1).unwrap_or_default();
                assert!(paths().any(|p| p == from), "{path}: {line}");
            }
        }
    }
}
