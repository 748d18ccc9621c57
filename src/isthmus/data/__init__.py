"""From what a user has to finite float32 rows: readers, splits, scaling, corruption."""
