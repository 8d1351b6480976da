"""The one place that fits: requests for fits, the fitters that make their results, and the cache of fits."""

from __future__ import annotations

import os

# OpenMP reads it when scikit-learn is first imported. Its threads otherwise spin while they wait for each other: on two
# cores with one other busy process a fit of histogram boosting then took seven times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
