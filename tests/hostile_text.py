"""A thousand texts that others may have written: into names, messages, settings, answers. The same in each run."""

from __future__ import annotations

import itertools
import random

from workflow_commands import NAMES

_SPACES = [
    *("", " ", "\t", "\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u00a0", "\u2003", "\u2028"),
    "\u2029",
]
_UNSEEN = ["\u200b", "\u200e", "\u00ad", "\ufeff", "\u2060", "\x00", "\x7f", "\ufe0f", "\u034f", "\U000e0001"]
_COMMANDS = [
    *(f"::{name}::data" for name in sorted(NAMES)),
    *(f"::{name} name=PATH,file=a::data" for name in ("set-env", "set-output", "error", "warning")),
    *(f"##[{name}]data" for name in sorted(NAMES)),
    *("##[set-env name=PATH;]data", "::ERROR::data", "::Stop-Commands::token", "%0A::error::data"),
    *("::error::%0A::error::data", "##vso[task.setvariable variable=a]data"),
    *("##teamcity[buildStatus status='FAILURE']", "section_start:1:name\r\x1b[0K", "###[error]data"),
    *("##[error", "::error"),
]
_ESCAPES = [
    *("\x1b[2J", "\x1b[31mred", "\x1b]0;title\x07", "\x1b]8;;https://example.invalid\x1b\\link\x1b]8;;\x1b\\"),
    *("\x1b]52;c;ZXZpbA==\x07", "\x1bP1$r\x1b\\", "\x1b[?1049h", "\x9b2J", "\x9d0;title\x9c", "\x08" * 10),
    *("\rover", "\x07", "\x0e\x0f", "\x1bc"),
]
_UNICODE = [
    *("\u202etxt.exe", "\u2066a\u2069", "\u061c", "\ufff9a\ufffab\ufffb"),
    *("".join(chr(0xE0000 + ord(char)) for char in "hidden"), "a\ufe00b\U000e0100", "\u3164\u115f\u2800"),
    *("\udc80\udcff", "\ud800", "\ue000\uffff\U0010ffff", "e\u0301", "\U0001f469\u200d\U0001f4bb"),
]
_MARKUP = [
    *("<script>alert(1)</script>", "<!-- comment", "|a|b|", "a\\|b", "a\\", "@everyone"),
    *("[a](https://example.invalid)", "![a](https://example.invalid/a.png)", "`code`", "```"),
    *("[bold]rich[/bold]", "[/]", "[link=https://example.invalid]a[/link]", ":warning:"),
    *("{version}{0}%s%(a)s%n", "\\", "$(touch a)`touch b`;|&", "../../etc/passwd", "-rf"),
    *("\"quoted\" and 'quoted'", "", " ", "x" * 5_000),
]


def _made() -> list[str]:
    single = [*_COMMANDS, *_ESCAPES, *_UNICODE, *_MARKUP]
    combined = [
        *(f"{space}{text}" for space, text in itertools.product(_SPACES, _COMMANDS)),
        *(f"a{space}{text}" for space, text in itertools.product(_SPACES[3:], _COMMANDS)),
        *(f"{unseen}{text}" for unseen, text in itertools.product(_UNSEEN, _COMMANDS)),
        *(f"{text[:1]}{unseen}{text[1:]}" for unseen, text in itertools.product(_UNSEEN, _COMMANDS)),
        *(f"{escape}{text}" for escape, text in itertools.product(_ESCAPES, _COMMANDS + _UNICODE)),
        *("".join(pair) for pair in itertools.product(_UNICODE, _ESCAPES + _MARKUP)),
        *(f"first\n{text}\nhint: {text}" for text in single),
    ]
    more = [text for text in dict.fromkeys(combined) if text not in single]
    return [*single, *random.Random(0).sample(more, 1_000 - len(single))]


TEXTS = _made()
"""A thousand different texts."""
