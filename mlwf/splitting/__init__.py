"""The rows of a table, and how they are split into those to train on and those to evaluate on."""
