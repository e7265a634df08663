"""Controls: the norm or the values of the delta in every block, and nothing of its direction."""

import math

import pytest
import torch

from rvec_merge.arithmetic.controls import CONTROL_BLOCK, Control
from rvec_merge.arithmetic.kernel import Delta
from rvec_merge.arithmetic.merge_tensor import merge_tensor
from tests.arithmetic.test_merge_tensor import bits, draw


def test_random_control_has_the_deltas_norm_in_every_block_and_no_direction():
    count = 2 * CONTROL_BLOCK + 777
    sft, grpo = draw(count, torch.bfloat16, 1), draw(count, torch.bfloat16, 2)
    delta = (grpo.float() - sft.float()).double()
    control = Control("random", 0, "w")
    drawn = merge_tensor(torch.zeros(count), [Delta(grpo, sft, 1.0, control=control)]).double()
    for low in range(0, count, CONTROL_BLOCK):
        norms = [t[low : low + CONTROL_BLOCK].norm().item() for t in (drawn, delta)]
        assert norms[0] == pytest.approx(norms[1], rel=1e-5)
    cosine = (drawn @ delta / (drawn.norm() * delta.norm())).item()
    assert abs(cosine) < 5 / math.sqrt(count)  # five standard deviations of a random direction


def test_permuted_control_keeps_each_blocks_values():
    count = CONTROL_BLOCK + 777
    sft, grpo = draw(count, torch.bfloat16, 1), draw(count, torch.bfloat16, 2)
    delta = grpo.float() - sft.float()
    control = Control("permuted", 0, "w")
    drawn = merge_tensor(torch.zeros(count), [Delta(grpo, sft, 1.0, control=control)])
    assert not torch.equal(drawn, delta)
    for low in range(0, count, CONTROL_BLOCK):
        blocks = [t[low : low + CONTROL_BLOCK].sort().values for t in (drawn, delta)]
        assert torch.equal(*blocks)


@pytest.mark.parametrize("kind", ["random", "permuted"])
def test_controls_depend_on_seed_name_and_pair_alone(kind):
    count = CONTROL_BLOCK + 100
    target, sft, grpo = (draw(count, torch.bfloat16, seed) for seed in range(3))

    def merged(control, **how):
        return bits(merge_tensor(target, [Delta(grpo, sft, 1.0, control=control)], **how))

    first = merged(Control(kind, 0, "w"))
    assert merged(Control(kind, 0, "w"), block=1000, threads=3) == first
    others = [Control(kind, 1, "w"), Control(kind, 0, "v"), Control(kind, 0, "w", "second")]
    assert len({first, *map(merged, others)}) == 4


def test_control_of_a_zero_or_empty_delta_is_the_target():
    for count in (0, 5):
        target, donor = draw(count, torch.float32, 0), draw(count, torch.float32, 1)
        delta = Delta(donor, donor, 1.0, control=Control("random", 0, "w"))
        assert torch.equal(merge_tensor(target, [delta]), target)
