//! XGBoost's C interface, as far as `xgboost-rs` 0.3 and segad use it, linked to an installed
//! `libxgboost.so`.
//!
//! It replaces the published `xgboost-rs-sys` through `[patch.crates-io]`. That one compiles
//! XGBoost 1.6.2 with cmake and libclang, and 1.6.2 gives different forests from the 2.x line. Here
//! nothing is compiled: the build script links the library in the folder `XGBOOST_LIB_DIR`. All
//! declarations fit XGBoost 1.6 to 3.x.
//!
//! Every function except [`XGBoostVersion`] and [`XGBGetLastError`] returns 0 for success and −1
//! for failure, for which [`XGBGetLastError`] then gives the reason (per thread). XGBoost's
//! `c_api.h` documents each function and the pointers that it keeps.
#![allow(unsafe_code, reason = "foreign declarations")]
#![allow(
    non_camel_case_types,
    non_snake_case,
    reason = "the names of the C interface"
)]
#![allow(missing_docs, reason = "documented in c_api.h")]

pub mod openmp;

use std::ffi::{c_char, c_float, c_int, c_uint, c_void};

pub type bst_ulong = u64;
pub type DMatrixHandle = *mut c_void;
pub type BoosterHandle = *mut c_void;

unsafe extern "C" {
    pub fn XGBoostVersion(major: *mut c_int, minor: *mut c_int, patch: *mut c_int);
    pub fn XGBGetLastError() -> *const c_char;

    pub fn XGDMatrixCreateFromDense(
        array: *const c_char,
        config: *const c_char,
        out: *mut DMatrixHandle,
    ) -> c_int;
    pub fn XGDMatrixCreateFromFile(
        uri: *const c_char,
        silent: c_int,
        out: *mut DMatrixHandle,
    ) -> c_int;
    pub fn XGDMatrixCreateFromMat(
        values: *const c_float,
        rows: bst_ulong,
        columns: bst_ulong,
        missing: c_float,
        out: *mut DMatrixHandle,
    ) -> c_int;
    pub fn XGDMatrixFree(matrix: DMatrixHandle) -> c_int;
    pub fn XGDMatrixNumRow(matrix: DMatrixHandle, out: *mut bst_ulong) -> c_int;
    pub fn XGDMatrixNumCol(matrix: DMatrixHandle, out: *mut bst_ulong) -> c_int;
    pub fn XGDMatrixSaveBinary(matrix: DMatrixHandle, path: *const c_char, silent: c_int) -> c_int;
    pub fn XGDMatrixSliceDMatrix(
        matrix: DMatrixHandle,
        rows: *const c_int,
        len: bst_ulong,
        out: *mut DMatrixHandle,
    ) -> c_int;
    pub fn XGDMatrixGetFloatInfo(
        matrix: DMatrixHandle,
        field: *const c_char,
        len: *mut bst_ulong,
        out: *mut *const c_float,
    ) -> c_int;
    pub fn XGDMatrixGetUIntInfo(
        matrix: DMatrixHandle,
        field: *const c_char,
        len: *mut bst_ulong,
        out: *mut *const c_uint,
    ) -> c_int;
    pub fn XGDMatrixSetFloatInfo(
        matrix: DMatrixHandle,
        field: *const c_char,
        values: *const c_float,
        len: bst_ulong,
    ) -> c_int;
    pub fn XGDMatrixSetUIntInfo(
        matrix: DMatrixHandle,
        field: *const c_char,
        values: *const c_uint,
        len: bst_ulong,
    ) -> c_int;

    pub fn XGBoosterCreate(
        matrices: *const DMatrixHandle,
        len: bst_ulong,
        out: *mut BoosterHandle,
    ) -> c_int;
    pub fn XGBoosterFree(booster: BoosterHandle) -> c_int;
    pub fn XGBoosterSetParam(
        booster: BoosterHandle,
        name: *const c_char,
        value: *const c_char,
    ) -> c_int;
    pub fn XGBoosterUpdateOneIter(
        booster: BoosterHandle,
        round: c_int,
        train: DMatrixHandle,
    ) -> c_int;
    pub fn XGBoosterBoostOneIter(
        booster: BoosterHandle,
        train: DMatrixHandle,
        gradient: *mut c_float,
        hessian: *mut c_float,
        len: bst_ulong,
    ) -> c_int;
    pub fn XGBoosterEvalOneIter(
        booster: BoosterHandle,
        round: c_int,
        matrices: *mut DMatrixHandle,
        names: *mut *const c_char,
        len: bst_ulong,
        out: *mut *const c_char,
    ) -> c_int;
    pub fn XGBoosterPredict(
        booster: BoosterHandle,
        matrix: DMatrixHandle,
        options: c_int,
        trees: c_uint,
        training: c_int,
        len: *mut bst_ulong,
        out: *mut *const c_float,
    ) -> c_int;
    pub fn XGBoosterPredictFromDMatrix(
        booster: BoosterHandle,
        matrix: DMatrixHandle,
        config: *const c_char,
        shape: *mut *const bst_ulong,
        dimensions: *mut bst_ulong,
        out: *mut *const c_float,
    ) -> c_int;
    pub fn XGBoosterLoadModel(booster: BoosterHandle, path: *const c_char) -> c_int;
    pub fn XGBoosterLoadModelFromBuffer(
        booster: BoosterHandle,
        bytes: *const c_void,
        len: bst_ulong,
    ) -> c_int;
    pub fn XGBoosterSaveModel(booster: BoosterHandle, path: *const c_char) -> c_int;
    /// `out` points to bytes. `xgboost-rs` names them `i8`, which C's `char` is on x86-64 and is
    /// not on aarch64.
    pub fn XGBoosterSaveModelToBuffer(
        booster: BoosterHandle,
        config: *const c_char,
        len: *mut bst_ulong,
        out: *mut *const i8,
    ) -> c_int;
    pub fn XGBoosterSaveJsonConfig(
        booster: BoosterHandle,
        len: *mut bst_ulong,
        out: *mut *const c_char,
    ) -> c_int;
    pub fn XGBoosterSerializeToBuffer(
        booster: BoosterHandle,
        len: *mut bst_ulong,
        out: *mut *const c_char,
    ) -> c_int;
    pub fn XGBoosterUnserializeFromBuffer(
        booster: BoosterHandle,
        bytes: *const c_void,
        len: bst_ulong,
    ) -> c_int;
    pub fn XGBoosterDumpModelEx(
        booster: BoosterHandle,
        feature_map: *const c_char,
        statistics: c_int,
        format: *const c_char,
        len: *mut bst_ulong,
        out: *mut *mut *const c_char,
    ) -> c_int;
    pub fn XGBoosterGetAttr(
        booster: BoosterHandle,
        key: *const c_char,
        out: *mut *const c_char,
        found: *mut c_int,
    ) -> c_int;
    pub fn XGBoosterGetAttrNames(
        booster: BoosterHandle,
        len: *mut bst_ulong,
        out: *mut *mut *const c_char,
    ) -> c_int;
    pub fn XGBoosterSetAttr(
        booster: BoosterHandle,
        key: *const c_char,
        value: *const c_char,
    ) -> c_int;
}

/// Functions that `xgboost-rs` names and that XGBoost 2.0 or 3.0 took away. They always fail, on
/// every version alike; `xgboost-rs` reaches them only from `train_increment`, `from_csr`,
/// `from_csc` and `set_group`.
mod gone {
    use super::*;

    macro_rules! fails {
        ($($name:ident($($t:ty),*);)*) => {$(
            /// Always −1.
            ///
            /// # Safety
            /// Touches nothing.
            pub unsafe fn $name($(_: $t),*) -> c_int {
                -1
            }
        )*};
    }

    fails! {
        RabitGetRank();
        RabitGetWorldSize();
        RabitVersionNumber();
        XGBoosterLoadRabitCheckpoint(BoosterHandle, *mut c_int);
        XGBoosterSaveRabitCheckpoint(BoosterHandle);
        XGDMatrixCreateFromCSREx(*const u64, *const c_uint, *const c_float, u64, u64, u64, *mut DMatrixHandle);
        XGDMatrixCreateFromCSCEx(*const u64, *const c_uint, *const c_float, u64, u64, u64, *mut DMatrixHandle);
        XGDMatrixSetGroup(DMatrixHandle, *const c_uint, u64);
    }
}
pub use gone::*;
