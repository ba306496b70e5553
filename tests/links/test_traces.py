import numpy as np
import pytest

from flexrel_sim.errors import ScenarioError
from flexrel_sim.links import Opportunities, trace_file
from flexrel_sim.links.traces import read_trace

BW = {"time": "t_ms ms", "rate": "bw kbit/s"}


def written(folder, text, name="a.trace"):
    file = folder / name
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def read(folder, text, layout, columns=None, direction="uplink"):
    return read_trace(written(folder, text), layout, columns, direction)


def faults(folder, text, layout, columns=None):
    with pytest.raises(ScenarioError) as caught:
        read(folder, text, layout, columns)
    lines = [str(fault).replace(str(folder / "a.trace"), "FILE") for fault in caught.value.faults]
    return [line.replace("link.uplink.trace", "KEY") for line in lines]


def test_a_mahimahi_trace_is_milliseconds(tmp_path):
    capacity = read(tmp_path, "0\n0\n3\n10\n", "mahimahi")
    assert isinstance(capacity, Opportunities)
    assert capacity.stamp_s.tolist() == [0, 0, 0.003, 0.010]
    assert capacity.mean_rate_bit_per_s == pytest.approx(4 * 1504 * 8 / 0.010)


def test_a_pensieve_trace_is_seconds_and_megabits(tmp_path):
    capacity = read(tmp_path, "0.5 1.5\n1.5\t0\n3.5 2e0\n", "pensieve")
    assert capacity.start_s.tolist() == [0, 1, 3]
    assert capacity.rate_bit_per_s.tolist() == [1.5e6, 0, 2e6]
    # The last sample holds as long as the one before it.
    assert (capacity.end_s, capacity.repeats) == (5, True)


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_csv_trace_has_its_columns_by_name_and_unit(tmp_path, mark):
    rows = [["x", "bw", "t_ms"], ["a", "100", "1000"], ["b", "200", "3000"]]
    text = "\ufeff" + "\r\n".join(mark.join(row) for row in rows)
    capacity = read(tmp_path, text, "csv", BW)
    assert capacity.start_s.tolist() == [0, 2]
    assert capacity.rate_bit_per_s.tolist() == [100e3, 200e3]


def test_quoted_cells_may_hold_the_delimiter(tmp_path):
    text = 'where,t_ms,bw\n"Oslo, S",0,1\n"Oslo, N",10,2\n'
    assert read(tmp_path, text, "csv", BW).rate_bit_per_s.tolist() == [1e3, 2e3]


IRISH = """\
Timestamp,Longitude,DL_bitrate,UL_bitrate
2019.12.16_07.28.16,-8.4,1000,10
2019.12.16_07.28.17,-8.4,2000,20
2019.12.16_07.28.17,-8.4,4000,60
2019.12.16_07.28.19,-8.4,5000,50
"""


@pytest.mark.parametrize(
    ("direction", "rates"), [("uplink", [10e3, 40e3, 50e3]), ("downlink", [1e6, 3e6, 5e6])]
)
def test_an_irish_trace_gives_each_direction_its_column(tmp_path, direction, rates):
    capacity = read(tmp_path, IRISH, "irish", direction=direction)
    assert capacity.start_s.tolist() == [0, 1, 3]
    assert capacity.rate_bit_per_s.tolist() == pytest.approx(rates)


def test_a_norway_trace_is_bytes_over_elapsed_milliseconds(tmp_path):
    text = "1290000000 100 59.9 10.7 1000 500\n1290000001 600 59.9 10.7 4000 1000\n"
    capacity = read(tmp_path, text, "norway")
    assert capacity.start_s.tolist() == [0, 0.5]
    # 8 bits per byte: 1000 B in half a second are 16 kbit/s.
    assert capacity.rate_bit_per_s.tolist() == [16e3, 32e3]
    assert capacity.end_s == 1.5


@pytest.mark.parametrize(
    ("layout", "text", "expected"),
    [
        ("mahimahi", "5\n3\n", "FILE:2: KEY: must not be before the line before, 5,"),
        ("mahimahi", "5\n-3\n", "FILE:2: KEY: must be a whole number of mil"),
        ("mahimahi", "5\nnan\n", "FILE:2: KEY: must be a whole number of mil"),
        ("mahimahi", "5\n\n6\n", "FILE:2: KEY: must be a whole number of mil"),
        ("mahimahi", "5.5\n", "FILE:1: KEY: must be a whole number of mil"),
        ("mahimahi", "0\n0\n", "FILE:2: KEY: must end after 0 ms"),
        ("mahimahi", "", "FILE: KEY: is empty"),
        ("pensieve", "", "FILE: KEY: is empty"),
        ("pensieve", "0 1\n1 nan\n", "FILE:2: KEY: the rate must be finite, got 'nan'"),
        ("pensieve", "0 1\n1 inf\n", "FILE:2: KEY: the rate must be finite, got 'inf'"),
        ("pensieve", "0 1\n1 -2\n", "FILE:2: KEY: the rate must be at least 0"),
        ("pensieve", "0 1\n1 fast\n", "FILE:2: KEY: the rate must be a number"),
        ("pensieve", "0 1\n2 1\n1 1\n", "FILE:3: KEY: the time must be after the one"),
        ("pensieve", "0 1\n2\n", "FILE:2: KEY: must have two columns, got '2'"),
        ("pensieve", "0 1\n", "FILE: KEY: must have at least two samples"),
        ("pensieve", "0 0\n1 0\n", "FILE: KEY: must not be zero for ever"),
        ("norway", "1 2 3 4 5 0\n", "FILE:1: KEY: the elapsed time must be above 0"),
        ("norway", "1 2 3 4 -5 9\n", "FILE:1: KEY: the bytes must be at least 0"),
        ("norway", "1 2 3 4 5\n", "FILE:1: KEY: must have six columns"),
        ("norway", "1 2 3 4 0 9\n", "FILE: KEY: must not be zero for ever"),
        ("csv", "t_ms,bandwidth\n", "FILE:1: KEY: has no column 'bw'; "),
        ("csv", "t_ms,bw\n1\n", "FILE:2: KEY: must have at least 2 columns"),
        ("csv", "t_ms,bw\n1,x\n", "FILE:2: KEY: 'bw' must be a number, got 'x'"),
        ("irish", "Timestamp,DL_bitrate\n", "FILE:1: KEY: has no column 'UL_bitrate'"),
        (
            "irish",
            "Timestamp,UL_bitrate\nnoon,3\n",
            "FILE:2: KEY: 'Timestamp' must be a date and time, got 'noon'",
        ),
        (
            "irish",
            "Timestamp,UL_bitrate\n2019.12.16_07.28.16,-\n",
            "FILE:2: KEY: 'UL_bitrate' must be a number, got '-'",
        ),
    ],
)  # fmt: skip
def test_each_fault_is_one_line_with_its_place_and_remedy(tmp_path, layout, text, expected):
    found = faults(tmp_path, text, layout, BW if layout == "csv" else None)
    assert found[0].startswith(expected)
    assert "; " in found[0]
    assert "\n" not in found[0]


def test_all_faults_show_at_once_and_a_hopeless_file_stops_at_twenty(tmp_path):
    found = faults(tmp_path, "0 1\n1 -1\n2 x\n3 3\nfour\n", "pensieve")
    assert [line.partition(": ")[0] for line in found] == ["FILE:2", "FILE:3", "FILE:5"]
    assert len(faults(tmp_path, "x\n" * 1000, "mahimahi")) == 20


def test_a_file_that_is_not_text_or_not_there_is_said_so(tmp_path):
    assert "must be text" in faults(tmp_path, b"\xff\xfe\x00\n", "mahimahi")[0]
    with pytest.raises(ScenarioError, match="can't be read: No such file"):
        read_trace(tmp_path / "none", "mahimahi")
    with pytest.raises(ScenarioError, match="can't be read: Is a directory"):
        read_trace(tmp_path, "mahimahi")


def test_a_line_without_end_is_not_slurped(tmp_path):
    assert "shorter than 65,536 bytes" in faults(tmp_path, "1" * 10**6, "mahimahi")[0]


def test_a_file_of_a_billion_lines_is_refused_after_its_first_ten_thousand(tmp_path):
    # Sparse: it takes no room, and reading it would take minutes and gigabytes.
    file = tmp_path / "a.trace"
    with file.open("wb") as stream:
        stream.write(b"1\n" * 10_000)
        stream.truncate(2 * 10**9)
    with pytest.raises(ScenarioError) as caught:
        read_trace(file, "mahimahi")
    (fault,) = caught.value.faults
    assert fault.rule == "must have at most 20,000,000 lines, and has about 1,000,000,000"
    assert fault.remedy.startswith("cut the file")


def test_a_file_just_too_long_is_refused_at_its_first_line_too_many(tmp_path, monkeypatch):
    monkeypatch.setattr(trace_file, "LINES_MAX", 5)
    assert faults(tmp_path, "1\n" * 9, "mahimahi")[0].startswith("FILE:6: KEY: must")


def test_a_changed_file_is_read_again(tmp_path):
    assert read(tmp_path, "0 1\n1 1\n", "pensieve").mean_rate_bit_per_s == 1e6
    assert read(tmp_path, "0 10\n1 10\n", "pensieve").mean_rate_bit_per_s == 10e6


def test_rates_are_bits_and_not_bytes(tmp_path):
    capacity = read(tmp_path, "0 8\n1 8\n", "pensieve")
    assert capacity.sender().finish_s(0.0, 1_000_000, waited=False) == pytest.approx(1.0)
    assert np.isclose(capacity.sent_bytes(1.0), 1e6)
