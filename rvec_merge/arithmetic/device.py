"""The device that a user names."""

from rvec_merge.errors import EnvironmentProblem


def device_named(name: str) -> str:
    """A device by torch's name for it; ``auto`` is cuda where there is one.

    Raises:
        EnvironmentProblem: there is no such device here.
    """
    if name == "cpu":
        return name
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
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
    return "cpu" if device.type == "cpu" else name
