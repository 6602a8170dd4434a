fn main() {
    segad_native_link::rpath();
}
