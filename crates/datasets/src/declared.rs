//! The index of a class that is not on this machine, from what its manifest counts: for plans and
//! estimates, which need numbers of images and not the images.

use crate::manifest::{Class, Group, Layout, Manifest};
use crate::protocol::ELPV_RUN;
use crate::{DatasetError, Entry, Index, LowShotList, Part};
use segad_core::{ImageId, Label};

impl Manifest {
    /// As many images of each part and group as the manifest counts, under made-up names. Groups
    /// are mixed evenly over the order of the images.
    ///
    /// # Errors
    /// [`DatasetError::UnknownClass`], and [`DatasetError::NotCounted`] for a class without counts.
    ///
    /// ```
    /// use segad_core::Label;
    /// use segad_datasets::{Manifest, Part};
    /// let index = Manifest::shipped("vad")?.declared_index("vad")?;
    /// assert_eq!(index.select(Part::Train, Label::Good).len(), 2000);
    /// assert_eq!(index.low_shot().map(<[_]>::len), Ok(5));
    /// # Ok::<(), segad_datasets::DatasetError>(())
    /// ```
    pub fn declared_index(&self, class: &str) -> Result<Index, DatasetError> {
        let class = self.class(class)?;
        let mut entries = Vec::new();
        for (part, counts) in [
            (Part::Train, &class.train),
            (Part::Test, &class.test),
            (Part::All, &class.all),
        ] {
            for (group, &count) in counts {
                let known = self.groups.iter().find(|known| known.name == *group);
                let label = known.map_or(Label::Bad, |known| known.label);
                entries.extend(spread(&class.name, part, label, group, count));
            }
        }
        if let Some(count) = class.test_bad {
            let group = self.bad_group(class);
            entries.extend(spread(&class.name, Part::Test, Label::Bad, group, count));
        }
        if entries.is_empty() {
            return Err(DatasetError::NotCounted {
                dataset: self.name.clone(),
                class: class.name.clone(),
            });
        }
        // Shares are finite, so the order is total; equal ones keep the order of the groups.
        entries.sort_by(|a, b| a.0.total_cmp(&b.0));
        // ELPV's protocols use one run of cells, by their numbers.
        let first = match self.layout {
            Layout::Elpv => *ELPV_RUN.start(),
            _ => 0,
        };
        let run = ELPV_RUN.end() - first + 1;
        let count = entries.len();
        let entries: Vec<Entry> = entries
            .into_iter()
            .enumerate()
            // Fewer images than the run has cells are spread over it, as in a sample of it.
            .map(|(i, (_, entry))| Entry {
                order: first + i * run.max(count) / count,
                ..entry
            })
            .collect();
        let lists = self.declared_lists(&entries);
        let seeds = self.low_shot.as_ref().and_then(|l| self.seeds(&l.seeds));
        Ok(Index::new(&class.name, entries)?
            .with_set_aside(self.set_aside())
            .with_low_shot(Ok(lists), seeds.unwrap_or_default().to_vec()))
    }

    /// The group of bad images whose number per group is not known.
    fn bad_group<'a>(&'a self, class: &'a Class) -> &'a str {
        let bad = self.groups.iter().find(|g| g.label.is_bad());
        let named = bad.map(|group: &Group| group.name.as_str());
        let folder = class.defects.first().map(String::as_str);
        folder.or(named).unwrap_or(Label::Bad.as_str())
    }

    /// Low-shot lists of as many bad training images as there are in each.
    fn declared_lists(&self, entries: &[Entry]) -> Vec<LowShotList> {
        let Some(low_shot) = &self.low_shot else {
            return Vec::new();
        };
        let bad = entries
            .iter()
            .filter(|e| e.part == Part::Train && e.label.is_bad());
        let images: Vec<ImageId> = bad.take(low_shot.images).map(|e| e.id.clone()).collect();
        (0..low_shot.lists)
            .map(|list| LowShotList {
                name: list.to_string(),
                images: images.clone(),
            })
            .collect()
    }
}

/// Images of one group, each with its share of the way through the group.
fn spread(
    class: &str,
    part: Part,
    label: Label,
    group: &str,
    count: usize,
) -> impl Iterator<Item = (f64, Entry)> {
    (0..count).map(move |i| {
        let id = format!("{class}/{}/{group}/{i:05}", part.as_str());
        let entry = Entry::new(ImageId::new(id), label, part).with_group(group);
        ((i as f64 + 0.5) / count as f64, entry)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Protocol, ProtocolParams};
    use segad_core::Seed;

    fn split(dataset: &str, class: &str, protocol: Protocol, seed: u64) -> crate::ProtocolSplit {
        let index = Manifest::shipped(dataset)
            .unwrap()
            .declared_index(class)
            .unwrap();
        protocol
            .split(&index, Seed(seed), &ProtocolParams::default())
            .unwrap()
    }

    #[test]
    fn protocols_split_what_is_only_declared() {
        let visa = split("visa", "candle", Protocol::VisaSupervised10, 333);
        assert_eq!(visa.detector.samples().len(), 810);
        assert_eq!(visa.test.samples().len(), 190);
        let vad = split("vad", "vad", Protocol::VadLowShot, 333);
        assert_eq!(vad.forest.count(Label::Bad), 100);
        let mvtec = split("mvtec", "bottle", Protocol::MvtecSupervised20, 333);
        assert_eq!(mvtec.test.count(Label::Bad), 43);
        // The run has 714 cells, of which the blocks of the test have about five twelfths.
        let elpv = split("elpv", "mono", Protocol::ElpvHighShot, 333);
        assert!((250..350).contains(&elpv.test.samples().len()));
    }

    #[test]
    fn what_is_not_counted_is_named() {
        let imagenette = Manifest::shipped("imagenette").unwrap();
        let class = imagenette.classes[0].name.clone();
        let uncounted = Manifest {
            classes: vec![Class {
                name: class.clone(),
                ..Class::default()
            }],
            ..imagenette
        };
        let error = uncounted.declared_index(&class).unwrap_err();
        assert!(matches!(error, DatasetError::NotCounted { .. }), "{error}");
    }
}
