"""The figure of a vector is drawn, in the formats that it says."""

import numpy as np
import pytest

from rvec_merge.checkpoint.header import Checkpoint
from rvec_merge.errors import OutputError
from rvec_merge.vector.inspection import inspect_vector
from rvec_merge.vector.plot import plot


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_figure_is_drawn(packed, triple, tmp_path, suffix):
    target, base = (Checkpoint.open(triple[n]) for n in ("target", "sft"))
    path = tmp_path / f"figure{suffix}"
    plot(inspect_vector(packed, target=target, base=base), path)
    if suffix == ".png":
        from PIL import Image

        with Image.open(path) as image:
            assert image.width == 1200
            shades = np.unique(np.asarray(image.convert("L")))
            assert shades.max() - shades.min() > 200
    else:
        assert "mlp.gate_proj" in path.read_text() or "<path" in path.read_text()


def test_a_figure_of_unknown_format_is_refused(packed, tmp_path):
    with pytest.raises(OutputError, match=r"\.png, \.svg"):
        plot(inspect_vector(packed), tmp_path / "figure.txt")
