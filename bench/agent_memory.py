"""Whether an agent's memory is the same after 24 virtual hours of beating as after the first.

    python -m bench.agent_memory [--cycles 24] [--cycle-s 3600]

The life itself is `tests.integration.agent_lifetime`: beats, looks, commands, hours of silence.
"""

import json
import subprocess
import sys


def main() -> None:
    """Live, and print a Markdown table; exit with 1 when memory isn't flat within 5 %."""
    life = [sys.executable, "-m", "tests.integration.agent_lifetime", *sys.argv[1:]]
    done = subprocess.run(life, stdout=subprocess.PIPE, text=True, check=True)
    lived = json.loads(done.stdout)
    first, last = lived["first"], lived["last"]
    ratio = last["rss_kib"] / first["rss_kib"]
    head = ("virtual hours", "beats", "commands", "witnessed", "RSS, first cycle", "last", "ratio")
    print(f"| {' | '.join(head)} |", "| --- " * len(head) + "|", sep="\n")
    print(
        f"| {lived['virtual_h']} | {lived['beats']} | {lived['commands']} | {lived['witnessed']}"
        f" | {first['rss_kib'] / 1024:.1f} MB | {last['rss_kib'] / 1024:.1f} MB | {ratio:.3f} |"
    )
    sys.exit(ratio > 1.05)


if __name__ == "__main__":
    main()
