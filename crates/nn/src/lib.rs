//! Backbones with named taps, device, precision
