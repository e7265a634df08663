"""What an unknown option may have meant: mergekit's and lm-eval's names are explained.

What takes more risk is never proposed for what was written; only its other spelling is.
"""

import click

_RISKY = {"--allow-pickle", "--trust-remote-code", "--confirm-run-unsafe-code", "--overwrite"}
_STREAMS = "tensors are streamed in blocks, so that nothing is to be chosen."
_PLAN = "a plan's key does that"
_MEANT = {
    # mergekit-yaml
    "--allow-crimes": "`rvec check` says what would be merged; checks cannot be switched off.",
    "--unsafe-truncate-embeddings": "write tokenizer: {source: base} into the recipe.",
    "--lazy-unpickle": _STREAMS,
    "--low-cpu-memory": _STREAMS,
    "--read-to-gpu": _STREAMS,
    "--async-write": _STREAMS,
    "--write-threads": _STREAMS,
    "--clone-tensors": _STREAMS,
    "--multi-gpu": _STREAMS,
    "--gpu-rich": _STREAMS,
    "--safe-serialization": "safetensors are all that is written.",
    "--write-model-card": "a card is always written.",
    "--transformers-cache": "set HF_HUB_CACHE.",
    "--lora-merge-cache": "adapters are added as they are read, and need no cache.",
    "--lora-merge-dtype": "adapters are added in float32.",
    # lm_eval run
    "--gen-kwargs": f"{_PLAN}: --set generation.max_gen_toks=512.",
    "--output-path": "it is -o here.",
    "--log-samples": "samples are always kept.",
    "--apply-chat-template": f"{_PLAN}: --set chat_template=false turns it off.",
    "--seed": f"{_PLAN}: --set seed=1.",
    "--model": "the plan's recipe names the models; --backend hf or vllm evaluates them.",
    "--model-args": "the plan's recipe names the models; --set precision=bfloat16 sets the dtype.",
    "--num-fewshot": "the task says how many examples it shows.",
    "--system-instruction": "a task's description is its system prompt.",
    "--use-cache": "finished cells are kept in the results folder.",
    "--cache-requests": "finished cells are kept in the results folder.",
    "--include-path": "the package's tasks and lm-eval's own are found by name.",
}  # fmt: skip


def explained(error: click.NoSuchOption) -> click.NoSuchOption:
    """The error with what helps: the name here, or why there is none."""
    name = error.option_name.replace("_", "-")
    known = [] if error.ctx is None else [o for p in error.ctx.command.params for o in p.opts]
    near = [option for option in error.possibilities or () if option not in _RISKY]
    message = f"No such option '{error.option_name}'"
    if name in known:
        message, near = f"{message}: it is {name} here.", []
    elif (meant := _MEANT.get(name.replace("--no-", "--"))) is not None:
        message, near = f"{message}: {meant}", []
    else:
        message += "."
    return click.NoSuchOption(error.option_name, message, near, error.ctx)
