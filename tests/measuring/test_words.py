"""The recommendation in words: what it says, and by which figures."""

from __future__ import annotations

import pytest
from made import IMAGES, invented

from transferlib.measuring.advice import advise
from transferlib.measuring.words import action, recommendation
from transferlib.treatments import Treatment


def words(percent, default, longer=None, **settings):
    """The recommendation for made accuracies, and that of the base trained longer."""
    rival = None if longer is None else invented({"base": longer}, default=0).query("kind == 'base'")
    return recommendation(advise(invented(percent, default, **settings), rival))


def test_a_clear_winner_is_recommended_with_its_difference():
    said = words({"base": 50, "A4B+": 75}, default=40)
    assert said.startswith("Copying helps: copy layers 1 to 4 from the source")
    assert "A4B+ gets 75.0 % of the test pictures right, training from scratch 50.0 %: +25.0 points" in said
    assert "over other test images and seeds)" in said


def test_why_it_is_not_the_most_accurate_is_said():
    said = words({"base": 50, "A3B": 70, "A5B": 69.9, "A6B": 66, "A2B+": 70.2}, default=50)
    assert "A2B+, the most accurate with 70.2 %, is ahead by less than one standard error" in said
    assert "trains only 3 of 8 layers" in said


def test_one_training_each_only_seems_to_help():
    said = words({"base": 50, "A4B+": 75}, default=40, seeds=1)
    assert said.startswith("Copying seems to help, by one training each (three would tell more)")
    assert "but of one training each)" in said


def test_copying_that_merely_saves_training_is_called_so():
    runs = {"base": 50, "A4B+": 75}
    assert "longer training is the alternative" in words(runs, default=40, longer=74)
    assert "A4B+ is still ahead: +20.0 points" in words(runs, default=40, longer=55)


def test_copies_that_harm_are_told_by_the_least_harmful():
    said = words({"base": 70, "A1B+": 55}, default=45)
    assert "Even A1B+" in said and "-15.0 points" in said
    none_left = words({"base": 50}, default=50, AnB="diverged", AnB_plus="diverged")
    assert none_left.endswith("No network with copied layers did better than guessing.")


def test_a_tie_comes_with_its_reason():
    said = words({}, default=50, images=40_000)
    assert "of what is shown to lose less than 1 point" in said and "more test pictures" in said
    assert "nothing with copied layers is shown to lose less than 1 point" in words({}, default=50)


def test_a_tie_with_fine_tuning_alone_warns_of_freezing():
    level = {"base": 60} | {f"A{n}B+": 60.02 for n in range(1, 8)}
    said = words(level, default=30, images=40_000)
    assert "needs no source" in said
    assert "Do not freeze this much: A1B -30.0 points" in said


def test_where_only_the_base_learned_nothing_nobody_is_said_to_lose_less_than_it():
    table = invented({"base": 40, "A3B": 42}, default=10, seeds=1, images=40)
    table["status"] = ["ok" if t == "A3B" else "chance" for t in table["treatment"]]
    said = recommendation(advise(table))
    assert "of what did better than guessing, this is the cheapest; training from scratch did not." in said
    assert "shown to lose less" not in said


def test_where_nothing_was_learned_the_test_pictures_are_counted():
    assert f"{IMAGES} test pictures" in words({}, default=20, base="chance", AnB="chance", AnB_plus="chance")


@pytest.mark.parametrize(
    "treatment, asked",
    [
        ("base", "train all 8 layers from scratch on the target"),
        ("A1B", "copy layer 1 from the source, freeze it, and train layers 2 to 8 on the target"),
        ("A7B", "copy layers 1 to 7 from the source, freeze them, and train layer 8 on the target"),
        ("A2B+", "copy layers 1 to 2 from the source, start the rest anew, and train all 8 layers on the target"),
    ],
)
def test_actions_in_words(treatment, asked):
    assert action(Treatment.parse(treatment)) == asked
