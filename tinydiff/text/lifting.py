"""A program of its own that reads a regular expression and says what it does with each token.

    python -I lifting.py < {"pattern": ..., "pieces": [hex of the bytes of each token], ...}

It answers with an .npz of `automata.Automaton`'s fields, or ends with a sentence on stderr. Some
expressions need more memory than there is, and the library that reads them cannot be interrupted:
so nothing of the page runs here, and whoever asks sets a time limit.
"""

import io
import json
import sys

import numpy as np

MEMORY = 3 << 29  # bytes of address space, the libraries' own included
# Behind the pattern stands a sign that no text holds, as a token of its own: a text may end where
# that token leads to a match. The library's own final states will not do: of `a|ab` it finds `a`
# alone, and of `(ab)*` it lets no text go on that might have ended.
LAST = "\U0010ffff"


def main() -> None:
    asked = json.load(sys.stdin)
    bounded()
    from outlines_core import Index, Vocabulary

    pieces = [bytes.fromhex(piece) for piece in asked["pieces"]] + [LAST.encode()]
    V, same = len(pieces), {}
    for i, piece in enumerate(pieces):
        if piece:  # what spells nothing stands in no text of a pattern
            same.setdefault(piece, []).append(i)
    try:
        index = Index(f"(?:{asked['pattern']}){LAST}", Vocabulary(V, same))
    except ValueError as error:
        sys.exit(str(error))
    found = index.get_transitions()
    ends = {*index.get_final_states()}
    first = index.get_initial_state()
    states = [first, *({*found} - {first} - ends), *(ends - {first})]
    if len(states) > asked["most"]:
        sys.exit(f"{len(states)} states")
    place = {state: i for i, state in enumerate(states)}
    table = np.full((len(states), V + 1), -1, np.int32)  # a column more for the library's own end
    for state, steps in found.items():
        tokens = np.fromiter(steps.keys(), np.int64, len(steps))
        table[place[state], tokens] = [place[to] for to in steps.values()]
    last = table[:, V - 1]
    accepting = np.array([i >= 0 and states[i] in ends for i in last])
    moves, group = np.unique(table[:, : V - 1], axis=1, return_inverse=True)
    out = io.BytesIO()
    np.savez(out, moves=moves, group=group.reshape(-1), accepting=accepting)
    sys.stdout.buffer.write(out.getvalue())


def bounded() -> None:
    """No more memory than MEMORY, where the system can bound it."""
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


if __name__ == "__main__":
    main()
