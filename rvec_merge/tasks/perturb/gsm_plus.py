"""GSM-Plus: perturbations of GSM8K made and checked by people, paired with the items they vary.

Source: Li et al. 2024, arXiv:2402.19255; its dataset on the Hub, or ``gsm_plus`` below
``RVEC_EVAL_DATA``.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from rvec_merge.errors import TaskError, said_by
from rvec_merge.tasks.local_data import data_folder, read_items
from rvec_merge.tasks.perturb.items import LABEL, ORIGIN, Realised, check_label
from rvec_merge.tasks.perturb.spec import GSM_PLUS, PerturbationSpec

HUB_ID = "qintongli/GSM-Plus"
_LOCAL = ("gsm_plus/test.jsonl", "gsm_plus/testmini.jsonl")  # the whole set, or its small split


def rows_of_gsm_plus() -> Iterable[Mapping[str, Any]]:
    """Every item of GSM-Plus, as its authors wrote it.

    Raises:
        TaskError: it is neither below ``RVEC_EVAL_DATA`` nor can it be fetched.
    """
    root = data_folder()
    if root is not None:
        found = [root / name for name in _LOCAL if (root / name).is_file()]
        return read_items(found[0] if found else root / _LOCAL[0])
    import datasets

    try:
        return list(datasets.load_dataset(HUB_ID, split="test"))
    except Exception as error:  # datasets, the Hub's client and the network raise their own
        raise TaskError(
            "GSM-Plus cannot be fetched.",
            [HUB_ID, *said_by(error)],
            "look at the network, or put its test.jsonl into gsm_plus below RVEC_EVAL_DATA.",
        ) from None


def paired(
    items: Iterable[Mapping[str, Any]],
    spec: PerturbationSpec,
    rows: Iterable[Mapping[str, Any]] | None = None,
) -> Realised:
    """The variants of one kind of GSM8K items, each with the row of the item that it varies.

    The first of an item's variants is taken. Refused: an item without one, and a variant that has
    no numeric answer, which a reader of numbers could only score wrong.

    Args:
        items: GSM8K's, with ``question`` and ``answer``.
        rows: GSM-Plus; read where None.

    Raises:
        TaskError: none of the items has a variant of this kind.
    """
    names = GSM_PLUS[spec.kind]
    clean = list(items)
    if clean and LABEL in clean[0]:
        check_label(str(clean[0][LABEL]), spec)
        return Realised(tuple(map(dict, clean)), len(clean), {})
    varied: dict[str, Mapping[str, Any]] = {}
    for row in rows_of_gsm_plus() if rows is None else rows:
        if row["perturbation_type"] in names:
            varied.setdefault(_plain(row["seed_question"]), row)
    made: list[dict[str, Any]] = []
    refused: Counter[str] = Counter()
    for index, item in enumerate(clean):
        found = varied.get(_plain(item["question"]))
        if found is None:
            refused["GSM-Plus has no variant of it"] += 1
        elif not _is_number(str(found["answer"])):
            refused["the variant has no numeric answer"] += 1
        else:
            answer = f"{found['solution'].rpartition('####')[0].rstrip()}\n#### {found['answer']}"
            question = {"question": found["question"], "answer": answer.lstrip()}
            made.append({**item, **question, ORIGIN: index, LABEL: spec.label})
    if not made:
        raise TaskError(
            f"GSM-Plus varies none of the {len(clean)} items by {spec.kind}.",
            [f"{count} x {reason}" for reason, count in refused.most_common()],
            "use GSM8K's test set, whose items GSM-Plus varies, or take this out of the plan.",
        )
    return Realised(tuple(made), len(clean), dict(sorted(refused.items())))


def _plain(text: str) -> str:
    return " ".join(text.split())


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", ""))
    except ValueError:
        return False
    return True
