//! `serve`: a web page and an HTTP API on this machine.

use super::setup;
use crate::account::{Account, LeftOut};
use crate::served::{Experiments, FittedOn, Photos, Worker};
use crate::session::Session;
use segad_args::Serve;
use segad_imaging::Reading;
use segad_runner::Failure;
use segad_runner::interrupt::Interrupt;
use segad_segments::{SegmentsSpec, SegmentsTable, StaticParams};
use segad_serve::{Content, Limits, Server, Settings};
use segad_store::Location;
use std::sync::Arc;

pub(super) fn run(args: &Serve, session: &Session) -> Result<(), Failure> {
    let content = content(args, session)?;
    let limits = Limits {
        body: usize::try_from(args.max_body).map_err(Failure::configuration)?,
        workers: args.workers,
        queue: args.queue,
        ..Limits::default()
    };
    let settings = Settings {
        listen: args.listen,
        hosts: args.allow_host.clone(),
        limits,
    };
    let server = Server::bind(settings, content).map_err(Failure::configuration)?;
    let bars = session.bars.clone();
    // Not the session's: a server has requests, not cells, to finish.
    let interrupt =
        Interrupt::listen(move |_| bars.line("Stopping; running requests may finish."))?;
    if !server.address().ip().is_loopback() {
        session
            .bars
            .line("Anyone who can reach this address can use the server.");
    }
    super::print(&format!("http://{}/\n", server.address()))?;
    session.bars.line("Press Ctrl-C to stop.");
    let served = server.run(&interrupt.no_more)?;
    let account = Account {
        done: served.judged as usize,
        refused: served.refused as usize,
        left_out: LeftOut::default(),
    };
    session.bars.line(&account.describe("judged"));
    Ok(())
}

/// What the path names: a model or a store; without one, only the editor is served.
fn content(args: &Serve, session: &Session) -> Result<Content, Failure> {
    let segments = args.segments.as_deref().map(segments).transpose()?;
    let Some(path) = &args.path else {
        return Ok(Content::default());
    };
    if path.is_dir() || Location::is_address(path) {
        let photos = photos(args, Reading::AS_STORED)?;
        let store = session.store_to_read(Some(path))?;
        let experiments =
            Experiments::open(store, &args.only, photos, segments).map_err(Failure::input)?;
        return Ok(Content {
            inspector: None,
            gallery: Some(Arc::new(experiments)),
        });
    }
    segad_nn::set_threads(setup::threads(args.threads).get());
    let model = super::inspect::open_model(path)?;
    let photos = photos(args, model.card().reading)?;
    let device = super::devices::one(&args.device)?;
    let worker = Worker::new(&model, device, args.workers).map_err(super::fit::failure)?;
    let worker = Arc::new(worker);
    let gallery = FittedOn::new(worker.clone(), photos);
    Ok(Content {
        inspector: Some(worker),
        gallery: Some(Arc::new(gallery)),
    })
}

/// The photographs, read as whoever computed the maps read them.
fn photos(args: &Serve, reading: Reading) -> Result<Option<Photos>, Failure> {
    let folder = args.images.as_deref();
    let photos = folder.map(|folder| Photos::open(folder, reading));
    photos.transpose().map_err(Failure::input)
}

/// Segments as the command line names them: a file of shapes, a name, or a table.
fn segments(source: &str) -> Result<SegmentsSpec, Failure> {
    if source.ends_with(".toml") {
        // Relative to the working folder, not to datasets/segments.
        let path = std::path::absolute(source)?;
        return Ok(SegmentsSpec::Table(SegmentsTable::Static(StaticParams {
            path,
        })));
    }
    super::value(source)
        .try_into()
        .map_err(Failure::configuration)
}
