//! Networks round differently on different processors. The commands that [`portable`] sets up use
//! libtorch's plainest instructions, which most x86-64 processors answer alike;
//! [`is_that_of_the_snapshots`] asks whether this one does, of libtorch itself and of none of the
//! workspace's code. [`trained`] holds tables against snapshots accordingly.

use crate::support::{BACKBONE, Place, expect, root, snapshot};
use std::collections::BTreeSet;
use std::process::Command;
use std::sync::OnceLock;
use tch::{Device, Kind, Tensor};

/// Digest of [`sample`] where the snapshots were made.
const SNAPSHOTS: &str = "7a9e97771cb6cc1de35873383562fd9fd0a6e6d44c6fdc553c4cc7937ea36060";
/// Names the file for the digest to the process that works it out, in which the settings below hold
/// from the start.
const CHILD: &str = "SEGAD_TEST_ARITHMETIC";

/// Lets libtorch choose the same instructions on every processor.
pub(crate) fn portable(command: &mut Command) -> &mut Command {
    command
        .env("ATEN_CPU_CAPABILITY", "default")
        .env("ONEDNN_MAX_CPU_ISA", "SSE41")
        .env("MKL_CBWR", "COMPATIBLE")
}

/// Whether trained networks come out on this machine as they did where the snapshots were made, to
/// the bit.
fn is_that_of_the_snapshots() -> bool {
    static DIGEST: OnceLock<String> = OnceLock::new();
    let digest = DIGEST.get_or_init(|| {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--ignored", "--exact", "arithmetic::child"])
            .env(CHILD, file.path());
        assert!(portable(&mut command).output().unwrap().status.success());
        std::fs::read_to_string(file.path()).unwrap()
    });
    assert_eq!(digest.len(), SNAPSHOTS.len(), "{digest}");
    digest == SNAPSHOTS
}

/// Holds the table of trained networks against its snapshot: all of it where this processor rounds
/// as that of the snapshots did, else what does not hang on rounding.
pub(crate) fn trained(name: &str, table: &str) {
    if is_that_of_the_snapshots() {
        return snapshot(name, table);
    }
    let kept =
        std::fs::read_to_string(root().join(format!("tests/snapshots/{name}.snap"))).unwrap();
    let (_, kept) = kept.split_once("\n---\n").unwrap();
    assert_eq!(without_numbers(table), without_numbers(kept), "{name}");
}

/// A `table.csv` in which `#` stands for each number of ours, and for the verdict on it. Rows,
/// columns, number of seeds, the paper's numbers and what is empty stay.
fn without_numbers(table: &str) -> String {
    const OURS: [&str; 4] = ["mean", "std", "delta", "verdict"];
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let headers = reader.headers().unwrap().clone();
    let mut text = headers.iter().collect::<Vec<_>>().join(",") + "\n";
    for line in reader.records() {
        let line = line.unwrap();
        let field = |(name, value): (&str, &str)| match OURS.contains(&name) && !value.is_empty() {
            true => "#".to_owned(),
            false => value.to_owned(),
        };
        text += &(headers
            .iter()
            .zip(&line)
            .map(field)
            .collect::<Vec<_>>()
            .join(",")
            + "\n");
    }
    text
}

#[test]
#[ignore = "run by the tests of tables in a process of its own"]
fn child() {
    let file = std::env::var_os(CHILD).unwrap_or_else(|| panic!("{CHILD} must name a file"));
    // As in cells.
    segad_nn::set_threads(1);
    std::fs::write(file, segad_core::Key::of_bytes(&sample()).to_string()).unwrap();
}

#[test]
fn what_may_round_differently_shares_no_key() {
    let place = Place::new();
    let keys_of = |mut command: Command, kinds: &[&str]| -> BTreeSet<String> {
        command.args(["--json", "--profile", "smoke", "--set", BACKBONE]);
        command.args(["--data", "datasets/elpv-sample"]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let cells = plan["cells"].as_array().unwrap().iter();
        let cells = cells.filter(|c| kinds.contains(&c["kind"].as_str().unwrap()));
        cells
            .map(|c| c["key"].as_str().unwrap().to_owned())
            .collect()
    };
    let plan = || place.segad(&["plan", "experiments/demo.toml"]);
    let keys = |is_limited: bool, kinds: &[&str]| {
        let mut command = plan();
        if is_limited {
            portable(&mut command);
        }
        keys_of(command, kinds)
    };
    let kinds = ["fit", "maps", "features", "forest", "evaluate"];
    for kind in kinds {
        let [here, limited] = [false, true].map(|is_limited| keys(is_limited, &[kind]));
        assert_eq!(
            (here.len(), here.is_disjoint(&limited)),
            (limited.len(), true),
            "{kind}"
        );
    }
    let here = keys(false, &kinds);
    assert_eq!(here, keys(false, &kinds));
    // For processors that are not here, cells can be planned and not computed.
    let elsewhere = ["--processor", "SomeMaker/avx1024"];
    let mut command = plan();
    command.args(elsewhere);
    let there = keys_of(command, &kinds);
    assert!(there.len() == here.len() && there.is_disjoint(&here));
    let message = expect(place.demo("out", &elsewhere), 3);
    assert!(
        message.contains("--processor = SomeMaker/avx1024: expected "),
        "{message}"
    );
}

/// A few training steps of a network with a layer of each kind that the detectors and classifiers
/// have.
fn sample() -> Vec<u8> {
    let made = |shape: &[i64], scale: f64| {
        let n: i64 = shape.iter().product();
        let values: Vec<f32> = (0..n)
            .map(|j| (scale * segad_nn::golden::uniform("arithmetic", j as usize)) as f32)
            .collect();
        Tensor::from_slice(&values).view(shape)
    };
    let image = made(&[4, 3, 64, 64], 4.0);
    let shapes: [&[i64]; 6] = [
        &[64, 3, 7, 7],
        &[96, 64, 3, 3],
        &[128, 96, 1, 1],
        &[128, 64, 4, 4],
        &[48, 64, 3, 3],
        &[48, 128],
    ];
    let mut weights: Vec<Tensor> = shapes
        .iter()
        .map(|s| made(s, 0.2).set_requires_grad(true))
        .collect();
    let mut bytes = Vec::new();
    for _ in 0..3 {
        let norm =
            |x: &Tensor| x.batch_norm::<Tensor>(None, None, None, None, true, 0.1, 1e-5, true);
        let w = &weights;
        let x = norm(&image.conv2d::<Tensor>(&w[0], None, [2, 2], [3, 3], [1, 1], 1))
            .relu()
            .max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false);
        let y = norm(&x.conv2d::<Tensor>(&w[1], None, [2, 2], [1, 1], [1, 1], 1)).relu();
        let y = y
            .conv2d::<Tensor>(&w[2], None, [1, 1], [0, 0], [1, 1], 1)
            .tanh();
        let z = y.conv_transpose2d::<Tensor>(&w[3], None, [2, 2], [1, 1], [0, 0], 1, [1, 1]);
        let z = z
            .upsample_bilinear2d([31, 31], false, None, None)
            .avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None);
        let z = z
            .conv2d::<Tensor>(&w[4], None, [1, 1], [1, 1], [1, 1], 1)
            .softmax(1, Kind::Float);
        let near = z
            .mean_dim([2, 3].as_slice(), false, Kind::Float)
            .matmul(&w[5].slice(1, 0, 48, 1));
        let linear = y
            .mean_dim([2, 3].as_slice(), false, Kind::Float)
            .linear::<Tensor>(&w[5], None)
            .exp()
            .log1p();
        let loss = (near + linear).square().sum(Kind::Float) + z.std(true) + y.norm();
        for w in &mut weights {
            w.zero_grad();
        }
        loss.backward();
        tch::no_grad(|| {
            for w in &mut weights {
                let step = w.grad() / (w.grad().square().mean(Kind::Float).sqrt() + 1e-8) * 0.01;
                let _ = w.subtract_(&step);
            }
        });
        bytes.extend(f32::try_from(&loss).unwrap().to_le_bytes());
    }
    for w in &weights {
        let values: Vec<f32> =
            Vec::try_from(w.detach().to_device(Device::Cpu).flatten(0, -1)).unwrap();
        bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    }
    bytes
}
