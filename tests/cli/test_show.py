import io
import sys

from flexrel_sim.cli.show import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_passes_every_item_on_and_is_silent_off_a_terminal(capsys):
    assert list(progress("counting", iter([1, 2, 3]), 3)) == [1, 2, 3]
    assert capsys.readouterr() == ("", "")


def test_progress_shows_a_bar_on_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(progress("counting", iter([1, 2]), 2)) == [1, 2]
    assert "counting" in terminal.getvalue()
