"""How many items the benchmarks have, for a count without their data."""

# The evaluated split, by the longest prefix of a task's name.
_SIZES = {
    "rvec_gsm8k": (1319,),
    "rvec_gsm_plus": (2400,),
    "rvec_humaneval": (164,),
    "rvec_math500": (500,),
    "rvec_aime24": (30,),
    "rvec_aime25": (30,),
    "rvec_sciq": (1000,),
    "rvec_bbh": (250,) * 23 + (187, 146, 178, 178),
}


def known_sizes(variant: str) -> tuple[int, ...]:
    """The items of each subtask of a variant's clean set; empty where that is not known.

    Source: the data sets' cards. A perturbed set has at most as many.
    """
    found = [name for name in _SIZES if variant.startswith(name)]
    return _SIZES[max(found, key=len)] if found else ()
