use super::*;

fn count(shape: StudentShape, prefix: &str) -> i64 {
    let all = Architecture::new(shape).parameters();
    all.iter()
        .filter(|p| p.trainable && p.name.starts_with(prefix))
        .map(Parameter::numel)
        .sum()
}

fn wide(width: i64) -> StudentShape {
    StudentShape {
        channels: [256, 512, 1024],
        rectified: [true; 3],
        width,
    }
}

#[test]
fn published_parameter_counts() {
    assert_eq!(count(wide(512), "bottleneck."), 30_829_568);
    assert_eq!(count(wide(1024), "bottleneck."), 58_885_120);
    assert_eq!(count(wide(512), "decoder."), 24_917_504);
    for (layer, n) in [(1, 17_840_128), (2, 5_317_632), (3, 1_759_744)] {
        assert_eq!(count(wide(512), &format!("decoder.layer{layer}.")), n);
    }
    let unused = Architecture::new(wide(512)).unused();
    let dead: i64 = unused
        .iter()
        .filter(|p| p.trainable)
        .map(Parameter::numel)
        .sum();
    assert_eq!(dead, 8_392_704);
    assert_eq!(30_829_568 + dead, 39_222_272);
    assert_eq!(58_885_120 + dead, 67_277_824);
}

#[test]
fn published_names() {
    let names: Vec<String> = Architecture::new(wide(512))
        .parameters()
        .into_iter()
        .map(|p| p.name)
        .collect();
    // 3 lead units; 3 blocks of 3 units with one shortcut; 13 decoder blocks with three; 5
    // tensors each.
    assert_eq!(names.len(), 5 * (3 + 9 + 1 + 39 + 3));
    for name in [
        "bottleneck.conv3.weight",
        "bottleneck.bn1.running_mean",
        "bottleneck.bn_layer.0.downsample.1.running_var",
        "bottleneck.bn_layer.2.conv3.weight",
        "decoder.layer1.0.upsample.0.weight",
        "decoder.layer3.5.bn3.bias",
    ] {
        assert!(names.iter().any(|n| n == name), "{name}");
    }
}

#[test]
fn linear_encoders_have_linear_features() {
    let shape = StudentShape {
        channels: [24, 48, 120],
        rectified: [true, false, false],
        width: 60,
    };
    let a = Architecture::new(shape);
    let rectified = |layer: usize| a.decoder[layer].iter().map(|b| b.relu).collect::<Vec<_>>();
    assert_eq!(rectified(0), [true, true, false]);
    assert_eq!(rectified(1), [true, true, true, false]);
    assert_eq!(rectified(2), [true; 6]);
    // By hand: 24·48·9 + 48·120·9 twice, and the norms' 2·(48 + 120 + 120).
    let lead: i64 = a.units[..3]
        .iter()
        .flat_map(Unit::parameters)
        .filter(|p| p.trainable)
        .map(|p| p.numel())
        .sum();
    assert_eq!(lead, 10_368 + 2 * 51_840 + 576);
}
