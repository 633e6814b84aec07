"""Which way of transfer is recommended, and with which of the lecture's words."""

import pytest

from convnets.cli.advice import Way, advise

PROBES = {"stage1": 0.6, "stage2": 0.7, "pre_logits": 0.8}


def ways(**validation: float) -> list[Way]:
    return [Way(name, value, value, 1.0) for name, value in validation.items()]


def advice(found, probes=PROBES, examples=100, classes=10, validation=1000):
    return advise(found, probes, training_examples=examples, classes=classes, validation_examples=validation)


def test_the_best_way_is_used_or_a_cheaper_one_within_one_standard_error():
    """At 0.9 of 100 examples the error is 0.03; of 10,000 it is 0.003."""
    assert advice(ways(probe=0.80, last=0.85, all=0.95, scratch=0.5)).use.name == "all"
    found = ways(probe=0.88, all=0.90)
    assert advice(found, validation=100).use.name == "probe"
    assert advice(found, validation=10_000).use.name == "all"


@pytest.mark.parametrize(
    ("examples", "best_below", "words"),
    [
        (100, False, "a linear classifier on the top layer"),
        (100, True, "linear classifiers on different stages"),
        (10_000, False, "to fine-tune a few layers"),
        (10_000, True, "to fine-tune a larger number of layers"),
    ],
)
def test_the_lectures_table_is_read_by_the_amount_of_data_and_where_the_best_probe_lies(examples, best_below, words):
    probes = PROBES | ({"stage2": 0.9} if best_below else {})
    reasons = " ".join(advice(ways(probe=0.8), probes, examples).reasons)
    assert f"the lecture advises {words} for that" in reasons
    assert ("different to" in reasons) == best_below
    assert f"{examples // 10:,} training examples a class" in reasons


def test_of_equal_probes_the_deepest_counts():
    assert "best probe is that of pre_logits" in " ".join(
        advice(ways(a=0.8), {"stage1": 0.8, "pre_logits": 0.8}).reasons
    )
