"""The one place that fits: rows and splits, asks and answers, and the fitters between them."""
