"""Every bad input we know of, and that a test proves its answer.

A case says with `@pytest.mark.bad_input(17)` (or `marks=` in a table) which of these it proves: the code, the field
and the words of the answer. A number without a case fails here, and so does a case without a number. Numbers are
never used twice; what is new gets the next one.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

DOCUMENTS = {
    1: "nothing in the file",
    2: "a file over the limit",
    3: "brackets in brackets",
    4: "lists in lists",
    5: "anchors that multiply",
    6: "an alias inside itself",
    7: "a merge key",
    8: "a tag that makes objects",
    9: "a key given twice",
    10: "a tab as indentation",
    11: "a second document",
    12: "bytes that are not UTF-8",
    13: "control and direction characters",
    14: "words that are something else in old YAML",
    15: "an apiVersion from elsewhere",
    16: "another kind of object",
    17: "a misspelt field",
    18: "a number for a text",
    19: "a list for a map",
    20: "JSON that almost is",
    21: "numbers JSON has no word for",
    22: "an integer of thousands of digits",
    23: "too many values",
}
TEMPLATES = {
    24: "no metric",
    25: "two metrics of one name",
    26: "a name that is none",
    27: "no provider",
    28: "two providers",
    29: "a misspelt provider",
    30: "a count and no interval",
    31: "a gate that would never end",
    32: "a count that is none",
    33: "failureLimit below -1",
    34: "no limit that could end it",
    35: "inconclusiveLimit below 0",
    36: "consecutiveErrorLimit below 0",
    37: "more successes in a row than measurements",
    38: "limits that the count cannot hold",
    39: "a metric that cannot fail",
    40: "a duration that is none",
    41: "an interval of milliseconds",
    42: "a timeout longer than the interval",
    43: "a first measurement after the end",
    44: "a run of a year",
    45: "a rule for no metric",
    46: "two rules for one metric",
    47: "only dry runs",
    48: "a pattern that explodes",
    49: "no condition at all",
    50: "a value that meets both conditions",
    51: "templates that refer to themselves",
    52: "a reference to nothing",
    54: "one metric in two templates",
    55: "hundreds of metrics",
    56: "references too deep",
}
ARGUMENTS = {
    57: "an argument that is missing",
    58: "an argument nobody declares",
    59: "an argument with two values",
    60: "a value and a reference",
    61: "a tag nobody declares",
    62: "a tag without its end",
    63: "a tag inside a value",
    64: "an argument that passes everything",
    65: "an argument that ends the quotes around it",
    66: "control characters in an argument",
    67: "an argument of a megabyte",
    68: "a count that is a word",
    69: "an interval that is empty",
    70: "a secret that is not there",
    71: "a key that is not in the secret",
    72: "a secret of somebody else",
    73: "a secret with a line break at its end",
    74: "an empty secret",
    75: "a secret in a query",
    76: "a secret of two characters",
    77: "a path to no field",
    78: "a path to a map",
}
CONDITIONS = {
    79: "half a comparison",
    80: "the first item of nothing",
    81: "a list compared with a number",
    82: "isNaN of a list",
    83: "NaN between two conditions",
    84: "NaN with a success condition alone",
    85: "asFloat of a word",
    86: "asInt of what is too large",
    87: "a condition that is a number",
    88: "texts compared like numbers",
    89: "an unknown function",
    90: "an unknown name",
    91: "a field that is not there",
    92: "a way into the interpreter",
    93: "parentheses in parentheses",
    94: "a condition of 100 kB",
    95: "a sum of 100 000 terms",
    96: "a tower of powers",
    97: "a text or range of a billion",
    98: "loops in loops",
    99: "data nested without end",
    100: "a pattern that takes for ever elsewhere",
    101: "divisions by zero",
    102: "an overflow",
    103: "typographic quotes",
    104: "a single =",
    105: "a condition that is constant",
    106: "characters of no language",
}
CONFIGURATION = {
    107: "an address without scheme",
    108: "no address at all",
    109: "a cloud's metadata address",
    110: "other spellings of an IPv4 address",
    111: "other characters for digits and dots",
    112: "a backslash before the real host",
    113: "a password in a URL",
    114: "IPv4 inside IPv6",
    115: "metadata addresses that look public",
    116: "a name that resolves to another place each time",
    117: "a scheme other than HTTP",
    118: "a port that is none, or somebody else's",
    119: "a line break in a header or URL",
    120: "a header of the connection",
    121: "a GET with a body",
    122: "two bodies",
    123: "a method that changes things",
    124: "a JSONPath without its end",
    125: "a JSONPath over everything",
    126: "a timeout out of range",
    127: "half of a password pair",
    128: "half of an OAuth2 client, or one of a metadata address",
    129: "unverified TLS without permission",
    130: "Datadog fields that exclude each other",
    131: "a New Relic profile of another team",
    132: "PromQL without its end",
    133: "a range that is none",
    134: "a plugin named like a path",
    135: "a provider that is not installed",
}
ANSWERS = {
    136: "nobody there",
    137: "silence",
    138: "a byte now and then",
    139: "half an answer",
    140: "a certificate that does not hold",
    141: "a redirect",
    142: "credentials refused",
    143: "no API at this path",
    144: "too many samples for the server",
    145: "too many requests",
    146: "overloaded",
    147: "a login page",
    148: "an empty body",
    149: "a compressed bomb",
    150: "a body without end",
    151: "JSON nested without end",
    152: "a key twice",
    153: "not UTF-8",
    154: "NaN and infinity",
    155: "a text as result",
    156: "a range where an instant was asked for",
    157: "an error with status 200",
    158: "an answer with warnings",
    159: "numbers of other languages",
    160: "Datadog without series, points, or values",
    161: "Datadog tables with holes",
    162: "Datadog errors as a list",
    163: "GraphQL errors with status 200",
    164: "New Relic without rows or fields",
    165: "a text where JSON was meant",
    166: "a path that finds nothing, or much",
    167: "markup, terminal codes, secrets",
    168: "ten thousand series",
    169: "a sample that is old, or of the future",
    170: "a number of 400 digits",
}
INPUTS: Mapping[int, str] = DOCUMENTS | TEMPLATES | ARGUMENTS | CONDITIONS | CONFIGURATION | ANSWERS

ARGO_TAKES_IT = "Argo takes it: a warning, and an error in strict mode"

OTHERWISE: Mapping[int, str] = {
    # what one might expect to be refused or done, and why the proven answer is another one
    32: ARGO_TAKES_IT,
    40: "0s and less: " + ARGO_TAKES_IT,
    41: ARGO_TAKES_IT,
    44: ARGO_TAKES_IT,
    60: ARGO_TAKES_IT,
    64: ARGO_TAKES_IT,
    65: ARGO_TAKES_IT,
    68: ARGO_TAKES_IT,
    69: ARGO_TAKES_IT,
    73: "the value is used as it is, with a warning: what Kubernetes stores is what a backend gets",
    74: ARGO_TAKES_IT,
    75: ARGO_TAKES_IT,
    77: "an absent label is empty text, as Argo fills it in; an absent field is an error",
    81: "for a provider whose answers are known to be lists: " + ARGO_TAKES_IT,
    108: "INVALID at the measurement: the address may come from the environment, which creation does not judge",
    109: "INVALID_ARGUMENT at creation like all that is wrong with a provider, and once more when it is asked",
    115: "as 109",
    118: "as 109",
    126: "0 and less mean the default, as in Argo; more than the limit is refused",
    129: "refused when it is asked, before a byte is sent: permission for unverified TLS is the operator's",
    131: "as Argo: a profile names a secret of the controller's namespace, where the operator decides what there is",
    135: "INVALID_ARGUMENT with the providers that are installed: another word in the template mends it",
    136: "the error names the backend and what happened; how many errors in a row are allowed is the run's sentence",
    158: "the value counts and the warning is kept; no option to refuse partial data",
    165: "any text is a value, as in Argo; what is stored of it is cut at 4 KiB",
    169: "the value counts and the age is told; no option to refuse old data",
}

ELSEWHERE: Mapping[int, str] = {
    53: "a cluster template the caller may not read: there are no callers with rights before there is sign-in",
}

COLLECT = """
import json, sys, pytest

class Numbers:
    def pytest_collection_finish(self, session):
        found = {}
        for item in session.items:
            for mark in item.iter_markers("bad_input"):
                for number in mark.args:
                    found.setdefault(number, []).append(item.nodeid)
        print("FOUND " + json.dumps(found))

sys.exit(pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider", *sys.argv[1:]], plugins=[Numbers()]))
"""


def collect(*arguments: str) -> dict[int, list[str]]:
    """Which cases say that they prove what: asked of pytest itself, so that nothing counts that would not run."""
    done = subprocess.run(
        [sys.executable, "-c", COLLECT, *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )
    line = next((line for line in done.stdout.splitlines() if line.startswith("FOUND ")), None)
    assert line is not None, done.stdout[-2000:] + done.stderr[-2000:]
    return {int(number): cases for number, cases in json.loads(line.removeprefix("FOUND ")).items()}


@pytest.fixture(scope="module")
def found() -> dict[int, list[str]]:
    return collect("tests/core", "tests/providers", "tests/cli/test_words.py", "tests/cli/test_outcome.py",
                   "tests/test_creation.py", "tests/test_engine.py", "--ignore=tests/core/statistics")  # fmt: skip


def test_every_bad_input_is_proven(found: dict[int, list[str]]) -> None:
    missing = {number: what for number, what in INPUTS.items() if number not in found}
    assert not missing, f"no test says that it proves: {missing}"


def test_no_case_proves_what_nobody_knows(found: dict[int, list[str]]) -> None:
    assert {number: cases[:2] for number, cases in found.items() if number not in INPUTS} == {}


def test_the_numbers_have_no_hole() -> None:
    assert sorted([*INPUTS, *ELSEWHERE]) == list(range(1, 171))
    assert OTHERWISE.keys() <= INPUTS.keys()


def test_a_number_without_a_case_would_be_noticed(tmp_path: Path) -> None:
    """The check itself: a folder with one case proves one number."""
    (tmp_path / "test_one.py").write_text(
        "import pytest\n\n@pytest.mark.parametrize('x', [pytest.param(1, marks=pytest.mark.bad_input(17, 18)), 2])\n"
        "def test_it(x): pass\n"
    )
    only = collect("-c", str(ROOT / "pyproject.toml"), "-o", "markers=bad_input", str(tmp_path))
    assert {number: len(cases) for number, cases in only.items()} == {17: 1, 18: 1}
    with pytest.raises(AssertionError, match="nothing in the file"):
        test_every_bad_input_is_proven(only)
