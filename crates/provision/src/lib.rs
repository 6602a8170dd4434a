//! Caches, digests, downloads and unpacking
