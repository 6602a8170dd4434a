use super::*;
use segad_core::Key;

fn key(params: &ForestParams) -> Key {
    let mut hasher = KeyHasher::new("test", 1);
    hasher.field("forest", params);
    hasher.finish()
}

#[test]
fn presets_are_the_papers() {
    let [brf, rf, bt] = [Preset::Brf, Preset::Rf, Preset::Bt].map(ForestParams::preset);
    assert_eq!(
        (brf.rounds(), brf.trees_per_round(), brf.learning_rate()),
        (10, 200, 0.3)
    );
    assert_eq!(
        (rf.rounds(), rf.trees_per_round(), rf.learning_rate()),
        (1, 2000, 1.0)
    );
    assert_eq!(
        (bt.rounds(), bt.trees_per_round(), bt.learning_rate()),
        (2000, 1, 0.3)
    );
    assert_eq!(
        (
            brf.colsample_bytree(),
            bt.colsample_bytree(),
            bt.colsample_bynode()
        ),
        (0.6, 1.0, 0.6)
    );
    assert!(
        [&brf, &rf, &bt]
            .iter()
            .all(|p| p.trees() == 2000 && p.max_depth() == 5)
    );
    for preset in [Preset::Brf, Preset::Rf, Preset::Bt] {
        assert_eq!(
            ForestSettings::from(preset).checked().unwrap(),
            ForestParams::preset(preset)
        );
    }
}

#[test]
fn equal_meaning_gives_equal_keys() {
    let brf = ForestParams::preset(Preset::Brf);
    let settings = ForestSettings {
        rounds: Some(10),
        trees_per_round: Some(200),
        learning_rate: Some(0.3),
        ..Preset::Rf.into()
    };
    assert_eq!(key(&settings.checked().unwrap()), key(&brf));
    let weighted = ForestSettings {
        scale_pos_weight: Some(9.0),
        ..Default::default()
    };
    assert_ne!(key(&weighted.checked().unwrap()), key(&brf));
}

#[test]
fn settings_read_from_text() {
    let text = r#"{"preset": "bt", "rounds": 50, "scale_pos_weight": 9}"#;
    let params = serde_json::from_str::<ForestSettings>(text)
        .unwrap()
        .checked()
        .unwrap();
    assert_eq!(
        (params.rounds(), params.scale_pos_weight()),
        (50, Some(9.0))
    );
    let again = serde_json::to_string(&params).unwrap();
    assert_eq!(
        serde_json::from_str::<ForestParams>(&again).unwrap(),
        params
    );
    assert!(serde_json::from_str::<ForestSettings>(r#"{"max_dpeth": 3}"#).is_err());
    assert!(serde_json::from_str::<ForestParams>(r#"{"max_depth": 0}"#).is_err());
}

#[test]
fn values_out_of_range_are_named() {
    type Change = fn(&mut ForestSettings);
    let bad: [(&str, Change); 13] = [
        ("rounds", |s| s.rounds = Some(0)),
        ("trees_per_round", |s| s.trees_per_round = Some(0)),
        ("learning_rate", |s| s.learning_rate = Some(0.0)),
        ("max_depth", |s| s.max_depth = Some(17)),
        ("subsample", |s| s.subsample = Some(1.1)),
        ("colsample_bytree", |s| s.colsample_bytree = Some(0.0)),
        ("colsample_bynode", |s| s.colsample_bynode = Some(f64::NAN)),
        ("reg_alpha", |s| s.reg_alpha = Some(-1.0)),
        ("reg_lambda", |s| s.reg_lambda = Some(f64::INFINITY)),
        ("min_child_weight", |s| s.min_child_weight = Some(-0.5)),
        ("gamma", |s| s.gamma = Some(-0.5)),
        ("max_bin", |s| s.max_bin = Some(1)),
        ("scale_pos_weight", |s| s.scale_pos_weight = Some(-9.0)),
    ];
    for (name, change) in bad {
        let mut settings = ForestSettings::default();
        change(&mut settings);
        let error = settings.checked().unwrap_err();
        assert!(
            matches!(error, ForestError::Parameter { name: n, .. } if n == name),
            "{error}"
        );
    }
}
