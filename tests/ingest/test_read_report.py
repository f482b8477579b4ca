"""What is kept and told of bad lines: whole files first, each file and rule in its turn, in bounded memory."""

from __future__ import annotations

from tocsin.ingest.read_report import WHOLE, BadLine, BadLines, Counts, to_tell


def kept(*bad: BadLine, cap: int = 60, each: int = 3) -> BadLines:
    lines = BadLines(cap, each)
    for one in bad:
        lines(one)
    return lines


def lines(file: str, rule: str, count: int, unit: str = "line") -> list[BadLine]:
    return [BadLine(file, f"{unit} {number}", rule) for number in range(1, count + 1)]


def test_what_concerns_a_file_is_kept_behind_any_number_of_lines_and_told_first() -> None:
    found = kept(*lines("a", "x", 5_000), BadLine("b", WHOLE, "is cut off"))
    assert [str(problem) for problem in to_tell([found], {"a": 0, "b": 1}, 20, 3)] == [
        "b: the file: is cut off",
        "a: line 1: x",
        "a: line 2: x",
        "a: line 3: x (and 4,997 more like it)",
    ]


def test_no_file_and_rule_is_told_twice_before_all_others_are_told_once() -> None:
    found = kept(*(bad for file in "abcd" for rule in "xy" for bad in lines(file, rule, 7)))
    order = {name: place for place, name in enumerate("abcd")}
    told = to_tell([found], order, 10, 3)
    assert len(told) == 10
    assert {(problem.file, problem.rule) for problem in told} == {
        (file, rule) for file in "abcd" for rule in "xy"
    }
    assert [order[problem.file] for problem in told] == sorted(order[problem.file] for problem in told)
    assert sum(problem.count + problem.more for problem in told) == 8 * 7


def test_what_several_processes_kept_is_told_as_if_one_had() -> None:
    parts = [
        kept(*lines("b", "x", 9, "byte"), BadLine("b", WHOLE, "was cut")),
        kept(*lines("b", "x", 4), *lines("a", "x", 1), BadLine("b", WHOLE, "was cut")),
    ]
    assert [str(problem) for problem in to_tell(parts, {"a": 0, "b": 1}, 20, 3)] == [
        "b: the file: was cut",
        "a: line 1: x",
        "b: line 1: x",
        "b: line 2: x",
        "b: line 3: x (and 10 more like it)",
    ]


def test_exchanges_of_one_line_are_counted_and_are_one_rule() -> None:
    found = kept(*(BadLine("a", f"line {number}", "x", number) for number in (2, 3, 4)), cap=60, each=1)
    (told,) = to_tell([found], {}, 20, 3)
    assert str(told) == "a: line 2: x (2 of its exchanges) (and 7 more like it)"


def test_memory_is_bounded_whatever_the_logs_hold() -> None:
    found = kept()
    for number in range(5_000):
        found(BadLine(f"f{number}", WHOLE, "is cut off"))
        found(BadLine(f"f{number}", "line 1", f"rule {number}"))
    assert (len(found.kept), len(found.counts)) == (1_000 + 60, 1_000)
    told = to_tell([found, found], {}, 20, 3)
    assert len(told) == 1_020


def test_a_file_that_several_pieces_gave_up_counts_once() -> None:
    parts = [Counts(bad=3, broken={"a"}), Counts(bad=1, broken={"a"}), Counts(bad=2, broken={"a", "b"})]
    whole = Counts()
    for part in parts:
        whole.merge(part)
    assert (whole.bad, whole.broken) == (4, {"a", "b"})
