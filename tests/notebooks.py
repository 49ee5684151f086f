"""The notebooks as they are committed: without outputs, counts, or anything of who ran them.

After an edit in Jupyter, `python -m tests.notebooks` strips them all.
"""

from pathlib import Path

import nbformat
from nbformat import NotebookNode

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def stripped(notebook: NotebookNode) -> str:
    """The file's text. Cells keep their source, their kind and their id."""
    cells = []
    for cell in notebook.cells:
        kept = {"id": cell.id, "cell_type": cell.cell_type, "metadata": {}, "source": cell.source}
        cells.append(kept | ({"execution_count": None, "outputs": []} if cell.cell_type == "code" else {}))
    whole = nbformat.from_dict({"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5})
    return nbformat.writes(whole) + "\n"


if __name__ == "__main__":
    for path in NOTEBOOKS:
        path.write_text(stripped(read(path)))
