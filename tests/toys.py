"""A toy of each kind that CONTRIBUTING.md has a recipe for: what is written for it, and a proof that it works."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd


@dataclass(frozen=True)
class Edit:
    """What stands behind, or before, a text that is in the file once."""

    text: str
    after: str = ""
    before: str = ""

    def made_in(self, source: str, file: str) -> str:
        anchor = self.after or self.before
        assert source.count(anchor) == 1, f"{file}: {anchor!r} stands there {source.count(anchor)} times"
        return source.replace(anchor, f"{self.after}{self.text}{self.before}")


def imports(*lines: str) -> Edit:
    return Edit("".join(f"{line}\n" for line in lines), after="from __future__ import annotations\n\n")


@dataclass(frozen=True)
class Toy:
    """Something new of a kind."""

    edits: dict[str, list[Edit]]
    """What its recipe says to write, by file."""
    proof: Callable[[House], None] | None = None
    """Asserts that it works in a training and afterwards."""
    light_proof: Callable[[House], None] | None = None
    """Asserts what can be seen without a training."""


@dataclass(frozen=True)
class Done:
    """What a command gave."""

    code: int
    out: str
    err: str


class House(Protocol):
    """A copy of the package with all toys in it, and what its commands give."""

    folder: Path
    light: dict[str, Done]
    """What commands give that train nothing, by command."""
    trained: dict[str, Any]
    """The summary of a run that uses the toys."""
    foreign: dict[str, Any]
    """The summary of a run of the foreign algorithm."""
    after: dict[str, Done]
    """What commands give that read these runs, in a process that has trained nothing."""


TOYS_YAML = """\
data: {path: penguins.jsonl, target: species}
features:
  - {type: numeric, columns: [bill_length_mm, bill_depth_mm, flipper_length_mm]}
model:
  algorithm: linear_discriminant
tuning:
  strategy: ends
calibration: {method: cautious, keep: always}
validation:
  strategy: train_test
  cv_folds: 3
  metrics: [accuracy, mean_confidence]
tracking: {}
gates:
  - {metric: accuracy, widest: 0.9}
  - {metric: accuracy, widest: 0.0001}
  - {finding: few_rows}
"""
FOREIGN_YAML = """\
data: {path: penguins.jsonl, target: species}
model: {algorithm: boosted_forest, hyperparameters: {n_estimators: 10}}
validation: {strategy: none}
"""

EXPERIMENTS = {
    "toys": TOYS_YAML,
    "foreign": FOREIGN_YAML,
    "wrong": TOYS_YAML.replace("cv_folds: 3", "cv_folds: 13"),
}

LINEAR_DISCRIMINANT = """\
    "linear_discriminant": AlgorithmInfo(
        class_path="sklearn.discriminant_analysis.LinearDiscriminantAnalysis",
        seconds=lambda model, n_rows, n_columns, n_outputs: 1e-9 * n_rows * n_columns**2,
        search_space=SearchSpace(
            source="scikit-learn's default, and above",
            distributions=lambda n_rows: {"tol": {"loguniform": [1e-4, 1e-2]}},
            grid=lambda n_rows: {"tol": [1e-4, 1e-3, 1e-2]},
        ),
    ),
"""
BOOSTED_FOREST = """\
    "boosted_forest": AlgorithmInfo(
        class_path="xgboost.XGBRFClassifier",
        extra="xgboost",
        takes_codes=True,
        rounds="n_estimators",
        presets={"n_jobs": 1, "verbosity": 0},
        accepts={"n_estimators": [{"type": "integer", "min": 1}]},
        trusted_types=("xgboost.sklearn.XGBRFClassifier",),
    ),
"""
CHOOSE_ENDS = '''\
def _try_ends(spec: EndsSearchSpec, search: Search, candidates: list[Params], random_state: int) -> SearchOutcome:
    """Try the first and the last candidate."""
    return try_all(spec, search, [candidates[0], candidates[-1]], random_state)


'''
ENDS_SPEC = '''\
class EndsSearchSpec(ParamTuningSpec):
    """Try the first and the last of the combinations alone."""

    strategy: Literal["ends"] = "ends"
    """How candidates are made."""
    param_grid: dict[str, list[Any]] | None = None
    """Values to try for each parameter."""


'''
MEAN_CONFIDENCE = '''\


def _mean_confidence(predictions: Predictions, y: NDArray[Any], weight: Weight, positive: Any) -> float:
    """Average the probability of the class that is predicted."""
    if predictions.proba is None:
        raise MetricError("there are no probabilities")
    return float(np.average(predictions.proba.max(axis=1), weights=weight))
'''
FIND_FEW_ROWS = """\
def _few_rows(inputs: FindingInputs) -> Found:
    if len(inputs.rows) < 1000:
        yield "info", f"{len(inputs.rows)} rows are few"


"""
FIT_CAUTIOUS = '''\
def _fit_cautious(scores: NDArray[np.float64], is_class: NDArray[np.bool_], weight: NDArray[np.float64] | None) -> Any:
    """Fit isotonic probabilities that are never quite sure."""
    isotonic = IsotonicRegression(y_min=0.01, y_max=0.99, out_of_bounds="clip")
    return isotonic.fit(scores, is_class, sample_weight=weight)


'''
JSON_LINES = """\
def _read_json_lines(file: Path, read: ReadSpec) -> Iterator[pa.Table]:
    try:
        yield pyarrow.json.read_json(file)
    except pa.ArrowException as error:
        raise DataError(Problem(str(file), "", f"is no file of JSON lines: {error}")) from error


def _write_json_lines(tables: Iterator[pa.Table], file: Path) -> None:
    rows = [row for table in tables for row in table.to_pylist()]
    file.write_text("".join(f"{json.dumps(row)}\\n" for row in rows), encoding="utf-8")


JSON_LINES = FileFormat("JSON lines", (".jsonl",), _read_json_lines, _write_json_lines)
"""
CHECK_WIDEST = '''\


def _widest_demand(gate: GateSpec) -> str:
    return f"interval at most {gate.widest:g} wide"


def _measure_width(
    gate: GateSpec, scores: Sequence[Score], evaluation: Evaluation, compare: Compare
) -> tuple[Sequence[_Measured], str, str | None]:
    """Take the width of each score's interval."""
    widths = [math.inf if score.interval is None else score.interval.high - score.interval.low for score in scores]
    return [_Measured(f"{width:.3f}", (gate.widest or 0) - width) for width in widths], "", None
'''
CLASSES_COMMAND = '''

@app.command(cls=Command)
def classes(config: Config) -> None:
    """Name the target of an experiment."""
    from mlwf.specs.loading import load_experiment

    spec, _ = load_experiment(config, [])
    write_line(str(spec.data.target))
'''
REFUSE_UNLUCKY = """\
def _folds_are_lucky(spec: ExperimentSpec) -> Iterator[SpecProblem]:
    if spec.validation.cv_folds == 13:
        yield SpecProblem(("validation", "cv_folds"), f"is {GOT}, which is unlucky", "accepted: any other number")


"""


def proves_search_space(house: House) -> None:
    searched = "toys.yaml: tuning: tries tol [0.0001, 0.001, 0.01]; after scikit-learn's default, and above\n"
    assert house.light["validate --data toys.yaml"].err == searched


def proves_algorithm(house: House) -> None:
    assert house.trained["summary"]["algorithm"] == "linear_discriminant"


def proves_foreign_algorithm(house: House) -> None:
    assert house.foreign["summary"]["algorithm"] == "boosted_forest"
    assert house.after["predict foreign"].code == 0, house.after["predict foreign"].err
    predicted = pd.read_csv(house.folder / "foreign.csv")
    assert (predicted["prediction"] == predicted["species"]).mean() > 0.9


def proves_metric(house: House) -> None:
    (score,) = [score for score in house.trained["scores"] if score["metric"] == "mean_confidence"]
    assert 0.5 < score["interval"]["low"] < score["value"] < score["interval"]["high"] <= 1
    assert "mean_confidence" in house.after["table"].out


def proves_gate_kind(house: House) -> None:
    met, unmet, _ = house.trained["gates"]
    assert met["passed"]
    assert not unmet["passed"]
    assert unmet["asked"] == "accuracy interval at most 0.0001 wide"


def proves_finding(house: House) -> None:
    (finding,) = [finding for finding in house.trained["findings"] if finding["code"] == "few_rows"]
    assert re.fullmatch(r"\d+ rows are few", finding["message"])
    assert house.trained["gates"][2]["got"] == finding["message"]


def proves_calibration(house: House) -> None:
    assert house.trained["calibration"]["method"] == "cautious"
    assert house.trained["calibration"]["kept"]
    assert house.after["predict"].code == 0, house.after["predict"].err
    predicted = pd.read_json(house.folder / "predicted.jsonl", lines=True)
    largest = predicted.filter(like="probability").max(axis=1)
    assert largest.between(0.3, 0.99).all()


def proves_strategy(house: House) -> None:
    assert house.trained["tuning"]["strategy"] == "ends"
    assert house.trained["tuning"]["n_candidates"] == 2


def proves_command(house: House) -> None:
    assert "Name the target of an experiment." in house.light["--help"].out
    assert house.light["classes toys.yaml"] == Done(0, "species\n", "")


def proves_file_format(house: House) -> None:
    given = (house.folder / "penguins.jsonl").read_text().splitlines()
    predicted = (house.folder / "predicted.jsonl").read_text().splitlines()
    assert house.after["predict"].code == 0, house.after["predict"].err
    assert len(predicted) == len(given)
    assert json.loads(predicted[0])["prediction"] in {"Adelie", "Chinstrap", "Gentoo"}


def proves_artifact(house: House) -> None:
    (sent,) = [path for path in house.folder.rglob("classes.txt") if "runs" not in path.parts]
    assert sent.read_text().split() == ["Adelie", "Chinstrap", "Gentoo"]


def proves_summary_row(house: House) -> None:
    assert house.trained["n_labels"] == 3
    assert re.search(r"^Labels +3 labels$", house.after["table"].out, re.MULTILINE)
    assert "| **Labels** | 3 labels |" in house.after["markdown"].out


def shows_summary_row(house: House) -> None:
    assert re.search(r"^Labels +5 labels$", house.light["summary r1"].out, re.MULTILINE)
    assert "| **Labels** | 5 labels |" in house.light["summary r1 --format markdown"].out


def proves_wording(house: House) -> None:
    done = house.light["validate wrong.yaml"]
    expected = "wrong.yaml:11:13  validation.cv_folds: is 13, which is unlucky; accepted: any other number\n"
    assert done == Done(2, "", expected)


TOYS: dict[str, Toy] = {
    "algorithm": Toy(
        {
            "mlwf/specs/catalogue/algorithms.py": [
                Edit(LINEAR_DISCRIMINANT, after="ALGORITHMS: dict[str, AlgorithmInfo] = {\n"),
            ]
        },
        proves_algorithm,
        proves_search_space,
    ),
    "foreign algorithm": Toy(
        {
            "mlwf/specs/catalogue/algorithms.py": [
                Edit(BOOSTED_FOREST, after="ALGORITHMS: dict[str, AlgorithmInfo] = {\n")
            ]
        },
        proves_foreign_algorithm,
    ),
    "metric": Toy(
        {
            "mlwf/specs/catalogue/metric_table.py": [
                Edit(
                    '    "mean_confidence": replace(_SHARE, is_own=True, is_trivial=True, needs=("predict_proba",)),\n',
                    before='    "d2_brier_score"',
                )
            ],
            "mlwf/evaluation/metrics.py": [
                Edit(
                    ', "mean_confidence": OwnMetric(_mean_confidence)',
                    after='OWN_METRICS = {"ece": OwnMetric(ece, resampled_ece)',
                ),
                Edit(MEAN_CONFIDENCE, before="\n\n@dataclass(frozen=True)\nclass OwnMetric"),
                imports("from mlwf.errors import MetricError"),
            ],
        },
        proves_metric,
    ),
    "kind of gate": Toy(
        {
            "mlwf/specs/experiment.py": [
                Edit(
                    '    widest: float | None = Field(None, ge=0)\n    """The interval is at most as wide."""\n',
                    before="    bound: Literal",
                ),
                Edit(', "widest"', after='DEMANDS = ("min", "max", "beats"'),
            ],
            "mlwf/modules/gates.py": [
                Edit(
                    '    "widest": GateKind(\n'
                    "        lambda gate: gate.widest is not None,\n"
                    "        partial(_check_metric, demand=_widest_demand, measure=_measure_width),\n"
                    "    ),\n",
                    after="KINDS: dict[str, GateKind] = {\n",
                ),
                Edit(CHECK_WIDEST, before="\n\nKINDS: dict"),
            ],
        },
        proves_gate_kind,
    ),
    "finding": Toy(
        {
            "mlwf/specs/catalogue/finding_table.py": [
                Edit('    "few_rows": FindingInfo(("info",)),\n', before='    "uncalibrated"')
            ],
            "mlwf/modules/findings/find.py": [
                Edit('    "few_rows": _few_rows,\n', before='    "uncalibrated"'),
                Edit(FIND_FEW_ROWS, before="CHECKS: dict"),
            ],
        },
        proves_finding,
    ),
    "calibration method": Toy(
        {
            "mlwf/specs/experiment.py": [Edit(', "cautious"', after='Literal["sigmoid", "isotonic", "temperature"')],
            "mlwf/engine/calibrators.py": [
                Edit('    "cautious": CalibrationMethod("isotonic", _fit_cautious),\n', after="METHODS = {\n"),
                Edit(FIT_CAUTIOUS, before="METHODS = {"),
                imports("from sklearn.isotonic import IsotonicRegression"),
            ],
        },
        proves_calibration,
    ),
    "search strategy": Toy(
        {
            "mlwf/specs/tuning.py": [
                Edit(ENDS_SPEC, before="TuningSection = Annotated"),
                Edit(
                    " | EndsSearchSpec",
                    after="GridSearchSpec | RandomizedSearchSpec | HalvingSearchSpec | OptunaSearchSpec",
                ),
            ],
            "mlwf/modules/tuning/tune.py": [
                Edit(
                    '    "ends": Strategy(_try_ends, grid_candidates),\n', after="STRATEGIES: dict[str, Strategy] = {\n"
                ),
                Edit(CHOOSE_ENDS, before="STRATEGIES: dict"),
                imports("from mlwf.specs.tuning import EndsSearchSpec"),
            ],
        },
        proves_strategy,
    ),
    "command": Toy(
        {"mlwf/cli/commands.py": [Edit(CLASSES_COMMAND, before="\n\n@app.command(cls=Command)\ndef schema")]},
        light_proof=proves_command,
    ),
    "file format": Toy(
        {
            "mlwf/modules/table_files/formats.py": [
                Edit(JSON_LINES, before="\nFORMATS = {"),
                Edit(", JSON_LINES", after="for each in (CSV, PARQUET"),
                imports("import json", "import pyarrow.json", "from mlwf.errors import DataError, Problem"),
            ]
        },
        proves_file_format,
    ),
    "MLflow artifact": Toy(
        {
            "mlwf/modules/tracking/artifacts.py": [
                Edit(
                    '"classes.txt": lambda run, model: "\\n".join(map(str, model.classes_)), ',
                    before='"estimator.txt": lambda',
                )
            ]
        },
        proves_artifact,
    ),
    "row of the summary": Toy(
        {
            "mlwf/run_result.py": [
                Edit(
                    '            "n_labels": inputs and len(inputs.data["classes"]),\n',
                    before='            "features": inputs',
                )
            ],
            "mlwf/tables/summary_rows.py": [
                Edit(
                    "def _labels(summary: Mapping[str, Any]) -> Iterator[Field]:\n"
                    '    yield Field("Labels", pluralize(summary.get("n_labels"), "label"))\n\n\n',
                    before="def _features",
                ),
                Edit("_labels, ", before="_features, _validation"),
            ],
        },
        proves_summary_row,
        shows_summary_row,
    ),
    "wording of an error": Toy(
        {
            "mlwf/specs/rules/fold_rules.py": [
                Edit(REFUSE_UNLUCKY, before="_SPLITTER = ("),
                Edit('    Rule(_folds_are_lucky, ("validation.cv_folds",)),\n', after="FOLD_RULES = (\n"),
            ]
        },
        light_proof=proves_wording,
    ),
}
