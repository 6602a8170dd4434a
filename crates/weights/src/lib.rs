//! Reads tensors out of PyTorch files without executing anything; writes safetensors
