"""The page of a run: whole, by itself, for everybody, and deaf to what names in the data try."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field, replace
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread

import numpy as np
import pandas as pd
import pytest
import yaml

from mlwf.cli import boundary
from mlwf.evaluation.scored_rows import ScoredRows
from mlwf.modules.data import Dataset, profile_columns
from mlwf.modules.runs import RunFolder, find_run
from mlwf.report import read_run, render_report
from tests.tables.test_hostile_names import HOSTILE, summary_of

ATTACKS = (
    "<script>alert(1)</script>",
    "\"' onload=alert(1) x='",
    "</style><img src=x onerror=alert(1)>",
    "]]>&lt;`$x$",
)
VOID = {"meta", "br", "img", "hr", "input", "link"}
BROWSERS = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome")


@dataclass
class Page(HTMLParser):
    """What a page holds; tags that are not closed in their order fail."""

    html: str
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(self.html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open += [] if tag in VOID else [tag]

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def sections(self) -> list[str | None]:
        return [attrs["id"] for attrs in self.all("section")]


def make_table(n_rows: int, draw: np.random.Generator) -> pd.DataFrame:
    """Make rows whose columns, values and classes bear names that attack."""
    size = draw.normal(size=n_rows).round(3)
    table = pd.DataFrame(
        {
            ATTACKS[0]: size,
            ATTACKS[1]: draw.integers(0, 60, n_rows),
            "colour": draw.choice(["red", ATTACKS[2], "blue"], n_rows),
            "since": pd.Timestamp("2024-01-01") + pd.to_timedelta(draw.integers(0, 300, n_rows), unit="D"),
            "target": np.where(size + draw.normal(0, 0.7, n_rows) > 0.3, ATTACKS[3], "no"),
        }
    )
    table.loc[draw.random(n_rows) < 0.1, ATTACKS[1]] = None
    return table


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Train once with everything that a page can show of two classes, and give the folder of the run."""
    place = tmp_path_factory.mktemp("report")
    draw = np.random.default_rng(0)
    make_table(400, draw).to_parquet(place / "train.parquet")
    make_table(200, draw).to_parquet(place / "test.parquet")
    experiment = {
        "name": f"page {ATTACKS[0]}",
        "data": {
            "path": "train.parquet", "test_path": "test.parquet", "target": "target", "positive_class": ATTACKS[3],
        },
        "model": {"algorithm": "logistic_regression"},
        "tuning": {
            "strategy": "grid",
            "param_grid": {"classifier__C": [0.001, 0.1, 10], "classifier__fit_intercept": [True, False]},
        },
        "calibration": {"method": "sigmoid"},
        "threshold": {"scoring": "f1"},
        "validation": {"cv_folds": 3, "metrics": ["accuracy", "roc_auc", "log_loss"], "slices": ["colour"]},
        "gates": [{"metric": "accuracy", "min": 0.6}, {"metric": "roc_auc", "min": 0.9999}],
        "compute": {"n_jobs": 1},
    }  # fmt: skip
    (place / "e.yaml").write_text(yaml.safe_dump(experiment), "utf-8")
    arguments = ["-q", "--runs-dir", str(place / "runs"), "--report", str(place / "page.html")]
    assert boundary.run(["train", str(place / "e.yaml"), *arguments]) == 3
    return find_run(place / "runs", "latest")


@pytest.fixture(scope="module")
def page(folder):
    """Give the page that `train --report` wrote."""
    return Page((folder.path.parent.parent / "page.html").read_text("utf-8"))


def test_the_page_shows_all_that_the_run_holds(page, folder):
    assert page.sections == [
        "scores", "findings", "model", "search", "curves", "classes", "slices", "importances", "dependence", "data",
        "calibration", "run",
    ]  # fmt: skip
    assert "1 of 2 gates not met" in page.text
    summary = folder.read_json("summary.json")
    for score in summary["scores"]:
        assert f"{score['value']:.4f}" in page.text
        assert f"{score['interval']['low']:.4f} – {score['interval']['high']:.4f}" in page.text
    for drawn in ("Progress", "ROC curve", "Precision and recall", "What the threshold does", "Training and test"):
        assert drawn in page.text
    assert "f1, by which the threshold was chosen" in page.text
    assert "Chosen before: hyperparameters and features on all 400 rows to learn from, the scored ones" in page.text


def test_the_page_needs_nothing_but_itself(page):
    assert len(page.html.encode()) < 1_000_000
    assert not {"script", "link", "img", "iframe", "object", "use"} & {tag for tag, _ in page.tags}
    assert not re.search(r"url\(|@import|https?:", page.html)
    assert "default-src 'none'" in page.all("meta")[1]["content"]


def test_names_from_the_data_are_text_and_nothing_else(page):
    attributes = {name for _, attrs in page.tags for name in attrs}
    assert not [name for name in attributes if name.startswith("on")]
    for attack in ATTACKS[:3]:
        assert attack in page.text
    assert page.html.count("</style>") == 1


def test_every_anchor_leads_somewhere_and_every_id_is_there_once(page):
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert sorted(ids) == sorted(set(ids))
    referred = [attrs["href"].removeprefix("#") for attrs in page.all("a")]
    referred += [attrs["aria-labelledby"] for _, attrs in page.tags if "aria-labelledby" in attrs]
    assert len(referred) > 20
    assert set(referred) <= set(ids)


def test_those_who_do_not_see_the_page_can_use_it(page):
    assert page.all("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.all("svg")
    assert all(attrs.get("role") == "img" and attrs.get("aria-label") for attrs in page.all("svg"))
    assert all(attrs.get("scope") in {"row", "col"} for attrs in page.all("th"))
    regions = [attrs["aria-label"] for attrs in page.all("div") if attrs.get("role") == "region"]
    titles = re.findall(r"<h2[^>]*>(.*?)</h2>", page.html)
    assert len({*regions, *titles}) == len(regions) + len(titles)
    strips = [attrs for attrs in page.all("span") if "strip" in (attrs.get("class") or "")]
    assert all(attrs.get("aria-hidden") == "true" for attrs in strips)


def contrast(first: str, second: str) -> float:
    """Give the contrast of two colours as WCAG 2 defines it."""

    def luminance(color: str) -> float:
        parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted([luminance(first), luminance(second)], reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_colours_can_be_told_from_their_background(page):
    style = page.html.partition("<style>")[2]
    palettes = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", part)) for part in style.split("@media")[:2]]
    assert len(palettes[1]) == len(palettes[0]) >= 20
    for palette in palettes:
        for name in ("ink", "soft", "link"):
            assert contrast(palette[name], palette["paper"]) >= 4.5
            assert contrast(palette[name], palette["panel"]) >= 4.5
        for name in ("good", "bad", "doubt"):
            assert contrast(palette[name], palette[f"{name}-back"]) >= 4.5
        for at in range(8):
            assert contrast(palette[f"c{at}"], palette["panel"]) >= 3


def test_an_older_run_or_half_a_run_has_a_page_of_what_it_has(folder, tmp_path):
    half = RunFolder(Path(shutil.copytree(folder.path, tmp_path / "half")), "half")
    shutil.rmtree(half.file("predictions"))
    for name in ("candidates.json", "partial_dependence.json"):
        half.file(name).unlink()
    half.write_text("profile.json", "{")
    sections = Page(render_report(read_run(half))).sections
    assert sections == ["scores", "findings", "model", "classes", "slices", "importances", "calibration", "run"]
    half.file("summary.json").unlink()
    assert Page(render_report(read_run(half))).sections == ["model", "run"]


@pytest.mark.parametrize("name", [HOSTILE, *ATTACKS, "x" * 5000])
def test_any_text_of_a_summary_can_be_shown(folder, name):
    run = read_run(folder)
    hostile = Page(render_report(replace(run, summary=summary_of(name))))
    assert {tag for tag, _ in hostile.tags} <= {"html", "img"} | {tag for tag, _ in Page(render_report(run)).tags}
    assert not hostile.all("img")


def test_importances_are_drawn_and_order_the_columns(folder):
    run = read_run(folder)
    columns = [
        {"columns": ["since"], "value": 0.2, "interval": {"low": 0.1, "high": 0.3}},
        {"columns": [ATTACKS[1], "colour"], "value": 0.01, "interval": None, "association": 0.8},
    ]
    importances = {**run.summary["importances"], "columns": columns}
    drawn = Page(render_report(replace(run, summary={**run.summary, "importances": importances})))
    assert "importances" in drawn.sections
    assert "How much the Brier score rises" in drawn.text
    assert "shuffled together, associated by 0.80 at least" in drawn.text
    articles = re.findall(r'<article class="column"><h3>(.*?)</h3>', drawn.html)
    assert articles[0] == "since"


def test_the_widest_and_longest_run_has_a_page_below_a_megabyte(folder):
    draw, run, n_classes = np.random.default_rng(0), read_run(folder), 200
    names = [f"class number {at}" for at in range(n_classes)]
    y = draw.integers(0, n_classes, 2000)
    proba = draw.dirichlet(np.ones(n_classes), 2000)
    rows = ScoredRows(np.array(names), y, proba.argmax(axis=1), proba)
    report = [{"label": name, "n_rows": 10, "precision": 0.5, "recall": 0.5, "f1": 0.5} for name in names]
    confusion = draw.integers(0, 9, (n_classes, n_classes)).tolist()
    search = {
        "params": [{f"classifier__p{key}": draw.random() for key in range(8)} for _ in range(800)],
        "mean_test_score": draw.random(800).tolist(),
        "std_test_score": draw.random(800).tolist(),
    }
    wide = pd.DataFrame(draw.normal(size=(2000, 100))).assign(text=draw.choice(names, 2000))
    summary = {
        **run.summary,
        "classes": [{"source": source, "report": report, "confusion": confusion} for source in run.scored],
        "slices": [
            {**run.summary["slices"][0], "slice": f"slice {at}", "metric": metric}
            for at in range(200)
            for metric in ("accuracy", "log_loss", "roc_auc_ovr")
        ],
    }
    large = replace(
        run,
        summary=summary,
        candidates={f"model {at}": search for at in range(10)},
        profile=profile_columns(Dataset(wide, y, ""), Dataset(wide, y, "")),
        scored=dict.fromkeys(run.scored, rows),
    )
    html = render_report(large)
    assert len(html) < 1_000_000
    assert "61 more columns" in Page(html).text


def test_partial_dependence_is_drawn(folder):
    columns = [
        {"column": name, "kind": kind, "grid": grid, "mean": [[0.1, 0.9]], "rows": [[[0.0, 0.8], [0.2, 1.0]]]}
        for name, kind, grid in ((ATTACKS[0], "number", [0, 1]), ("colour", "category", ["red", ATTACKS[2]]))
    ]
    found = {"version": 1, "n_rows": 100, "classes": [ATTACKS[3]], "columns": columns}
    drawn = Page(render_report(replace(read_run(folder), dependence=found)))
    assert "dependence" in drawn.sections
    assert "The mean predicted probability of 100 rows" in drawn.text


def test_the_command_writes_into_the_run_or_where_it_is_told(folder, tmp_path, capsys, page):
    runs = ["--runs-dir", str(folder.path.parent)]
    assert boundary.run(["report", "latest", *runs]) == 0
    assert capsys.readouterr().out == f"{folder.file('report.html')}: the page of run {folder.run_id}\n"
    assert folder.file("report.html").read_text("utf-8") == page.html
    assert boundary.run(["report", "--all", *runs, "-o", str(tmp_path / "site")]) == 0
    index = Page((tmp_path / "site" / "index.html").read_text("utf-8"))
    assert [attrs["href"] for attrs in index.all("a")] == ["#main", f"{folder.run_id}.html"]
    assert (tmp_path / "site" / f"{folder.run_id}.html").read_text("utf-8") == page.html
    assert ATTACKS[0] in index.text


@pytest.mark.parametrize("place", ["nowhere/page.html", "."])
def test_a_page_that_cannot_be_written_is_told_before_the_training(folder, tmp_path, monkeypatch, capsys, place):
    monkeypatch.chdir(tmp_path)
    experiment = str(folder.path.parent.parent / "e.yaml")
    assert boundary.run(["train", experiment, "--report", place]) == 2
    told = capsys.readouterr().err
    assert re.fullmatch(rf"{place}: (its folder does not exist|is a folder); accepted: .*\n", told)
    assert not list(tmp_path.iterdir())


def test_the_page_is_an_artifact_of_the_tracked_run(empty_store, tmp_path, monkeypatch, capsys):
    from mlflow.tracking import MlflowClient

    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    make_table(60, np.random.default_rng(0)).drop(columns="since").to_csv("t.csv", index=False)
    experiment = {
        "data": {"path": "t.csv", "target": "target"},
        "model": {"algorithm": "gaussian_nb"},
        "validation": {"cv_folds": 2, "metrics": ["accuracy"]},
        "tracking": {"log_model_signature": False},
    }
    Path("e.yaml").write_text(yaml.safe_dump(experiment), "utf-8")
    assert boundary.run(["train", "e.yaml", "-q"]) == 0
    summary = find_run(Path("runs"), "latest").read_json("summary.json")
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    logged = Path(client.download_artifacts(summary["tracking"]["run_id"], "report.html", str(tmp_path)))
    assert Page(logged.read_text("utf-8")).sections[:2] == ["scores", "findings"]
    assert "No gates were set" in logged.read_text("utf-8")
    shutil.rmtree("runs")
    capsys.readouterr()
    assert boundary.run(["report", summary["run_id"]]) == 0
    assert capsys.readouterr().out == f"{summary['run_id']}.html: the page of run {summary['run_id']}\n"
    assert Path(f"{summary['run_id']}.html").read_text("utf-8") == logged.read_text("utf-8")


MEASURE = """<!doctype html><title>frames</title><script>
const widths = [400, 800, 1400], found = [];
for (const width of widths) {
  const frame = document.createElement("iframe");
  frame.style.width = width + "px"; frame.style.height = "900px"; frame.src = "page.html";
  frame.onload = () => {
    const page = frame.contentDocument;
    page.querySelectorAll("details").forEach(each => each.open = true);
    const beyond = [...page.querySelectorAll("body *")].filter(
      each => !each.closest(".scroll, pre, .skip") && each.getBoundingClientRect().right > width + 1);
    const root = page.documentElement;
    found.push({width, over: root.scrollWidth - root.clientWidth, height: root.scrollHeight,
      beyond: beyond.map(each => each.outerHTML.slice(0, 90)),
      broken: [...page.querySelectorAll("a")].filter(each => !page.querySelector(each.getAttribute("href"))).length});
    if (found.length === widths.length) document.title = JSON.stringify(found.sort((a, b) => a.width - b.width));
  };
  addEventListener("load", () => document.body.append(frame));
}
</script><body></body>"""


@pytest.mark.slow
def test_a_browser_shows_the_page_at_any_width(page, tmp_path):
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no Chromium is installed")
    (tmp_path / "page.html").write_text(page.html, "utf-8")
    (tmp_path / "frames.html").write_text(MEASURE, "utf-8")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        shown = subprocess.run(
            [
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom",
                f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000",
                f"http://127.0.0.1:{server.server_port}/frames.html",
            ],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
    finally:
        server.shutdown()
        server.server_close()
    found = json.loads(re.search(r"<title>(\[.*?\])</title>", shown.stdout)[1].replace("&quot;", '"'))
    assert [(each["width"], each["over"], each["beyond"], each["broken"]) for each in found] == [
        (width, 0, [], 0) for width in (400, 800, 1400)
    ]
    assert found[0]["height"] > found[2]["height"] > 2000
    # What Chromium itself complains of, such as a bus that is not there, comes from other files.
    assert [line for line in shown.stderr.splitlines() if "CONSOLE" in line and "favicon" not in line] == []
