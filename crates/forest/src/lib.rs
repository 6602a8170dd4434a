//! Boosted random forest, random forest and boosted trees over XGBoost
