"""The files by which a folder is known, whoever looks at it."""

VECTOR_FILE = "rvec_vector.json"  # the head of a compact vector
EXTRACTION_FILE = "rvec_extract.json"  # beside a dense vector or an adapter
MERGE_FILE = "rvec_merge.json"  # where a merge came from
EXPERIMENT_FILE = "experiment.json"  # the plan that results are of
RECIPE_FILE = "mergekit_config.yml"  # mergekit's, beside what it merged
ADAPTER_FILE = "adapter_config.json"  # PEFT's; transformers then loads the base that it names

MARKS = (RECIPE_FILE, MERGE_FILE, VECTOR_FILE, EXTRACTION_FILE)
