"""Nothing is compiled once a worker has joined its group: that would hold up its heartbeats and pages."""

import subprocess
import sys

PROGRAM = """
import numpy as np
from core.row_results import LEVELS
from core.state.tracks import CONDITIONS
from processor import score_writer
from processor.score_writer import ScoreWriter

def compiled():
    return sum(len(part.signatures) for part in vars(score_writer).values() if hasattr(part, "signatures"))

writer = ScoreWriter({"condition": CONDITIONS, "level": LEVELS})
before = compiled()
assert before, "nothing was compiled at the start"
rows = {name: np.full(3, 0.5) for name in writer.columns} | {"machine_id": np.array([0, 1, 0])}
rows |= {name: np.zeros(3, dtype=np.int8) for name in ("condition", "level")}
rows |= {"is_anomaly": np.ones(3, dtype=bool)}
writer.write(["pump-1", "pump-2"], rows)
assert compiled() == before, "the first scores compiled their encoder"
"""


def test_the_first_scores_find_their_encoder_compiled() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=240, check=False)

    assert done.returncode == 0, done.stderr
