use serde::{Deserialize, Serialize};

/// Version of libxgboost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version {
    /// Major.
    pub major: u32,
    /// Minor.
    pub minor: u32,
    /// Patch.
    pub patch: u32,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// How a version's forests compare with those of XGBoost 2.0.3, which the paper's authors used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VersionVerdict {
    /// Bit-identical scores on the authors' program's data.
    Agrees,
    /// Known to give other scores; tables will differ from the authors'.
    Differs,
    /// Nobody has compared it.
    Unknown,
}

/// Versions that were compared with 2.0.3: major, minor (`None`: any), patch (`None`: any), and
/// what came out.
pub const KNOWN: &[(u32, Option<u32>, Option<u32>, VersionVerdict)] = &[
    (2, Some(0), Some(3), VersionVerdict::Agrees),
    (2, Some(1), Some(4), VersionVerdict::Agrees),
    // "auto" means the exact method there, and the base score is 0.5 instead of estimated: up to
    // 1.1 points of AUROC.
    (1, Some(6), None, VersionVerdict::Differs),
    (3, None, None, VersionVerdict::Differs),
];

impl Version {
    /// What is known about this version; the caller should warn unless it agrees.
    pub fn verdict(self) -> VersionVerdict {
        KNOWN
            .iter()
            .find(|(major, minor, patch, _)| {
                *major == self.major
                    && minor.is_none_or(|m| m == self.minor)
                    && patch.is_none_or(|p| p == self.patch)
            })
            .map_or(VersionVerdict::Unknown, |known| known.3)
    }
}

/// Version of the libxgboost in use, for provenance.
pub fn library_version() -> Version {
    let mut parts = [0; 3];
    let [major, minor, patch] = &mut parts;
    #[expect(
        unsafe_code,
        reason = "xgboost-rs has no call for it; the three pointers are valid for the call"
    )]
    unsafe {
        xgboost_rs_sys::XGBoostVersion(major, minor, patch);
    }
    let [major, minor, patch] = parts.map(i32::unsigned_abs);
    Version {
        major,
        minor,
        patch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        let verdict = |major, minor, patch| {
            Version {
                major,
                minor,
                patch,
            }
            .verdict()
        };
        assert_eq!(verdict(2, 0, 3), VersionVerdict::Agrees);
        assert_eq!(verdict(2, 1, 4), VersionVerdict::Agrees);
        assert_eq!(verdict(1, 6, 2), VersionVerdict::Differs);
        assert_eq!(verdict(3, 2, 0), VersionVerdict::Differs);
        assert_eq!(verdict(2, 0, 2), VersionVerdict::Unknown);
        assert_eq!(verdict(1, 7, 4), VersionVerdict::Unknown);
    }
}
