"""Serve a scikit-learn classifier by MLflow: labels, or probabilities where a request asks for them.

MLflow's scikit-learn flavor serves one function of a model. A copy of this file goes with each logged model, and
chooses by `params: {"predict_method": "predict_proba"}`. It needs MLflow and pandas alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

METHODS = ("predict", "predict_proba")


class ServedClassifier:
    """What MLflow calls to predict."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def get_raw_model(self) -> Any:
        """Give the scikit-learn model."""
        return self.model

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Give a label for each row, or with `predict_proba` as method a frame with a column for each class."""
        import pandas as pd
        from mlflow.exceptions import MlflowException

        method = (params or {}).get("predict_method", METHODS[0])
        methods = [name for name in METHODS if hasattr(self.model, name)]
        if method not in methods:
            accepted = ", ".join(methods)
            raise MlflowException.invalid_parameter_value(f"predict_method is {method!r}; accepted: {accepted}")
        if method == METHODS[0]:
            return self.model.predict(data)
        return pd.DataFrame(self.model.predict_proba(data), columns=[*map(str, self.model.classes_.tolist())])


def _load_pyfunc(path: str) -> ServedClassifier:
    """Load a logged model, as MLflow asks of a loader module."""
    from mlflow import sklearn

    return ServedClassifier(sklearn.load_model(path))
