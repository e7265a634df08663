"""The device that a user names."""

import torch

from rvec_merge.errors import EnvironmentProblem


def device_named(name: str) -> torch.device:
    """A device by torch's name for it; ``auto`` is cuda where there is one.

    Raises:
        EnvironmentProblem: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    # torch has an error of its own for every device that is not there.
    except Exception as error:
        raise EnvironmentProblem(
            f"There is no device {name!r} here, or it cannot be used.",
            [*str(error).strip().splitlines()[:1], f"CUDA devices: {torch.cuda.device_count()}"],
            "use --device cpu; `rvec doctor` lists the devices.",
        ) from None
    return device
