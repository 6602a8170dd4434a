//! Decoding, Pillow-exact resizing, normalising, overlays
