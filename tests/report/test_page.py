"""The page is complete in itself, says everything in words too, and nothing in it is anybody else's markup."""

import re
import struct
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest

from analysis_service.core.model import Argument, Metric, MetricResult, Phase, Run
from analysis_service.core.statistics.looks import Counts
from analysis_service.core.statistics.plan import Calibration, Within
from analysis_service.report import page, png, sheet
from analysis_service.report.story import Story, Verdict, tell

HOSTILE = '<script>alert("x")</script>&\u202e\x00"\'>]]><img src=//evil.example/x>'
SVG = "{http://www.w3.org/2000/svg}"
Make = Callable[..., Any]


def story_of(new_run: Make, *parts: Any, **fields: Any) -> Story:
    run = new_run([part[0] for part in parts], [part[1] for part in parts], **fields)
    looks = {part[0].name: part[2] for part in parts if len(part) > 2}
    return tell(run, looks, Verdict("FAIL", "bad", ("onError=fail",)))


@pytest.fixture
def full(compared: Make, conditions: Make, new_run: Make) -> Story:
    """All shapes of comparisons and a metric with conditions, with missed and dropped looks."""
    return story_of(
        new_run,
        conditions("error-rate", ["0.01", "0.09", "0.00004", "", "NaN"], phases="SFSEI", condition="result < 0.05"),
        compared("errors", "counts", 30, effect=2.5, onset=5, until="terminated"),
        compared("latency", "histogram", 20),
        compared("cpu", "gauge", 20),
        warnings=("interval without count",),
    )


def parsed(text: str) -> ElementTree.Element:
    """The page as XML: it is written so that both kinds of parser read the same."""
    return ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))


def test_nothing_is_asked_for_and_nothing_runs(full: Story) -> None:
    text = page.page(full)
    root = parsed(text)
    tags = {element.tag for element in root.iter()}
    assert not tags & {"script", "link", "iframe", "img", "object", "embed", "form", "image", "use"}
    for element in root.iter():
        for name, value in element.attrib.items():
            assert not name.startswith("on")
            assert name not in ("src", "style", "srcset", "action")
            assert name != "href" or re.fullmatch(r"#m\d+", value)
    assert "url(" not in text
    assert not re.search(r"(?:https?:)?//[a-z]", "".join(root.itertext()).replace("http://prometheus", ""))
    assert "@import" not in text
    policy = root.find("head/meta[@http-equiv='Content-Security-Policy']")
    assert policy is not None
    assert policy.attrib["content"] == page.policy()
    assert "default-src 'none'" in page.policy()


def test_the_policy_allows_this_style_and_no_other(full: Story) -> None:
    import base64
    import hashlib

    style = parsed(page.page(full)).find("head/style")
    assert style is not None
    assert style.text is not None
    digest = base64.b64encode(hashlib.sha256(style.text.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in page.policy()


def test_every_chart_has_a_name_a_sentence_and_its_table(full: Story) -> None:
    root = parsed(page.page(full))
    figures = root.findall(".//figure")
    assert len(figures) == sum(len(metric.charts) for metric in full.metrics) == 1 + 4 + 5 + 4
    ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    assert len(ids) == len(set(ids))
    charts = [chart for metric in full.metrics for chart in metric.charts]
    for figure, chart in zip(figures, charts, strict=True):
        drawing = figure.find(".//svg")
        assert drawing is not None
        for reference in drawing.attrib["aria-labelledby"].split():
            assert drawing.find(f"*[@id='{reference}']") is not None
        assert drawing.findtext("title") and drawing.findtext("desc")  # noqa: PT018
        rows = figure.findall(".//table/tbody/tr")
        assert len(rows) == len(chart.table.rows) > 0
        assert all(len(row) == len(chart.table.head) for row in rows)


def test_what_is_said(full: Story) -> None:
    text = "".join(parsed(page.page(full)).itertext())
    for expected in (
        "FAIL",
        "onError=fail",
        "interval without count",
        "Failed at look",
        "1/α = 60",  # alpha is shared by three comparisons
        "margin ×1.5",
        "Guarantee",
        "Dispersion",
        "27 used, 1 dropped, 2 missed of 30",
        "refused the connection",  # why a look was missed
        "At most 1 failure: 1 of 1 used",
        "success < 0.05",
        "0.00004",  # small values are not 0
        'http_requests_total{hash="c4n",code=~"5.."}',  # the query with the arm filled in
        "Quantiles of the whole run",
    ):
        assert expected in text, expected


def test_worst_comes_first_and_dry_runs_last(conditions: Make, new_run: Make) -> None:
    def phased(name: str, phase: Phase, *, dry: bool = False) -> tuple[Metric, MetricResult]:
        metric, result = conditions(name, ["0.01"])
        return metric, MetricResult(name, phase, result.message, result.measurements, dry_run=dry)

    found = story_of(
        new_run,
        phased("fine", Phase.SUCCESSFUL),
        phased("dry", Phase.FAILED, dry=True),
        phased("unsure", Phase.INCONCLUSIVE),
        phased("broken", Phase.FAILED),
    )
    assert [metric.name for metric in found.metrics] == ["broken", "unsure", "fine", "dry"]


def test_hostile_text_is_inert(compared: Make, conditions: Make, new_run: Make) -> None:
    metric, result, looks = compared(HOSTILE, "counts", 8)
    other, judged = conditions("b" + HOSTILE, ["0.01", HOSTILE], phases="SE")
    judged = MetricResult(
        judged.name, Phase.ERROR, HOSTILE, judged.measurements, metadata={"ResolvedPrometheusQuery": HOSTILE}, count=1
    )
    run: Run = new_run(
        [metric, other],
        [result, judged],
        reason=HOSTILE,
        warnings=(HOSTILE,),
        labels={HOSTILE: HOSTILE},
        message=HOSTILE,
    )
    run = type(run)(
        **{
            **{name: getattr(run, name) for name in run.__struct_fields__},
            "name": HOSTILE,
            "spec": type(run.spec)(metrics=run.spec.metrics, args=(Argument(HOSTILE, HOSTILE),)),
        }
    )
    found = tell(run, {metric.name: looks}, Verdict(HOSTILE, "bad", (HOSTILE,)), title=HOSTILE)
    text = page.page(found)
    assert "<script" not in text
    assert "<img" not in text
    assert "\u202e" not in text
    assert "\x00" not in text
    assert parsed(text).find(".//script") is None
    drawing = sheet.svg_sheet(found, found.metrics)
    assert "<script" not in drawing
    assert ElementTree.fromstring(drawing).tag == f"{SVG}svg"
    assert png.png_sheet(found, found.metrics[:1]).startswith(b"\x89PNG")


def test_secrets_stay_where_they_are(new_run: Make) -> None:
    web = {
        "url": "http://a",
        "headers": [{"key": "X-Api", "value": "s3cret"}, {"key": "Accept", "value": "text/plain"}],
    }
    metric = Metric("m", provider={"web": {**web, "authentication": {"token": "s3cret"}}})
    text = page.page(story_of(new_run, (metric, MetricResult("m"))))
    assert "s3cret" not in text
    assert "text/plain" in text


def test_a_standalone_picture(full: Story) -> None:
    for theme in ("auto", "light", "dark"):
        text = sheet.svg_sheet(full, full.metrics, theme)
        root = ElementTree.fromstring(text)
        assert root.tag == f"{SVG}svg"
        assert len(root.findall(f".//{SVG}desc")) == 1 + sum(len(metric.charts) for metric in full.metrics)
        assert ("prefers-color-scheme" in text) is (theme == "auto")
        assert text.count("http") == 1 + text.count("http_requests")  # the name space alone


def test_png_draws_without_a_browser(full: Story) -> None:
    """A picture of the same height as the SVG, at its resolution; light and dark differ."""
    one = full.metrics[:1]
    light, dark = (png.png_sheet(full, one, theme) for theme in ("light", "dark"))
    width, height = struct.unpack(">II", light[16:24])
    drawn = ElementTree.fromstring(sheet.svg_sheet(full, one)).attrib
    assert width == pytest.approx(float(drawn["width"]) * png.DPI / png.INCH, abs=2)
    assert height == pytest.approx(float(drawn["height"]) * png.DPI / png.INCH, rel=0.05)
    assert light != dark


def test_a_picture_has_an_end(conditions: Make, new_run: Make) -> None:
    found = story_of(new_run, *(conditions(f"m{i}", ["0.01"]) for i in range(sheet.MOST_CHARTS + 1)))
    with pytest.raises(ValueError, match="61 metrics are too many for one picture"):
        sheet.svg_sheet(found, found.metrics)


@pytest.mark.parametrize(
    ("shape", "more", "said"),
    [
        # tests of fixed size have no evidence at every look: what they answered is said
        ("gauge", {"test": "welch", "maxDuration": "10m"}, ("fixed size", "p against no harm")),
        ("counts", {"test": "objective", "objective": 0.02}, ("objective 0.02", "limit 0.02", "Failed at look")),
        ("counts", {"test": "sample-ratio", "canaryWeight": 10}, ("Canary's share of traffic", "configured")),
        ("counts", {"canaryWeight": 25}, ("configured 25 %, evidence against that 1 in",)),
        ("gauge", {"margin": {"absolute": 0.1}}, ("margin ",)),
        ("counts", {"absoluteFloor": 0.015, "failAt": "margin"}, ("absolute floor", "more than the margin")),
    ],
)  # fmt: skip
def test_other_tests(shape: str, more: dict[str, Any], said: tuple[str, ...], compared: Make, new_run: Make) -> None:
    metric, result, looks = compared("m", shape, 20, effect=3.0, spoil=False, until="terminated", more=more)
    text = page.page(story_of(new_run, (metric, result, looks)))
    shown = "".join(parsed(text).itertext())
    for expected in said:
        assert expected in shown, (expected, shown)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        # each look's own share, an average over the same requests, and the newest one
        (
            [10.0] * 8 + [25.0],
            ("configured 20.3 % on average (25 % now), evidence against that 1 in", "configured 25 %."),
        ),
        ([None], ("%; no configured share known",)),
    ],
)
def test_a_share_of_traffic_that_changes(
    weights: list[float | None], said: tuple[str, ...], compared: Make, new_run: Make
) -> None:
    """Also where the last look was missed: it knows of no share."""
    found = compared("m", "counts", 23, spoil=True, until="terminated", weights=weights)
    shown = "".join(parsed(page.page(story_of(new_run, found))).itertext())
    for expected in said:
        assert expected in shown, (expected, shown)


@pytest.mark.parametrize(
    "run",
    [
        {},  # nothing measured yet
        {"spec_metrics": ["m"]},
        {"phase": Phase.ERROR, "message": "Analysis spec invalid: no metrics"},
    ],
)
def test_runs_with_nothing_to_draw(new_run: Make, run: dict[str, Any]) -> None:
    metrics = [Metric(name, provider={"web": {"url": "http://a"}}) for name in run.pop("spec_metrics", [])]
    found = tell(new_run(metrics, [], **run), {}, Verdict("PENDING", "idle"))
    parsed(page.page(found))
    assert all(metric.tally == "not measured" for metric in found.metrics)


def test_the_same_run_gives_the_same_bytes(full: Story) -> None:
    assert page.page(full) == page.page(full)
    assert png.png_sheet(full, full.metrics[-1:]) == png.png_sheet(full, full.metrics[-1:])


def facts_of(story: Story) -> dict[str, str]:
    return {fact.label: fact.value for fact in story.metrics[0].facts}


def test_a_late_onset_is_told_and_drawn_apart(compared: Make, new_run: Make) -> None:
    """The interval leaves the estimate of the whole run out: the page says what each of them speaks of."""
    story = story_of(new_run, compared("errors", "counts", 240, effect=2.0, onset=120, until="terminated", spoil=False))
    facts, chart = facts_of(story), story.metrics[0].charts[1]
    assert facts["Effect"].endswith(" over the whole run")
    since = next(label for label in facts if label.startswith("Since look "))
    assert re.fullmatch(r"Since look \d+, \d\d:\d\d:\d\d", since)
    assert re.match(r"×\d\.\d+ \(90 % confidence sequence above ×1\.\d+\)", facts[since])
    assert [line.label for line in chart.lines] == ["estimate", "since a late onset"]
    assert f"over the whole run; {since[:1].lower()}{since[1:]}, ×" in chart.summary
    assert "The newest band is bounded by the looks after look" in chart.note
    assert chart.bands[0].points[-1][2] is None  # beyond the edge, and nowhere does it end
    assert "since a late onset" in page.page(story)


def test_an_early_onset_has_one_estimate(full: Story) -> None:
    for metric in full.metrics:
        assert not any(fact.label.startswith("Since look") for fact in metric.facts)
        assert not any(line.label == "since a late onset" for chart in metric.charts for line in chart.lines)
        assert not any("newest band" in chart.note for chart in metric.charts)


@pytest.mark.parametrize("within", [None, Within(fence=0.05, scale=0.03)])
def test_where_harm_is_looked_for_is_told(compared: Make, new_run: Make, within: Within | None) -> None:
    known = Calibration(points=360, scale=0.1, lag_one=0.0, log_ratio=True, noise_floor=0.1, harm=within)
    facts = facts_of(story_of(new_run, compared("cpu", "gauge", 20, known=known)))
    assert facts["Noise floor between pods"] == "×1.11"
    told = "mostly within ×1.05 of no change, where by the history it shows best"
    assert facts.get("Harm is looked for") == (told if within is not None else None)


def test_without_a_ratio_the_counts_are_told(compared: Make, new_run: Make) -> None:
    pairs = [(Counts(3.0, 30.0), Counts(0.0, 30.0))] * 6
    story = story_of(new_run, compared("errors", "counts", 6, pairs=pairs, spoil=False))
    facts = facts_of(story)
    assert re.match(r"no ratio: \d+ of \d+ on the canary against 0 of \d+ on stable \(90 % .* above ×", facts["Effect"])
    assert story.metrics[0].charts[1].summary.startswith("No effect to estimate yet, above ×")


def test_a_forecast_is_told_and_warned_of_while_it_runs(compared: Make, new_run: Make) -> None:
    quiet = [(Counts(float(k % 5 == 0), 10.0), Counts(float(k % 3 == 0), 10.0)) for k in range(5)]
    running = compared("errors", "counts", 5, pairs=quiet, hours="20m", running=True)
    story = story_of(new_run, running)
    facts = facts_of(story)
    assert facts["Forecast"].startswith("from the first 3 looks: 40 looks find ")
    assert "Still needed" in facts
    notes = [note for note in story.metrics[0].notes if note.startswith("It will probably end Inconclusive")]
    assert len(notes) == 1
    ended = story_of(new_run, compared("errors", "counts", 5, pairs=quiet))
    assert "Forecast" in facts_of(ended)
    assert not any("probably" in note for note in ended.metrics[0].notes)


def test_a_pass_that_waits_for_min_bake_says_how_long(compared: Make, new_run: Make) -> None:
    """Four good looks show safety; nothing passes before 90 % of twenty minutes."""
    pairs = [(Counts(1.0, 1000.0), Counts(20.0, 1000.0))] * 4
    how = {"hours": "20m", "running": True, "spoil": False, "more": {"minBake": 0.9}}
    running = compared("errors", "counts", 4, pairs=pairs, **how)
    story = story_of(new_run, running)
    facts = facts_of(story)
    assert facts["Still needed"].startswith("16 min more until minBake, before which nothing passes")
    assert "safety is shown, but nothing passes before minBake, for 16 min more" in running[1].reason


def test_a_distribution_names_the_quantile_that_is_shown(compared: Make, new_run: Make) -> None:
    """The arms are drawn, and the effect is named, at the highest quantile that is judged."""
    story = story_of(new_run, compared("latency", "histogram", 20))
    facts = facts_of(story)
    assert re.match(r"×[\d.]+ at p99 \(", facts["Effect"])
    assert facts["Evidence weighs"].startswith("all buckets")
    assert facts["Guarantee"].startswith("calibrated by this run")
    charts = story.metrics[0].charts
    assert charts[0].title == "Canary and stable over time: p99"
    assert charts[1].y.title == "p99, canary / stable"
