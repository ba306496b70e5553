from flexrel_sim.accuracy import ACCURACY_FIGURES
from flexrel_sim.metrics import METRICS


def test_every_metric_is_found_by_its_own_name() -> None:
    assert all(name == metric.name for name, metric in METRICS.items())


def test_a_metric_name_ends_in_its_unit_where_it_has_one() -> None:
    endings = {"s": "_s", "1/s": "_per_s", "B": "_bytes", "J": "_j", "h": "_h", "": ""}
    assert {metric.unit for metric in METRICS.values()} == set(endings)
    assert all(name.endswith(endings[metric.unit]) for name, metric in METRICS.items())


def test_more_is_better_for_throughput_right_answers_and_battery_life_alone() -> None:
    more = {name for name, metric in METRICS.items() if metric.better == "max"}
    assert more == {"throughput_per_s", "battery_life_h", *ACCURACY_FIGURES}


def test_labels_are_unique_and_not_empty() -> None:
    labels = [metric.label for metric in METRICS.values()]
    assert all(labels)
    assert len(set(labels)) == len(labels)
