from __future__ import annotations

import csv
import importlib.util
from collections import Counter
from pathlib import Path

import pytest

from transferlib.data import data_root, tiny_imagenet, wordnet

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "make_wordnet_groups.py"


@pytest.fixture(scope="module")
def rule():
    spec = importlib.util.spec_from_file_location("make_wordnet_groups", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def synsets(rule):
    if not (rule.DEBIAN / "data.noun").is_file():
        pytest.skip(f"no WordNet database in {rule.DEBIAN} (Debian: apt-get install wordnet-base)")
    return rule.read_synsets(rule.DEBIAN)


def rows(name):
    text = Path(wordnet.__file__).with_name(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


@pytest.mark.parametrize(
    ("wnid", "group", "category"),
    [
        ("n01443537", "natural", "living thing"),  # goldfish
        ("n12985857", "natural", "living thing"),  # coral fungus
        ("n09835506", "natural", "living thing"),  # ballplayer
        ("n12267677", "natural", "natural object"),  # acorn
        ("n09472597", "natural", "geological formation"),  # volcano
        ("n07753592", "natural", "produce"),  # banana: nearer to produce than to solid food
        ("n04067472", "man-made", "artifact"),  # reel
        ("n07920052", "man-made", "food"),  # espresso
        ("n07693725", "man-made", "solid food"),  # bagel
        ("n07711569", "man-made", "food"),  # mashed potato: as near to produce
        ("n06874185", "man-made", "abstraction"),  # traffic light
        ("n15075141", "man-made", "paper"),  # toilet tissue
    ],
)
def test_known_classes(wnid, group, category):
    assert (wordnet.group_of(wnid), wordnet.category_of(wnid)) == (group, category)


@pytest.mark.parametrize("wnid", ["n00000000", "n00001740", "1443537", "goldfish", ""])
def test_a_wnid_outside_the_table_has_no_group(wnid):
    assert wordnet.group_of(wnid) is None
    assert wordnet.category_of(wnid) is None


def test_the_table_has_each_of_the_1000_classes_once():
    wnids = [row["wnid"] for row in rows("wordnet_groups.csv")]
    assert len(wnids) == len(set(wnids)) == 1000
    assert (wnids[0], wnids[-1]) == ("n01440764", "n15075141")  # tench and toilet tissue


def test_every_row_says_what_a_category_of_the_rule_says(rule):
    groups = {category.name: category.group for category in rule.CATEGORIES.values()}
    found = {(row["category"], row["group"]) for row in rows("wordnet_groups.csv")}
    assert found == set(groups.items())  # and no category is idle
    assert set(groups.values()) == {"natural", "man-made"}


def test_the_exceptions_lead_back_to_the_papers_449_and_551():
    counts = Counter(row["group"] for row in rows("wordnet_groups.csv"))
    for row in rows("wordnet_exceptions.csv"):
        assert wordnet.group_of(row["wnid"]) == row["ours"] != row["theirs"]
        counts[row["ours"]] -= 1
        counts[row["theirs"]] += 1
    assert counts == {"natural": 449, "man-made": 551}


@pytest.mark.tiny_imagenet
def test_tiny_imagenet_has_72_natural_classes():
    listed = data_root() / tiny_imagenet.FOLDER / "wnids.txt"
    if not listed.is_file():
        pytest.skip(f"no Tiny ImageNet in {data_root()}")
    assert Counter(map(wordnet.group_of, listed.read_text().split())) == {"natural": 72, "man-made": 128}


def test_the_table_is_what_the_rule_makes_of_wordnet(rule, synsets):
    written = rows("wordnet_groups.csv")
    assert rule.table((row["wnid"] for row in written), synsets) == written
    for row in rows("wordnet_exceptions.csv"):
        assert synsets[row["wnid"]].words[0] == row["name"]


def noun(wnid, words, *hypernyms):
    """Write a synset as WordNet's data.noun has it: with a pointer that is no hypernym, and a gloss."""
    named = "".join(f"{word.replace(' ', '_')} 0 " for word in words)
    above = "".join(f"@ {hypernym[1:]} n 0000 " for hypernym in hypernyms)
    counts = f"{len(words):02x}", f"{len(hypernyms) + 1:03}"
    return f"{wnid[1:]} 03 n {counts[0]} {named}{counts[1]} {above}~ 00000001 n 0000 | a gloss | @ 5 n  \n"


@pytest.fixture
def database(rule, tmp_path):
    def write(*synsets, first="living thing"):
        names = [first, *[category.name for category in rule.CATEGORIES.values()][1:]]
        lines = [noun(wnid, [name]) for wnid, name in zip(rule.CATEGORIES, names, strict=True)]
        text = "  1 This software and database is being provided  \n" + "".join([*lines, *synsets])
        (tmp_path / "data.noun").write_text(text, encoding="utf-8")
        return tmp_path

    return write


LIVING, PRODUCE, ARTIFACT, FOOD = "n00004258", "n07705711", "n00021939", "n00021265"


@pytest.mark.parametrize(
    ("hypernyms", "name"),
    [
        ([PRODUCE, "n90000001"], "produce"),  # one step against two
        (["n90000001"], "artifact"),
        ([PRODUCE, FOOD], "food"),  # a tie is man-made
        ([FOOD, PRODUCE], "food"),
        ([PRODUCE, LIVING], "living thing"),  # a tie within a group: the first of the list
    ],
)
def test_the_nearest_category_decides(rule, database, hypernyms, name):
    middle = noun("n90000001", ["some thing", "thing"], ARTIFACT)
    synsets = rule.read_synsets(database(middle, noun("n90000002", [f"w{i}" for i in range(12)], *hypernyms)))
    assert synsets["n90000001"].words == ("some thing", "thing")
    assert rule.decide("n90000002", synsets).name == name


def test_a_class_below_no_category_is_an_error(rule, database):
    synsets = rule.read_synsets(database(noun("n90000001", ["water"])))
    with pytest.raises(ValueError, match="no category above n90000001"):
        rule.decide("n90000001", synsets)


def test_another_wordnet_is_refused(rule, database, tmp_path):
    with pytest.raises(SystemExit, match=r"no data\.noun in"):
        rule.read_synsets(tmp_path)
    with pytest.raises(SystemExit, match=r"not WordNet 3\.0: n00004258 is not 'living thing' there"):
        rule.read_synsets(database(first="dead thing"))


def test_the_script_writes_both_tables(rule, database, tmp_path, monkeypatch):
    folder = database(noun("n90000001", ["hay"], FOOD), noun("n90000002", ["fox"], LIVING))
    paper = tmp_path / "paper.csv"
    paper.write_text('wnid,group,name\nn90000001,natural,"hay"\nn90000002,natural,"fox, red fox"\n')
    monkeypatch.setattr(rule, "GROUPS", tmp_path / "groups.csv")
    monkeypatch.setattr(rule, "EXCEPTIONS", tmp_path / "exceptions.csv")
    options = ["--dict", str(folder), "--wnids", str(paper), "--paper", str(paper)]
    monkeypatch.setattr("sys.argv", ["make_wordnet_groups.py", *options])
    rule.main()
    assert rule.GROUPS.read_bytes() == (
        b"wnid,group,category\nn90000001,man-made,food\nn90000002,natural,living thing\n"
    )
    assert rule.EXCEPTIONS.read_bytes() == b"wnid,name,ours,theirs\nn90000001,hay,man-made,natural\n"
