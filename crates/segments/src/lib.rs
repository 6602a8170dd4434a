//! Segment sources: which part of the product each pixel belongs to
