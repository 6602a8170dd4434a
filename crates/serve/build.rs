//! Whether a browser is installed, for the tests in `tests/browser.rs` (docs/http-api.md, "Tests").

use std::path::Path;

const BROWSERS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

fn main() {
    println!("cargo::rustc-check-cfg=cfg(segad_browser)");
    println!("cargo::rerun-if-env-changed=SEGAD_BROWSER");
    println!("cargo::rerun-if-env-changed=PATH");
    let asked = std::env::var_os("SEGAD_BROWSER");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .flat_map(|d| BROWSERS.map(|b| d.join(b)))
        .find(|f| f.exists());
    let found = match asked {
        Some(name) if name == "none" => None,
        // A browser that is asked for and is not there fails its tests.
        Some(name) if name == "required" => {
            Some(found.unwrap_or_else(|| Path::new(BROWSERS[0]).to_owned()))
        }
        Some(file) => Some(file.into()),
        None => found,
    };
    if let Some(file) = found {
        println!("cargo::rustc-cfg=segad_browser");
        println!("cargo::rustc-env=SEGAD_BROWSER_FILE={}", file.display());
    }
}
