"""The process that asks math-verify: a line ``[gold, answer]`` in, ``1`` or ``0`` out."""

import json
import logging
import re
import resource
import signal
import sys
import warnings

_MEMORY = 4 << 30


def main(seconds: int) -> None:
    """Answer until the input ends; the kernel ends this process at a limit."""
    from math_verify import LatexExtractionConfig, parse, verify

    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # ends the process, whatever it computes
    latex = [LatexExtractionConfig(boxed_match_priority=0)]

    def parsed(text: str) -> list[object]:
        found: list[object] = parse(
            f"\\boxed{{{_latex(text)}}}", extraction_config=latex, parsing_timeout=None
        )
        return found

    for line in sys.stdin:
        gold, answer = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        right = verify(parsed(gold), parsed(answer), timeout_seconds=None)
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(int(right), flush=True)


def _latex(text: str) -> str:
    """What people write without a backslash, with one."""
    text = re.sub(r"(?<![\\A-Za-z])sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}", text.strip("$ "))
    text = re.sub(r"(?<![\\A-Za-z])(pi|sqrt|sin|cos|tan|cot|log|ln)(?![A-Za-z])", r"\\\1", text)
    text = text.replace("√", "\\sqrt ").replace("π", "\\pi ").replace("∞", "\\infty ")
    text = (
        text.replace("×", "\\times ").replace("−", "-").replace("%", "\\%").replace("\\\\%", "\\%")
    )
    return re.sub(r"(?<=\d)\s+(?=i\b)", "", text)
