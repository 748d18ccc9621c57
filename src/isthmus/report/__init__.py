"""The report: one self-contained page from what a study left on disk. It reads the store only and trains nothing."""
