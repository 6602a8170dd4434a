//! Lets tests and binaries find the native libraries.

fn main() {
    segad_native_link::rpath();
}
