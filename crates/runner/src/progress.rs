//! Bars on a terminal, plain lines otherwise; always on standard error.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use segad_core::{Progress, ProgressTask};
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Draws one bar per running task.
#[derive(Clone)]
pub struct Bars {
    bars: MultiProgress,
    live: bool,
}

impl Bars {
    /// Bars on standard error if that is a terminal and `quiet` is not set.
    pub fn new(quiet: bool) -> Self {
        // A log file would fill with bars that are redrawn twice a second.
        let live = !quiet && std::io::stderr().is_terminal();
        let target = if live {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            bars: MultiProgress::with_draw_target(target),
            live,
        }
    }

    /// Whether bars are drawn.
    pub fn are_live(&self) -> bool {
        self.live
    }

    /// The bar of the whole run.
    pub fn total(&self, name: &str, cells: u64) -> ProgressBar {
        let template = "{prefix:>24} {bar:30} {pos}/{len} cells · {elapsed}";
        self.show(name, ProgressBar::new(cells), template)
    }

    fn show(&self, name: &str, bar: ProgressBar, template: &str) -> ProgressBar {
        let bar = self.bars.add(bar);
        let style = ProgressStyle::with_template(template);
        bar.set_style(style.expect("every template is a constant, and valid"));
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(500));
        bar
    }

    /// One line that stays: printed above the bars, or alone where there are none.
    pub fn line(&self, text: &str) {
        // Both fail only if standard error is gone, and then there is nobody to tell; `eprintln!`
        // would panic.
        let _ = if self.live {
            self.bars.println(text)
        } else {
            writeln!(std::io::stderr(), "{text}")
        };
    }
}

struct BarTask(ProgressBar);

impl Progress for Bars {
    fn start(&self, name: &str, total: Option<u64>) -> Box<dyn ProgressTask> {
        let (bar, template) = match total {
            Some(total) => (
                ProgressBar::new(total),
                "{prefix:>24} {bar:30} {pos}/{len} · {elapsed} · {eta} left {msg}",
            ),
            None => (
                ProgressBar::no_length(),
                "{prefix:>24} {spinner} {pos} · {elapsed} {msg}",
            ),
        };
        Box::new(BarTask(self.show(name, bar, template)))
    }
}

impl ProgressTask for BarTask {
    fn advance(&self, n: u64) {
        self.0.inc(n);
    }

    fn message(&self, text: &str) {
        self.0.set_message(text.to_owned());
    }
}

impl Drop for BarTask {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
