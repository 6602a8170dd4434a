//! Lets this crate's tests find libxgboost at run time.

fn main() {
    segad_native_link::rpath();
}
