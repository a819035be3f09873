"""Make the golden cases of SCNet anew with its PyTorch code: ``make golden-torch`` (it runs this in ``.peers-torch``).

``scnet/cases.json`` says what they are, ``scnet/<name>.npz`` what comes of them: see ``tests/peers/scnet_oracle.py``.
"""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent / "scnet"
ORACLE = Path(__file__).parents[1] / "peers" / "scnet_oracle.py"

if __name__ == "__main__":
    subprocess.run([sys.executable, ORACLE, FOLDER / "cases.json", FOLDER], check=True)
