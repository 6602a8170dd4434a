//! `fetch`: data sets and weights, brought to the cache folder.

use crate::session::Session;
use segad_args::Fetch;
use segad_provision::{Patience, Provisioner};
use segad_runner::Failure;

pub(super) fn run(args: &Fetch, session: &Session) -> Result<(), Failure> {
    let provisioner = Provisioner {
        cache: session.cache()?,
        offline: args.offline,
        install_packages: false,
        path: None,
        show_progress: session.bars.are_live(),
        patience: Patience::default(),
        say: &|line| session.bars.line(line),
    };
    let places = segad_fetch::run(&provisioner, &args.what, args.from.as_deref());
    let mut text = String::new();
    for place in places.map_err(|e| Failure::with_code(e.exit_code(), e.to_string()))? {
        text.push_str(&format!("{}\n", place.display()));
    }
    super::print(&text)
}
