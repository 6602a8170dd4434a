use crate::dataset::{CountMismatch, mismatches};
use crate::{Dataset, DatasetError, Index};
use segad_core::{ImageId, ImageLoader, Progress};

/// What [`Dataset::verify`] found of one class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassReport {
    /// The class.
    pub class: String,
    /// Images found.
    pub images: usize,
    /// Images that a list or a gap in the numbers names, but are not there.
    pub missing: Vec<ImageId>,
    /// Files and folders among the images that belong to nothing.
    pub extra: Vec<String>,
    /// Images that cannot be decoded, and why.
    pub unreadable: Vec<(ImageId, String)>,
    /// Wrong counts.
    pub counts: Vec<CountMismatch>,
    /// Anything else that is wrong: the class is missing, a list cannot be used.
    pub faults: Vec<String>,
}

impl ClassReport {
    /// True if nothing is wrong.
    pub fn is_ok(&self) -> bool {
        self.missing.is_empty()
            && self.extra.is_empty()
            && self.unreadable.is_empty()
            && self.counts.is_empty()
            && self.faults.is_empty()
    }
}

impl Dataset {
    /// Looks at every file of a class: missing, extra, unreadable (each is decoded), wrong counts,
    /// bad lists. What is wrong with the data is in the report.
    ///
    /// # Errors
    /// [`DatasetError::UnknownClass`] only.
    pub fn verify(
        &self,
        class: &str,
        progress: &dyn Progress,
    ) -> Result<ClassReport, DatasetError> {
        let class = self.manifest().class(class)?;
        let mut report = ClassReport {
            class: class.name.clone(),
            ..ClassReport::default()
        };
        let scan = match self.scan(class) {
            Ok(scan) => scan,
            // A class that cannot be scanned at all is a finding too.
            Err(e) => {
                report.faults.push(e.to_string());
                return Ok(report);
            }
        };
        report.missing = scan.missing;
        report.extra = scan.extra;
        let refused = scan.refused.into_iter();
        report
            .faults
            .extend(refused.map(|(path, why)| format!("{path}: {why}")));
        report.faults.extend(scan.low_shot.err());
        let task = progress.start(
            &format!("verify {}", class.name),
            Some(scan.entries.len() as u64),
        );
        let loader = self.loader();
        for entry in &scan.entries {
            // Decoding is the only way to find a truncated image.
            if let Err(e) = loader.load(&entry.id) {
                report.unreadable.push((entry.id.clone(), e.to_string()));
            }
            task.advance(1);
        }
        match Index::new(&class.name, scan.entries) {
            Ok(index) => {
                report.images = index.entries().len();
                report.counts = mismatches(class, &index);
            }
            Err(e) => report.faults.push(e.to_string()),
        }
        Ok(report)
    }
}
