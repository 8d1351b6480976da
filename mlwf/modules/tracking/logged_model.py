"""Log the shipped model, so that MLflow alone can load it and predict from raw columns, and register it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import Pipeline

from mlwf.engine.label_codes import encoded_classifier
from mlwf.engine.model_file import save_model as write_model_file
from mlwf.engine.model_file import trusted_types
from mlwf.errors import MlwfError, TrackingError
from mlwf.modules.tracking.aliases import set_alias
from mlwf.modules.tracking.connection import locked_database
from mlwf.modules.tracking.mlflow_store import Store, as_default
from mlwf.modules.tracking.served_classifier import METHODS
from mlwf.processes import SharedState
from mlwf.specs.catalogue import find_algorithm
from mlwf.specs.data import SCHEMA_FILE, TableSchema

MODEL = "model"
"""Name of the one model artifact of a run."""

EXAMPLE_ROWS = 5

_REQUIREMENTS = ("mlflow", "scikit-learn", "skops", "pandas", "numpy", "scipy")
"""What loading and predicting imports; each is pinned to the version that trained the model."""


def save_model(
    model: Any,
    folder: Path,
    X_sample: Any = None,
    table_schema: TableSchema | None = None,
    *,
    metadata: Mapping[str, Any] | None = None,
    model_file: Path | None = None,
) -> None:
    """Save a fitted model as MLflow takes it, for `log_saved_model`.

    With `X_sample`, raw rows, the model gets a signature and an example of its input. `predict` gives labels, or
    probabilities where `params` ask for them, by the file that is put beside it. The table schema, by which tables are
    read for it, stands there too, and is named in its metadata, to which `metadata` is added. A `model_file`, in which
    the model was saved already, is copied.
    """
    from mlflow import sklearn
    from mlflow.models import Model
    from sklearn.dummy import DummyClassifier

    described = {**(metadata or {}), **({} if table_schema is None else {"table_schema": SCHEMA_FILE})}
    with _REQUIREMENTS_UNCHECKED.held():
        sklearn.save_model(
            # A placeholder: MLflow would write ten times as much, and read it again to see whether it can be loaded.
            DummyClassifier(),
            str(folder),
            mlflow_model=Model(artifact_path=MODEL),
            serialization_format=sklearn.SERIALIZATION_FORMAT_SKOPS,
            skops_trusted_types=list(trusted_types()),
            pip_requirements=requirements(model),
            **_described(model, X_sample, described),
        )
    if table_schema is not None:
        (folder / SCHEMA_FILE).write_text(table_schema.model_dump_json(indent=1), encoding="utf-8")
    _write_server(folder)
    _write_model_file(model, folder, model_file)


def log_saved_model(
    store: Store,
    run: Any,
    folder: Path,
    *,
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> str | None:
    """Log a saved model as the model of a run, and give its MLflow id.

    None where the server is of MLflow 2, which has no logged models: it gets the model as an artifact of the run.
    """
    run_id = run.info.run_id
    if not store.has_logged_models:
        _address(folder, run_id=run_id)
        store.client.log_artifacts(run_id, str(folder), MODEL)
        return None
    from mlflow.entities import LoggedModelOutput

    # The steps of mlflow.sklearn.log_model, without its detours: it resolves the experiment from global state, and
    # loads the model again to try the example on it.
    logged = store.client.create_logged_model(
        experiment_id=run.info.experiment_id,
        name=MODEL,
        source_run_id=run_id,
        params=dict(params or {}),
        tags=dict(tags or {}),
        model_type="classifier",
    )
    try:
        store.client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
        model_id, location = logged.model_id, logged.artifact_location
        _address(folder, run_id=run_id, artifact_path=location, model_uuid=model_id, model_id=model_id)
        store.client.log_model_artifacts(logged.model_id, str(folder))
    except BaseException:
        with suppress(Exception):  # a store that has refused one call may refuse this too
            store.client.finalize_logged_model(logged.model_id, "FAILED")
        raise
    store.client.finalize_logged_model(logged.model_id, "READY")
    return str(logged.model_id)


def register_model(
    store: Store,
    run: Any,
    model_id: str | None,
    name: str,
    *,
    alias: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> str:
    """Register a run's model under a name, give the version the alias, and return the version.

    `model_id` is None where the model is an artifact of the run. A version that the run has already is taken again.
    """
    # MLflow fails when two processes register versions of one model at the same moment.
    with locked_database(store.tracking_uri):
        return _register(store, run, model_id, name, alias, tags or {})


def _register(
    store: Store, run: Any, model_id: str | None, name: str, alias: str | None, tags: Mapping[str, str]
) -> str:
    from mlflow.exceptions import MlflowException

    try:
        store.client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code not in {"RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"} and not _is_there(store, name):
            raise
    source = _artifact_uri(run) if model_id is None else f"models:/{model_id}"
    version = _version_of(store, run, name, source)
    if version is None:
        more = {} if model_id is None else {"model_id": model_id}
        with as_default(store):
            registered = store.client.create_model_version(
                name, source, run_id=run.info.run_id, tags=dict(tags), **more
            )
        version = str(registered.version)
    if alias:
        set_alias(store, name, alias, version, reason="registered by its training")
    if model_id is not None:
        # The link from the logged model to its version, as MLflow's own log_model leaves it.
        link = json.dumps([{"name": name, "version": int(version)}])
        store.client.set_logged_model_tags(model_id, {"mlflow.modelVersions": link})
    return version


def _is_there(store: Store, name: str) -> bool:
    """Whether a registered model is there, for a login that may add versions to it and create none."""
    from mlflow.exceptions import MlflowException

    try:
        store.client.get_registered_model(name)
    except MlflowException:
        return False
    return True


def _version_of(store: Store, run: Any, name: str, source: str) -> str | None:
    """Find the version that this run has registered already: the response may have been lost."""
    found = store.client.search_model_versions(f"run_id = '{run.info.run_id}'")
    versions = [str(version.version) for version in found if (version.name, version.source) == (name, source)]
    return versions[0] if versions else None


def _artifact_uri(run: Any) -> str:
    """Give the address of a model that is an artifact of its run."""
    return f"{run.info.artifact_uri.rstrip('/')}/{MODEL}"


def requirements(model: Any) -> list[str]:
    """List what a fresh environment needs to load the model and predict with it."""
    infos = [info for classifier in _classifiers(model) if (info := find_algorithm(classifier))]
    pinned = []
    for name in dict.fromkeys([*_REQUIREMENTS, *(info.distribution for info in infos)]):
        try:
            pinned.append(f"{name}=={version(name)}")
        except PackageNotFoundError:  # mlflow may have come as mlflow-skinny
            continue
    return pinned


def _classifiers(model: Any) -> list[Any]:
    """List the classifiers inside a fitted model: of each fold model, and of each model that is averaged."""
    found = []
    for pipeline in _pipelines(model):
        classifier = _classifier(pipeline)
        is_average = isinstance(classifier, VotingClassifier)
        found += (
            [each for part in classifier.estimators_ for each in _classifiers(part)] if is_average else [classifier]
        )
    return found


def _classifier(pipeline: Any) -> Any:
    return encoded_classifier(pipeline.steps[-1][1] if isinstance(pipeline, Pipeline) else pipeline)


def _pipelines(model: Any) -> Iterator[Any]:
    """Give the pipelines inside calibration, thresholds and frozen models."""
    if isinstance(model, CalibratedClassifierCV):
        # Without `ensemble` there is one, with the pipeline that was fitted on all rows.
        for calibrated in model.calibrated_classifiers_:
            yield from _pipelines(calibrated.estimator)
    elif isinstance(model, (FixedThresholdClassifier, TunedThresholdClassifierCV)):
        # One that was put around a fitted model has no copy of it.
        yield from _pipelines(getattr(model, "estimator_", model.estimator))
    elif isinstance(model, FrozenEstimator):
        yield from _pipelines(model.estimator)
    else:
        yield model


@contextmanager
def _requirements_unchecked() -> Iterator[None]:
    """Let MLflow not compare a model's requirements with what is installed: they were read from it.

    To compare, it lists the files of all that is installed, which takes longer than all else of saving.
    """
    from mlflow.utils import environment

    check = getattr(environment, _CHECK, None)
    if check is None:  # another version of MLflow
        yield
        return
    setattr(environment, _CHECK, lambda requirements: None)
    try:
        yield
    finally:
        setattr(environment, _CHECK, check)


_CODE, _SERVER = "code", "served_classifier"
_CHECK = "warn_dependency_requirement_mismatches"
_REQUIREMENTS_UNCHECKED = SharedState(_requirements_unchecked)


def _address(folder: Path, **places: Any) -> None:
    """Write into a saved model where it is logged."""
    from mlflow.models import Model

    description = Model.load(folder)
    for name, value in places.items():
        setattr(description, name, value)
    description.save(folder / "MLmodel")


def _write_server(folder: Path) -> None:
    """Put what chooses between labels and probabilities into a saved model, and let MLflow load it by that."""
    from mlflow.models import Model

    (folder / _CODE).mkdir()
    shutil.copyfile(Path(__file__).with_name(f"{_SERVER}.py"), folder / _CODE / f"{_SERVER}.py")
    description = Model.load(folder)
    description.flavors["python_function"] |= {"loader_module": _SERVER, "code": _CODE}
    description.save(folder / "MLmodel")


def _write_model_file(model: Any, folder: Path, model_file: Path | None) -> None:
    """Put the skops file of a model into the folder that MLflow has made for it."""
    from mlflow.models import Model

    (file,) = folder.glob("*.skops")
    try:
        if model_file is None:
            write_model_file(model, file)
        else:
            shutil.copyfile(model_file, file)
    except MlwfError as error:
        raise TrackingError(f"saving the model failed: {error}", reason=str(error)) from error
    description = Model.load(folder)
    description.model_size_bytes = sum(part.stat().st_size for part in folder.rglob("*") if part.is_file())
    description.save(folder / "MLmodel")


def _described(model: Any, X_sample: Any, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Give the signature and the example of the input."""
    if X_sample is None or not len(X_sample):
        return {"metadata": dict(metadata)}
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types.schema import AnyType, ColSpec, DataType, ParamSchema, ParamSpec, Schema

    outputs = infer_signature(model_output=model.predict(X_sample)).outputs
    # MLflow drops params that a signature does not name.
    params = ParamSchema([ParamSpec("predict_method", DataType.string, METHODS[0])])
    if not hasattr(X_sample, "columns"):
        inputs = Schema([ColSpec(AnyType()) for _ in range(X_sample.shape[1])])
        signature = ModelSignature(inputs, outputs, params)
        return {"signature": signature, "input_example": X_sample[:EXAMPLE_ROWS], "metadata": dict(metadata)}
    # A typed column refuses what pandas makes of a missing value in it: an integer or text column whose only value is
    # missing comes as floats, a float column without fractions as integers. The model itself takes all of them.
    inputs = Schema([ColSpec(AnyType(), name=str(column)) for column in X_sample.columns])
    return {
        "signature": ModelSignature(inputs, outputs, params),
        "input_example": _example(X_sample),
        "metadata": {
            **metadata,
            "input_columns": {str(column): str(dtype) for column, dtype in X_sample.dtypes.items()},
        },
    }


def _example(X_sample: Any) -> Any:
    """Take the first rows as they can stand in JSON: null for missing, ISO 8601 for times."""
    rows = X_sample.head(EXAMPLE_ROWS)
    example = rows.astype(object).where(rows.notna(), None)
    for column, dtype in rows.dtypes.items():
        if dtype.kind == "M":
            example[column] = [None if value is None else value.isoformat() for value in example[column]]
    return example
