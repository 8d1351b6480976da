"""The `feature_store` section: features that are joined to the label rows from a Feast repo."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from mlwf.errors import InvalidValueError
from mlwf.specs.base import Spec
from mlwf.specs.data import DataSpec
from mlwf.specs.features import refuse_repeats

_UNITS = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(rf"(\d+)({'|'.join(_UNITS)})")

Position = Annotated[int, Field(ge=0)]


class FeatureViewSpec(Spec):
    """A Feast feature view to declare when the repo is created; its schema is inferred from the source."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    """Name of the view: a letter, then letters, digits and underscores."""
    source: str = Field(min_length=1)
    """Parquet file with the features, relative to this file."""
    entity: str | list[str]
    """Key column or columns, of the source and of the label rows alike."""
    timestamp: str | None = None
    """Column with the time from which a row holds; left out when the rows hold at any time."""
    ttl: str | None = None
    """How long a row holds, such as `90s`, `30min`, `3h`, `40d` or `2w`; left out it holds until the next one."""

    @field_validator("entity")
    @classmethod
    def _names_each_key_once(cls, entity: str | list[str]) -> str | list[str]:
        keys = [entity] if isinstance(entity, str) else entity
        if not keys or not all(keys):
            raise InvalidValueError("names no column", "accepted: the name of a key column, or a list of them")
        refuse_repeats("key column", keys)
        return entity

    @field_validator("ttl")
    @classmethod
    def _is_a_duration(cls, ttl: str | None, info: ValidationInfo) -> str | None:
        if ttl is None:
            return None
        parse_duration(ttl)
        if "timestamp" in info.data and info.data["timestamp"] is None:
            raise InvalidValueError(
                "rows without a timestamp hold at any time", "leave out ttl, or name the timestamp column"
            )
        return ttl

    @property
    def keys(self) -> list[str]:
        """Key columns, as a list."""
        return [self.entity] if isinstance(self.entity, str) else list(self.entity)

    @property
    def lifetime(self) -> timedelta | None:
        """How long a row holds; None when it holds until the next one."""
        return None if self.ttl is None else parse_duration(self.ttl)


class FeatureStoreSpec(Spec):
    """Features from a Feast repo, joined to the label rows as they were known at each row's time."""

    enabled: bool = True
    """Whether to join at all."""
    repo_path: str = Field(min_length=1)
    """Folder of the Feast repo, relative to this file."""
    features: list[str] | None = Field(None, min_length=1)
    """What to join: `view:feature`, or a whole `view`; the default is every view of the repo."""
    feature_service: str | None = Field(None, min_length=1)
    """A feature service to join, instead of `features`."""
    views: list[FeatureViewSpec] = Field(default_factory=list)
    """Views to declare when the repo is initialized."""
    initialize: bool = False
    """Create the repo and apply `views` before joining; what exists already is kept."""
    force_recreate: bool = False
    """Start over: delete what mlwf created there and initialize anew."""
    n_features: int | None = Field(None, ge=1)
    """Keep only the first so many features."""
    sample_indices: list[Position] | None = Field(None, min_length=1)
    """Keep only these label rows, by position from 0; the rows of `data.test_path` are all kept."""
    timestamp: str | None = None
    """Time as of which features are joined, for label rows without one (`data.time`); UTC unless it says otherwise."""
    pull: str | None = Field(None, min_length=1)
    """Folder of what a run has joined before: read instead of the store, for the same label rows. A run writes its own,
    and names it in its config.yaml."""
    labels: DataSpec | None = None
    """Label rows, when called from Python without X and y; in an experiment file they are `data`."""

    @field_validator("features")
    @classmethod
    def _are_references(cls, features: list[str] | None) -> list[str] | None:
        for reference in features or ():
            if not re.fullmatch(r"[^:]+(:[^:]+)?", reference):
                raise InvalidValueError(f"{reference!r} is no reference", "accepted: view:feature, or view")
        refuse_repeats("feature", features or ())
        return features

    @field_validator("sample_indices")
    @classmethod
    def _name_each_row_once(cls, sample_indices: list[int] | None) -> list[int] | None:
        refuse_repeats("row", sample_indices or ())
        return sample_indices

    @field_validator("timestamp")
    @classmethod
    def _is_a_time(cls, timestamp: str | None) -> str | None:
        if timestamp is not None:
            parse_time(timestamp)
        return timestamp

    def should_initialize(self) -> bool:
        """Whether the repo is created and applied before the join."""
        return self.initialize or self.force_recreate


class ServingSpec(FeatureStoreSpec):
    """The same features, taken from the online store as they are now; never written in an experiment file."""


def parse_duration(text: str) -> timedelta:
    """Read a duration such as `3h`.

    >>> parse_duration("30min")
    datetime.timedelta(seconds=1800)
    >>> parse_duration("3 hours")
    Traceback (most recent call last):
    mlwf.errors.InvalidValueError: '3 hours' is no duration; accepted: a whole number and one of s, min, ..., such as 3h
    """
    found = _DURATION.fullmatch(text)
    try:
        duration = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else timedelta(0)
    except OverflowError as error:
        raise InvalidValueError(f"{text!r} is too long a time") from error
    if duration <= timedelta(0):
        raise InvalidValueError(
            f"{text!r} is no duration", f"accepted: a whole number and one of {', '.join(_UNITS)}, such as 3h"
        )
    return duration


def parse_time(text: str) -> datetime:
    """Read an ISO 8601 time; one without a zone is UTC.

    >>> parse_time("2013-06-01 12:00").isoformat()
    '2013-06-01T12:00:00+00:00'
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidValueError(f"{text!r} is no time", "accepted: ISO 8601, such as 2013-06-01T12:00:00Z") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
