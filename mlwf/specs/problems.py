"""What is wrong with an experiment: problems, rules that find them, and pydantic's errors in our words and YAML's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from mlwf.errors import InvalidValueError, Refusal, closest, nearest
from mlwf.specs.base import Spec
from mlwf.specs.experiment import ExperimentSpec
from mlwf.text import format_value


@dataclass(frozen=True)
class Rule:
    """A rule, and what it reads: dotted paths, where `*` is any item."""

    check: Callable[[ExperimentSpec], Iterator[SpecProblem]]
    reads: tuple[str, ...]


KeyPath = tuple[Any, ...]

GOT = "{got}"
"""Stands in a message for the value that is written at the problem's path."""


@dataclass(frozen=True)
class SpecProblem:
    """One thing that is wrong with an experiment, wherever its values came from."""

    path: KeyPath
    """The value that is wrong; for a missing key, where it would stand."""
    message: str
    """What is wrong; `GOT` stands for the value."""
    hint: str = ""
    """What is accepted."""
    at_key: bool = False
    """Whether the key is wrong rather than its value."""
    about: KeyPath | None = None
    """What the problem is reported at, when that is not `path`: the section that lacks a key."""
    tells_value: bool = False
    """Whether the message may hold the value in other words than `GOT`."""
    suggests: bool = False
    """Whether the hint names what may have been meant, and so gives the value away."""

    @classmethod
    def of(cls, path: KeyPath, refusal: Refusal) -> SpecProblem:
        """Make the problem of a value, or its key, that is refused."""
        return cls(path, refusal.message, refusal.hint, refusal.at_key, tells_value=True, suggests=refusal.suggests)


def explain(errors: Sequence[ErrorDetails], data: Mapping[str, Any]) -> list[SpecProblem]:
    """Say in our words what pydantic found wrong in `data`; errors of one value become one problem."""
    groups: dict[tuple[KeyPath, bool], list[_Located]] = {}
    for error in errors:
        located = _locate(error, data)
        groups.setdefault((located.path, located.is_key), []).append(located)
    # Each member of a union complains; the one that got further is the one that was meant.
    deepest = {path[:depth] for path, _ in groups for depth in range(len(path))}
    return [
        _explain(group[0])
        for (path, _), group in groups.items()
        if not (path in deepest and all(located.is_about_kind for located in group))
    ]


def describe_value(value: Any) -> str:
    """Write a value for a message, as YAML has it, in at most 40 characters; a map or a list by its kind."""
    if isinstance(value, dict | list):
        return ("an empty " if not value else "a ") + ("map" if isinstance(value, dict) else "list")
    return format_value(value)


@dataclass(frozen=True)
class _Located:
    """A pydantic error, and what stands at its place in the data and in the specs."""

    error: ErrorDetails
    path: KeyPath
    is_key: bool
    """Whether it concerns the key of a map rather than the value."""
    declared: Any
    """Annotation of the value, or of the key."""
    field: FieldInfo | None
    section: type[Spec] | None
    """The spec that holds the value, or lacks it."""

    @property
    def is_about_kind(self) -> bool:
        """Whether the value is of the wrong kind, as opposed to the wrong size or the wrong place."""
        kind: str = self.error["type"]
        return kind.endswith("_type") or kind in ("literal_error", "int_from_float", "int_parsing")


_MISSING = object()


def _locate(error: ErrorDetails, data: Mapping[str, Any]) -> _Located:
    """Walk the specs and the data along the error's place, past the labels that pydantic adds for unions."""
    annotation: Any = ExperimentSpec
    content: Any = data
    path: KeyPath = ()
    field: FieldInfo | None = None
    section: type[Spec] | None = None
    declared: Any = annotation
    is_key = False
    key_annotation: Any = Any
    rest = list(error["loc"])
    while rest:
        members = _members(annotation)
        part = rest.pop(0)
        if part == "[key]":
            is_key, declared = True, key_annotation
            break
        if len(members) > 1:
            annotation = _member(members, part, content)
            continue
        annotation = members[0]
        key = _written_key(content, part)
        content = _step(content, key)
        path = (*path, key)
        section, field = (annotation, annotation.model_fields.get(str(key))) if _is_spec(annotation) else (None, None)
        key_annotation = get_args(annotation)[0] if get_origin(annotation) is dict else Any
        annotation = declared = field.annotation if field else _item(annotation)
    return _Located(error, path, is_key, declared, field, section)


def _members(annotation: Any) -> list[Any]:
    """List the kinds a value may be of, besides null."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [member for part in get_args(annotation) if part is not NoneType for member in _members(part)]
    return [annotation]


def _member(members: list[Any], label: Any, content: Any) -> Any:
    """Choose a member of a union: by its tag, or by the kind of what is written."""
    for member in members:
        if _is_spec(member) and label in _tags(member):
            return member
    kinds = [kind for kind in (dict, list) if isinstance(content, kind)]
    specs = [member for member in members if _is_spec(member)] if kinds == [dict] else []
    return next((member for member in members if get_origin(member) in kinds), [*specs, *members][0])


def _tags(spec: type[Spec]) -> tuple[Any, ...]:
    for name in ("type", "strategy"):
        if name in spec.model_fields:
            return get_args(spec.model_fields[name].annotation)
    return ()


def _is_spec(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Spec)


def _item(annotation: Any) -> Any:
    arguments = get_args(annotation)
    return arguments[-1] if arguments and get_origin(annotation) in (list, dict) else Any


def _written_key(content: Any, part: Any) -> Any:
    """Find the key as it is written: pydantic turns keys that are no text into text."""
    if isinstance(content, dict) and part not in content:
        return next((key for key in content if str(key) == str(part)), part)
    return part


def _step(content: Any, key: Any) -> Any:
    if isinstance(content, dict):
        return content.get(key, _MISSING)
    if isinstance(content, list) and isinstance(key, int) and key < len(content):
        return content[key]
    return _MISSING


def _explain(located: _Located) -> SpecProblem:
    """Make the one problem of a value."""
    kind = located.error["type"]
    path = located.path
    if located.is_key:
        accepted = _kinds(*_members(located.declared))
        return SpecProblem(
            path, f"{describe_value(path[-1])} cannot be a key here", f"accepted: {accepted}", at_key=True
        )
    if kind in ("extra_forbidden", "invalid_key"):
        return SpecProblem(path, "unknown key", _nearest_key(located), at_key=True)
    if kind == "missing":
        return missing_key(path, located.section)
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        return _explain_tag(located)
    if kind == "value_error":
        return _explain_own(located)
    if located.is_about_kind:
        return _explain_kind(located)
    return _explain_bounds(located)


def missing_key(path: KeyPath, section: type[Spec] | None) -> SpecProblem:
    """Say that a section lacks a key, and what it would hold."""
    sentence = section.sentences().get(str(path[-1]), "") if section else ""
    meaning = f" ({' '.join(sentence.split()).removesuffix('.')})" if sentence else ""
    return SpecProblem(path, f"{path[-1]} is missing{meaning}", about=path[:-1])


def _nearest_key(located: _Located) -> str:
    names = [] if located.section is None else list(located.section.model_fields)
    if located.section is ExperimentSpec:
        names.append("extends")
    return nearest(str(located.path[-1]), names)


def _explain_tag(located: _Located) -> SpecProblem:
    context = located.error.get("ctx", {})
    name = str(context["discriminator"]).strip("'")
    tags = [tag for member in _members(located.declared) for tag in _tags(member)]
    if located.error["type"] == "union_tag_not_found":
        if (misspelt := _misspelt_tag(located, name, tags)) is not None:
            return SpecProblem((*located.path, misspelt), "unknown key", f"did you mean {name}?", at_key=True)
        path = (*located.path, name)
        return SpecProblem(path, f"{name} is missing", f"accepted: {', '.join(sorted(tags))}", about=located.path)
    return SpecProblem.of((*located.path, name), Refusal.of_name(f"is {GOT}", str(context["tag"]), tags))


def _misspelt_tag(located: _Located, name: str, tags: Sequence[str]) -> Any:
    """Find the key that was meant to say of which kind a section is: one that looks like it, or says one of its kinds.

    What some kind of the section knows is a key of its own. None where there is none.
    """
    written = located.error["input"]
    if not isinstance(written, Mapping):
        return None
    known = {field for member in _members(located.declared) if _is_spec(member) for field in member.model_fields}
    others = {str(key).lower(): key for key in written if key not in known}
    alike = closest(name, others) or next((key for key in others if written[others[key]] in tags), None)
    return None if alike is None else others[alike]


def _explain_own(located: _Located) -> SpecProblem:
    """Pass on what a validator of ours refuses."""
    error, path = located.error.get("ctx", {})["error"], located.path
    if not isinstance(error, InvalidValueError):
        return SpecProblem(path, str(error), tells_value=True)
    message, written = error.message, located.error["input"]
    if error.key and isinstance(written, dict) and error.key in written:
        path = (*path, error.key)
    elif error.key:
        message = f"{error.key}: {message}"
    return SpecProblem(path, message, error.hint, tells_value=True)


def _explain_kind(located: _Located) -> SpecProblem:
    members = _members(located.declared)
    if all(get_origin(member) is Literal for member in members):
        accepted = sorted(value for member in members for value in get_args(member))
        null = ["null"] if NoneType in get_args(located.declared) else []
        return SpecProblem(located.path, f"is {GOT}", f"accepted: {', '.join([*accepted, *null])}")
    expected = _kinds(*members)
    written = located.error["input"]
    is_scalar = isinstance(written, bool | int | float)
    hint = "quote it to make it text" if expected == "text" and is_scalar else ""
    return SpecProblem(located.path, f"expected {expected}, got {GOT}", hint)


def _kinds(*members: Any) -> str:
    """Name the kinds of values that are accepted."""
    kinds = {"a map" if _is_spec(member) else _KINDS.get(get_origin(member) or member, "") for member in members}
    literals = [str(value) for member in members if get_origin(member) is Literal for value in get_args(member)]
    if "a number" in kinds:
        kinds.discard("an integer")
    # Only the columns of a feature may be names or positions, and a file has names.
    if kinds == {"text", "an integer"}:
        kinds = {"text"}
    words = [word for kind in _KIND_ORDER if kind in kinds for word in kind.split(" or ")]
    return _either([*literals, *words])


_KINDS: dict[Any, str] = {
    str: "text", int: "an integer", float: "a number", bool: "true or false", list: "a list", dict: "a map"
}  # fmt: skip
_KIND_ORDER = ("text", "an integer", "a number", "true or false", "a list", "a map")


def _either(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _explain_bounds(located: _Located) -> SpecProblem:
    kind = located.error["type"]
    if kind == "string_pattern_mismatch":
        return SpecProblem(located.path, f"is {GOT}", f"accepted: {_PATTERNS[located.error['ctx']['pattern']]}")
    if kind in ("too_short", "string_too_short") and not located.error["input"]:
        return SpecProblem(located.path, "is empty")
    accepted = " and ".join(_bounds(_constraints(located)))
    return SpecProblem(located.path, f"is {GOT}", f"accepted: {accepted}" if accepted else "")


_PATTERNS = {
    r"^[A-Za-z0-9_\-]+$": "letters, digits, _ and -",
    r"^[A-Za-z][A-Za-z0-9_]*$": "a letter, then letters, digits and _",
}
"""What the patterns of the specs mean, in words."""


def _constraints(located: _Located) -> Iterable[Any]:
    """List the constraints of a field, or of the items of a list."""
    if located.field:
        return located.field.metadata
    notes = get_args(located.declared)[1:] if get_origin(located.declared) is Annotated else ()
    return [constraint for note in notes if isinstance(note, FieldInfo) for constraint in note.metadata]


def _bounds(metadata: Iterable[Any]) -> Iterator[str]:
    """Say the range that a field's constraints leave."""
    words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    for constraint in metadata:
        for name, word in words.items():
            if (bound := getattr(constraint, name, None)) is not None:
                yield f"{word} {bound}"
        if getattr(constraint, "allow_inf_nan", True) is False:
            yield "a finite number"
        fewest, most = getattr(constraint, "min_length", None), getattr(constraint, "max_length", None)
        if fewest is not None and fewest > 1:
            yield f"{fewest} items or more"
        if most is not None:
            yield "one character" if most == 1 else f"at most {most} characters"
