"""Save a model to a file, and load one without running what a stranger put into it.

A skops file contains arrays and the names of types, and no code. Loading makes objects of the types that skops trusts
itself (scikit-learn's estimators, numpy's functions on elements, Python's containers) and of `trusted_types`, and
refuses a file with any other name in it before it makes anything.

What this does not promise: the trees and neighbour trees of scikit-learn do not check their own indices, so a forged
file may still crash the process or give wrong predictions. It cannot make it run anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from mlwf.atomic import writing
from mlwf.errors import MlwfError
from mlwf.sklearn_compat import CALIBRATOR_TYPES, SPLITTER_TYPES, without_array_libraries
from mlwf.specs.catalogue import ALGORITHMS

with without_array_libraries():  # skops lists the estimators of scikit-learn
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

_PREPROCESSING = (
    # The callables of mlwf.modules.preprocessing, which describes what each is for. None of them reads a file,
    # imports a module, or calls what it is given: no operator.methodcaller or operator.call, no numpy.vectorize.
    "functools.partial",
    "numpy.asarray",
    "numpy.expand_dims",
    "numpy.strings.replace",
    "operator.attrgetter",
    "pandas.core.frame.DataFrame",
    "pandas.core.series.Series",
    "pandas.core.tools.datetimes.to_datetime",
    # A parameter (missing_values) and an attribute (the dtype seen in fit) of SimpleImputer.
    "numpy.dtype",
    "pandas._libs.missing.NAType",
)


def trusted_types() -> tuple[str, ...]:
    """Name the types and functions that a model file may hold, besides those that skops trusts itself, sorted."""
    of_algorithms = (name for info in ALGORITHMS.values() for name in info.trusted_types)
    return tuple(sorted({*_PREPROCESSING, *SPLITTER_TYPES, *CALIBRATOR_TYPES, *of_algorithms}))


def save_model(model: Any, path: Path) -> None:
    """Write `model` to `path`, completely or not at all; an older file of that name is replaced.

    Raises
    ------
    MlwfError
        `load_model` would refuse the model, or the file cannot be written.
    """
    try:
        content = _dumps(model)
    except Exception as error:  # what skops raises depends on the object that it cannot write
        raise MlwfError(f"{path}: a {type(model).__name__} cannot be saved as a skops file: {error}") from error
    refused = _refused(skops.io.get_untrusted_types(data=content))
    if refused:
        raise MlwfError(f"{path}: not saved, because a model of these types would not be loaded: {refused}")
    try:
        with writing(path) as draft:
            draft.write_bytes(content)
    except OSError as error:
        raise MlwfError(f"{path}: the model cannot be written: {error.strerror or error}") from error


def load_model(path: Path) -> Any:
    """Load a model that `save_model` wrote, or any skops file whose types are all allowed.

    Raises
    ------
    MlwfError
        There is no such file, it is no complete skops file, or it names a type that is not allowed.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MlwfError(f"{path}: the model cannot be read: {error.strerror or error}") from error
    try:
        return skops.io.loads(content, trusted=trusted_types())
    except UntrustedTypesFoundException as error:
        refused = _refused(skops.io.get_untrusted_types(data=content))
        raise MlwfError(f"{path}: refused, because it holds types that a model of mlwf never has: {refused}") from error
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        extra = next((info.extra for info in ALGORITHMS.values() if info.package == package), None)
        hint = f"pip install 'mlwf[{extra}]'" if extra else f"install {package}"
        raise MlwfError(f"{path}: the model needs {package}, which is not installed; {hint}") from error
    except Exception as error:  # what is raised depends on the bytes, and these can be anything
        raise MlwfError(f"{path}: this is not a whole skops file ({type(error).__name__}: {error})") from error


def _dumps(model: Any) -> bytes:
    """Give a model as a skops file.

    As `skops.io.dumps` does, but without indentation in `schema.json`: Python indents JSON without its C encoder, which
    takes ten times as long as all else, and makes it seven times as large.
    """
    try:
        from skops.io._utils import SaveContext, get_state
    except ImportError:  # another version of skops, whose own function is slower and as good
        content: bytes = skops.io.dumps(model, compression=ZIP_DEFLATED, compresslevel=1)
        return content
    buffer = BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED, compresslevel=1) as file:
        context = SaveContext(zip_file=file)
        schema = get_state(model, context)
        schema |= {"protocol": context.protocol, "_skops_version": skops.__version__}
        file.writestr("schema.json", json.dumps(schema))
    return buffer.getvalue()


def _refused(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names) - set(trusted_types())))
