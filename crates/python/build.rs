//! Lets the module find XGBoost.

fn main() {
    segad_native_link::rpath();
}
