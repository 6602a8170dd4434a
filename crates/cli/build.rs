//! Lets this package's binaries and tests find the native libraries.

fn main() {
    segad_native_link::rpath();
}
