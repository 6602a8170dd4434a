//! The files in which AWS's programs keep profiles.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const KEY: &str = "AWS_ACCESS_KEY_ID";

/// What a profile says by which name, and the variable that says the same.
const NAMES: [(&str, &str); 5] = [
    ("aws_access_key_id", KEY),
    ("aws_secret_access_key", "AWS_SECRET_ACCESS_KEY"),
    ("aws_session_token", "AWS_SESSION_TOKEN"),
    ("region", "AWS_REGION"),
    ("endpoint_url", "AWS_ENDPOINT_URL"),
];

/// Sources of credentials that this program leaves to others.
const FOREIGN: [&str; 4] = [
    "credential_process",
    "sso_session",
    "sso_start_url",
    "source_profile",
];

/// Adds what the profile says and the variables do not.
pub(super) fn complete(
    variables: &mut BTreeMap<String, String>,
    home: Option<&String>,
) -> Result<(), String> {
    let named = variables.get("AWS_PROFILE");
    let name = named.map_or("default", String::as_str).to_owned();
    let mut found = BTreeMap::new();
    for (variable, file, prefix) in [
        ("AWS_CONFIG_FILE", "config", "profile "),
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials", ""),
    ] {
        let path = match (variables.get(variable), home) {
            (Some(path), _) => PathBuf::from(path),
            (None, Some(home)) => Path::new(home).join(".aws").join(file),
            (None, None) => continue,
        };
        let text = segad_files::read_to_string_if_present(&path).map_err(|e| e.to_string())?;
        let text = text.unwrap_or_default();
        found.extend(section(&text, &format!("{prefix}{name}")));
        if name == "default" {
            found.extend(section(&text, &name));
        }
    }
    if named.is_some() && found.is_empty() {
        return Err(format!(
            "AWS_PROFILE = {name}: no such profile in ~/.aws/config or ~/.aws/credentials"
        ));
    }
    let given = variables.contains_key(KEY);
    let foreign = FOREIGN.iter().find(|f| found.contains_key(**f));
    if let Some(foreign) = foreign.filter(|_| !given && !found.contains_key(NAMES[0].0)) {
        return Err(format!(
            "AWS_PROFILE = {name}: its credentials come from {foreign}, which is not supported; \
             run `eval \"$(aws configure export-credentials --profile {name} --format env)\"` first"
        ));
    }
    for (key, variable) in NAMES {
        // Parts of two credentials would make none.
        let credential = key.starts_with("aws_");
        if let Some(value) = found.remove(key)
            && !(credential && given)
        {
            variables.entry(variable.to_owned()).or_insert(value);
        }
    }
    Ok(())
}

/// The entries of a section; those of a nested table are indented and left out.
fn section(text: &str, name: &str) -> BTreeMap<String, String> {
    let mut inside = false;
    let mut entries = BTreeMap::new();
    for line in text.lines() {
        if let Some(title) = line.trim().strip_prefix('[') {
            inside = title.trim_end_matches(']').trim() == name;
        } else if inside
            && !line.starts_with([' ', '\t', '#', ';'])
            && let Some((key, value)) = line.split_once('=')
        {
            entries.insert(key.trim().to_lowercase(), value.trim().to_owned());
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete_with(config: &str, credentials: &str, given: &[(&str, &str)]) -> Completed {
        let dir = tempfile::tempdir().unwrap();
        segad_files::write_with_parents(&dir.path().join(".aws/config"), config.as_bytes())
            .unwrap();
        segad_files::write_with_parents(
            &dir.path().join(".aws/credentials"),
            credentials.as_bytes(),
        )
        .unwrap();
        let given = given
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let mut variables = given.collect();
        let home = dir.path().to_string_lossy().into_owned();
        complete(&mut variables, Some(&home)).map(|()| variables)
    }

    type Completed = Result<BTreeMap<String, String>, String>;

    const CONFIG: &str = "[default]\nregion = eu-west-1\n[profile lab]\nregion=us-west-2\n\
                          endpoint_url = https://s3.lab\ns3 =\n  region = nested\n\
                          [profile web]\nsso_session = corp\n";
    const CREDENTIALS: &str = "[default]\naws_access_key_id = A\naws_secret_access_key = a\n\
                               # a comment\n[lab]\naws_access_key_id = B\naws_secret_access_key = b=\n";

    #[test]
    fn a_profile_says_what_the_variables_do_not() {
        let found = complete_with(CONFIG, CREDENTIALS, &[]).unwrap();
        assert_eq!((&*found[KEY], &*found["AWS_REGION"]), ("A", "eu-west-1"));
        let lab = [("AWS_PROFILE", "lab"), ("AWS_ENDPOINT_URL", "https://mine")];
        let found = complete_with(CONFIG, CREDENTIALS, &lab).unwrap();
        assert_eq!(found[KEY], "B");
        assert_eq!(found["AWS_SECRET_ACCESS_KEY"], "b=");
        assert_eq!(found["AWS_REGION"], "us-west-2");
        assert_eq!(found["AWS_ENDPOINT_URL"], "https://mine");
        let found = complete_with(CONFIG, CREDENTIALS, &[(KEY, "mine")]).unwrap();
        assert!(found[KEY] == "mine" && !found.contains_key("AWS_SECRET_ACCESS_KEY"));
    }

    #[test]
    fn a_profile_that_cannot_be_used_is_named() {
        for (profile, problem) in [("none", "no such profile"), ("web", "export-credentials")] {
            let e = complete_with(CONFIG, CREDENTIALS, &[("AWS_PROFILE", profile)]).unwrap_err();
            assert!(e.contains(problem) && e.contains(profile), "{e}");
        }
        complete_with("", "", &[]).unwrap();
    }
}
