"""Statistical tests of canary against stable: pure functions and folds; `registry` names the sequential ones."""
