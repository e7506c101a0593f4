"""The explorers: what a page without a kernel holds, what a live one computes, what pictures and texts say."""

from __future__ import annotations

import base64
import io
import json
import sys
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from small_studies import invented, store_of

from transferlib import paper
from transferlib.attribution import as_input, first_guess
from transferlib.errors import TransferlibError
from transferlib.nets import network
from transferlib.records import COLUMNS
from transferlib.splits import RANDOM, of_kind
from transferlib.stats import curves
from transferlib.train import fresh_network
from transferlib.treatments import Treatment
from transferlib.widgets import (
    Explorer,
    Frame,
    cut_the_network,
    draw_network,
    explorer,
    learning_curves,
    pictures,
    similarity_dial,
    turn_the_rate,
)
from transferlib.widgets.dial import _images
from transferlib.widgets.learning import first_epoch
from transferlib.widgets.microscope import _where, microscope
from transferlib.widgets.network import layer_names
from transferlib.widgets.outcomes import outcomes

CONTROLS = {"size <px>": ("1", "2", "3"), "colour": ("red", "green")}


def square(size, colour):
    pixels = np.full((40, 120, 3), 255, np.uint8)
    pixels[10:30, 30 * int(size) : 30 * int(size) + 20] = {"red": (200, 30, 30), "green": (30, 160, 30)}[colour]
    return Frame(pixels, f"a {colour} square & its place, {size}")


@pytest.fixture(scope="module")
def bars():
    return Explorer("Bars", CONTROLS, square, start=("2", "green"))


class Page(HTMLParser):
    """The elements of a page: (tag, attributes, text inside, names of the elements around)."""

    VOID = ("img", "input", "meta")
    CDATA_CONTENT_ELEMENTS = ("script", "style")

    def __init__(self, html):
        super().__init__()
        self.found, self.open = [], []
        self.feed(html)
        assert not self.open, "every element is closed"

    def handle_starttag(self, tag, attrs):
        element = [tag, dict(attrs), "", [e[0] for e in self.open]]
        self.found.append(element)
        if tag not in self.VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for element in self.open:
            element[2] += data

    def all(self, tag):
        return [element for element in self.found if element[0] == tag]


def picture(address):
    """The picture in a data address, uint8 (H, W, 3)."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))).convert("RGB"))


def seen(page, number):
    """What a reader sees of picture ``number``: the first picture with this one over it; float (H, W, 3)."""
    beneath, *over = [Image.open(io.BytesIO(base64.b64decode(e[1]["src"].split(",")[1]))) for e in page.all("img")]
    ground = beneath.convert("RGBA")
    ground.alpha_composite(over[number].convert("RGBA"))
    return np.asarray(ground.convert("RGB"), dtype=float)


# --- the static appearance ---


def test_static_every_control_is_labelled_and_starts_where_it_should(bars):
    page = Page(bars.html())
    assert [e[2] for e in page.all("legend")] == list(CONTROLS)
    assert [e[2].strip() for e in page.all("label")] == ["1", "2", "3", "red", "green"]
    radios = page.all("input")
    assert all(e[1]["type"] == "radio" and {"label", "fieldset", "form"} <= set(e[3]) for e in radios)
    assert ["checked" in e[1] for e in radios] == [False, True, False, False, True]


def test_static_every_combination_has_a_picture_and_a_text(bars):
    page = Page(bars.html())
    beneath, *over = page.all("img")
    assert beneath[1]["alt"] == ""
    assert [e[1]["alt"] for e in over] == [f"{e[2]}; in words below" for e in page.all("dt")]
    assert [e[2] for e in page.all("dd")] == [f"a {c} square & its place, {s}" for s in "123" for c in ("red", "green")]
    assert ["display:none" not in e[1]["style"] for e in over] == [n == 3 for n in range(6)]
    (text,) = [e for e in page.all("p") if e[1].get("aria-live") == "polite"]
    assert text[2] == "a green square & its place, 2"


def test_static_pictures_seen_are_the_pictures_drawn(bars):
    page = Page(bars.html())
    for number, labels in enumerate(bars.combinations):
        assert np.array_equal(seen(page, number), square(*labels).picture)


def test_static_figures_are_drawn_sharp_and_stored_small():
    def curve(n):
        figure = Figure(figsize=(6, 2))
        figure.subplots().plot([0, 1, int(n)], label=n)
        return Frame(figure, n)

    drawing = Explorer("Curves", {"n": ("2", "3")}, curve)
    page = Page(drawing.html())
    wanted = np.asarray(pictures.drawn(curve("3").picture, 2.0), dtype=float)
    assert wanted.shape == (480, 1440, 3)
    assert np.abs(seen(page, 1) - wanted).max() <= 16  # 64 colours: smoothed edges may be a shade off
    sources = [len(e[1]["src"]) for e in page.all("img")]
    assert sources[1] < 0.1 * sources[0]  # the first picture once more: nothing differs


def test_static_radio_values_add_up_to_the_picture(bars):
    groups = {}
    for e in Page(bars.html()).all("input"):
        groups.setdefault(e[1]["name"], []).append(int(e[1]["value"]))
    assert list(groups.values()) == [[0, 2, 4], [0, 1]]


def test_static_is_the_same_every_time_and_groups_are_its_own(bars):
    again = Explorer("Bars", CONTROLS, square, start=("2", "green"))
    other = Explorer("Other bars", CONTROLS, square)
    assert again.html() == bars.html()
    names = [{e[1]["name"] for e in Page(x.html()).all("input")} for x in (bars, other)]
    assert all(len(n) == 2 for n in names)
    assert not names[0] & names[1]


def test_static_asks_for_nothing_outside(bars):
    page = bars.html()
    assert "http" not in page
    assert not Page(page).all("script")


def test_static_too_large_is_drawn_coarser_then_refused(bars, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 255, (20, 1440, 3), dtype=np.uint8)
    wide = Explorer("Wide", {"x": ("a",)}, lambda x: Frame(noise, x))
    full = len(wide.html())
    monkeypatch.setattr(explorer, "LIMIT", full - 1)
    assert len(wide.html()) < full
    monkeypatch.setattr(explorer, "LIMIT", 1000)
    with pytest.raises(TransferlibError, match=r"'Bars': 6 pictures take [\d,]+ bytes, expected at most 1,000"):
        bars.html()


def test_static_pictures_of_two_sizes_are_refused():
    sizes = {"a": (20, 30, 3), "b": (20, 31, 3)}
    odd = Explorer("Odd", {"x": ("a", "b")}, lambda x: Frame(np.zeros(sizes[x], np.uint8), x))
    with pytest.raises(TransferlibError, match="one size"):
        odd.html()


def test_photographs_are_whole_and_close():
    draw = np.random.default_rng(0)
    low = draw.integers(0, 255, (2, 8, 12, 3), dtype=np.uint8)
    photos = [np.asarray(Image.fromarray(p).resize((240, 160), Image.Resampling.BICUBIC)) for p in low]
    page = Page(Explorer("Photos", {"x": ("0", "1")}, lambda x: Frame(photos[int(x)], x)).html())
    assert all(np.abs(seen(page, n) - photos[n]).mean() < 4 for n in (0, 1))


# --- the live appearance ---


def shown_by(widget):
    *_, choices, picture = widget.children
    return choices.children, picture


def test_live_choosing_changes_the_picture_and_computes_it_once():
    pytest.importorskip("ipywidgets")
    asked = []

    def counted(*labels):
        asked.append(labels)
        return square(*labels)

    choices, picture = shown_by(Explorer("Bars", CONTROLS, counted).widget())
    assert [c.description for c in choices] == list(CONTROLS)
    first = picture.value
    assert "a red square &amp; its place, 1" in first
    choices[0].value = "3"
    assert "a red square &amp; its place, 3" in picture.value
    assert picture.value.split("src=")[1] != first.split("src=")[1]
    choices[0].value = "1"
    assert picture.value == first
    assert asked == [("1", "red"), ("3", "red")]  # nothing beforehand, nothing twice


def test_live_says_what_a_user_can_mend():
    pytest.importorskip("ipywidgets")

    def frame(x):
        if x == "b":
            raise TransferlibError("train it first")
        return square("1", "red")

    (choice,), picture = shown_by(Explorer("Bars", {"x": ("a", "b")}, frame).widget())
    choice.value = "b"
    assert picture.value == "<p>train it first</p>"


def test_live_without_ipywidgets_names_the_package(bars, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(TransferlibError, match="pip install ipywidgets"):
        bars.widget()


@pytest.mark.parametrize(("static", "kind"), [("1", "text/html"), ("", "application/vnd.jupyter.widget-view+json")])
def test_the_environment_chooses_the_appearance(bars, monkeypatch, static, kind):
    pytest.importorskip("ipywidgets")
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    InteractiveShell.instance()
    monkeypatch.setenv(explorer.STATIC, static)
    with capture_output() as captured:
        bars._ipython_display_()
    assert kind in captured.outputs[-1].data


@pytest.mark.parametrize(
    ("controls", "start", "says"),
    [
        ({}, None, "at least one control"),
        ({"x": ()}, None, "control 'x': expected distinct choices, got none"),
        ({"x": ("a", "a")}, None, "expected distinct choices, got a, a"),
        ({"x": ("a", "b")}, ("c",), "control 'x': expected one of a, b to start with, got c"),
        ({"x": ("a", "b")}, ("a", "b"), "one label per control"),
    ],
)
def test_bad_controls_are_named(controls, start, says):
    with pytest.raises(TransferlibError, match=says):
        Explorer("Bad", controls, square, start=start)


# --- in a browser ---


@pytest.fixture
def opened(browser, bars):
    """A page on which the same explorer stands twice, so that nothing may be shared by accident."""
    page = browser.new_page(viewport={"width": 360, "height": 800})
    errors = []
    page.on("pageerror", lambda error: errors.append(error))
    page.on("console", lambda message: message.type == "error" and errors.append(message.text))
    head = '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Bars</title></head>'
    page.set_content(f"{head}<body><main><h1>Bars</h1>{bars.html()}{bars.html()}</main></body></html>")
    yield page
    assert not errors
    page.close()


def state(page, number):
    """The visible pictures' alt texts, and the text, of one of the explorers."""
    figure = page.locator("figure.explorer").nth(number)
    alts = figure.locator("img").evaluate_all("all => all.filter(e => e.checkVisibility()).map(e => e.alt)")
    return alts, figure.locator("[aria-live]").inner_text()


def test_browser_mouse_chooses_in_one_explorer_only(opened):
    before = state(opened, 0)
    assert before == (["", "size <px>: 2, colour: green; in words below"], "a green square & its place, 2")
    pixels = opened.locator("figure.explorer").nth(0).screenshot()
    opened.locator("figure.explorer").nth(0).get_by_label("red").click()
    after = ["", "size <px>: 2, colour: red; in words below"], "a red square & its place, 2"
    assert state(opened, 0) == after
    assert opened.locator("figure.explorer").nth(0).screenshot() != pixels
    assert state(opened, 1) == before


def test_browser_arrow_keys_choose(opened):
    opened.keyboard.press("Tab")
    opened.keyboard.press("ArrowRight")
    assert state(opened, 0)[1] == "a green square & its place, 3"
    opened.keyboard.press("Tab")
    opened.keyboard.press("ArrowLeft")
    assert state(opened, 0)[1] == "a red square & its place, 3"
    opened.keyboard.press("Enter")  # must not send the form
    assert state(opened, 0)[1] == "a red square & its place, 3"


def test_browser_narrow_page_does_not_scroll_sideways(opened):
    assert opened.evaluate("document.documentElement.scrollWidth") <= 360


def test_browser_axe_finds_nothing(opened):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    found = axe.Axe().run(opened)
    assert found.violations_count == 0, found.generate_report()


# --- cut the network ---


def run(treatment, top1, target="B", split="random:0", correct=None):
    t = Treatment.parse(treatment)
    known = {"treatment": treatment, "kind": t.kind, "n": t.n, "fine_tuned": t.fine_tuned, "top1": top1}
    row = dict.fromkeys(COLUMNS, 0) | known | {"split": split, "target": target, "status": "ok", "dataset": "shapes"}
    return row | {"key": f"{treatment}/{target}/{split}", "correct": correct}


def test_outcomes_pair_each_run_with_the_base_of_its_target():
    pairs = [("A", "random:0", 0.5, 0.45), ("B", "random:0", 0.4, 0.36), ("B", "random:1", 0.3, 0.27)]
    rows = [
        run(t, x, target, split) for target, split, *both in pairs for t, x in zip(("base", "A3B"), both, strict=True)
    ]
    found = outcomes(pd.DataFrame(rows).drop(columns="correct"))["A3B"]
    assert (found.top1, found.base, found.effect.pairs) == pytest.approx((36, 40, 3))
    assert found.half_width == pytest.approx(4.302653 / np.sqrt(3))  # t(0.975, 2) · s / √3, differences −5, −4, −3
    assert str(found) == (
        "36.0 % top-1, 4.0 points below the base's 40.0 % (95 % interval of the difference −6.5 to −1.5, over 3 runs)"
    )


def test_outcomes_of_a_single_run_have_an_interval_over_the_test_images():
    base, one = np.arange(100) < 50, (np.arange(100) >= 5) & (np.arange(100) < 50)
    table = pd.DataFrame([run("base", 0.5, correct=base), run("A3B", 0.45, correct=one)])
    assert outcomes(table)["A3B"].half_width == pytest.approx(1.96 * np.sqrt(5 - 25 / 100), rel=0.01)
    bare = outcomes(table.drop(columns="correct"))["A3B"]
    assert "1 run, no interval" in str(bare)


def data_of(drawing):
    """What a drawing's script is given."""
    (given,) = [e for e in Page(drawing.html()).all("script") if e[1].get("class") == "data"]
    return json.loads(given[2])


@pytest.fixture(scope="module")
def cut():
    rows = [run("base", 0.5), run("A3B", 0.42), run("A7B", 0.3), run("B3B", 0.49), run("R3B", 0.2), run("A3B+", 0.55)]
    return cut_the_network({"ours": pd.DataFrame(rows).drop(columns="correct"), "theirs": paper.table()})


def test_cut_says_what_was_done_and_what_came_of_it(cut):
    words = data_of(cut)["words"]
    assert len(words) == 2 * 7 * 3 * 2
    assert words["ours: A3B"] == (
        "A3B: layers 1 to 3 copied from A's base and frozen, layers 4 to 8 start anew; 42.0 % top-1, 8.0 points below "
        "the base's 50.0 % (1 run, no interval)."
    )
    assert "and trained on" in words["ours: A3B+"]
    assert "55.0 % top-1, 5.0 points above the base's 50.0 %" in words["ours: A3B+"]
    assert words["ours: B7B"] == (
        "B7B: layers 1 to 7 copied from B's own base and frozen, layer 8 starts anew; no such run is in the store, so "
        "there is no number."
    )
    assert words["ours: R3B+"].startswith("R3B+ is no treatment of its own") and "50.0 % top-1" in words["ours: R3B+"]
    assert "over 8 runs" in words["theirs: A3B"]


def test_cut_draws_each_difference_with_its_interval(cut):
    sets = data_of(cut)["sets"]
    runs = {name: (one["difference"], one["low"]) for name, one in sets["ours"]["runs"].items()}
    assert runs == {n: (d, None) for n, d in {"A3B": -8, "A7B": -20, "B3B": -1, "R3B": -30, "A3B+": 5}.items()}
    expected = curves(of_kind(paper.table(), RANDOM), "AnB").set_index("n").loc[3]
    found = sets["theirs"]["runs"]["A3B"]
    assert found.pop("family") == "AnB"
    assert [*found.values()] == pytest.approx([expected["mean"], expected["low"], expected["high"]], abs=1e-3)


def test_cut_needs_a_base_and_a_transfer_run():
    with pytest.raises(TransferlibError, match="nothing to cut"):
        cut_the_network(pd.DataFrame([run("base", 0.5)]))


@pytest.mark.parametrize(
    ("treatment", "coloured", "hatched", "words"),
    [
        ("A5B", 5, 5, ["copied from A's base, then frozen", "start anew, trained on B"]),
        ("B2B+", 2, 0, ["copied from B's own base, then trained on", "start anew, trained on B"]),
        ("R7B", 7, 7, ["random, then frozen", "start anew, trained on B"]),
        ("base", 0, 0, ["start anew, trained on B"]),
    ],
)
def test_draw_network_shows_copied_frozen_and_fresh_layers(treatment, coloured, hatched, words):
    ax = Figure().add_subplot()
    draw_network(ax, Treatment.parse(treatment), layer_names("alexnet32-small"))
    blocks = [p for p in ax.patches if p.get_width() == pytest.approx(0.8) and p.get_fill()]
    assert len(blocks) == 8
    assert sum(p.get_facecolor() != (1, 1, 1, 1) for p in blocks) == coloured
    assert sum(p.get_hatch() is not None for p in blocks) == hatched
    said = [text.get_text() for text in ax.texts]
    assert [text for text in said if "," in text] == words
    assert [text for text in said if text[:2] in ("co", "fc") and len(text) < 6] == [
        *(f"conv{k}" for k in range(1, 6)),
        *("fc6", "fc7", "fc8"),
    ]
    assert layer_names("that of somebody else") == [""] * 8


# --- learning curves ---

CURVES = {
    "base/B/random:0": [0.1, 0.2, 0.36, 0.4],
    "base/B/random:1": [0.1, 0.2, 0.36, 0.4],
    "A3B/B/random:0": [0.3, 0.4, 0.5, 0.5],
    "A3B/B/random:1": [0.3, 0.34, 0.32, 0.5],
    "A7B/B/random:0": [0.2, 0.2, 0.2, 0.2],
}


def curve(key):
    return pd.DataFrame({"epoch": range(1, 5), "top1": CURVES[key]})


@pytest.fixture(scope="module")
def learning():
    rows = [run(key.split("/")[0], CURVES[key][-1], split=key.split("/")[2]) for key in CURVES]
    rows.append(run("B1B", 0.4, split="random:5"))  # without a base: left out
    return learning_curves(pd.DataFrame(rows).assign(best_top1=0.5), curve)


def test_learning_curves_say_how_soon_the_bases_end_is_reached(learning):
    data = data_of(learning)
    assert ([*data["families"]], data["depths"], data["start"]) == (["AnB"], [3, 7], ["AnB", 7])
    assert data["words"]["A3B"] == (
        "A3B: 50.0 % top-1 after 4 epochs (mean of 2 runs); the base ends at 40.0 %. Of that, A3B reaches 90 % after "
        "epoch 2 (the base after epoch 3) and reaches 100 % after epoch 3 (the base after epoch 4)."
    )
    assert "A7B never reaches 90 % (the base after epoch 3)" in data["words"]["A7B"]


def test_learning_curves_draw_the_mean_and_mark_the_epochs(learning):
    chosen = data_of(learning)["families"]["AnB"]["3"]
    assert chosen["accuracies"] == pytest.approx([30, 37, 41, 50])
    assert [share["epochs"] for share in (*chosen["shares"], *chosen["base"]["shares"])] == [2, 3, 3, 4]
    assert [share["level"] for share in chosen["shares"]] == pytest.approx([36, 40])


def test_learning_curves_start_with_a_run_that_there_is():
    rows = [run("base", 0.4), run("A3B", 0.5), *(run(f"B{n}B", 0.4) for n in range(1, 8))]
    table = pd.DataFrame(rows).assign(best_top1=0.5)
    assert data_of(learning_curves(table, lambda _: curve("A3B/B/random:0")))["start"] == ["AnB", 3]


def test_learning_curves_without_a_pair_are_refused():
    with pytest.raises(TransferlibError, match="no learning curves"):
        learning_curves(pd.DataFrame([run("base", 0.5)]), curve)


def test_first_epoch():
    accuracy = pd.Series([10.0, 30.0, 20.0], index=[1, 2, 3])
    assert [first_epoch(accuracy, wanted) for wanted in (5, 10, 20, 31)] == [1, 1, 2, None]


# --- the dial ---


@pytest.fixture(scope="module")
def dial():
    rows = []
    for split, drop in (("similarity:0.5", 0.1), ("similarity:1.0", 0.02), ("similarity:0.0", 0.2)):
        rows += [run("base", 0.6, split=split), run("A2B", 0.6, split=split), run("A7B", 0.6 - drop, split=split)]
    return similarity_dial(pd.DataFrame(rows).drop(columns="correct"))


def test_dial_turns_from_alike_to_far_and_says_the_loss(dial):
    turns = data_of(dial)["turns"]
    assert [turn["similarity"] for turn in turns] == ["1", "0.5", "0"]
    assert turns[1]["words"] == (
        "Similarity 0.5: AnB's top-1 minus that of the base, in points (one run each): A2B 0.0; A7B −10.0."
    )
    assert turns[1]["rows"] == [[2, 0, None, None], [7, -10, None, None]]


def test_dial_shows_both_halves_and_turns_only_b(dial):
    data = data_of(dial)
    first, *_, last = [picture(one) for one in (data["A"], *(turn["B"] for turn in data["turns"]))]
    assert first.shape == last.shape == (2 * 32, 5 * 32, 3)
    assert len({turn["B"] for turn in data["turns"]}) == 3
    tiled = np.concatenate([np.concatenate(_images(0.0)[1][start::2], axis=1) for start in (0, 1)])
    assert np.corrcoef(last.ravel(), tiled.ravel())[0, 1] > 0.9  # noise and all, as a photograph is kept


def test_dial_without_runs_is_refused():
    with pytest.raises(TransferlibError, match="no dial to turn"):
        similarity_dial(pd.DataFrame([run("base", 0.5, split="similarity:1.0")]))


# --- the layer microscope ---


def test_the_microscope_names_the_guess_and_shows_input_and_view():
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    photographs = {"noise": noise, "ramp": np.linspace(0, 255, 16 * 16 * 3).reshape(16, 16, 3).astype(np.uint8)}
    net = fresh_network(network("alexnet32-tiny"), 10, (0, "test"), torch.device("cpu")).eval()
    names = [f"class-{k}" for k in range(10)]
    shown = microscope(net, photographs, names, layers=(1, 6), methods=("Grad-CAM", "ablation"))
    assert [len(choices) for choices in shown.controls.values()] == [2, 2, 2]
    frame = shown._frame(("ramp", "6", "ablation"))
    guess = names[first_guess(net, as_input([photographs["ramp"]], net.spec))[0]]
    assert guess in frame.text and "ramp" in frame.text and "layer 6" in frame.text
    assert frame.picture.shape == (320, 720, 3) and frame.picture.dtype == np.uint8
    with pytest.raises(TransferlibError, match="unknown method"):
        microscope(net, photographs, names, methods=("saliency",))
    with pytest.raises(TransferlibError, match=r"1\.\.8, got 9"):
        microscope(net, photographs, names, layers=(1, 9))


@pytest.mark.parametrize(
    ("shape", "hot", "words"),
    [
        ((2, 2), (0, 0), "at the upper left"),
        ((4, 4), (0, 0), "at the upper left"),
        ((4, 4), (1, 1), "in the centre"),
        ((5, 5), (2, 2), "in the centre"),
        ((5, 5), (0, 2), "at the top"),
        ((8, 8), (7, 4), "at the bottom"),
    ],
)
def test_where_a_map_is_strongest(shape, hot, words):
    view = np.zeros(shape)
    view[hot] = 1.0
    assert _where(view) == words


def test_turning_the_rate_shows_what_the_cut_costs_at_it_on_one_scale(tmp_path):
    doses = {0.8: pd.DataFrame(columns=COLUMNS)}
    for rate, sunk in ((0.2, 0.06), (0.05, 0.0)):
        records = [invented("base", 0.5, train_loss=2.0)]
        records += [invented(f"B{n}B", 0.5 - sunk, train_loss=2.0 + 5 * sunk) for n in (3, 4)]
        doses[rate] = store_of(tmp_path / str(rate), *records).table()
    dial = turn_the_rate(doses)
    mild, hot = data_of(dial)["rates"]
    assert (mild["rate"], hot["rate"]) == ("0.05", "0.2")
    assert "top-1 minus" in mild["words"] and "B3B 0.0" in mild["words"]
    assert "B3B −6.0 (" in hot["words"] and "training loss +0.30" in hot["words"]
    assert [row[:2] for row in hot["top1"]] == [[3, -6], [4, -6]]
    assert [row[:2] for row in hot["train_loss"]] == [[3, 0.3], [4, 0.3]]
    with pytest.raises(TransferlibError, match="no rate to turn"):
        turn_the_rate({0.8: doses[0.8]})
