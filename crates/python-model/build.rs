//! Lets the module find libtorch and XGBoost.

fn main() {
    segad_native_link::rpath();
}
