//! AUROC, FPR@95TPR, average precision, intervals
