"""The sentence beneath a field is found, in every spec."""

from __future__ import annotations

import sys

import pytest

from mlwf.specs import experiment
from mlwf.specs.base import Spec
from mlwf.specs.field_docs import field_docs


def all_below(spec):
    return [each for below in spec.__subclasses__() for each in (below, *all_below(below))]


SPECS = [spec for spec in all_below(Spec) if spec.__module__.startswith("mlwf.")]


def test_every_section_is_looked_at():
    assert experiment.ExperimentSpec in SPECS
    assert len(SPECS) > 20


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.__name__)
def test_every_field_has_its_sentence(spec):
    assert set(spec.sentences()) == set(spec.model_fields)
    assert [field for field, sentence in spec.sentences().items() if not sentence.endswith(".")] == []


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Give the name of a module that must not be imported."""
    (tmp_path / "not_imported.py").write_text(
        "class Spec:\n"
        '    """A section."""\n'
        "    bare: int = 1\n"
        "    told: int = 2\n"
        '    """Over two\n'
        '    lines."""\n'
        "    def method(self): ...\n"
        '    """Of no field."""\n'
        "raise AssertionError\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return "not_imported"


def test_sentences_are_read_and_not_imported(module):
    assert field_docs(module, "Spec") == {"told": "Over two\nlines."}
    assert module not in sys.modules


def test_a_class_without_source_has_no_sentences(module):
    assert field_docs(module, "Other") == {}
    assert field_docs("no_such_module", "Spec") == {}
    assert field_docs("no_such_package.module", "Spec") == {}
