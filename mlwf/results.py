"""The frozen results that the phases give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from mlwf.provenance import Provenance, WithProvenance
from mlwf.specs.catalogue import Severity, Source
from mlwf.text import pluralize

if TYPE_CHECKING:
    from collections.abc import Sequence


Status = Literal["done", "skipped", "degraded", "failed"]


@dataclass(frozen=True)
class PhaseResult:
    """What became of a phase."""

    name: str
    status: Status
    reason: str | None
    """Why it was skipped, or why it degraded or failed."""
    seconds: float
    fits: int


@dataclass(frozen=True)
class PhasePlan:
    """What a phase will fit."""

    name: str
    asked: int
    """Fits that a naive script would make, one for each request."""
    fits: int
    """Fits that will be made."""
    recorded: int
    """Requests that the cache has results of."""
    seconds: float
    """What the fits and the screen take on one core, roughly."""
    columns: int = 0
    """Columns that are screened for leaks, without a fit."""


@dataclass(frozen=True)
class CacheSize:
    """How much is in the fit cache."""

    n_fits: int
    n_models: int
    n_bytes: int


@dataclass(frozen=True)
class TuningResult(WithProvenance):
    """What a search found."""

    strategy: str
    scoring: str
    """The scorer that chose."""
    best_params: Mapping[str, Any]
    best_score: float
    """Mean over the folds; in scikit-learn's sign, greater is better."""
    best_index: int
    n_candidates: int
    """Candidates that were tried."""
    n_failed: int
    """Fits that failed; their scores are NaN."""
    cv_folds: int
    cv_results: Mapping[str, Any] = field(repr=False)
    """As scikit-learn's `cv_results_`."""
    failures: Sequence[str] = ()
    """The errors of the failed fits, each once."""
    stopped: str = ""
    """Why not all candidates were tried; empty when they were."""
    is_timed_out: bool = False
    """Whether there was no time for all candidates, so that the result depends on how fast the machine is."""
    inexact: str = ""
    """What a faster strategy did not compare in full; empty for grid and random, which compare all that they try."""
    cpu_seconds: float = field(default=0.0, compare=False)
    """Seconds of its fits and their predictions, summed. Candidates that share a fit share its time, and a fit that was
    reused counts what it took when it was made."""
    provenance: Provenance | None = None
    """On which rows the candidates were scored."""
    out_of_fold: Any = field(default=None, repr=False)
    """Out-of-fold predictions of the best candidate."""
    predictions_of: Callable[[int], Any] | None = field(default=None, repr=False, compare=False)
    """Gives the out-of-fold predictions of a candidate, by its place in `cv_results`; None where it has none."""

    def summary(self) -> dict[str, Any]:
        """Give the `tuning_summary` among the results of `run_ml_workflow`.

        It has an early end, and what a faster strategy left out, if any.
        """
        summary = {
            "strategy": self.strategy,
            "scoring": self.scoring,
            "best_params": dict(self.best_params),
            "best_score": self.best_score,
            "n_candidates": self.n_candidates,
            "n_failed": self.n_failed,
            "cv_folds": self.cv_folds,
            **_provenance_keys(self),
            "rows": list(self.rows),
        }
        if self.stopped:
            summary |= {"stopped": self.stopped, "is_timed_out": self.is_timed_out}
        if self.inexact:
            summary |= {"inexact": self.inexact, "cpu_seconds": self.cpu_seconds}
        return summary


@dataclass(frozen=True)
class Interval:
    """Where a number lies with a stated confidence."""

    low: float
    high: float
    level: float
    """Confidence, such as 0.95."""
    method: str
    """`corrected resampled t`, `bootstrap of rows` or `bootstrap of groups`."""


@dataclass(frozen=True)
class Difference:
    """How much better one model is than another on the same rows, row by row or fold by fold."""

    value: float
    """Greater is better, whatever the sign of the metric."""
    interval: Interval | None
    """None where the rows have no spread."""
    distinguishable: bool | None
    """Whether the interval leaves out zero; None without one."""


@dataclass(frozen=True)
class Resamples:
    """A metric of resamples of the scored rows; the same ones are drawn of the same rows, in any run."""

    values: tuple[float, ...]
    """NaN where the metric is not defined."""
    n_units: int
    """What was drawn: rows, or groups."""
    drawn: str
    """Identifies the resamples; two runs are compared by the same ones."""


@dataclass(frozen=True)
class ReliabilityBin:
    """Rows that were given about the same probability, and how often it came true."""

    predicted: float
    """Mean predicted probability."""
    observed: float
    """Share of rows for which it came true."""
    low: float
    high: float
    """95 % Wilson interval of `observed`."""
    n_rows: int


@dataclass(frozen=True)
class ModelScore:
    """One of several models: its best candidate, as all are compared."""

    name: str
    algorithm: str
    score: float | None = None
    """Mean over the folds, in scikit-learn's sign: greater is better. None where no candidate could be scored."""
    interval: Interval | None = None
    difference: Difference | None = None
    """How much worse it is than the best model: zero or less."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """What its search chose."""
    n_candidates: int = 0
    n_failed: int = 0
    search_seconds: float = 0.0
    """Seconds of all fits of its search, and their predictions."""
    fit_seconds: float | None = None
    """Seconds of a fit of its best candidate, the mean over the folds."""
    predict_seconds: float | None = None
    """Seconds of 1,000 predictions of its best candidate, the mean over the folds."""
    weight: float = 0.0
    """Its share in the model that ships."""
    stopped: str = ""
    """Why not all of its candidates were tried."""
    error: str | None = None
    """Why it could not be scored."""


@dataclass(frozen=True)
class EnsembleMember:
    """A candidate of an ensemble."""

    name: str
    model: str
    """Name of the model that it is a candidate of."""
    params: Mapping[str, Any]
    weight: float
    """Its share of the average; all shares add up to 1."""


@dataclass(frozen=True)
class EnsembleResult:
    """An average of candidates' probabilities, compared with the best single candidate."""

    members: tuple[EnsembleMember, ...]
    n_candidates: int
    """Candidates that it was selected from."""
    log_loss: float | None
    """Of out-of-fold predictions, by weights that were chosen on other folds."""
    best_log_loss: float | None
    """Of the best single candidate, on the same rows."""
    difference: Difference | None
    """How much smaller the log loss of the ensemble is, row by row."""
    kept: bool
    reason: str
    """Why it was kept, or was not."""


@dataclass(frozen=True)
class SelectionResult(WithProvenance):
    """Which of several models was chosen."""

    scoring: str
    """The scorer that chose."""
    cv_folds: int
    best: str
    """Name of the best model."""
    models: tuple[ModelScore, ...]
    """The best first; those that failed last."""
    ensemble: EnsembleResult | None = None
    """None where none was asked for."""
    provenance: Provenance | None = None
    """On which rows they were compared."""

    @property
    def ships_ensemble(self) -> bool:
        """Whether the average ships, and not the best model."""
        return self.ensemble is not None and self.ensemble.kept

    @property
    def failures(self) -> dict[str, str]:
        """Why models failed, by name."""
        return {model.name: model.error for model in self.models if model.error}

    def summary(self) -> dict[str, Any]:
        """Give the `leaderboard` among the results of `run_ml_workflow`."""
        return asdict(self) | _provenance_keys(self)


@dataclass(frozen=True)
class CalibrationError:
    """How good probabilities are, on rows that were not used for them."""

    log_loss: float
    brier_score: float
    ece: float
    """Expected calibration error: equal-mass bins, debiased, of the top label with more than two classes."""
    reliability: Sequence[ReliabilityBin] = field(default=(), repr=False)


@dataclass(frozen=True)
class CalibrationResult(WithProvenance):
    """How probabilities were calibrated, and whether that was kept."""

    method: str
    ensemble: bool
    cv_folds: int | None
    """Folds, or None for a hold-out."""
    holdout: float | None
    n_rows: int
    """Rows whose out-of-fold or held-out predictions fitted the calibrators."""
    kept: bool = True
    """Whether the calibrated model ships."""
    reason: str = ""
    """Why it was kept, or was not."""
    before: CalibrationError | None = None
    """Of the classifier's own probabilities; None where it has none."""
    after: CalibrationError | None = None
    """Of the calibrated ones, by calibrators that had seen other folds."""
    difference: Difference | None = None
    """Of the log loss, before and after, row by row."""
    provenance: Provenance | None = None
    """On which rows it was measured, and what was chosen on them."""

    def summary(self) -> dict[str, Any]:
        """Give the `calibration_summary` among the results of `run_ml_workflow`."""
        return asdict(self) | _provenance_keys(self)


@dataclass(frozen=True)
class ThresholdResult(WithProvenance):
    """The probability from which a row is called positive."""

    scoring: str
    """The scorer that chose."""
    value: float
    response: Literal["predict_proba", "decision_function"]
    """What it is compared with."""
    score: float
    """Cross-fitted over the folds: each fold is scored with the threshold that the others choose."""
    default_score: float
    """The same with the classifier's own threshold."""
    n_rows: int
    """Rows whose out-of-fold predictions chose it."""
    provenance: Provenance | None = None
    """On which rows it was chosen and scored."""

    def summary(self) -> dict[str, Any]:
        """Give the `threshold_summary` among the results of `run_ml_workflow`."""
        return asdict(self) | _provenance_keys(self)


@dataclass(frozen=True)
class Score(WithProvenance):
    """One number, how sure it is, and how it was got."""

    metric: str
    provenance: Provenance
    n_rows: int
    """Rows that it counts: those of its slice, without those of weight 0."""
    value: float | None = None
    """In natural sign; the mean over folds in cross-validation; None when it could not be computed."""
    std: float | None = None
    """Standard deviation over folds; None without folds."""
    folds: tuple[float, ...] = ()
    interval: Interval | None = None
    """None where it could not be computed, or all folds or resamples agree."""
    baseline: float | None = None
    """The same metric of a model that always predicts the class shares of its training rows."""
    difference: Difference | None = None
    """How much better than the baseline."""
    slice: str | None = None
    """The slice of the rows, or None for all of them."""
    resamples: Resamples | None = field(default=None, repr=False, compare=False)
    """None in cross-validation, whose folds say as much."""

    @property
    def source(self) -> Source:
        """Where the rows come from."""
        return _source_of(self.provenance)

    @property
    def tuned_on_same_rows(self) -> bool:
        """Whether hyperparameters were chosen on rows that the score is computed on."""
        return self.provenance.tuned_on_same_rows

    def to_dict(self) -> dict[str, Any]:
        """Give what `summary.json` keeps of a score."""
        values = asdict(replace(self, resamples=None))
        del values["provenance"], values["resamples"]
        return {
            "metric": values.pop("metric"),
            "source": self.source,
            "n_rows": values.pop("n_rows"),
            **_provenance_keys(self),
            "tuned_on_same_rows": self.tuned_on_same_rows,
            **values,
        }


@dataclass(frozen=True)
class ClassReport:
    """One class among the scored rows."""

    label: str
    n_rows: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class Evaluation(WithProvenance):
    """Scores and predictions of a validation or a test."""

    provenance: Provenance
    """How the predictions were got."""
    scores: tuple[Score, ...]
    predictions: Any = field(repr=False)
    """Predictions of the held-out rows, in the order of the rows."""
    y: Any = field(repr=False)
    """Labels of the held-out rows."""
    weight: Any = field(default=None, repr=False)
    """Weight of each held-out row; None for equal ones."""
    units: Any = field(default=None, repr=False)
    """Which of these rows a bootstrap draws together; None for single rows."""
    index: Any = field(default=None, repr=False)
    """Where each of these rows stands among the rows that have a target."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """Metrics that could not be computed, and a sentence that says why."""
    slices: tuple[Score, ...] = ()
    """Every metric in every slice; no value where the slice is too small."""
    classes: tuple[ClassReport, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    """Rows of each true class (in the order of `classes`) by predicted class."""
    choices: tuple[Mapping[str, Any], ...] = ()
    """What each fold of a nested cross-validation chose."""

    @property
    def source(self) -> Source:
        """Where the rows come from."""
        return _source_of(self.provenance)

    def value(self, metric: str) -> float | None:
        """Give the value of a metric, or None."""
        return next((score.value for score in self.scores if score.metric == metric), None)

    def std(self, metric: str) -> float | None:
        """Give the standard deviation of a metric over folds, or None."""
        return next((score.std for score in self.scores if score.metric == metric), None)


def _source_of(provenance: Provenance) -> Source:
    assert provenance.source is not None
    return provenance.source


def _provenance_keys(result: WithProvenance) -> dict[str, Any]:
    """Give what `summary.json` keeps of a provenance: its sentence, its rows, and its other fields."""
    fields = result.provenance.to_dict() if result.provenance else None
    return {"note": result.note, "rows": result.rows, "chosen": dict(result.chosen), "provenance": fields}


@dataclass(frozen=True)
class ColumnImportance:
    """How much worse rows are predicted when columns are shuffled among them."""

    columns: tuple[str, ...]
    """One raw column, or several that are shuffled together."""
    value: float
    """How much the Brier score rises, or the accuracy falls."""
    interval: Interval | None = None
    """None where the rows have no spread."""
    association: float | None = None
    """Of several that go together, the least association of a pair; None for the rest of a wide table too."""


@dataclass(frozen=True)
class Importances(WithProvenance):
    """Permutation importances of the raw columns, the greatest first."""

    columns: tuple[ColumnImportance, ...] = ()
    reason: str | None = None
    """Why there are none."""
    metric: str = "brier_score"
    """`brier_score`, or `accuracy` of a model without probabilities."""
    score: float | None = None
    """The metric of the rows as they are."""
    n_rows: int = 0
    """Rows that were shuffled."""
    n_held_out: int = 0
    """Rows of which they were drawn."""
    n_repeats: int = 0
    n_models: int = 0
    """Models that predicted them: the one that ships, or those of the folds."""
    n_fitted: int = 0
    """Models of a fold that were fitted for this alone, since the run kept none."""
    share_as_shipped: float = 1.0
    """Of the weights of an ensemble, what its very members had in the folds; the best candidates of the same models
    stand for the others."""
    is_cut: bool = False
    """Whether fewer rows or columns were used because the model predicts slowly, which depends on the machine."""
    provenance: Provenance | None = None
    """How the rows were held out."""

    @property
    def available(self) -> bool:
        """Whether there are any."""
        return bool(self.columns)

    @property
    def note(self) -> str:
        """How the rows were held out, and which models predicted them where those are not the run's own."""
        parts = [super().note]
        if self.share_as_shipped < 1:
            parts.append(
                f"members with {self.share_as_shipped:.0%} of the weights are those of the ensemble; "
                "for others stands the best candidate of the same model, where the run has it"
            )
        if self.n_fitted:
            parts.append(f"{pluralize(self.n_fitted, 'model')} of a fold fitted for this alone")
        return "; ".join(part for part in parts if part)

    def to_dict(self) -> dict[str, Any]:
        """Give what `summary.json` keeps of them."""
        if self.reason is not None:
            return {"available": False, "note": self.reason}
        values = asdict(self)
        del values["reason"]
        return {"available": True, "method": "permutation", **values, **_provenance_keys(self)}


@dataclass(frozen=True)
class Contribution:
    """How much the value of a column moves the probability of a row."""

    column: str
    value: Any
    """What the row holds, in plain values; None where it is missing."""
    contribution: float
    error: float
    """Standard error of the sampling."""


@dataclass(frozen=True)
class Explanation:
    """Why a row has its probability: contributions of its columns, the greatest first."""

    probability: float
    average: float
    """Of the rows that it was compared with, as they were drawn; with the contributions it gives the probability."""
    contributions: tuple[Contribution, ...]
    n_orders: int
    """Orders of the columns that were tried."""
    n_background: int
    """Rows that it was compared with."""
    is_cut: bool = False
    """Whether the time was up before all errors were small."""


@dataclass(frozen=True)
class ColumnDrift:
    """How far the values of a column are from those of the training."""

    column: str
    distance: float
    """Jensen-Shannon distance of the shares of bins or values, from 0 to 1, less what chance alone gives."""
    p_value: float
    """Of a chi-squared test that both are drawn of the same."""
    p_adjusted: float = 1.0
    """The same, corrected for the number of columns (Holm 1979)."""
    has_drifted: bool = False
    """Whether that is beyond chance, and far enough to matter."""
    importance: float | None = None
    """How much the column matters to the model; None where that is not known."""
    missing: float = 0.0
    """Share of the new rows without a value."""
    missing_in_training: float = 0.0
    unseen: float = 0.0
    """Share of the new rows with a category that the training never saw."""


@dataclass(frozen=True)
class Finding:
    """Something a person should look at before trusting the run."""

    code: str
    severity: Severity
    message: str
    """One sentence."""
    see: str
    """Its paragraph in the README."""


@dataclass(frozen=True)
class Leak:
    """A column that predicts the target almost alone."""

    column: str
    roc_auc: float
    """On rows that it was not trained on."""
    share: float | None
    """Share of the held-out rows that it was computed on, those that have a value; None for all rows."""
    is_probed: bool = True
    """Whether a tree that knows only the column was fitted; otherwise it was screened alone."""


@dataclass(frozen=True)
class LeakSearch:
    """What was looked at for leaks, and what was found."""

    columns: int
    """Feature columns."""
    screened: int
    """Columns that were scored without a fit; none where too few rows of a class are held out."""
    suspects: int
    """Columns that may be leaks by that score."""
    probed: int
    """Suspects that a tree was fitted on, the most suspicious first."""
    rows: int
    """Rows that the model learns from."""
    rows_learnt_from: int = 0
    """Rows of those that a tree learnt from, at most."""
    rows_judged: int = 0
    """Rows of those that it was scored on."""
    leaks: tuple[Leak, ...] = ()
    """Columns whose ROC AUC is 0.97 or more."""

    @property
    def not_probed(self) -> int:
        """Suspects that were left to the screen."""
        return self.suspects - self.probed


@dataclass(frozen=True)
class GateResult:
    """What a gate demands, and what the run has."""

    asked: str
    """Such as `roc_auc at least 0.92 (lower end of its 95 % interval)`."""
    got: str
    """Such as `0.9278 [0.9241, 0.9312]`."""
    passed: bool
    source: Source | None
    """Where the number comes from; None for a gate on findings."""
    note: str = ""
    """What must be known beside it: how the number was got, which rows a champion was compared on."""
    opponent: str | None = None
    """The version of a registered model that the run was compared with, such as `models:/census/3`."""
    is_checked: bool = True
    """Whether there was something to check it on: on new rows there is not always, and `got` says why."""


@dataclass
class FitCounts:
    """What became of the fit requests of a run."""

    asked: int = 0
    """Requests: a naive script would make a fit for each."""
    fitted: int = 0
    """Fits that were made."""
    recorded: int = 0
    """Requests whose results the fit cache has from earlier runs."""
