//! The images of a product, as `fit` and `inspect --labelled` take them.

use crate::account::{Account, HIDDEN, LINKS, LeftOut};
use segad_datasets::{Dataset, Entry, Gathered, Layout, Manifest, Part};
use segad_product::Refused;
use segad_runner::{Bars, Failure};
use std::path::Path;

/// Labelled images of a folder or list, with every other file accounted for.
pub(super) struct ProductData {
    pub dataset: Dataset,
    pub entries: Vec<Entry>,
    pub refused: Vec<Refused>,
    pub left_out: LeftOut,
    /// What a person should know of what was left out.
    notes: Vec<String>,
}

impl ProductData {
    /// Lists the images.
    pub(super) fn open(
        path: &Path,
        name: Option<&str>,
        folders: [&[String]; 2],
    ) -> Result<Self, Failure> {
        let dataset = open_dataset(path, name, folders)?;
        let Gathered {
            index,
            refused,
            left_out: by_rule,
        } = dataset.gather()?;
        let mut left_out = LeftOut::default();
        left_out.add(by_rule.hidden.len(), HIDDEN);
        left_out.add(by_rule.links.len(), LINKS);
        let mut data = Self {
            entries: index.entries().to_vec(),
            dataset,
            refused: refused
                .into_iter()
                .map(|(path, reason)| Refused { path, reason })
                .collect(),
            left_out,
            notes: Vec::new(),
        };
        data.leave_out(
            &by_rule.masks,
            "masks",
            "masks of defects beside the images",
        );
        data.leave_out(
            &by_rule.outside,
            "outside the folders of images",
            "files and folders outside the folders of images",
        );
        Ok(data)
    }

    fn leave_out(&mut self, paths: &[String], reason: &'static str, what: &str) {
        self.left_out.add(paths.len(), reason);
        if let Some(first) = paths.first() {
            let n = paths.len();
            self.notes
                .push(format!("{n} {what} are left out, first {first}"));
        }
    }

    /// Keeps what a list marks for training, where it marks anything.
    pub(super) fn keep_training(&mut self) {
        // The folders of other layouts are those of a benchmark; all of their images are used.
        if self.dataset.manifest().layout != Layout::Csv {
            return;
        }
        let (test, train): (Vec<Entry>, Vec<Entry>) = std::mem::take(&mut self.entries)
            .into_iter()
            .partition(|e| e.part == Part::Test);
        if !test.is_empty() {
            self.notes.push(format!(
                "{} of {} rows are marked test or val in the column split and are left out",
                test.len(),
                test.len() + train.len()
            ));
        }
        self.left_out.add(test.len(), "marked test or val");
        self.entries = train;
    }

    /// Says what was left out.
    pub(super) fn report(&self, bars: &Bars) {
        for note in &self.notes {
            bars.line(&format!("note: {note}"));
        }
    }

    /// The account, with this many of the images refused besides the files that were refused when
    /// they were listed.
    pub(super) fn account(&self, refused: usize) -> Account {
        Account {
            done: self.entries.len() - refused,
            refused: self.refused.len() + refused,
            left_out: self.left_out.clone(),
        }
    }
}

/// The images of a folder or a list, by what it contains.
fn open_dataset(
    path: &Path,
    name: Option<&str>,
    folders: [&[String]; 2],
) -> Result<Dataset, Failure> {
    let stem = path
        .file_stem()
        .or(path.file_name())
        .map(|s| s.to_string_lossy().into_owned());
    let name = name
        .map(str::to_owned)
        .or(stem)
        .unwrap_or_else(|| "product".to_owned());
    let is_list = path.is_file() || path.join("images.csv").is_file();
    let [good, bad] = named_folders(path, folders, is_list)?;
    let manifest = if is_list {
        Manifest::plain(&name, Layout::Csv)
    } else if !good.is_empty() {
        Manifest::folders(&name, &good, &bad)
    } else if path.join("train/good").is_dir() {
        // VAD's layout is a case of MVTec AD's: any folder of test/ except good/ is a kind of
        // defect.
        Manifest::plain(&name, Layout::Mvtec)
    } else {
        let found = if path.exists() {
            "found none of these; --good and --bad name other folders"
        } else {
            "no such file or directory"
        };
        return Err(Failure::Input(format!(
            "{}: expected a folder with good/ and bad/ or OK/ and NG/, with train/good/ and test/, \
             or with images.csv, or a list; {found}",
            path.display()
        )));
    };
    Ok(Dataset::open(manifest, path)?)
}

/// Folders of good and of bad images: those that the options name, or else those whose names say so.
fn named_folders(
    path: &Path,
    folders: [&[String]; 2],
    is_list: bool,
) -> Result<[Vec<String>; 2], Failure> {
    let [named_good, named_bad] = folders;
    let given = [("--good", named_good), ("--bad", named_bad)];
    if is_list && let Some((option, _)) = given.iter().find(|(_, names)| !names.is_empty()) {
        return Err(Failure::Configuration(format!(
            "{option}: expected with a folder; {} is a list, which has labels",
            path.display()
        )));
    }
    let mut all = match path.is_dir() && !is_list {
        true => Manifest::usual_folders(path)?,
        false => Default::default(),
    };
    for ((option, names), usual) in given.into_iter().zip(&mut all) {
        for name in names {
            // Whatever else is in a folder is accounted for, so folders deeper down cannot be named.
            let is_plain = Path::new(name).file_name() == Some(name.as_ref());
            if !is_plain || !path.join(name).is_dir() {
                return Err(Failure::Configuration(format!(
                    "{option} = {name}: expected the name of a folder in {}",
                    path.display()
                )));
            }
        }
        if !names.is_empty() {
            *usual = names.to_vec();
        }
    }
    let [good, bad] = &mut all;
    if let Some(both) = good.iter().find(|name| bad.contains(name)) {
        // A name that the other option takes from its usual label.
        if named_good.contains(both) && named_bad.contains(both) {
            return Err(Failure::Configuration(format!(
                "--bad = {both}: expected another folder than --good"
            )));
        }
        let both = both.clone();
        let loser = if named_good.contains(&both) {
            bad
        } else {
            good
        };
        loser.retain(|name| *name != both);
    }
    Ok(all)
}
