"""Programs are run to their end, with a deadline, and explain themselves."""

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from agents.programs import ProgramError, Programs
from common.clock import boottime


def test_output_and_status_come_back() -> None:
    """Both streams and the exit status are returned; the first line is the complaint."""
    ended = Programs().run(["sh", "-c", "echo out; echo oops >&2; echo more >&2; exit 3"], 5)
    assert (ended.status, ended.output, ended.complaint) == (3, "out\n", "oops")


def test_silent_failure_has_a_complaint_too() -> None:
    """A program that says nothing is quoted by its status."""
    assert Programs().run(["false"], 5).complaint == "exit status 1"


def test_deadline_kills() -> None:
    """A program that doesn't end is killed at the deadline."""
    begun = boottime()
    with pytest.raises(ProgramError, match=r"did not end within 0\.2 s"):
        Programs().run(["sleep", "60"], 0.2)
    assert boottime() - begun < 30


def test_missing_program_is_explained() -> None:
    """A program that isn't there is an error for people."""
    with pytest.raises(ProgramError, match=r"/no/such/program can't be started"):
        Programs().run(["/no/such/program"], 1)


def test_deadline_kills_the_whole_family() -> None:
    """What the program itself started doesn't outlive the deadline, nor hold the caller."""
    with pytest.raises(ProgramError):
        Programs().run(["sh", "-c", "sleep 60; true"], 0.2)


def test_end_kills_what_runs_and_what_comes() -> None:
    """Once the agent stops, running programs are killed and later ones don't survive."""
    programs = Programs()
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(programs.run, ["sh", "-c", "echo up; sleep 60; true"], 60)
        while not programs._running:
            assert not running.done()
        programs.end()
        assert running.result(timeout=10).status == -signal.SIGKILL
    assert programs.run(["sleep", "60"], 60).status == -signal.SIGKILL
