//! Data sets: manifests, layouts, digests, typed splits and protocols
