//! Arrays that numpy wrote.

mod common;

use common::{bytes, fixture};
use proptest::prelude::*;
use segad_imaging::ImagingError as E;
use segad_imaging::npy::{NpyData, open, read_npy, write_f32, write_u8};

#[expect(clippy::unwrap_used, reason = "a helper of tests")]
fn read(name: &str) -> segad_imaging::npy::NpyArray {
    open(&fixture(&format!("npy/{name}.npy"))).unwrap()
}

#[test]
fn every_plain_type() {
    let unsigned: Vec<i64> = (0..12).collect();
    let signed: Vec<i64> = (-5..7).collect();
    for name in [
        "u1", "le_u2", "le_u4", "le_u8", "version2", "version3", "fortran",
    ] {
        assert_eq!(read(name).to_integers().unwrap(), unsigned, "{name}");
        assert_eq!(read(name).shape(), [3, 4], "{name}");
    }
    for name in [
        "i1", "le_i2", "le_i4", "le_i8", "be_i2", "be_i8", "be_f4", "le_f2", "le_f4", "le_f8",
        "be_f8",
    ] {
        assert_eq!(read(name).to_integers().unwrap(), signed, "{name}");
        assert_eq!(read(name).to_f32()[0], -5.0, "{name}");
        assert_eq!(read(name).to_f64()[11], 6.0, "{name}");
    }
    assert!(matches!(read("le_f2").data(), NpyData::F32(_)));
    assert!(matches!(read("be_f8").data(), NpyData::F64(_)));
    assert!(matches!(read("bool").data(), NpyData::Bool(v) if v[0] && !v[1] && v[3]));
}

#[test]
fn other_shapes_and_orders() {
    let cube = read("fortran3");
    assert_eq!(cube.shape(), [2, 3, 4]);
    assert_eq!(cube.to_f32(), (0..24).map(|v| v as f32).collect::<Vec<_>>());
    assert_eq!(
        (read("scalar").shape(), read("scalar").to_f32()),
        (&[][..], vec![2.5])
    );
    assert_eq!(
        (read("empty").shape(), read("empty").to_f32()),
        (&[0, 4][..], vec![])
    );
    let (half, single) = (read("halves").to_f32(), read("halves_as_f4").to_f32());
    let bits = |v: &[f32]| {
        v.iter()
            .map(|x| if x.is_nan() { 0 } else { x.to_bits() })
            .collect::<Vec<_>>()
    };
    assert_eq!(bits(&half), bits(&single));
    assert_eq!(read("halves").to_integers().unwrap_err().0, 0);
}

#[test]
fn refusals() {
    for (name, text) in [
        ("object", "Python objects"),
        ("struct", "each field"),
        ("complex", "astype"),
        ("text", "astype"),
        ("big_u8", "9223372036854775808"),
    ] {
        let message = open(&fixture(&format!("npy/{name}.npy")))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains(text) && message.contains(name),
            "{message}"
        );
    }
    let whole = bytes("npy/le_i4.npy");
    for n in 1..whole.len() {
        assert!(
            matches!(read_npy(&whole[..n]), Err(E::Truncated { .. })),
            "cut to {n}"
        );
    }
    assert!(matches!(read_npy(&[]), Err(E::ZeroBytes)));
    assert!(matches!(read_npy(b"PK\x03\x04"), Err(E::Damaged { .. })));
    let longer = [whole, vec![0]].concat();
    assert!(matches!(read_npy(&longer), Err(E::Damaged { .. })));
}

#[test]
fn written_as_numpy_does() {
    let signed: Vec<f32> = (-5..7).map(|v| v as f32).collect();
    assert_eq!(write_f32(&[3, 4], &signed).unwrap(), bytes("npy/le_f4.npy"));
    assert_eq!(
        write_u8(&[3, 4], &(0..12).collect::<Vec<_>>()).unwrap(),
        bytes("npy/u1.npy")
    );
    assert_eq!(write_f32(&[], &[2.5]).unwrap(), bytes("npy/scalar.npy"));
    assert_eq!(
        read_npy(&write_u8(&[5], &[1, 2, 3, 4, 5]).unwrap())
            .unwrap()
            .shape(),
        [5]
    );
    assert!(write_f32(&[2, 2], &[0.0]).is_err());
}

proptest! {
    #[test]
    fn damage_never_panics(edits in prop::collection::vec((0..176usize, any::<u8>()), 1..6)) {
        let mut data = bytes("npy/le_i4.npy");
        edits.into_iter().for_each(|(i, v)| data[i] = v);
        if let Ok(array) = read_npy(&data) {
            prop_assert_eq!(array.shape().iter().product::<usize>(), array.to_f32().len());
        }
    }
}
