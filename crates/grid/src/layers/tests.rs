use super::*;
use crate::Seeds;

const TEXT: &str = r#"
    title = "t"
    dataset = "elpv"
    protocol = "p"
    seeds = [1, 2, 3]
    [detectors.patchcore]
    coreset_ratio = 0.01
    [[row]]
    name = "a"
    detectors = ["patchcore"]
    [profile.smoke]
    seeds = [7]
    detectors.patchcore.coreset_ratio = 0.5
"#;

/// No file may be read.
fn nothing(path: &str) -> Result<String, BoxError> {
    Err(format!("{path}: no such file").into())
}

#[test]
fn later_layers_win_and_say_so() {
    let layers = Layers::new("x/t.toml", TEXT).unwrap();
    let e = layers
        .clone()
        .profile("smoke", &nothing)
        .unwrap()
        .set("detectors.patchcore.layers=[\"s3\"]")
        .unwrap();
    let x = e.experiment().unwrap();
    assert_eq!((x.name.as_str(), x.seeds), ("t", Seeds::List(vec![7])));
    assert_eq!(
        x.detectors["patchcore"].params["coreset_ratio"].as_float(),
        Some(0.5)
    );
    let origins = e.origins().unwrap();
    let of = |k: &str| {
        origins
            .iter()
            .find(|o| o.key == k)
            .map(|o| o.origin.clone())
    };
    assert_eq!(of("seeds").as_deref(), Some("profile smoke"));
    assert_eq!(of("dataset").as_deref(), Some("x/t.toml"));
    assert_eq!(of("row[0].name").as_deref(), Some("x/t.toml"));
    let set = "--set detectors.patchcore.layers=[\"s3\"]";
    assert_eq!(of("detectors.patchcore.layers").as_deref(), Some(set));
    assert_eq!(of("profile.smoke.seeds"), None);
    assert!(matches!(
        layers.profile("smok", &nothing),
        Err(GridError::Profile { .. })
    ));
}

#[test]
fn a_profile_extends_settings_that_are_by_kind() {
    let text = TEXT.replace(
        "[profile.smoke]",
        "[profile.smoke]\nextends = 'shared.toml'",
    );
    let text = format!("{text}\n[detectors.other]\nkind = 'patchcore'\n");
    let shared = "seeds = [8]\ntitle = 'shared'\n\
                  [detectors]\npatchcore = { coreset_ratio = 0.1, size = 3 }\nfastflow = {}\n";
    let read = |path: &str| match path {
        "shared.toml" => Ok(shared.to_owned()),
        other => nothing(other),
    };
    let layers = Layers::new("t.toml", &text).unwrap();
    let smoke = layers.clone().profile("smoke", &read).unwrap();
    let x = smoke.experiment().unwrap();
    assert_eq!(
        (x.title.as_str(), x.seeds),
        ("shared", Seeds::List(vec![7]))
    );
    let names: Vec<&String> = x.detectors.keys().collect();
    assert_eq!(names, ["other", "patchcore"], "it defines nothing itself");
    let ratio = |name: &str| x.detectors[name].params["coreset_ratio"].as_float();
    assert_eq!((ratio("patchcore"), ratio("other")), (Some(0.5), Some(0.1)));
    let origins = smoke.origins().unwrap();
    let size = origins.iter().find(|o| o.key == "detectors.patchcore.size");
    assert_eq!(size.unwrap().origin, "shared.toml");
    let absent = layers.clone().profile("smoke", &nothing).unwrap_err();
    assert!(
        absent
            .to_string()
            .contains("profile.smoke.extends = \"shared.toml\""),
        "{absent}"
    );
    let wrong = layers
        .profile("smoke", &|_| Ok("sedes = [1]".to_owned()))
        .unwrap_err()
        .to_string();
    assert!(
        wrong.contains("shared.toml") && wrong.contains("line 1"),
        "{wrong}"
    );
}

#[test]
fn runs_on_maps_have_profiles_of_their_own() {
    let text =
        format!("{TEXT}\n[profile.maps]\nprotocol = 'm'\n[profile.maps-smoke]\nseeds = [9]\n");
    let on = |profile: &str| {
        Layers::new("t.toml", &text)
            .unwrap()
            .on_maps(profile, &nothing)
            .unwrap()
            .experiment()
            .unwrap()
    };
    assert_eq!(
        (on("paper").seeds, on("smoke").seeds),
        (Seeds::List(vec![1, 2, 3]), Seeds::List(vec![9]))
    );
    assert_eq!(on("paper").protocols, ["m"]);
    let plain = Layers::new("t.toml", TEXT)
        .unwrap()
        .on_maps("smoke", &nothing)
        .unwrap()
        .experiment()
        .unwrap();
    assert_eq!(plain.seeds, Seeds::List(vec![7]));
}

#[test]
fn environment_and_words() {
    let env = [("SEGAD_SET_TITLE".to_owned(), "hello there".to_owned())];
    let x = Layers::new("t.toml", TEXT)
        .unwrap()
        .environment(env)
        .unwrap()
        .experiment()
        .unwrap();
    assert_eq!(x.title, "hello there");
    assert!(matches!(
        Layers::new("t.toml", TEXT).unwrap().set("title"),
        Err(GridError::Set { .. })
    ));
}

#[test]
fn unknown_keys_are_named_with_place_and_neighbour() {
    let message = Layers::new("t.toml", &TEXT.replace("seeds = [1", "sedes = [1"))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("t.toml") && message.contains("line 5"),
        "{message}"
    );
    assert!(message.contains("did you mean `seeds`?"), "{message}");
    let set = Layers::new("t.toml", TEXT)
        .unwrap()
        .set("datset=x")
        .unwrap()
        .experiment()
        .unwrap_err();
    let set = set.to_string();
    assert!(set.contains("did you mean `dataset`?"), "{set}");
    assert!(set.starts_with("--set datset=x: "), "{set}");
    let inner = Layers::new("t.toml", TEXT)
        .unwrap()
        .set("defaults.forrest=bt")
        .and_then(|layers| layers.experiment())
        .unwrap_err()
        .to_string();
    assert!(inner.starts_with("--set defaults.forrest=bt: "), "{inner}");
    let kind = TEXT.replace("coreset_ratio = 0.01", "kind = 3");
    let kind = Layers::new("t.toml", &kind).unwrap().experiment();
    let kind = kind.unwrap_err().to_string();
    assert!(
        kind.contains("detectors.patchcore.kind = 3: expected"),
        "{kind}"
    );
}

#[test]
fn impossible_rows_are_named() {
    let bad = TEXT.replace(
        r#"detectors = ["patchcore"]"#,
        r#"detectors = ["pathcore"]"#,
    );
    let message = Layers::new("t.toml", &bad)
        .unwrap()
        .experiment()
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("row[0] (a).detectors") && message.contains("`patchcore`"),
        "{message}"
    );
}
