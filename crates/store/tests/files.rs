//! Parquet files: bit-exact round trips, the same bytes for the same content, damage.
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]
#![expect(
    clippy::disallowed_methods,
    reason = "the tests damage files on purpose"
)]

use proptest::prelude::*;
use segad_core::{AnomalyMap, CurvePoint, FeatureTable, ImageId, Label, LabelMap, ScoreRow};
use segad_store::{
    ErrorKind, LabelMapsReader, LabelMapsWriter, MapRecord, MapsReader, MapsWriter, read_curves,
    read_features, read_scores, write_curves, write_features, write_scores,
};
use std::path::Path;

fn record(i: usize, height: usize, width: usize, bits: &[u32]) -> MapRecord {
    // Any finite float: the two exponents of infinity and NaN become others.
    let float = |n: usize| {
        let f = f32::from_bits(bits[n % bits.len()].rotate_left((n / bits.len()) as u32 % 32));
        if f.is_finite() {
            f
        } else {
            f32::from_bits(f.to_bits() & 0x807f_ffff)
        }
    };
    MapRecord {
        id: ImageId::new(format!("test/bad/{i:03}ä.png")),
        label: if i.is_multiple_of(3) {
            Label::Bad
        } else {
            Label::Good
        },
        group: format!("group {}", i % 4),
        split: if i.is_multiple_of(2) { "train" } else { "test" }.to_owned(),
        map: AnomalyMap::new(
            height,
            width,
            (0..height * width).map(|p| float(i * 31 + p)).collect(),
        )
        .unwrap(),
    }
}

fn write(path: &Path, height: usize, width: usize, records: &[MapRecord]) {
    let mut writer = MapsWriter::create(path, height, width).unwrap();
    records.iter().for_each(|r| writer.push(r).unwrap());
    writer.finish().unwrap();
}

/// Equal to the last bit; `==` would take -0 for 0.
fn same(a: &MapRecord, b: &MapRecord) -> bool {
    let bits = |r: &MapRecord| {
        r.map
            .values()
            .iter()
            .map(|v| v.to_bits())
            .collect::<Vec<_>>()
    };
    a == b && bits(a) == bits(b)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn maps_come_back_bit_for_bit(
        height in 1usize..12,
        width in 1usize..12,
        count in 0usize..120,
        bits in proptest::collection::vec(any::<u32>(), 1..40),
        cut in (0.0..1.0f64, 0.0..1.0f64),
        batch in 0usize..70,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("maps.parquet");
        let records: Vec<MapRecord> = (0..count).map(|i| record(i, height, width, &bits)).collect();
        write(&path, height, width, &records);
        let reader = MapsReader::open(&path).unwrap();
        prop_assert_eq!((reader.len(), reader.height(), reader.width()), (count, height, width));
        prop_assert!(reader.ids().iter().zip(&records).all(|(a, b)| *a == b.id));
        let all: Vec<MapRecord> = reader.iter(batch).map(Result::unwrap).collect();
        prop_assert_eq!(all.len(), count);
        prop_assert!(all.iter().zip(&records).all(|(a, b)| same(a, b)));
        for i in (0..count).step_by(17) {
            prop_assert!(same(&reader.get(i).unwrap(), &records[i]));
            prop_assert_eq!(reader.find(&records[i].id), Some(i));
        }
        // A range over any row groups.
        let at = |f: f64| (f * count as f64) as usize;
        let (a, b) = (at(cut.0.min(cut.1)), at(cut.0.max(cut.1)));
        let part = reader.range(a..b).unwrap();
        prop_assert!(part.len() == b - a && part.iter().zip(&records[a..b]).all(|(a, b)| same(a, b)));
        prop_assert_eq!(reader.get(count).unwrap_err().kind(), ErrorKind::Invalid);
    }

    #[test]
    fn features_come_back_bit_for_bit(
        rows in 0usize..30,
        names in proptest::collection::hash_set("[a-z .%/]{1,8}", 0..9),
        bits in proptest::collection::vec(any::<u32>(), 1..50),
    ) {
        let names: Vec<String> = names.into_iter().filter(|n| n != "id").collect();
        let values: Vec<f32> =
            (0..rows * names.len()).map(|i| f32::from_bits(bits[i % bits.len()])).collect(); // NaN payloads too
        let ids = (0..rows).map(|i| ImageId::new(format!("{i}"))).collect();
        let table = FeatureTable::new(names, ids, values).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("features.parquet");
        write_features(&path, &table).unwrap();
        let back = read_features(&path).unwrap();
        prop_assert_eq!(back.names(), table.names());
        prop_assert_eq!(back.ids(), table.ids());
        let bits = |t: &FeatureTable| t.values().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&back), bits(&table));
    }
}

#[test]
fn the_same_content_gives_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let records: Vec<MapRecord> = (0..60)
        .map(|i| record(i, 5, 7, &[0x3f80_1234, 0x4012_3456]))
        .collect();
    let [a, b] = ["a", "b"].map(|n| dir.path().join(n));
    write(&a, 5, 7, &records);
    write(&b, 5, 7, &records);
    assert_eq!(std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());
}

#[test]
fn maps_are_byte_stream_split_one_page_each() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m");
    // Smooth maps: splitting the bytes is what makes them small.
    let map = |i: usize| {
        let values =
            (0..64 * 64).map(|p| 1.0 + (p % 64) as f32 * 1e-3 + (p / 64) as f32 * 1e-4 + i as f32);
        AnomalyMap::new(64, 64, values.collect()).unwrap()
    };
    let records: Vec<MapRecord> = (0..60)
        .map(|i| MapRecord {
            map: map(i),
            ..record(i, 64, 64, &[0])
        })
        .collect();
    write(&path, 64, 64, &records);
    let file = std::fs::File::open(&path).unwrap();
    let builder =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new_with_options(
            file,
            parquet::arrow::arrow_reader::ArrowReaderOptions::new()
                .with_page_index_policy(parquet::file::metadata::PageIndexPolicy::Optional),
        )
        .unwrap();
    let meta = builder.metadata();
    assert_eq!(meta.num_row_groups(), 2);
    let column = meta.row_group(0).column(6);
    assert_eq!(column.column_path().string(), "map.list.item");
    let encodings: Vec<_> = column.encodings().collect();
    assert!(
        encodings.contains(&parquet::basic::Encoding::BYTE_STREAM_SPLIT),
        "{encodings:?}"
    );
    assert_eq!(
        meta.page_index_for_row_group(0)
            .page_locations(6)
            .unwrap()
            .len(),
        50
    );
    assert!(std::fs::metadata(&path).unwrap().len() < 60 * 64 * 64 * 4 / 2);
}

#[test]
fn what_does_not_belong_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m");
    let mut writer = MapsWriter::create(&path, 2, 2).unwrap();
    writer.push(&record(0, 2, 2, &[1])).unwrap();
    let e = writer.push(&record(1, 2, 3, &[1])).unwrap_err();
    assert!(
        e.to_string()
            .contains("001ä.png is 2×3, the maps of this file are 2×2"),
        "{e}"
    );
    let e = writer.push(&record(0, 2, 2, &[1])).unwrap_err();
    assert!(e.to_string().contains("rows 0 and 1"), "{e}");
    drop(writer);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0); // unfinished: nothing appears
    assert!(MapsWriter::create(&path, 0, 2).is_err());
    assert!(MapsWriter::create(&path, 1 << 20, 1 << 20).is_err());

    write_curves(&path, &[]).unwrap();
    let e = MapsReader::open(&path).unwrap_err();
    assert!(
        e.kind() == ErrorKind::Invalid && e.to_string().contains("holds curves"),
        "{e}"
    );
    for names in [["a", "a"], ["a", "id"]] {
        let names = names.map(str::to_owned).to_vec();
        let table = FeatureTable::new(names, vec![ImageId::new("x")], vec![0.0; 2]).unwrap();
        assert_eq!(
            write_features(&path, &table).unwrap_err().kind(),
            ErrorKind::Invalid
        );
    }
}

#[test]
fn label_maps_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("labels");
    let map =
        |i: usize| LabelMap::new(3, 4, (0..12).map(|p| ((p + i) % 5) as u8).collect(), 8).unwrap();
    let mut writer = LabelMapsWriter::create(&path, 3, 4).unwrap();
    for i in 0..450 {
        writer.push(&ImageId::new(format!("{i}")), &map(i)).unwrap();
    }
    assert!(writer.push(&ImageId::new("7"), &map(7)).is_err());
    assert!(
        writer
            .push(&ImageId::new("x"), &LabelMap::whole(4, 3).unwrap())
            .is_err()
    );
    writer.finish().unwrap();
    let reader = LabelMapsReader::open(&path).unwrap();
    for i in 0..450 {
        assert_eq!(reader.get(i).unwrap(), map(i));
    }
    assert!(reader.get(450).is_err());
    assert_eq!(reader.find(&ImageId::new("449")), Some(449));
}

#[test]
fn scores_and_curves_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t");
    let scores: Vec<ScoreRow> = (0..100)
        .map(|i| ScoreRow {
            row: ["PatchCore", "PatchCore + Ours"][i % 2].into(),
            class: "candle".into(),
            seed: u64::MAX - i as u64,
            filepath: ImageId::new(format!("a/{i}.png")),
            label: [Label::Good, Label::Bad][i % 2],
            group: "bad_unseen".into(),
            score: -1.0 / (i as f32 + 3.0),
        })
        .collect();
    write_scores(&path, &scores).unwrap();
    assert_eq!(read_scores(&path).unwrap(), scores);
    write_scores(&path, &[]).unwrap();
    assert!(read_scores(&path).unwrap().is_empty());
    let curves: Vec<CurvePoint> = (0..9)
        .map(|i| CurvePoint {
            step: i,
            name: "loss".into(),
            value: 0.1 * i as f64,
        })
        .collect();
    write_curves(&path, &curves).unwrap();
    assert_eq!(read_curves(&path).unwrap(), curves);
    assert_eq!(read_scores(&path).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn damaged_files_give_errors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m");
    let records: Vec<MapRecord> = (0..5).map(|i| record(i, 4, 4, &[0x3f80_1234, 7])).collect();
    write(&path, 4, 4, &records);
    let good = std::fs::read(&path).unwrap();
    let read =
        || -> segad_store::Result<Vec<MapRecord>> { MapsReader::open(&path)?.iter(2).collect() };
    assert_eq!(read().unwrap(), records);
    // Truncated anywhere.
    for n in 0..good.len() {
        std::fs::write(&path, &good[..n]).unwrap();
        let e = read().unwrap_err();
        assert!(
            e.kind() == ErrorKind::Damaged && e.path() == Some(path.as_path()),
            "{n} bytes: {e}"
        );
    }
    std::fs::write(&path, b"PNG, not Parquet at all").unwrap();
    assert!(
        read()
            .unwrap_err()
            .to_string()
            .contains("not a Parquet file")
    );
    // A flipped byte: digests find all of them; a file read without them must at least never panic.
    for i in 0..good.len() {
        let mut bad = good.clone();
        bad[i] ^= 1 << (i % 8);
        std::fs::write(&path, &bad).unwrap();
        if let Err(e) = read() {
            assert_eq!(e.path(), Some(path.as_path()), "byte {i}: {e}");
        }
    }
}

/// Reads maps that pyarrow wrote (see `fixtures/make.py`).
#[test]
fn another_programs_file_is_read() {
    let fixture = |name: &str| {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures")
            .join(name)
    };
    let reader = MapsReader::open(&fixture("pyarrow_maps.parquet")).unwrap();
    assert_eq!((reader.len(), reader.height(), reader.width()), (3, 2, 3));
    let map = reader.get(2).unwrap();
    assert_eq!(
        (map.id.as_str(), map.label, map.split.as_str()),
        ("bad/2.png", Label::Bad, "test")
    );
    assert_eq!(map.map.values(), [12.1, 13.1, 14.1, 15.1, 16.1, 17.1]);
    for (name, told) in [
        (
            "pyarrow_f64.parquet",
            "map of image good/0.png: holds Float64, expected 32-bit floats",
        ),
        (
            "pyarrow_hole.parquet",
            "map of image good/0.png: has pixels without a value",
        ),
        (
            "pyarrow_short.parquet",
            "map of image bad/2.png: anomaly map: 2×3 needs 6 values, got 5",
        ),
        (
            "pyarrow_nan.parquet",
            "map of image good/1.png: anomaly map: value NaN at row 1, column 0",
        ),
        ("pyarrow_no_split.parquet", "has no column \"split\""),
        ("pyarrow_label.parquet", "label 7 of image good/1.png"),
    ] {
        let read: segad_store::Result<Vec<MapRecord>> =
            MapsReader::open(&fixture(name)).and_then(|r| r.iter(2).collect());
        let e = read.unwrap_err();
        assert!(
            e.to_string().contains(told) && e.path() == Some(fixture(name).as_path()),
            "{name}: {e}"
        );
    }
}
