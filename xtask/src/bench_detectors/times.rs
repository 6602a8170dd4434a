use super::worker::Answer;
use super::{OTHERS, Options};
use std::collections::BTreeMap;

/// The answers to the same question, or why there are none.
type Answers = Result<Vec<(f64, f64)>, String>;

/// Answers by engine and model.
#[derive(Default)]
pub(crate) struct Times(BTreeMap<(String, String), Answers>);

impl Times {
    pub(super) fn add(&mut self, engine: &str, model: &str, answer: Answer) {
        let entry = self
            .0
            .entry((engine.to_owned(), model.to_owned()))
            .or_insert_with(|| Ok(Vec::new()));
        match (answer, &mut *entry) {
            (Ok(s), Ok(list)) => list.push(s),
            (Err(e), _) => *entry = Err(e),
            // An engine that failed once is not timed.
            (Ok(_), Err(_)) => {}
        }
    }

    /// The median of `times` passes per second, in the seconds that `of` selects.
    fn rate(
        &self,
        engine: &str,
        model: &str,
        times: f64,
        of: fn(&(f64, f64)) -> f64,
    ) -> Option<f64> {
        let key = (engine.to_owned(), model.to_owned());
        let list = self.0.get(&key)?.as_ref().ok()?;
        // Some programs are slow at their first answer.
        let skipped = usize::from(list.len() > 1);
        let mut list: Vec<f64> = list.iter().skip(skipped).map(of).collect();
        list.sort_by(f64::total_cmp);
        // The median, since another program may disturb a round.
        list.get(list.len() / 2).map(|s| times / s)
    }

    /// A Markdown table of images or steps per second, an engine per row.
    pub(super) fn table(&self, options: &Options, of: fn(&(f64, f64)) -> f64) -> String {
        let engines = ["segad f32", "segad f32, no bounds", "segad bf16"]
            .into_iter()
            .chain(OTHERS)
            .chain(["segad, training step", "torch, training step"])
            .filter(|engine| self.0.keys().any(|key| key.0 == *engine));
        let mut head = format!("| {:22} |", "");
        let mut rule = format!("| :{:-<21} |", "");
        for model in &options.models {
            head.push_str(&format!(" {model:>14} |"));
            rule.push_str(&format!(" {:->13}: |", ""));
        }
        let mut text = format!("{head}\n{rule}\n");
        for engine in engines {
            let images = if engine.ends_with("step") {
                1.0
            } else {
                options.batch as f64
            };
            text.push_str(&format!("| {engine:22} |"));
            for model in &options.models {
                let rate = self.rate(engine, model, images, of);
                let rate = rate.map_or("–".to_owned(), |r| format!("{r:.3}"));
                text.push_str(&format!(" {rate:>14} |"));
            }
            text.push('\n');
        }
        text
    }

    /// Whether every engine reported the processor time that it used.
    pub(super) fn have_processor_time(&self) -> bool {
        self.0.values().flatten().flatten().all(|s| s.1 > 0.0)
    }

    pub(super) fn failures(&self) -> String {
        let mut text = String::new();
        for ((engine, model), answers) in &self.0 {
            if let Err(e) = answers {
                text.push_str(&format!("{engine}, {model}: {e}\n"));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::options;
    use super::*;

    #[test]
    fn medians_and_failures_are_reported() {
        let mut times = Times::default();
        for s in [9.0, 0.5, 0.1, 0.25] {
            times.add("segad f32", "rd4ad", Ok((s, 2.0 * s)));
        }
        times.add("openvino", "rd4ad", Err("no such operator".into()));
        times.add("openvino", "rd4ad", Ok((1.0, 1.0)));
        let o = options(&["--only", "rd4ad", "--batch", "2"]).unwrap();
        assert!(
            times.table(&o, |s| s.0).contains(" 8.000 |"),
            "{}",
            times.table(&o, |s| s.0)
        );
        assert!(times.table(&o, |s| s.1).contains(" 4.000 |"));
        assert_eq!(times.failures(), "openvino, rd4ad: no such operator\n");
    }
}
