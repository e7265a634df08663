"""Who runs the cells: this process (``local``), or workers on a Ray cluster (``ray``)."""
