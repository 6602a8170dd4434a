//! A local web page and HTTP API: inspect an image, browse scored images, choose a threshold, draw
//! segments.
//!
//! The caller supplies what answers: [`Inspect`] turns the bytes of an image into an [`Answer`]
//! (score, verdict, reasons, maps), [`Gallery`] supplies scored images and their pictures. Either
//! may be absent. [`Server`] puts them behind HTTP/1.1 and protects them: sizes, times, memory and
//! concurrency have [`Limits`], work beyond them is refused with 503 and `Retry-After`, requests
//! for another host or from another site are refused, pictures are addressed by number and never by
//! path, and the page is compiled in, loads nothing from elsewhere and never turns text into
//! markup. `docs/http-api.md` describes every route.
//!
//! Scores are raw, larger is more anomalous; an image is called bad if its score ≥ the threshold.
//! Confidence intervals are those of Clopper and Pearson. Rates and areas are in percent, as in the
//! report.
//!
//! ```
//! use segad_core::Cancel;
//! use segad_serve::{Content, Server, Settings};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = Settings { listen: "127.0.0.1:0".parse()?, ..Settings::default() };
//! let server = Server::bind(settings, Content::default())?;
//! assert!(server.address().ip().is_loopback());
//! let stop = Cancel::default();
//! stop.cancel(); // as Ctrl-C does, here before the first request
//! server.run(&stop)?;
//! # Ok(())
//! # }
//! ```

mod app;
mod assets;
mod body;
mod connection;
mod content;
mod editor;
mod error;
mod guard;
mod inspect;
mod limits;
mod metrics;
mod reply;
mod routes;
mod runs;
mod server;
mod workers;

pub use content::{
    About, Answer, Area, Content, Gallery, ImageSet, Inspect, Item, Layer, LayerKind, MapPicture,
    Refusal,
};
pub use error::ServeError;
pub use limits::{Limits, Settings};
pub use runs::{Called, Counts, GroupCounts};
pub use server::{Served, Server};
