use super::*;

/// Trainable values and buffer values; a batch counter is one more value for each batch
/// normalisation.
fn count(kind: BackboneKind, through: Option<&str>) -> (i64, i64) {
    let list = kind.parameters(through).unwrap();
    let sum = |t: bool| {
        list.iter()
            .filter(|p| p.trainable == t)
            .map(Parameter::numel)
            .sum()
    };
    let norms = list
        .iter()
        .filter(|p| p.name.ends_with("running_var"))
        .count() as i64;
    (sum(true), sum(false) + norms)
}

#[test]
fn parameter_counts() {
    let wrn = BackboneKind::WideResnet50_2;
    assert_eq!(count(wrn, None), (68_883_240, 68_277));
    assert_eq!(count(wrn, Some("layer3")).0, 24_862_528);
    assert_eq!(count(wrn, Some("stem")).0, 9_536);
    assert_eq!(count(wrn, Some("layer1")).0, 9_536 + 634_368);
    let list = wrn.parameters(None).unwrap();
    let norms = list
        .iter()
        .filter(|p| p.name.ends_with("running_var"))
        .count();
    assert_eq!(list.len() + norms, 320);
    assert_eq!(count(BackboneKind::Resnet18, None).0, 11_689_512);
    // By hand: stem 1176 + 16, layer 1 1152 + 32, then (w/2·w·9 + w·w·9 + w·w/2 + 6·w) for w =
    // 16, 32, 64.
    let layers = [3_584 + 96, 14_336 + 192, 57_344 + 384];
    let miniature = 1_192 + 1_184 + layers.iter().sum::<i64>() + 65_000;
    assert_eq!(count(BackboneKind::Miniature, None).0, miniature);
    for (kind, total) in [
        (BackboneKind::EfficientnetLite0, 4_652_008),
        (BackboneKind::EfficientnetLite1, 5_416_680),
        (BackboneKind::EfficientnetLite2, 6_092_072),
        // Published, with the token that stands for masked patches in training.
        (BackboneKind::Dinov2Vits14, 22_056_576),
        (BackboneKind::Dinov2Vits14Reg, 22_056_576 + 4 * 384),
        (BackboneKind::Dinov2Vitb14, 86_580_480),
        (BackboneKind::Dinov2Vitb14Reg, 86_580_480 + 4 * 768),
    ] {
        assert_eq!(count(kind, None).0, total, "{kind}");
    }
}

#[test]
fn efficientnet_lite2_state_by_stage() {
    let published = [
        1987, 26_476, 116_485, 467_681, 1_186_541, 3_692_044, 4_413_551,
    ];
    for (s, values) in published.into_iter().enumerate() {
        let (trainable, buffers) =
            count(BackboneKind::EfficientnetLite2, Some(&format!("stage{s}")));
        assert_eq!(trainable + buffers, values, "stage {s}");
    }
    let channels: Vec<i64> = BackboneKind::EfficientnetLite2
        .taps()
        .iter()
        .map(|t| t.channels)
        .collect();
    assert_eq!(channels, [32, 16, 24, 48, 88, 120, 208, 352]);
}

#[test]
fn names_read_back() {
    for kind in BackboneKind::ALL {
        assert_eq!(kind.as_str().parse::<BackboneKind>().unwrap(), kind);
        for name in kind.default_taps() {
            kind.tap(name).unwrap();
        }
        assert_eq!(kind.taps().last().unwrap().name, kind.last_tap());
    }
    let message = "resnet50".parse::<BackboneKind>().unwrap_err().to_string();
    assert!(message.contains("resnet18"), "{message}");
    let message = BackboneKind::Resnet18
        .tap("layer5")
        .unwrap_err()
        .to_string();
    assert!(message.contains("layer4"), "{message}");
}
