//! Decimals, under the names that this crate uses.

pub(crate) use segad_metrics::{
    CSV_DECIMALS as CSV, EXACT_DECIMALS as EXACT, TABLE_DECIMALS as TABLE, fixed, rounded, short,
    signed, significant,
};
